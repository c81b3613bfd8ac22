"""The k-mer tokenizer; the file beside this one goes to the Hub verbatim."""

from .tokenization_barcodemae import BarcodeKmerTokenizer, InvalidSequenceError, kmer_vocabulary


__all__ = ["BarcodeKmerTokenizer", "InvalidSequenceError", "kmer_vocabulary"]
