"""What everyone may know of the tokenizer without importing transformers, which it is made of.

The tokenizer's own files go to the Hub verbatim and stand alone, so these numbers stand there too;
a test holds them equal. Guarded by tests/barcodemae/test_kmer_facts.py.
"""

BASES = "ACGT"
MIN_K, MAX_K = 3, 8  # bp
MAX_LENGTH_BP = 660  # the published input length: a full 658 bp barcode and two bases
