"""Reference libraries on the Hub: published with a card and a licence, fetched and checked."""
