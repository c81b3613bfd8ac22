"""A row of numbers for each sequence, the command's own."""

import numpy as np
import pytest

import barcodemae
from barcodemae import cli
from barcodemae.calls import vectors
from barcodemae.errors import DataError, DataWarning


def test_vectors_are_those_of_the_command(queries, tmp_path, tiny_folder):
    output = tmp_path / "vectors.npy"
    command = ["embed", str(queries), "-m", str(tiny_folder), "-o", str(output)]
    assert cli.main([*command, "--dtype", "float32"]) == 0
    with pytest.warns(DataWarning, match=r"record 25 \(protein\)"):
        found = barcodemae.embed(queries, tiny_folder, dtype="float32")
    is_empty = np.isnan(found).all(axis=1)
    assert np.flatnonzero(is_empty).tolist() == [24]
    assert np.array_equal(found[~is_empty], np.load(output))


def test_rows_are_in_the_order_of_the_sequences_over_all_chunks(monkeypatch):
    monkeypatch.setattr(vectors, "CHUNK_SIZE", 2)
    texts = ["ACGTAC", "GGGGGG", "TTTTTT", "ACACAC", "CCCCCC"]
    found = barcodemae.embed(texts, "kmer:2")
    assert found.shape == (5, 16)
    for row, text in zip(found, texts, strict=True):
        assert np.array_equal(row, barcodemae.embed(text, "kmer:2")[0])


def test_strict_names_the_sequence_that_cannot_be_embedded():
    with pytest.raises(DataError, match=r"sequences: record 2 \(b\): no k-mer"):
        barcodemae.embed({"a": "ACGTAC", "b": "NNNN"}, "kmer:2", strict=True)


def test_where_none_can_be_embedded_there_is_no_table_of_nothing():
    with pytest.raises(DataError, match="no record can be embedded; record 1"):
        barcodemae.embed(["N", ""], "kmer:2")
