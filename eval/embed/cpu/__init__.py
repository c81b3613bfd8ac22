"""A BERT encoder that runs on a CPU as fast as its matrix products allow."""
