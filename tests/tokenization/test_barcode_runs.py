"""Bases lost and gained: found, put back, and no reason to move anything else."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barcodemae import BarcodeKmerTokenizer
from barcodemae.tokenization import BarcodeFrame
from barcodemae.tokenization.barcode_frame import MAX_LETTERS, letter_codes
from barcodemae.tokenization.barcode_runs import (
    MAX_SHIFT_BP,
    RUN_COST,
    Run,
    best_shifts,
    clearest_starts,
    find_runs,
    letter_scores,
    letters_in_frame,
    runs_of_shifts,
    worst_stretch,
)


RIGHT = 0.9  # share of letters; those next to a change may fit on either side of it


@pytest.fixture(scope="module")
def frame(frame_rows):
    return BarcodeFrame(frame_rows)


def noise(length, seed=0):
    """Letters of no relative."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


def lose(text, place, size=1):
    """Take bases away."""
    return text[:place] + text[place + size :]


def gain(text, place, letters="C"):
    """Put bases in."""
    return text[:place] + letters + text[place:]


def sites_of(runs):
    """Site of every letter that has one."""
    return {
        letter: site
        for run in runs
        for letter, site in zip(range(run.first, run.last), range(run.site, 10**6), strict=False)
    }


def test_a_sequence_without_gaps_is_one_run_where_the_frame_puts_it(frame, relatives):
    pieces = [barcode[first:] for first, barcode in enumerate(relatives)]
    starts = frame.find_starts(pieces)
    expected = [[Run(0, len(text), s)] for text, s in zip(pieces, starts, strict=True)]
    assert find_runs(frame, pieces) == expected
    assert find_runs(frame, []) == []


def share_right(runs, true_sites):
    """Share of the letters of a barcode that stand where they belong."""
    found = sites_of(runs)
    own = {letter: site for letter, site in enumerate(true_sites) if site is not None}
    return sum(found.get(letter) == site for letter, site in own.items()) / len(own)


@pytest.mark.parametrize("place", [30, 80, 120, 170, 200])
@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_what_follows_a_lost_base_is_put_back(frame, relatives, place, size):
    true_sites = [*range(place), *range(place + size, 240)]
    for runs in find_runs(frame, [lose(barcode, place, size) for barcode in relatives]):
        assert len(runs) > 1
        assert share_right(runs, true_sites) >= RIGHT


@pytest.mark.parametrize("place", [30, 80, 120, 170, 200])
@pytest.mark.parametrize("letters", ["G", "CC", "ACG", "CGTACGGTACCG"])
def test_gained_bases_are_left_out(frame, relatives, place, letters):
    true_sites = [*range(place), *([None] * len(letters)), *range(place, 240)]
    for barcode in relatives:
        read = gain(barcode, place, letters)
        (runs,) = find_runs(frame, [read])
        assert share_right(runs, true_sites) >= RIGHT
        assert len(letters_in_frame(read, runs)) == len(barcode)


def test_several_changes_of_one_read_are_found(frame, relatives):
    true_sites = [*range(60), None, None, *range(60, 130), *range(131, 201), *range(203, 240)]
    reads = [gain(lose(lose(barcode, 201, 2), 130), 60, "GG") for barcode in relatives]
    for runs in find_runs(frame, reads):
        assert share_right(runs, true_sites) >= RIGHT


def test_a_change_next_to_an_end_is_not_worth_a_run(frame, relatives):
    reads = [lose(barcode, 2) for barcode in relatives] + [barcode[:-3] for barcode in relatives]
    assert {len(runs) for runs in find_runs(frame, reads)} == {1}


def test_fragments_and_prefixed_reads_are_put_back_too(frame, relatives):
    for seed, barcode in enumerate(relatives):
        read = noise(300, seed) + lose(barcode[20:], 100)
        (runs,) = find_runs(frame, [read])
        assert share_right(runs, [None] * 300 + [*range(20, 120), *range(121, 240)]) >= RIGHT


@pytest.mark.parametrize("sequence", ["", "ACG", noise(240, 3), noise(3000, 4), "N" * 500])
def test_what_fits_nowhere_is_one_run(frame, sequence):
    assert find_runs(frame, [sequence]) == [[Run(0, len(sequence), 0)]]


def test_runs_do_not_depend_on_the_batch(frame, relatives):
    generator = random.Random(5)
    reads = [noise(900), *relatives]
    for barcode in relatives:
        read = barcode
        for _ in range(generator.randrange(1, 4)):
            place = generator.randrange(len(read))
            change = generator.choice([lose, gain])
            read = change(read, place)
        reads += [read, read[: generator.randrange(30, 240)]]
    together = find_runs(frame, reads)
    assert together == [find_runs(frame, [read])[0] for read in reads]
    assert sum(len(runs) > 1 for runs in together) > len(relatives) // 2


