"""Result records: their reader and writer, and the tables and figures made of them."""
