"""Is it a barcode, where and on which strand: letters simulated after the bundled model's frame."""

import json
import random
import re

import numpy as np
import pytest

from barcodemae import BarcodeKmerTokenizer
from barcodemae.default_model import BUNDLED_FOLDER
from barcodemae.tokenization.barcode_placement import reverse_complement


ADAPTER = "GATCGGAAGAGCACACGTCTGAACTCCAGTCAC"
FORWARD_PRIMER = "GGTCAACAAATCATAAAGATATTGG"
NUM_BARCODES = 24


@pytest.fixture(scope="module")
def tokenizer():
    rows = json.loads((BUNDLED_FOLDER / "tokenizer_config.json").read_text())["frame"]
    return BarcodeKmerTokenizer(k=6, frame=rows)


@pytest.fixture(scope="module")
def simulated(tokenizer):
    """Barcodes of all sites of the frame, each base as frequent as the frame says."""
    shares = np.array([[int(digit) for digit in row] for row in tokenizer.frame], float).T + 0.1
    generator = np.random.default_rng(3)
    codes = [
        [generator.choice(4, p=share / share.sum()) for share in shares]
        for _ in range(NUM_BARCODES)
    ]
    return ["".join("ACGT"[code] for code in row) for row in codes]


def delete(text, place, size):
    return text[:place] + text[place + size :]


def with_indels(text, rate, seed):
    """Delete and insert single bases at a rate per base."""
    generator = random.Random(seed)
    letters = []
    for base in text:
        change = generator.random()
        letters.append("" if change < rate / 2 else base)
        letters.append(generator.choice("ACGT") if change > 1 - rate / 2 else "")
    return "".join(letters)


def share_right(placed, barcode):
    """Compute the share of known placed letters that the barcode has at their sites."""
    pairs = [
        (base, barcode[site])
        for site, base in enumerate(placed.letters, placed.site)
        if base != "N"
    ]
    return sum(found == true for found, true in pairs) / len(pairs)


def num_known(placed):
    return len(placed.letters) - placed.letters.count("N")


def test_clean_barcodes_and_their_pieces_are_unchanged(tokenizer, simulated):
    for first, last in ((0, 660), (0, 658), (1, 640), (200, 513), (60, 160)):
        cut = [barcode[first:last] for barcode in simulated]
        for text, placed in zip(cut, tokenizer.place(cut), strict=True):
            assert (placed.letters, placed.site, placed.is_barcode) == (text, first, True)
            assert placed[-4:] == (0, 0, 0, 0)
            assert not placed.is_reverse


def test_a_reverse_complement_has_the_placement_of_its_twin(tokenizer, simulated):
    forward = [barcode[seed : 300 + 9 * seed] for seed, barcode in enumerate(simulated)]
    forward += [with_indels(barcode, 0.02, seed) for seed, barcode in enumerate(simulated)]
    turned = tokenizer.place([reverse_complement(text) for text in forward])
    placed = tokenizer.place(forward)
    assert [twin._replace(is_reverse=False) for twin in turned] == placed
    assert all(twin.is_reverse for twin in turned)
    alone = tokenizer.place([reverse_complement(text) for text in forward], both_strands=False)
    assert not any(twin.is_barcode or twin.is_reverse for twin in alone)


def shuffled(text, seed, size=1):
    parts = [text[place : place + size] for place in range(0, len(text), size)]
    random.Random(seed).shuffle(parts)
    return "".join(parts)