@settings(max_examples=60)
@given(
    number=st.integers(0, 5),
    changes=st.lists(
        st.tuples(st.integers(0, 239), st.sampled_from(["", "A", "CG", "TTTTT", "G" * 20])),
        max_size=5,
    ),
)
def test_no_letter_and_no_site_stands_twice(frame, relatives, number, changes):
    read = relatives[number]
    for place, letters in changes:
        read = gain(read, place, letters) if letters else lose(read, place)
    (runs,) = find_runs(frame, [read])
    sites = sites_of(runs)
    assert runs[0].first == 0
    assert all(run.first < run.last <= len(read) for run in runs)
    assert list(sites) == sorted(sites)
    assert len(set(sites.values())) == len(sites)
    assert list(sites.values()) == sorted(sites.values())
    written = letters_in_frame(read, runs)
    first = runs[0].site
    assert {site - first: read[letter] for letter, site in sites.items()}.items() <= dict(
        enumerate(written)
    ).items()
    assert len(written) == max(sites.values()) - first + 1


def total_of_runs(frame, codes, shifts):
    """Score of a way to place letters, counted one by one."""
    scores = [
        frame.scores[letter + shift, code]
        for letter, (code, shift) in enumerate(zip(codes, shifts, strict=True))
        if code < 4 and 0 <= letter + shift < frame.width
    ]
    return sum(scores) - RUN_COST * np.count_nonzero(np.diff(shifts))


def test_no_other_way_scores_better(frame, relatives):
    read = gain(lose(relatives[0], 90), 160)
    codes = letter_codes([read])
    shifts, total = best_shifts(frame, codes, np.zeros(1, np.int64))
    assert total[0] == total_of_runs(frame, codes[0], shifts[0])
    generator = random.Random(2)
    for _ in range(300):
        other = shifts[0].copy()
        first, last = sorted(generator.sample(range(len(read)), 2))
        other[first:last] = generator.randint(-MAX_SHIFT_BP, MAX_SHIFT_BP)
        assert total_of_runs(frame, codes[0], other) <= total[0]


def test_the_worst_stretch_is_what_speaks_against_a_placement():
    scores = np.array([[2, -1, 3, 4], [5, -3, 1, -4], [-2, -2, 9, 0]], np.float32)
    assert worst_stretch(scores).tolist() == [1, 6, 4]


def test_letters_outside_the_frame_and_doubtful_ones_count_nothing(frame):
    codes = letter_codes(["ANC" + "A" * 300])
    scores = letter_scores(frame, codes, np.array([-1]))
    assert not scores[0, :2].any()
    assert not scores[0, 1 + frame.width :].any()
    assert scores[0, 2] == frame.scores[1, 1]


def test_a_run_that_is_all_gained_is_left_out():
    shifts = np.array([0] * 6 + [-5] * 3 + [0] * 4)
    assert runs_of_shifts(shifts) == [Run(0, 6, 0), Run(9, 13, 9)]


def test_letters_beyond_the_limit_are_not_placed_in_runs(frame, relatives):
    read = noise(MAX_LETTERS - 150) + lose(relatives[0], 100)
    (runs,) = find_runs(frame, [read])
    assert [run.site - run.first for run in runs] == [150 - MAX_LETTERS, 151 - MAX_LETTERS]
    assert runs[-1].last == MAX_LETTERS


def test_the_tokens_of_a_read_are_those_of_its_barcode(frame_rows, relatives):
    tokenizer = BarcodeKmerTokenizer(k=3, max_length_bp=240, frame=frame_rows)
    unknown = tokenizer.unk_token_id
    for barcode in relatives:
        whole = np.array(tokenizer(barcode)["input_ids"])
        for read in (lose(barcode, 100), gain(barcode, 100), lose(gain(barcode, 60), 180, 4)):
            found = tokenizer(read)
            ids = np.array(found["input_ids"])
            assert len(ids) == len(whole)
            assert all(found["attention_mask"])
            assert (ids != whole).sum() <= 12
            assert (ids[(ids != whole)] == unknown).any() or len(read) > len(barcode)


def test_a_window_of_few_letters_does_not_tell_where_a_sequence_begins(frame, relatives):
    """Thirty letters fit well somewhere, by chance too; what is before them has more to say."""
    before = noise(128, 7)
    codes = letter_codes([before + "N" * 64 + relatives[0][100:130] + "N" * 64])
    alone = clearest_starts(frame, letter_codes([before]))
    assert alone != [100 - 192]
    np.testing.assert_array_equal(clearest_starts(frame, codes), alone)
