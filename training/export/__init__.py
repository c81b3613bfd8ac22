"""Model folders for the Hub: exported, or converted from the original code."""
