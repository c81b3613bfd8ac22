"""Letters are read alike whatever an unknown base was written as; what is no DNA stays none."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.conventions.letters import NUCLEOTIDE_CODES, STAND_INS, clean
from barcodemae.eval.embed.screening import reason_unusable


BARCODE = "ACTTTATATTTTATTTTTGGAGCATGAGCA" * 4


@pytest.mark.parametrize(
    ("deposited", "letters"),
    [
        ("acgu", "ACGT"),
        (" AC GT\nAC\r\n", "ACGTAC"),
        ("--ACGT..ACGT~~", "ACGTNNACGT"),
        ("???ACGTNN--N-?*", "ACGT"),
        ("NNACGT", "NNACGT"),
        (BARCODE + "?" + BARCODE, BARCODE + "N" + BARCODE),
        (BARCODE + "X" + BARCODE, BARCODE + "N" + BARCODE),
        ("GGIACIGGITGIACI" + BARCODE, "GGNACNGGNTGNACN" + BARCODE),
        (BARCODE + "i", BARCODE),
        (BARCODE + "*", BARCODE),
        ("\uff21\uff23\uff27\uff34", "ACGT"),
        ("ACGT\u2013ACGT", "ACGTNACGT"),
        ("ACRYSWKMBDHVN" + "T", "ACRYSWKMBDHVNT"),
        ("NN--", ""),
    ],
)
def test_unknown_bases_are_n_and_what_ends_a_sequence_is_removed(deposited, letters):
    assert clean(deposited) == letters


def test_a_run_of_gaps_keeps_the_letters_after_it_in_their_place():
    assert clean(f"{BARCODE}{'-' * 17}{BARCODE}") == f"{BARCODE}{'N' * 17}{BARCODE}"


def test_gaps_that_outnumber_the_letters_are_columns_of_an_alignment():
    assert clean("--A----C---G-----T--") == "ACGT"


@pytest.mark.parametrize("letter", STAND_INS)
def test_many_stand_ins_make_a_sequence_no_dna_and_the_limit_is_told(letter):
    few = BARCODE + letter * 13 + BARCODE
    assert len(few) * 0.1 > 13
    assert reason_unusable(few, 6, 110) is None
    many = BARCODE + letter * 40 + BARCODE
    reason = reason_unusable(many, 6, 110)
    assert reason == (
        f"not DNA: letter(s) {letter}, first at base 121 "
        "(up to 10% of ?, X and I are read as unknown bases)"
    )


@pytest.mark.parametrize("protein", ["MFINRWLFSTNHKDIGTLYFIFGAWAGMVGTSL" * 3, "GPPGPPGAPGPP" * 9])
def test_proteins_stay_no_dna(protein):
    assert "protein?" in reason_unusable(protein, 6, 110)
    assert "protein?" in reason_unusable(protein + "XXX", 6, 110)


def test_a_stop_inside_a_sequence_is_no_base():
    assert "letter(s) *" in reason_unusable(BARCODE + "*" + BARCODE, 6, 110)


@given(st.text(alphabet="ACGTacgtuNnRy-.~?XxI* \t\u00d7\uff21\u2013E", max_size=60))
def test_cleaning_twice_changes_nothing(sequence):
    assert clean(clean(sequence)) == clean(sequence)


@given(st.text(max_size=40))
def test_any_text_is_read(sequence):
    letters = clean(sequence)
    assert len(letters) <= len(unicodedata.normalize("NFKC", sequence).upper())


@given(st.text(alphabet=NUCLEOTIDE_CODES, max_size=60))
def test_clean_letters_are_left_as_they_are(sequence):
    assert clean(sequence) == sequence.rstrip("N")
