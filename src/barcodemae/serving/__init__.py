"""The server behind `barcodemae serve`: names of barcodes over HTTP."""
