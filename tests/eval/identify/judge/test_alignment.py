import random
import re

import edlib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from barcodemae.eval.identify.judge.alignment import (
    ANY_BASE,
    Alignment,
    align,
    align_substitutions,
    align_with_edlib,
    count_overhang,
    measure_alignment,
)
from barcodemae.eval.identify.judge.ungapped import find_overlap


OPERATION = re.compile(r"(\d+)([=XID])")
BARCODE = "".join(random.Random(5).choices("ACGT", k=120))


def test_equal_sequences_have_full_identity_and_coverage():
    found = align(BARCODE, BARCODE)
    assert (found.identity, found.coverage) == (1.0, 1.0)


def test_substitutions_lower_identity_by_their_share():
    changed = ["A" if i % 30 == 0 and b != "A" else b for i, b in enumerate(BARCODE)]
    num_changed = sum(a != b for a, b in zip(changed, BARCODE, strict=True))
    assert num_changed >= 2
    assert align("".join(changed), BARCODE).identity == pytest.approx(1 - num_changed / 120)


def test_a_part_is_identical_and_fully_covered():
    found = align(BARCODE[30:90], BARCODE)
    assert (found.identity, found.coverage) == (1.0, 1.0)


def test_a_longer_query_is_covered_in_part():
    found = align(BARCODE, BARCODE[30:90])
    assert found.identity == 1.0
    assert found.coverage == pytest.approx(0.5)


def test_an_overhanging_end_is_not_an_error_but_lowers_coverage():
    found = align("G" * 15 + BARCODE[:60], BARCODE)
    assert found.identity > 0.97
    assert found.coverage == pytest.approx(60 / 75, abs=0.03)


def test_n_matches_every_base():
    assert align(BARCODE[:50] + "N" + BARCODE[51:], BARCODE).identity == 1.0


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_identity_and_coverage_are_those_of_the_columns(seed, is_swapped):
    rng = np.random.default_rng(seed)
    inside = [
        rng.choice([base, "", rng.choice(list("ACGT")), base + "T"], p=[0.85, 0.05, 0.05, 0.05])
        for base in BARCODE[20:90]
    ]
    shorter = BARCODE[10:20] + "".join(inside) + BARCODE[90:105]  # its ends do not hang over
    query, reference = (BARCODE, shorter) if is_swapped else (shorter, BARCODE)
    inner, outer = sorted((query, reference), key=len)
    result = align_with_edlib(inner, outer, None)
    columns = "".join(
        operation * int(length) for length, operation in OPERATION.findall(result["cigar"])
    )
    found = measure_alignment(result, query, is_swapped)
    assert found.identity == columns.count("=") / len(columns)
    num_covered = len(columns) - columns.count("I" if is_swapped else "D")
    assert found.coverage == num_covered / len(query)


def by_edlib_alone(query, reference):
    """Align with edlib only, without the ungapped overlap."""
    inner, outer = sorted((query, reference), key=len)
    is_swapped = len(query) > len(reference)
    return measure_alignment(align_with_edlib(inner, outer, None), query, is_swapped)


def fewest_errors(inner, outer):
    """Edit distance of `inner` to the nearest part of `outer`, by dynamic programming."""
    above = [0] * (len(outer) + 1)
    for number, letter in enumerate(inner, start=1):
        line = [number]
        for place, other in enumerate(outer, start=1):
            pair = {letter, other}
            agrees = len(pair) == 1 or ("N" in pair and pair & set("ACGT"))
            line.append(min(above[place] + 1, line[-1] + 1, above[place - 1] + (not agrees)))
        above = line
    return min(above)


CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["", "A", "N", "R", "CT", "NNN"])), max_size=6
)


@st.composite
def related(draw):
    """Two sequences that are changed parts of one, or have nothing in common."""
    origin = draw(st.text("ACGT", min_size=1, max_size=70))
    pair = []
    for _ in range(2):
        start = draw(st.integers(0, len(origin) - 1))
        end = draw(st.integers(start + 1, len(origin)))
        letters = list(draw(st.sampled_from([origin, origin[start:end], "TTAGC" + origin[start:]])))
        for place, change in draw(CHANGES):
            letters[int(place * (len(letters) - 1))] = change
        pair.append("".join(letters) or "N")
    return pair


@settings(max_examples=300)
@given(related())
@example(["N", "ACGT"])
@example(["ACGTACGTACGTR" + "N" * 20, "NNACGTACGTACGTN"])
@example([BARCODE[:40] + "A" * 9 + BARCODE[40:], BARCODE])
def test_alignments_are_those_of_edlib_except_for_ties(pair):
    query, reference = pair
    inner, outer = sorted(pair, key=len)
    found, overlap = align(query, reference), find_overlap(inner, outer)
    assert 0 <= found.identity <= 1
    assert 0 <= found.coverage <= 1
    fewest = fewest_errors(inner, outer)
    assert (
        edlib.align(inner, outer, mode="HW", additionalEqualities=ANY_BASE)["editDistance"]
        == fewest
    )
    if overlap is not None and overlap.num_errors == fewest and inner not in outer:
        identity = overlap.num_equal / overlap.num_columns
        assert found == Alignment(identity, overlap.num_columns / len(query))
    elif inner not in outer:
        assert overlap is None or overlap.num_errors > fewest
        assert found == by_edlib_alone(query, reference)


def test_of_equally_good_alignments_the_one_without_gaps_is_preferred():
    # Two substitutions, or a base lost and another gained: edlib takes the second.
    query = BARCODE[:60] + "CA" + BARCODE[62:]
    reference = BARCODE[:60] + "AG" + BARCODE[62:]
    assert "I" in align_with_edlib(query, reference, None)["cigar"]
    assert align(query, reference) == Alignment(118 / 120, 1.0)


@pytest.mark.parametrize("swap", [False, True])
def test_overhanging_ends_of_an_ungapped_overlap_are_not_counted(swap):
    pair = (BARCODE[:100], BARCODE[15:115])
    found = align(*(pair[::-1] if swap else pair))
    assert found == Alignment(1.0, 0.85)


def test_a_substitution_at_an_end_hangs_over_nothing():
    assert count_overhang(["1", "3", "1", "50"], "X=I=", 2) == 0
    assert count_overhang(["1", "1", "3", "50"], "X=I=", 4) == 3


def test_bases_lost_and_gained_by_a_read_are_no_difference():
    read = BARCODE[:40] + BARCODE[41:80] + "A" + BARCODE[80:]
    found = align_substitutions(read, BARCODE)
    assert found.identity == 1.0
    assert found.num_gaps == 2
    assert found.coverage == pytest.approx(1.0, abs=0.01)
    assert align(read, BARCODE).identity < 1.0


def test_substitutions_in_a_read_still_count():
    read = BARCODE[:20] + BARCODE[21:60] + ("A" if BARCODE[60] != "A" else "C") + BARCODE[61:]
    found = align_substitutions(read, BARCODE)
    assert found.identity == pytest.approx(1 - 1 / 119)
    assert found.num_gaps == 1


@pytest.mark.parametrize("swap", [False, True])
def test_overhanging_ends_of_a_read_are_not_gaps(swap):
    pair = ("G" * 15 + BARCODE[:60] + BARCODE[61:110], BARCODE)
    found = align_substitutions(*(pair[::-1] if swap else pair))
    assert found.identity > 0.97
    assert found.num_gaps <= 3
