"""Batches of masked k-mer ids, each a function of seed and step alone."""
