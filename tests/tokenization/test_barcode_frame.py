"""Where sequences start in the frame: whole, cut, prefixed, ambiguous and unrelated ones."""

import random

import numpy as np
import pytest

from barcodemae.tokenization import BarcodeFrame
from barcodemae.tokenization.barcode_frame import MAX_LETTERS, MIN_OVERLAP_BP, letter_codes


@pytest.fixture(scope="module")
def frame(frame_rows):
    return BarcodeFrame(frame_rows)


def noise(length, seed=0):
    """Random letters, related to nothing."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


def certain(sequence):
    """Make a frame in which every site has one base."""
    return BarcodeFrame(["".join("9" if letter == base else "0" for letter in sequence)
                         for base in "ACGT"])  # fmt: skip


def test_whole_barcodes_start_at_the_first_site(frame, relatives):
    assert frame.find_starts(relatives) == [0] * len(relatives)


@pytest.mark.parametrize("cut", [1, 2, 5, 20, 127, 129, 180])
def test_barcodes_that_start_later_are_placed(frame, relatives, cut):
    assert frame.find_starts([barcode[cut:] for barcode in relatives]) == [cut] * len(relatives)


@pytest.mark.parametrize(("first", "last"), [(0, 60), (31, 91), (100, 170), (150, 210)])
def test_fragments_are_placed(frame, relatives, first, last):
    fragments = [barcode[first:last] for barcode in relatives]
    assert frame.find_starts(fragments) == [first] * len(relatives)


@pytest.mark.parametrize("size", [1, 23, 128, 129, 900])
def test_letters_before_the_barcode_give_a_negative_start(frame, relatives, size):
    reads = [noise(size, seed) + barcode for seed, barcode in enumerate(relatives)]
    assert frame.find_starts(reads) == [-size] * len(relatives)


def test_letters_beyond_the_limit_are_not_read(frame, relatives):
    longest = MAX_LETTERS - 100  # 100 letters of the barcode after it are read
    assert frame.find_starts([noise(longest) + relatives[0]]) == [-longest]
    assert frame.find_starts([noise(MAX_LETTERS) + relatives[0]]) == [0]
    assert letter_codes(["A" * (MAX_LETTERS + 5)]).shape == (1, MAX_LETTERS)


def test_a_start_does_not_depend_on_the_batch(frame, relatives):
    generator = random.Random(1)
    reads = [noise(900)]  # a long sequence widens the search
    for barcode in relatives:
        first = generator.randrange(200)
        size = generator.randrange(1, len(barcode))
        reads += [barcode[first : first + size], noise(size, size) + barcode[:first]]
    together = frame.find_starts(reads)
    assert together == [frame.find_starts([read])[0] for read in reads]
    assert together[::-1] == frame.find_starts(reads[::-1])
    assert len({start for start in together if start}) > 20


def test_a_short_match_at_the_end_does_not_move_a_long_sequence(frame, relatives):
    short = noise(300) + relatives[0][: MIN_OVERLAP_BP - 1]
    enough = noise(300) + relatives[0][: MIN_OVERLAP_BP + 5]
    assert frame.find_starts([short]) == [0]
    assert frame.find_starts([short, noise(1500)]) == [0, 0]
    assert frame.find_starts([enough]) == [-300]


def test_case_and_u_make_no_difference(frame, relatives):
    cut = relatives[0][7:]
    variants = [cut, cut.lower(), cut.replace("T", "U"), cut.lower().replace("t", "u")]
    assert frame.find_starts(variants) == [7] * 4


def test_ambiguous_letters_score_nothing(frame, relatives):
    cut = relatives[0][7:]
    ambiguous = "".join("RYN*\N{GREEK SMALL LETTER ALPHA}"[i % 5] if i % 3 == 0 else letter
                       for i, letter in enumerate(cut))  # fmt: skip
    assert frame.find_starts(["NNN" + cut, cut + "N" * 300, ambiguous]) == [4, 7, 7]


@pytest.mark.parametrize(
    "sequence", [noise(240, 3), noise(2000, 4), "N" * 240, "", "ACG", "A" * 14, "MKVLLSWQ" * 20]
)
def test_a_sequence_that_fits_nowhere_starts_at_site_0(frame, sequence):
    assert frame.find_starts([sequence]) == [0]


def test_a_fragment_that_is_too_short_starts_at_site_0(frame, relatives):
    assert frame.find_starts([barcode[60:72] for barcode in relatives]) == [0] * len(relatives)


def test_no_sequences_have_no_starts(frame):
    assert frame.find_starts([]) == []


@pytest.mark.parametrize("length", [1, 12, 39, 45, 100])
def test_a_frame_shorter_than_the_minimum_overlap_does_not_fail(length):
    barcode = noise(30)
    frame = certain(barcode)
    assert frame.width == 30
    starts = frame.find_starts([noise(length, 9), barcode, barcode[:25] + noise(5)])
    assert starts == [0, 0, 0]


def test_sites_without_information_score_nothing(relatives):
    whole = certain(relatives[0])
    uninformative = BarcodeFrame([row[:100] + "0" * 40 + row[140:] for row in whole.rows])
    assert not uninformative.scores[100:140].any()
    assert whole.scores[100:140].any()
    gap = relatives[0][20:100] + noise(40) + relatives[0][140:]
    assert uninformative.find_starts([gap]) == [20]


def test_frequencies_are_stored_in_ninths_and_read_back():
    frequencies = np.array(
        [[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0.34, 0.66], [0, 0, 0, 0]]
    )
    frame = BarcodeFrame.from_frequencies(frequencies)
    assert frame.rows == ["9200", "0200", "0230", "0260"]
    assert BarcodeFrame(frame.rows).scores.tolist() == frame.scores.tolist()
    assert frame.scores[0, 0] > 0 > frame.scores[0, 1]
    assert not frame.scores[[1, 3]].any()


@pytest.mark.parametrize(
    "rows", [[], ["9"] * 3, ["9"] * 5, ["99", "00", "00", "0"], ["9", "0", "x", "0"], ["-1"] * 4]
)
def test_invalid_rows_are_refused(rows):
    with pytest.raises(ValueError, match="four rows of digits"):
        BarcodeFrame(rows)


def test_the_last_start_that_may_be_is_found(frame, relatives):
    last = frame.width - MIN_OVERLAP_BP
    starts = frame.find_starts([barcode[last:] for barcode in relatives])
    assert starts.count(last) > len(relatives) / 2  # forty letters are little evidence
    assert set(starts) <= {0, last}


def test_a_place_of_which_nothing_is_known_does_not_end_the_search(relatives):
    known = certain(relatives[0])
    silent = BarcodeFrame(["0" * 160 + row[160:] for row in known.rows])
    assert silent.find_starts([relatives[0][170:230]]) == [170]
