"""The frame that is estimated from a data set, and readers in it."""

import numpy as np
import pytest

from barcodemae.tokenization import BarcodeFrame, BarcodeKmerTokenizer
from barcodemae.training.batches.code_cache import open_codes, write_codes
from barcodemae.training.batches.frame import (
    estimate_frame,
    find_starts,
    frame_from_starts,
    place_in_frame,
    placed_letters,
    sample_rows,
)
from barcodemae.training.batches.kmers import MASK_ID, UNK_ID, UNKNOWN_BASE, base_codes
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.data.simulate import write_simulated


BP = 240


def reader_of(sequences, k=3, max_length_bp=BP):
    return BarcodeReader(*base_codes(sequences), k=k, max_length_bp=max_length_bp)


def ids_of(reader, row=None):
    rows = np.arange(len(reader)) if row is None else np.array([row])
    return reader.batch(rows, np.zeros_like(rows))


@pytest.fixture(scope="module")
def noise():
    return "".join(np.random.default_rng(9).choice(list("ACGT"), 3000))


@pytest.fixture(scope="module")
def cut(relatives, noise):
    """Barcodes as deposited, and the site at which each starts; most are left whole.

    The very first starts inside the frame, where no codes precede it.
    """
    barcodes, starts = list(relatives), [0] * len(relatives)
    for row, start in ((0, 25), (1, 20), (2, 31), (3, 130), (4, -12), (5, -200), (6, 2), (7, 4)):
        barcodes[row] = relatives[row][start:] if start > 0 else noise[:-start] + relatives[row]
        starts[row] = start
    barcodes[8] += noise[:300]  # longer than the frame
    barcodes[9] = relatives[9][60:150]
    starts[9] = 60
    barcodes[10], starts[10] = noise[500:700], 0  # unrelated to any barcode
    barcodes[-1], starts[-1] = relatives[-1][17:], 17  # the last one, at the end of the codes
    return barcodes, np.array(starts)


@pytest.fixture(scope="module")
def frame(cut):
    return estimate_frame(reader_of(cut[0]))


def test_the_starts_of_cut_barcodes_are_found_by_a_frame_estimated_from_them(cut, frame):
    barcodes, starts = cut
    reader = reader_of(barcodes)
    assert np.array_equal(find_starts(reader, np.arange(len(reader)), frame), starts)
    some = np.array([59, 3, 8, 0])
    assert np.array_equal(find_starts(reader, some, frame), starts[some])
    assert np.array_equal(frame.find_starts(barcodes), starts)


def test_the_frame_is_about_that_of_the_whole_barcodes(frame, frame_rows):
    assert frame.width == BP
    exact = BarcodeFrame(frame_rows)
    assert np.array_equal(frame.scores.argmax(axis=1), exact.scores.argmax(axis=1))


def test_sites_that_few_barcodes_cover_carry_no_information(relatives):
    reader = reader_of([barcode[:100] for barcode in relatives] * 2 + [relatives[0]])
    frame = estimate_frame(reader)
    assert frame.width == BP
    assert frame.scores[:100].any(axis=1).all()
    assert not frame.scores[100:].any()


def test_letters_by_site_are_those_of_the_whole_barcodes_with_unknown_ends(relatives, cut):
    barcodes, starts = cut
    rows = np.array([0, 3, 4, 9])
    codes, _ = base_codes(relatives)
    whole = codes.reshape(-1, BP)[rows]
    sites = np.arange(BP)
    ends = starts[rows] + np.array([len(barcodes[row]) for row in rows])
    is_there = (sites >= starts[rows, None]) & (sites < ends[:, None])
    framed = placed_letters(reader_of(barcodes), rows, starts[rows])
    assert np.array_equal(framed, np.where(is_there, whole, UNKNOWN_BASE))


def test_a_frame_counts_the_bases_at_each_site():
    reader = reader_of(["ACGTAA", "ACCTAA", "GTAA"], max_length_bp=6)
    frame = frame_from_starts(reader, np.arange(3), np.array([0, 0, 2]))
    assert frame.rows == ["900099", "093000", "006000", "000900"]


