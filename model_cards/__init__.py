"""Model cards, compiled from results files, and publishing on the Hub."""
