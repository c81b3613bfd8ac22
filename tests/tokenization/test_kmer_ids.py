"""Ids by arithmetic equal those of a call, for any letters and any start of a sequence."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from barcodemae import BarcodeKmerTokenizer, InvalidSequenceError


SITES = "ACGTTGCAAGGCTTACCGATGATCCGTAAGTCTAGGACTTGCATCGAAATCCTGAGCTGTA"
ROWS = ["".join("9" if letter == base else "0" for letter in SITES) for base in "ACGT"]
TOKENIZERS = [
    BarcodeKmerTokenizer(k=3, max_length_bp=60, frame=ROWS),
    BarcodeKmerTokenizer(k=3, max_length_bp=15, frame=ROWS),
    BarcodeKmerTokenizer(k=4, max_length_bp=90),
    BarcodeKmerTokenizer(k=6),
]

some_letters = st.text(alphabet="ACGTacgtuUNnRYK-. \n\t\x1c\x00?\u00e4", max_size=30)
some_tokens = st.sampled_from(["", "", "", "[MASK]", "[UNK]", "[", "NNN", "nn-"])


@st.composite
def sequences(draw):
    """Draw a fragment of the barcode with anything before, inside and after it."""
    first = draw(st.integers(0, len(SITES)))
    inside = draw(st.integers(first, len(SITES)))
    before, between, after = (draw(some_tokens) + draw(some_letters) for _ in range(3))
    whole = before * draw(st.booleans()) + SITES[first:inside] + between * draw(st.booleans())
    whole += SITES[inside:] + after * draw(st.booleans())
    if draw(st.booleans()):
        whole = whole.lower()
    return whole.replace("T", "U") if draw(st.booleans()) else whole


def ids_or_reasons(function):
    """Return what the function returns, or why it refuses its rows."""
    try:
        return function()
    except InvalidSequenceError as error:
        return error.reasons


@settings(max_examples=300)
@given(
    st.lists(sequences(), min_size=1, max_size=4), st.sampled_from(TOKENIZERS), st.integers(1, 3)
)
@example(["[UNK][UNK]ACGTACGTA"], TOKENIZERS[2], 1)
@example(["[UNK]" * 30 + "ACGTAC", "ACGTAC"], TOKENIZERS[3], 2)
@example([SITES[40:], SITES[7:53], "TTTTT" + SITES], TOKENIZERS[0], 2)
def test_ids_equal_those_of_a_call(texts, tokenizer, divisor):
    most = tokenizer.model_max_length // divisor

    def call():
        return tokenizer(texts, padding=False, truncation=True, max_length=most)["input_ids"]

    expected = ids_or_reasons(call)
    assert ids_or_reasons(lambda: tokenizer.kmer_ids(texts, most)) == expected


def test_every_row_without_a_usable_kmer_is_named():
    with pytest.raises(InvalidSequenceError, match="2 of the sequences") as caught:
        TOKENIZERS[0].kmer_ids([SITES, "AC", SITES[5:], "NNNN"], 20)
    assert list(caught.value.reasons) == [1, 3]
    assert TOKENIZERS[0].kmer_ids([], 20) == []
