"""The k-mer tokenizer and the barcode frame; the other files here go to the Hub verbatim."""

from .barcode_frame import BarcodeFrame
from .barcode_placement import Placement
from .tokenization_barcodemae import BarcodeKmerTokenizer, InvalidSequenceError, kmer_vocabulary


__all__ = [
    "BarcodeFrame",
    "BarcodeKmerTokenizer",
    "InvalidSequenceError",
    "Placement",
    "kmer_vocabulary",
]
