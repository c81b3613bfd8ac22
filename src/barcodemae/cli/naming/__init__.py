"""Parts of `identify` as a command: its outputs, and its run here or on a cluster."""
