"""Libraries as static files, from which a web page names barcodes without a server."""
