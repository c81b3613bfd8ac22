"""A few references in place of the thousand, and a cache folder of the test's own."""

import gzip

import pytest

from barcodemae.demonstration import REFERENCES, library
from barcodemae.eval.embed.kmer_counts import KmerCounts


NUM_REFERENCES = 240


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache folder, and a short set of references."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    records = gzip.decompress(REFERENCES.read_bytes()).decode().split(">")[1:]
    few = tmp_path / "few.fasta"
    few.write_text("".join(f">{record}" for record in records[:NUM_REFERENCES]))
    monkeypatch.setattr(library, "REFERENCES", few)
    return tmp_path / "cache" / "barcodemae"


@pytest.fixture
def counts():
    """Counts of 4-mers, in place of a network."""
    return KmerCounts(4)
