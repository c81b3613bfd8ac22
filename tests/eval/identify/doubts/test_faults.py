"""Faults of letters are found without neighbours, each in the record that has it."""

import numpy as np
import pytest

from barcodemae.eval.identify.doubts.faults import (
    count_in_frame,
    count_letters,
    find_faults,
    frame_shift,
)


WIDTH, NO_BASE = 90, 4


@pytest.fixture
def letters():
    """Twenty barcodes that vary at the third position of codons, none of them with a stop codon."""
    generator = np.random.default_rng(0)
    codes = np.tile([1, 2, 0], (20, WIDTH // 3)).astype(np.uint8)
    codes[:, 2::3] = generator.integers(4, size=(20, WIDTH // 3))
    return codes


def found_in(letters, *, closed=(), shifts=None, is_coding=True):
    faults = find_faults(letters, closed, shifts or {}, is_coding=is_coding)
    return {(fault.kind, fault.row) for fault in faults}


def test_a_stop_codon_in_the_frame_is_found_and_out_of_it_is_none(letters):
    letters[3, 30:33] = 3, 0, 0
    letters[4, 31:34] = 3, 0, 2
    assert count_in_frame(letters).tolist() == [0] * 3 + [1] + [0] * 16
    assert found_in(letters) == {("stop_codon", 3)}


def test_letters_that_code_for_no_protein_have_no_stop_codons(letters):
    letters[3, 30:33] = 3, 0, 0
    assert found_in(letters, is_coding=False) == set()


def test_a_frame_in_which_many_stop_is_not_that_of_the_reference(letters):
    letters[:5, 30:33] = 3, 0, 0
    assert found_in(letters) == set()


def test_whole_codons_gained_or_lost_are_no_frameshift(letters):
    gained, lost = np.array([0, 1, 3, 1, 4]), np.array([1, 0, 0, 1, 1])
    assert frame_shift(gained, lost).tolist() == [1, 1, 0, 2, 0]
    assert found_in(letters, shifts={5: (0, 1), 6: (3, 0)}) == {("frameshift", 5)}


def test_short_and_unknown_letters_are_found(letters):
    letters[7, 40:] = NO_BASE
    letters[8, 20:25] = NO_BASE
    letters[9, :10] = NO_BASE  # outside of what is known
    known, unknown = count_letters(letters)
    assert (known[7], unknown[7]) == (40, 0)
    assert (known[8], unknown[8]) == (85, 5)
    assert found_in(letters) == {("truncated", 7), ("many_unknown", 8)}


def test_without_a_frame_the_references_without_an_open_frame_are_told():
    assert found_in(None, closed=[2]) == {("stop_codon", 2)}


def test_only_faults_that_mislead_names_make_a_reference_doubtful(letters):
    letters[7, 40:] = NO_BASE
    letters[3, 30:33] = 3, 0, 0
    faults = find_faults(letters, (), {5: (0, 1)}, is_coding=True)
    doubts = [fault.doubt() for fault in faults]
    assert {doubt.row for doubt in doubts if doubt is not None} == {3, 5}
