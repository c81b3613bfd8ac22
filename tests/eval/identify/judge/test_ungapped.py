import random

import pytest

from barcodemae.eval.identify.judge.ungapped import WORD, Overlap, find_offset, find_overlap


BARCODE = "".join(random.Random(5).choices("ACGT", k=120))


@pytest.mark.parametrize("start", [0, 1, 40])
def test_a_part_is_found_at_the_offset_it_was_taken_from(start):
    assert find_offset(BARCODE[start : start + 50], BARCODE) == start
    assert find_overlap(BARCODE[start : start + 50], BARCODE) == Overlap(50, 50, 0)


def test_mismatches_are_errors():
    changed = BARCODE[:60].replace("A", "C")
    num_changed = BARCODE[:60].count("A")
    found = find_overlap(changed + BARCODE[60:], BARCODE)
    assert found == Overlap(120, 120 - num_changed, num_changed)


@pytest.mark.parametrize(
    ("inner", "outer"), [(slice(0, 80), slice(30, 120)), (slice(40, 120), slice(0, 100))]
)
def test_overhanging_letters_are_errors_but_not_columns(inner, outer):
    inner, outer = BARCODE[inner], BARCODE[outer]
    overlap = 50 if BARCODE.startswith(inner) else 60
    assert find_overlap(inner, outer) == Overlap(overlap, overlap, 80 - overlap)


def test_n_matches_bases_and_itself_but_not_other_codes():
    inner = BARCODE[:40] + "NNRR" + BARCODE[44:]
    outer = BARCODE[:40] + "NARN" + BARCODE[44:]
    assert find_overlap(inner, outer) == Overlap(120, 119, 1)
    assert find_overlap(outer, inner) == Overlap(120, 119, 1)


def test_runs_of_n_do_not_say_where_a_sequence_lies():
    inner = "N" * 30 + BARCODE[30:60]
    outer = BARCODE[:80] + "N" * 30 + BARCODE[110:]
    assert find_offset(inner, outer) == 0


@pytest.mark.parametrize("pair", [("A", "ACGT"), (BARCODE[: WORD - 1],) * 2, ("A" * 50, "C" * 60)])
def test_without_a_shared_word_there_is_no_overlap(pair):
    assert find_overlap(*pair) is None


def test_letters_beyond_ascii_are_left_to_the_alignment():
    assert find_overlap(BARCODE, BARCODE + "\xe9") is None


def test_the_last_word_counts_too():
    outer = "G" * 30 + BARCODE
    assert find_offset(BARCODE[:WORD], outer) == 30
    inner = "C" * WORD + BARCODE[WORD : 2 * WORD]  # the first word is nowhere
    assert find_offset(inner, outer) == 30
