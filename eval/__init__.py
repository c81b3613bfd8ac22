"""Embeddings, probes, baselines and studies; models come in through `AutoModel` alone."""
