"""Sequences to vectors: the interface, the models behind it, and what follows the mean."""