def tokenized(tokenizer, barcodes):
    """Tokenize to ids (N, L), with the reader's [MASK] before the first k-mer of a barcode."""
    ids = tokenizer(barcodes, return_tensors="np")["input_ids"]
    has_begun = np.logical_or.accumulate(ids != UNK_ID, axis=1)
    return np.where(has_begun, ids, MASK_ID)


@pytest.mark.parametrize("k", [3, 6, 7])
def test_a_reader_in_the_frame_gives_the_ids_of_the_framed_tokenizer(cut, frame, k):
    barcodes, starts = cut
    tokenizer = BarcodeKmerTokenizer(k=k, max_length_bp=BP, frame=frame.rows)
    reader = reader_of(barcodes, k)
    framed = place_in_frame(reader, frame)
    ids, lengths = ids_of(framed)
    expected = tokenizer(barcodes, return_tensors="np")
    np.testing.assert_array_equal(ids, tokenized(tokenizer, barcodes))
    leads = -(-np.maximum(starts, 0) // k)
    np.testing.assert_array_equal((ids == MASK_ID).sum(axis=1), leads)
    np.testing.assert_array_equal(lengths - leads, expected["attention_mask"].sum(axis=1))
    for row in (0, len(barcodes) - 1):  # alone, at either end of the codes
        alone, _ = ids_of(framed, row)
        assert np.array_equal(alone, tokenized(tokenizer, [barcodes[row]]))
    assert reader.leads is None
    assert ids_of(reader)[0][0, 0] != MASK_ID


def test_without_a_frame_a_reader_is_unchanged(cut):
    reader = reader_of(cut[0])
    assert place_in_frame(reader, None) is reader


def test_a_barcode_without_a_usable_kmer_in_the_frame_is_read_from_its_first_base(relatives, frame):
    broken = "".join(
        "N" if site % 3 == 1 and site > 3 else letter for site, letter in enumerate(relatives[0])
    )[1:]
    assert frame.find_starts([broken]) == [1]
    framed = place_in_frame(reader_of([broken, relatives[1][5:]]), frame)
    assert framed.leads.tolist() == [0, 5]
    tokenizer = BarcodeKmerTokenizer(k=3, max_length_bp=BP, frame=frame.rows)
    expected = tokenized(tokenizer, [broken, relatives[1][5:]])
    np.testing.assert_array_equal(ids_of(framed)[0], expected)


def test_a_barcode_beyond_the_maximum_length_is_read_from_its_first_base(relatives, frame):
    barcodes = [relatives[0][100:], relatives[1][30:], relatives[2]]
    framed = place_in_frame(reader_of(barcodes, max_length_bp=60), frame)
    assert framed.leads.tolist() == [0, 30, 0]
    tokenizer = BarcodeKmerTokenizer(k=3, max_length_bp=60, frame=frame.rows)
    np.testing.assert_array_equal(ids_of(framed)[0], tokenized(tokenizer, barcodes))


def test_a_memory_map_is_placed_like_memory(tmp_path):
    data = write_simulated(tmp_path / "data", 48, 4, length_bp=BP)
    write_codes(tmp_path / "codes", data, ["pretrain"], max_length_bp=BP)
    mapped = open_codes(tmp_path / "codes", k=3, max_length_bp=BP)
    read = BarcodeReader.from_dataset(data, ["pretrain"], k=3, max_length_bp=BP)
    frame = estimate_frame(mapped)
    assert frame.rows == estimate_frame(read).rows
    shifted = BarcodeFrame(["0" * 9 + row[:-9] for row in frame.rows])
    readers = [place_in_frame(reader, shifted) for reader in (mapped, read)]
    assert (readers[0].leads == 9).mean() > 0.9
    for mine, theirs in zip(*map(ids_of, readers), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_sample_is_the_same_every_time_and_no_larger_than_the_data(relatives):
    reader = reader_of(relatives)
    assert np.array_equal(sample_rows(reader), np.arange(len(relatives)))
    many = reader_of(["ACG"] * 30_000)
    assert len(np.unique(sample_rows(many))) == 20_000
    assert np.array_equal(sample_rows(many), sample_rows(many))
