"""Nearest references: exactly by cosine, and by alignment programs."""
