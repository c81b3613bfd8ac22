"""Search for nearest references: exact by cosine, and by alignment programs."""
