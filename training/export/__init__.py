"""Model folders for the Hub: exports of trained models, and conversion of original checkpoints."""
