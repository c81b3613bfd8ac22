"""The k-mer tokenizer and the barcode frame; the other files here go to the Hub verbatim."""

from .barcode_frame import BarcodeFrame
from .tokenization_barcodemae import BarcodeKmerTokenizer, InvalidSequenceError, kmer_vocabulary


__all__ = ["BarcodeFrame", "BarcodeKmerTokenizer", "InvalidSequenceError", "kmer_vocabulary"]
