"""The k-mer tokenizer and the barcode frame; the other files here go to the Hub verbatim."""

from .barcode_frame import BarcodeFrame
from .barcode_placement import Placement
from .kmer_backend import kmer_vocabulary
from .tokenization_barcodemae import BarcodeKmerTokenizer, InvalidSequenceError


__all__ = [
    "BarcodeFrame",
    "BarcodeKmerTokenizer",
    "InvalidSequenceError",
    "Placement",
    "kmer_vocabulary",
]
