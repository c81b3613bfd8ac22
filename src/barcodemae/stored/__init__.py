"""What is kept on disk is what was written: hashes of folders, and models that are safe to open."""
