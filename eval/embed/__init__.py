"""Embedding of sequences: the interface, the models behind it, and the readout after pooling."""
