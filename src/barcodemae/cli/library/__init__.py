"""What `barcodemae index` does beside making a library, and its options."""
