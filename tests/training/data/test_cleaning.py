"""Barcodes are cleaned as in the published protocol, and unusable ones refused with a reason."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.conventions.letters import clean
from barcodemae.errors import SettingsError
from barcodemae.tokenization.kmer_backend import build_backend
from barcodemae.training.data.cleaning import (
    CleaningRules,
    clean_barcodes,
    find_refused,
    read_barcodes,
)


def cleaned(*sequences):
    return clean_barcodes(pa.array(sequences, pa.string())).to_arrow().to_pylist()


@pytest.mark.parametrize(
    ("deposited", "clean"),
    [
        ("ACGTNNN", "ACGT"),
        ("NNACGT", "NNACGT"),
        ("acguRn", "ACGTR"),
        ("A-C.G T\tA", "ACGTA"),
        ("ACGTNN--N-", "ACGT"),
        ("NNN", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_letters_are_normalised_and_the_end_stripped(deposited, clean):
    assert cleaned(deposited) == [clean]


# Rows with gaps never come so far: `read_barcodes` writes them as N.
@given(st.lists(st.text(alphabet="ACGTacgtuNn R*é", max_size=60), max_size=6))
def test_cleaning_equals_the_tokenizers_normalisation(sequences):
    normalise = build_backend(6).normalizer.normalize_str
    expected = [normalise(sequence) for sequence in sequences]
    barcodes = clean_barcodes(pa.array(sequences, pa.string()))
    assert barcodes.lengths().tolist() == [len(letters) for letters in expected]
    is_ascii = [letters.isascii() for letters in expected]
    for row in np.flatnonzero(is_ascii):
        start, end = barcodes.offsets[row : row + 2]
        # Letters other than a, c, g, t, u and n keep their case in the tokenizer, and are [UNK].
        assert bytes(barcodes.letters[start:end]).decode() == expected[row].upper()


@given(st.lists(st.text(alphabet="ACGTN-r", max_size=40), max_size=5))
def test_cleaning_twice_changes_nothing(sequences):
    once = cleaned(*sequences)
    assert cleaned(*once) == once


@pytest.mark.parametrize(
    ("sequence", "kind", "reason"),
    [
        ("", "no_barcode", "none but N and gaps"),
        ("NN--NN", "no_barcode", "none but N and gaps"),
        ("MKVLAE*ACGTACGT", "foreign_letter", "first 'L'"),
        ("ACGTACGTéACGT", "foreign_letter", "1 letter"),
        ("ACGTACG", "too_short", "7 bp, fewer than 8"),
        ("ACGT" * 6, "too_long", "24 bp, more than 20"),
        ("NNNNNNNACGT", "too_many_unknown", "7 of 11 letters"),
        ("RRRRRRRRRR", "too_many_unknown", "10 of 10 letters"),
    ],
)
def test_unusable_barcodes_are_refused_with_the_reason(sequence, kind, reason):
    barcodes = clean_barcodes(pa.array(["ACGTACGTACGT", sequence]))
    found = find_refused(barcodes, CleaningRules(max_length=20))
    assert list(found) == [1]
    assert found[1][0] == kind
    assert reason in found[1][1]


def test_a_barcode_at_each_limit_is_kept():
    barcodes = clean_barcodes(pa.array(["ACGTACGT", "ACGTACGTACGT", "NNNNACGT"]))
    assert find_refused(barcodes, CleaningRules(min_length=8, max_length=12, max_unknown=0.5)) == {}


def test_a_barcode_without_any_known_base_is_always_refused():
    barcodes = clean_barcodes(pa.array(["RYRYRYRY"]))
    assert find_refused(barcodes, CleaningRules(max_unknown=1.0))[0][0] == "too_many_unknown"


@pytest.mark.parametrize(
    "limits",
    [{"min_length": 7}, {"min_length": 100, "max_length": 99}, {"max_unknown": 1.5}],
)
def test_impossible_limits_are_refused(limits):
    with pytest.raises(SettingsError):
        CleaningRules(**limits)


def test_a_part_of_an_array_is_cleaned_as_if_it_were_all():
    whole = pa.array(["ACGTACGT", "acgun", None, "NN-A"])
    for start in range(4):
        found = clean_barcodes(whole.slice(start)).to_arrow().to_pylist()
        assert found == ["ACGTACGT", "ACGT", "", "NNA"][start:]


@given(st.lists(st.text(alphabet="ACGTacgtuNnRy-.~?XxI* \uff21é", max_size=40), max_size=6))
def test_blocks_are_read_letter_by_letter_as_single_sequences_are(sequences):
    barcodes = read_barcodes(pa.array(sequences, pa.string()))
    expected = [clean(sequence) for sequence in sequences]
    is_ascii = [row for row, letters in enumerate(expected) if letters.isascii()]
    for row in is_ascii:
        start, end = barcodes.offsets[row : row + 2]
        assert bytes(barcodes.letters[start:end]).decode() == expected[row]


def test_too_many_stand_ins_are_refused_with_the_limit():
    barcodes = read_barcodes(pa.array(["ACGTACGTACGT", "ACGT????ACGT"]))
    assert find_refused(barcodes, CleaningRules()) == {
        1: (
            "foreign_letter",
            "4 letter(s) that are no nucleotide code, first '?' "
            "(up to 10% of ?, X and I are read as unknown bases)",
        )
    }


@given(st.lists(st.text(alphabet="ACGTacgtuNn-. ", max_size=60), max_size=6))
def test_gaps_are_read_as_the_tokenizer_reads_them(sequences):
    normalise = build_backend(6).normalizer.normalize_str
    found = read_barcodes(pa.array(sequences, pa.string())).to_arrow().to_pylist()
    assert found == [normalise(sequence) for sequence in sequences]
