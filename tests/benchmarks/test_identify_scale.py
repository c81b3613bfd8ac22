"""Libraries that are made larger by copies: they open, and name what the small one names."""

import sys
from pathlib import Path

import pytest

import barcodemae
from barcodemae.demonstration.barcodes import QUERIES
from barcodemae.demonstration.library import build
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.identify.reference.library import ReferenceLibrary


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from identify_scale import grow


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The library of the demonstration, which lists doubted references."""
    folder = tmp_path_factory.mktemp("small") / "library"
    build(folder, KmerCounts(4))
    assert "flagged" in ReferenceLibrary(folder).description
    return folder


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_a_larger_library_opens_and_finds_the_originals_first(small, form, tmp_path):
    size = 1500
    assert size > len(ReferenceLibrary(small))
    grow(small, size, tmp_path / "large", tmp_path / "large.fasta", form)
    assert len(ReferenceLibrary(tmp_path / "large")) == size
    assert (tmp_path / "large.fasta").read_text().count(">") == size
    before, after = (
        barcodemae.identify(QUERIES, library=folder, model="kmer:4", progress=False)
        for folder in (small, tmp_path / "large")
    )
    found = [name.rsplit(".", 1)[0] for name in after["nearest_reference"]]
    # A changed copy may be nearer to a query that is far from all originals.
    same = sum(one == other for one, other in zip(found, before["nearest_reference"], strict=True))
    assert same >= 0.9 * len(found)
