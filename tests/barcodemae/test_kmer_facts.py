"""The numbers that are known without the tokenizer are the tokenizer's."""

import pytest

from barcodemae import kmer_facts
from barcodemae.tokenization import barcode_frame, kmer_backend, tokenization_barcodemae


@pytest.mark.parametrize("name", ["MIN_K", "MAX_K"])
def test_limits_of_k_are_those_of_the_vocabulary(name):
    assert getattr(kmer_facts, name) == getattr(kmer_backend, name)


def test_the_longest_sequence_is_that_of_the_tokenizer():
    assert kmer_facts.MAX_LENGTH_BP == tokenization_barcodemae.MAX_LENGTH_BP


def test_bases_are_those_of_the_frame():
    assert kmer_facts.BASES == barcode_frame.BASES
