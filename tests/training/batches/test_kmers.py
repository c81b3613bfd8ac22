"""The ids by arithmetic equal the tokenizer's, for any string whose letters have been read."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.conventions.letters import clean
from barcodemae.tokenization import BarcodeKmerTokenizer, InvalidSequenceError
from barcodemae.training.batches import kmers
from barcodemae.training.batches.kmers import base_codes, kmer_ids


TOKENIZERS = {k: BarcodeKmerTokenizer(k) for k in (3, 4, 6)}
LETTERS = st.text(alphabet="ACGTacgtuUNnRY-. \t*é", max_size=120)


def tokenizer_ids(sequence: str, k: int) -> list[int]:
    return TOKENIZERS[k].backend_tokenizer.encode(sequence).ids


@given(sequence=LETTERS, k=st.sampled_from(sorted(TOKENIZERS)))
def test_ids_of_any_string_equal_the_tokenizers_of_its_letters(sequence, k):
    codes, offsets = base_codes([sequence])
    assert kmer_ids(codes, k).tolist() == tokenizer_ids(clean(sequence), k)
    assert offsets.tolist() == [0, len(codes)]


@given(sequences=st.lists(LETTERS, max_size=8))
def test_rows_are_coded_independently(sequences):
    codes, offsets = base_codes(sequences)
    assert len(offsets) == len(sequences) + 1
    for row, sequence in enumerate(sequences):
        alone, _ = base_codes([sequence])
        assert codes[offsets[row] : offsets[row + 1]].tolist() == alone.tolist()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_arrow_slices_nulls_and_chunks_are_read_in_place(kind):
    chunks = [pa.array(["AAAA", "CC", None], kind).slice(1), pa.array([], kind)]
    codes, offsets = base_codes(pa.chunked_array([*chunks, pa.array(["gtN"], kind)], kind))
    assert codes.tolist() == [1, 1, 2, 3]
    assert offsets.tolist() == [0, 2, 2, 4]


def test_blocks_join_without_a_seam(monkeypatch):
    sequences = ["ACGT", "NNN", "A-C", "", "TTN"]
    whole = base_codes(sequences)
    monkeypatch.setattr(kmers, "ROWS_PER_BLOCK", 2)
    for mine, theirs in zip(whole, base_codes(sequences), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_other_special_tokens_shift_the_ids():
    codes, _ = base_codes(["AAANAAAAC"])
    assert kmer_ids(codes, 3, num_special_tokens=5, unk_id=3).tolist() == [5, 3, 6]


def test_the_tokenizer_refuses_what_has_no_ids_here():
    codes, _ = base_codes(["AC"])
    assert kmer_ids(codes, 3).size == 0
    with pytest.raises(InvalidSequenceError):
        TOKENIZERS[3]("AC")
