"""Programs that name barcodes, each behind one function from references and queries to names.

In: references with lineages as codes, queries. Out: `Predictions`, scored like those of this
project. All programs come with Debian and Ubuntu:

    apt-get install -y vsearch ncbi-blast+ rdp-classifier mmseqs2 r-bioc-dada2

Guarded by tests/benchmarks/test_rivals.py.
"""
