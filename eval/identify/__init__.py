"""Taxon names for barcodes: identification against a reference library, and clustering without."""
