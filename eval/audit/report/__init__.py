"""What an audit writes: tables, a page, a cleaned data set."""
