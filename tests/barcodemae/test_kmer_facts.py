"""The numbers that are known without the tokenizer are the tokenizer's."""

import pytest

from barcodemae import kmer_facts
from barcodemae.tokenization import barcode_frame, tokenization_barcodemae


@pytest.mark.parametrize("name", ["MIN_K", "MAX_K", "MAX_LENGTH_BP"])
def test_limits_are_those_of_the_tokenizer(name):
    assert getattr(kmer_facts, name) == getattr(tokenization_barcodemae, name)


def test_bases_are_those_of_the_frame():
    assert kmer_facts.BASES == barcode_frame.BASES
