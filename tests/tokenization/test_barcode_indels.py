"""Indels: found and undone, and nothing else is moved."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barcodemae import BarcodeKmerTokenizer
from barcodemae.tokenization import BarcodeFrame
from barcodemae.tokenization.barcode_anchors import MAX_SHIFT_BP
from barcodemae.tokenization.barcode_frame import MAX_LETTERS, letter_codes
from barcodemae.tokenization.barcode_indels import (
    Segment,
    find_segments,
    fit_of_shifts,
    largest_drop,
    letters_in_frame,
)
from barcodemae.tokenization.barcode_shifts import INDEL_COST, OUTSIDE, best_shifts, letter_scores


MIN_CORRECT = 0.9  # share of letters; those next to an indel may fit on either side of it


@pytest.fixture(scope="module")
def frame(frame_rows):
    return BarcodeFrame(frame_rows)


def noise(length, seed=0):
    """Random letters, related to nothing."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


def delete(text, place, size=1):
    """Delete bases."""
    return text[:place] + text[place + size :]


def insert(text, place, letters="C"):
    """Insert bases."""
    return text[:place] + letters + text[place:]


def sites_of(segments):
    """Map every placed letter to its site."""
    return {
        letter: site
        for part in segments
        for letter, site in zip(range(part.start, part.stop), range(part.site, 10**6), strict=False)
    }


def test_a_sequence_without_indels_is_one_segment_at_its_start(frame, relatives):
    pieces = [barcode[first:] for first, barcode in enumerate(relatives)]
    starts = frame.find_starts(pieces)
    expected = [[Segment(0, len(text), s)] for text, s in zip(pieces, starts, strict=True)]
    assert find_segments(frame, pieces) == expected
    assert find_segments(frame, []) == []


def share_correct(segments, true_sites):
    """Compute the share of a barcode's letters that are at their true sites."""
    found = sites_of(segments)
    expected = {letter: site for letter, site in enumerate(true_sites) if site is not None}
    return sum(found.get(letter) == site for letter, site in expected.items()) / len(expected)


@pytest.mark.parametrize("place", [30, 80, 120, 170, 200])
@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_what_follows_a_deleted_base_is_put_back(frame, relatives, place, size):
    true_sites = [*range(place), *range(place + size, 240)]
    for segments in find_segments(frame, [delete(barcode, place, size) for barcode in relatives]):
        assert len(segments) > 1
        assert share_correct(segments, true_sites) >= MIN_CORRECT


@pytest.mark.parametrize("place", [30, 80, 120, 170, 200])
@pytest.mark.parametrize("letters", ["G", "CC", "ACG", "CGTACGGTACCG"])
def test_inserted_bases_are_left_out(frame, relatives, place, letters):
    true_sites = [*range(place), *([None] * len(letters)), *range(place, 240)]
    for barcode in relatives:
        read = insert(barcode, place, letters)
        (segments,) = find_segments(frame, [read])
        assert share_correct(segments, true_sites) >= MIN_CORRECT
        assert len(letters_in_frame(read, segments)) == len(barcode)


def test_several_indels_of_one_read_are_found(frame, relatives):
    true_sites = [*range(60), None, None, *range(60, 130), *range(131, 201), *range(203, 240)]
    reads = [insert(delete(delete(barcode, 201, 2), 130), 60, "GG") for barcode in relatives]
    for segments in find_segments(frame, reads):
        assert share_correct(segments, true_sites) >= MIN_CORRECT


def test_an_indel_next_to_an_end_is_not_worth_a_segment(frame, relatives):
    reads = [delete(barcode, 2) for barcode in relatives] + [barcode[:-3] for barcode in relatives]
    assert {len(segments) for segments in find_segments(frame, reads)} == {1}


def test_fragments_and_prefixed_reads_are_put_back_too(frame, relatives):
    for seed, barcode in enumerate(relatives):
        read = noise(300, seed) + delete(barcode[20:], 100)
        (segments,) = find_segments(frame, [read])
        assert (
            share_correct(segments, [None] * 300 + [*range(20, 120), *range(121, 240)])
            >= MIN_CORRECT
        )


@pytest.mark.parametrize("sequence", ["", "ACG", noise(240, 3), noise(3000, 4), "N" * 500])
def test_what_fits_nowhere_is_one_segment(frame, sequence):
    assert find_segments(frame, [sequence]) == [[Segment(0, len(sequence), 0)]]


def test_segments_do_not_depend_on_the_batch(frame, relatives):
    generator = random.Random(5)
    reads = [noise(900), *relatives]
    for barcode in relatives:
        read = barcode
        for _ in range(generator.randrange(1, 4)):
            place = generator.randrange(len(read))
            change = generator.choice([delete, insert])
            read = change(read, place)
        reads += [read, read[: generator.randrange(30, 240)]]
    together = find_segments(frame, reads)
    assert together == [find_segments(frame, [read])[0] for read in reads]
    assert sum(len(segments) > 1 for segments in together) > len(relatives) // 2


