"""Results files: the one reader and writer of records, and the tables and figures made of them."""
