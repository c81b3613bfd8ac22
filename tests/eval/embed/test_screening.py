import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae import BarcodeKmerTokenizer
from barcodemae.conventions.letters import clean
from barcodemae.eval.embed.screening import find_empty, find_unusable, reason_unusable


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ("", "empty"),
        (" - . ", "empty"),
        ("NNNN", "nothing but N"),
        ("AC", "too short: 2 bases"),
        ("MKLVEEFFACGTACGT", "not DNA: letter(s) E F L, first at base 3"),
        ("ACNACNACN", "no k-mer of 3 bases"),
        ("NNACG", "no k-mer of 3 bases"),
    ],
)
def test_each_fault_has_its_own_reason(sequence, words):
    assert words in reason_unusable(sequence, 3, 220)


@pytest.mark.parametrize("sequence", ["ACG", "acg", "AUG", "--ACG..", "NNNACGNNN", "NNACGTACN"])
def test_readable_sequences_pass(sequence):
    assert reason_unusable(sequence, 3, 220) is None


def test_letters_beyond_the_longest_input_do_not_count():
    assert reason_unusable("NNNACG", 3, 2) is None
    assert "no k-mer" in reason_unusable("NNNACG", 3, 1)


def test_rows_are_named():
    assert list(find_unusable(["ACGT", "", "ACGT", "NN"], 3, 220)) == [1, 3]
    assert list(find_empty(["ACGT", " ", "MKV"])) == [1]


@given(st.text(alphabet="ACGTNRacgtun-.", max_size=30))
def test_screening_agrees_with_the_tokenizer(sequence):
    # Embedders read the letters before the tokenizer does, so that inner gaps are unknown bases.
    refused = bool(BarcodeKmerTokenizer(k=3).find_invalid([clean(sequence)]))
    assert (reason_unusable(sequence, 3, 220) is not None) == refused