@settings(max_examples=60)
@given(
    number=st.integers(0, 5),
    changes=st.lists(
        st.tuples(st.integers(0, 239), st.sampled_from(["", "A", "CG", "TTTTT", "G" * 20])),
        max_size=5,
    ),
)
def test_no_letter_and_no_site_occurs_twice(frame, relatives, number, changes):
    read = relatives[number]
    for place, letters in changes:
        read = insert(read, place, letters) if letters else delete(read, place)
    (segments,) = find_segments(frame, [read])
    sites = sites_of(segments)
    assert all(part.start < part.stop <= len(read) for part in segments)
    assert list(sites) == sorted(sites)
    assert len(set(sites.values())) == len(sites)
    assert list(sites.values()) == sorted(sites.values())
    written = letters_in_frame(read, segments)
    first = segments[0].site
    assert {site - first: read[letter] for letter, site in sites.items()}.items() <= dict(
        enumerate(written)
    ).items()
    assert len(written) == max(sites.values()) - first + 1


def total_score(frame, codes, shifts):
    """Score the shifts of a sequence, letter by letter."""
    scores = [
        frame.scores[letter + shift, code]
        for letter, (code, shift) in enumerate(zip(codes, shifts, strict=True))
        if code < 4 and 0 <= letter + shift < frame.width
    ]
    return sum(scores) - INDEL_COST * np.count_nonzero(np.diff(shifts))


def test_no_other_shifts_score_better(frame, relatives):
    read = insert(delete(relatives[0], 90), 160)
    codes = letter_codes([read])
    shifts = best_shifts(frame, codes, np.arange(-MAX_SHIFT_BP, MAX_SHIFT_BP + 1)[None])
    total = total_score(frame, codes[0], shifts[0])
    assert np.count_nonzero(np.diff(shifts[0])) == 2
    generator = random.Random(2)
    for _ in range(300):
        other = shifts[0].copy()
        first, last = sorted(generator.sample(range(len(read)), 2))
        other[first:last] = generator.randint(-MAX_SHIFT_BP, MAX_SHIFT_BP)
        assert total_score(frame, codes[0], other) <= total


def test_the_largest_drop_is_the_most_that_a_stretch_loses():
    scores = np.array([[2, -1, 3, 4], [5, -3, 1, -4], [-2, -2, 9, 0]], np.float32)
    assert largest_drop(scores).tolist() == [1, 6, 4]


def test_letters_outside_the_frame_and_unknown_bases_score_nothing(frame):
    codes = letter_codes(["ANC" + "A" * 300])
    scores = letter_scores(frame, codes, np.array([-1]))
    assert not scores[0, :2].any()
    assert not scores[0, 1 + frame.width :].any()
    assert scores[0, 2] == frame.scores[1, 1]


def test_a_segment_of_inserted_bases_only_is_left_out(frame, relatives):
    codes = letter_codes([insert(relatives[0][:10], 6, "NNN")])[0]
    shifts = np.array([0] * 6 + [-5] * 3 + [-3] * 4)
    expected = [Segment(0, 6, 0), Segment(9, 13, 6)]
    assert fit_of_shifts(frame, codes, shifts).segments == expected


def test_a_padded_row_has_no_shift_that_it_was_not_offered(frame, relatives):
    codes = letter_codes([relatives[0]])
    offered = np.array([[0, 1, OUTSIDE, OUTSIDE]])
    assert set(best_shifts(frame, codes, offered)[0].tolist()) == {0}


def test_letters_beyond_the_limit_belong_to_no_segment(frame, relatives):
    read = noise(MAX_LETTERS - 150) + delete(relatives[0], 100)
    (segments,) = find_segments(frame, [read])
    assert [part.site - part.start for part in segments] == [150 - MAX_LETTERS, 151 - MAX_LETTERS]
    assert segments[-1].stop == MAX_LETTERS


def test_the_tokens_of_a_read_are_those_of_its_barcode(frame_rows, relatives):
    tokenizer = BarcodeKmerTokenizer(k=3, max_length_bp=240, frame=frame_rows)
    unknown = tokenizer.unk_token_id
    for barcode in relatives:
        whole = np.array(tokenizer(barcode)["input_ids"])
        for read in (
            delete(barcode, 100),
            insert(barcode, 100),
            delete(insert(barcode, 60), 180, 4),
        ):
            found = tokenizer(read)
            ids = np.array(found["input_ids"])
            assert len(ids) == len(whole)
            assert all(found["attention_mask"])
            assert (ids != whole).sum() <= 12
            assert (ids[(ids != whole)] == unknown).any() or len(read) > len(barcode)
