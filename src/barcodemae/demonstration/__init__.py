"""Real barcodes that come with the package, and the library that `--reference demo` means.

Guarded by tests/barcodemae/demonstration/.
"""

from pathlib import Path


DEMONSTRATION = "demo"  # what a user calls them
REFERENCES = Path(__file__).with_name("references.fasta.gz")
QUERIES = Path(__file__).with_name("queries.fasta")
