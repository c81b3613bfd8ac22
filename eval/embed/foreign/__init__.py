"""Published systems that `AutoModel` cannot open, one file each."""
