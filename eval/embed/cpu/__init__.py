"""A BERT encoder run on a CPU as fast as its matrix products allow."""
