"""The k-mer tokenizer and the barcode frame; the other files here go to the Hub verbatim.

A name is imported when it is first used: the frame and the placing need NumPy alone, and only the
tokenizer needs tokenizers and transformers. Guarded by tests/tokenization/test_front.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .barcode_frame import BarcodeFrame
    from .barcode_placement import BarcodePlacer, Placement
    from .kmer_backend import kmer_vocabulary
    from .tokenization_barcodemae import BarcodeKmerTokenizer, InvalidSequenceError

_HOME_OF = {
    "BarcodeFrame": "barcode_frame",
    "BarcodeKmerTokenizer": "tokenization_barcodemae",
    "BarcodePlacer": "barcode_placement",
    "InvalidSequenceError": "tokenization_barcodemae",
    "Placement": "barcode_placement",
    "kmer_vocabulary": "kmer_backend",
}

__all__ = [
    "BarcodeFrame",
    "BarcodeKmerTokenizer",
    "BarcodePlacer",
    "InvalidSequenceError",
    "Placement",
    "kmer_vocabulary",
]


if not TYPE_CHECKING:  # a checker would take it for a promise that any name is there

    def __getattr__(name: str) -> Any:
        """Import a name when it is first used."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
        globals()[name] = value  # found without this function from now on
        return value
