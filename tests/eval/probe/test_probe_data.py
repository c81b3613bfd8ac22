import numpy as np
import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.probe.probe_data import CachedEmbedder, read_labelled, usable_rows


class CountingEmbedder(KmerCounts):
    def __init__(self):
        super().__init__(1)
        self.seen = []

    def embed(self, sequences, *, progress=False):
        self.seen += sequences
        return np.array([[len(text), text.count("A")] for text in sequences], np.float32)


def test_rows_without_the_label_are_left_out_and_counted(dataset_folder):
    rows = read_labelled(dataset_folder, ["train"], "genus")
    assert rows.num_unlabelled == 1
    assert len(rows.ids) == len(rows.sequences) == len(rows.labels) == 63


def test_unknown_ranks_and_empty_labels_are_refused(dataset_folder):
    with pytest.raises(SettingsError, match="rank 'tribe' is not one of"):
        read_labelled(dataset_folder, ["train"], "tribe")
    with pytest.raises(DataError, match="no row of train has a family"):
        read_labelled(dataset_folder, ["train"], "family")


def test_every_distinct_sequence_is_embedded_once():
    inner = CountingEmbedder()
    cached = CachedEmbedder(inner)
    first = cached.embed(["AC", "A", "AC"])
    second = cached.embed(["A", "ACA"])
    assert inner.seen == ["AC", "A", "ACA"]
    np.testing.assert_array_equal(first, [[2, 1], [1, 1], [2, 1]])
    np.testing.assert_array_equal(second, [[1, 1], [3, 2]])


def test_usable_rows_are_those_the_model_can_read():
    assert usable_rows(KmerCounts(3), ["ACG", "N", "ACGT"]).tolist() == [0, 2]
