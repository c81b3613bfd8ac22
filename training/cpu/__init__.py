"""Faster training steps without a GPU."""
