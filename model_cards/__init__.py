"""Model cards, compiled from results files, and publishing of models on the Hub."""