@pytest.mark.parametrize("length", [60, 100, 150, 225, 313, 658])
def test_what_is_no_barcode_is_not_taken_for_one(tokenizer, simulated, length):
    texts = [barcode[seed : seed + length] for seed, barcode in enumerate(simulated)]
    decoys = [shuffled(text, seed, 1) for seed, text in enumerate(texts)]
    decoys += [shuffled(text, seed, 2) for seed, text in enumerate(texts)]
    decoys += [shuffled(text, seed, 3) for seed, text in enumerate(texts)]
    decoys += [text[::-1] for text in texts]
    for seed, weights in enumerate(
        [(1, 1, 1, 1), (35, 15, 12, 38), (4, 1, 1, 4), (1, 2, 2, 1)] * 10
    ):
        decoys.append("".join(random.Random(seed).choices("ACGT", weights, k=length)))
    decoys += [("A" * length), ("ACG" * length)[:length], "N" * length, "RY" * (length // 2), ""]
    assert not any(placed.is_barcode for placed in tokenizer.place(decoys))


@pytest.mark.parametrize("rate", [0.02, 0.04])
def test_reads_with_many_indels_are_barcodes_at_their_sites(tokenizer, simulated, rate):
    reads = [with_indels(barcode, rate, seed) for seed, barcode in enumerate(simulated)]
    for barcode, placed in zip(simulated, tokenizer.place(reads), strict=True):
        assert placed.is_barcode
        assert placed.num_gained > 0
        assert placed.num_lost > 0
        assert share_right(placed, barcode) > 1 - 3 * rate


def test_scattered_unknown_letters_do_not_matter(tokenizer, simulated):
    generator = random.Random(0)
    reads = ["".join(generator.choices([base, "N"], [9, 1])[0] for base in barcode[100:])
             for barcode in simulated]  # fmt: skip
    for read, placed in zip(reads, tokenizer.place(reads), strict=True):
        assert placed.is_barcode
        assert placed.letters == read.strip("N")


@pytest.mark.parametrize("gap", [-80, -7, 0, 9, 10, 40, 150, 300])
@pytest.mark.parametrize("between", ["N" * 10, "-" * 60, "n" * 5 + "-" * 3])
def test_pieces_on_both_sides_of_unknown_letters_are_at_their_own_sites(
    tokenizer, simulated, gap, between
):
    reads = [barcode[:180] + between + barcode[180 + gap : 180 + gap + 170]
             for barcode in simulated]  # fmt: skip
    for barcode, placed in zip(simulated, tokenizer.place(reads), strict=True):
        assert (placed.site, placed.num_gained, placed.num_lost) == (0, 0, 0)
        expected = barcode[:180] + "N" * max(gap, 0) + barcode[180 + max(gap, 0) : 350 + gap]
        assert sum(a == b for a, b in zip(placed.letters, expected, strict=False)) >= (
            len(expected) - 8
        )
        assert abs(len(placed.letters) - len(expected)) <= 3


@pytest.mark.parametrize("size", [30, 60, 100, 200])
def test_a_lost_stretch_is_found(tokenizer, simulated, size):
    reads = [delete(barcode, 250, size) for barcode in simulated]
    for barcode, placed in zip(simulated, tokenizer.place(reads), strict=True):
        assert placed.num_lost == size
        assert share_right(placed, barcode) > 0.98


def test_a_piece_too_short_to_be_placed_keeps_its_neighbours_shift(tokenizer, simulated):
    reads = [barcode[:200] + "N" * 10 + barcode[210:219] + "N" * 6 + barcode[225:]
             for barcode in simulated]  # fmt: skip
    assert [placed.letters for placed in tokenizer.place(reads)] == reads


def test_foreign_letters_around_a_barcode_are_cut_off_and_counted(tokenizer, simulated):
    for first, last in ((0, 660), (200, 513)):
        reads = [FORWARD_PRIMER + barcode[first:last] + ADAPTER for barcode in simulated]
        for barcode, placed in zip(simulated, tokenizer.place(reads), strict=True):
            assert placed.is_barcode
            # Some letters of an adapter fit by chance.
            assert abs(placed.site - first) <= 10
            assert abs(placed.site + len(placed.letters) - last) <= 10
            inside = placed.letters[max(first - placed.site, 0) :][: last - first - 12]
            assert inside in barcode
            total = placed.num_before + num_known(placed) + placed.num_after
            assert total == len(FORWARD_PRIMER) + last - first + len(ADAPTER)


def test_of_pieces_on_top_of_each_other_the_better_letters_stay(tokenizer, simulated):
    good, bad = simulated[0], shuffled(simulated[0][240:300], 1)
    first = tokenizer.place([good[:240] + bad + "N" * 10 + good[240:]])[0]
    second = tokenizer.place([good[:300] + "N" * 10 + bad + good[300:]])[0]
    for placed in (first, second):
        assert sum(a == b for a, b in zip(placed.letters, good, strict=True)) >= len(good) - 8


def test_a_placement_does_not_depend_on_the_batch(tokenizer, simulated):
    reads = ["ACGT" * 400, "", *simulated[:5]]
    for seed, barcode in enumerate(simulated[:7]):
        reads.append(with_indels(barcode, 0.03, seed)[10 * seed :])
        reads.append(barcode[:150] + "N" * 10 + barcode[170 + 9 * seed : 600])
        reads.append(reverse_complement(barcode[seed:]) + ADAPTER)
    together = tokenizer.place(reads)
    assert together == [tokenizer.place([read])[0] for read in reads]
    assert together[::-1] == tokenizer.place(reads[::-1])


def test_tokens_of_placed_letters_are_those_of_the_read(tokenizer, simulated):
    reads = []
    for seed, barcode in enumerate(simulated):
        reads.append(with_indels(barcode, 0.02, seed)[seed:])
        reads.append(barcode[3:183] + "N" * 10 + barcode[180 + 7 * seed : 600])
        reads.append(barcode[200:513] + ADAPTER)
    placements = tokenizer.place(reads)
    letters = [placed.letters for placed in placements]
    assert tokenizer.kmer_ids(letters, 110) == tokenizer.kmer_ids(reads, 110)
    again = tokenizer.place(letters)
    assert [(placed.letters, placed.site) for placed in again] == [
        (placed.letters, placed.site) for placed in placements
    ]


def test_tokens_of_joined_reads_are_those_of_the_barcode(tokenizer, simulated):
    for barcode in simulated:
        whole = tokenizer(barcode)["input_ids"]
        joined = tokenizer(barcode[:180] + "N" * 10 + barcode[330:])["input_ids"]
        assert joined[:29] == whole[:29]
        assert joined[57:] == whole[57:]


@pytest.mark.parametrize("gap", ["-", "--", "." * 7, "-" * 30])
def test_gaps_inside_are_unknown_bases_and_gaps_at_the_ends_are_nothing(tokenizer, simulated, gap):
    for barcode in simulated:
        aligned = barcode[:200] + gap + barcode[200 + len(gap) :]
        unknown = aligned.replace("-", "N").replace(".", "N")
        written = ["--" + aligned + "...", unknown, re.sub(r"(.{70})", r"\1\n", aligned)]
        first, *others = tokenizer.place(written)
        assert first.letters == unknown
        assert others == [first] * 2
        ids = tokenizer.kmer_ids(written, 110)
        assert ids == [tokenizer(text)["input_ids"] for text in written] == [ids[0]] * 3


def test_gaps_inside_are_unknown_bases_without_a_frame_too():
    plain = BarcodeKmerTokenizer(k=3)
    assert plain("-ACG-TTTA.")["input_ids"] == plain("ACGNTTTA")["input_ids"]
    with pytest.raises(ValueError, match="no frame"):
        plain.place(["ACGTTT"])


def test_letters_of_no_alphabet_are_unknown_and_case_and_u_make_no_difference(tokenizer, simulated):
    barcode = simulated[0]
    odd = "x?" + barcode[2:300].lower().replace("t", "u") + "*\N{SNOWMAN}" + barcode[302:]
    (placed,) = tokenizer.place([odd])
    assert placed.letters == barcode[2:300] + "NN" + barcode[302:]
    assert placed.site == 2
