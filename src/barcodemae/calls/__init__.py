"""The Python calls: what the commands do, with tables and arrays in place of files."""
