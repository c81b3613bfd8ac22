"""Names for barcodes: identification, its formats and streams, and units without references."""
