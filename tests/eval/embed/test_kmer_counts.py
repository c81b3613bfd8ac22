from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts, load_kmer_counts


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counts_equal_scikit_learns_character_ngrams(barcodes, k):
    sequences = [*barcodes, "ACGNNACGTACGTRAC", "acguu--acgt"]
    vocabulary = ["".join(letters) for letters in product("ACGT", repeat=k)]
    oracle = CountVectorizer(
        analyzer="char", ngram_range=(k, k), lowercase=False, vocabulary=vocabulary
    )
    clean = [*barcodes, "ACGNNACGTACGTRAC", "ACGTTNNACGT"]
    np.testing.assert_array_equal(KmerCounts(k).embed(sequences), oracle.transform(clean).toarray())


@given(st.text("ACGTNR", max_size=40), st.integers(1, 7))
def test_kmers_are_coded_in_order_and_skipped_at_other_letters(text, k):
    text = text.rstrip("N")
    words = (text[start : start + k] for start in range(len(text) - k + 1))
    known = [word for word in words if set(word) <= set("ACGT")]
    numbers = [sum("ACGT".index(b) * 4**p for p, b in enumerate(word[::-1])) for word in known]
    assert KmerCounts(k).kmer_codes(text).tolist() == numbers


def test_a_sequence_without_kmers_counts_nothing_and_is_reported():
    counter = KmerCounts(3)
    assert counter.embed(["AC", "ACGT"]).sum(axis=1).tolist() == [0, 2]
    assert list(counter.find_invalid(["AC", "ACGT", "NNNN", "ANCNG"])) == [0, 2, 3]


def test_names_of_kmer_baselines():
    assert load_kmer_counts("model") is None
    assert load_kmer_counts("kmer:4").fingerprint == "kmer:4"
    for name in ("kmer:x", "kmer:0", "kmer:8", "kmer:"):
        with pytest.raises(SettingsError, match=name):
            load_kmer_counts(name)
