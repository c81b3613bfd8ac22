"""Barcodes as k-mer ids, masked, in batches that depend on seed and step alone."""
