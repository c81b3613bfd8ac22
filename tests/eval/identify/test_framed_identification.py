"""Identification in a frame, from letters to names: simulated barcodes, placed like real ones."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae import BarcodeKmerTokenizer
from barcodemae.dataset import RANKS
from barcodemae.default_model import BUNDLED_FOLDER
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.fasta import SequenceRecord


NUM_GENERA, NUM_SPECIES, COPIES = 8, 4, 3


class FramedCounts(KmerCounts):
    """K-mer counts of barcodes that the frame of the bundled model places."""

    def __init__(self, placer):
        super().__init__(5)
        self.placer = placer


def changed(codes, rate, shares, generator):
    """Replace bases by others that are as frequent as the frame says."""
    drawn = [generator.choice(4, p=share) for share in shares]
    return np.where(generator.random(len(codes)) < rate, drawn, codes)


@pytest.fixture(scope="module")
def tokenizer():
    rows = json.loads((BUNDLED_FOLDER / "tokenizer_config.json").read_text())["frame"]
    return BarcodeKmerTokenizer(k=6, frame=rows)


@pytest.fixture(scope="module")
def table(tokenizer):
    """Rows of genera of some species; the last species of the last genus has a twin."""
    shares = np.array([[int(digit) for digit in row] for row in tokenizer.frame], float).T + 0.1
    shares /= shares.sum(axis=1, keepdims=True)
    generator = np.random.default_rng(5)
    rows = []
    for genus in range(NUM_GENERA):
        root = changed(np.zeros(len(shares), int), 1.0, shares, generator)
        for species in range(NUM_SPECIES):
            parent = changed(root, 0.15, shares, generator)
            for copy in range(COPIES):
                codes = changed(parent, 0.01, shares, generator)
                rows.append(
                    {
                        "processid": f"G{genus}S{species}C{copy}",
                        "phylum": "Arthropoda",
                        "class": "Insecta",
                        "order": f"Order{'ab'[genus % 2]}",
                        "family": f"Family{'abcd'[genus % 4]}",
                        "genus": f"Genus{'abcdefgh'[genus]}",
                        "species": f"Genus{'abcdefgh'[genus]} {'abcd'[species]}us",
                        "dna_bin": f"BOLD:AAA{genus}{species}",
                        "dna_barcode": "".join("ACGT"[code] for code in codes),
                        "split": "train",
                    }
                )
    rows += [
        row | {"processid": f"twin{n}", "species": "Genush twin"}
        for n, row in enumerate(rows[-COPIES:])
    ]
    return rows


@pytest.fixture(scope="module")
def identifier(table, tokenizer, tmp_path_factory):
    data, lib = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("lib")
    pyarrow.parquet.write_table(pa.Table.from_pylist(table), data / "part.parquet")
    embedder = OffsetEmbedder(FramedCounts(tokenizer.placer), 1)
    build_library(data, lib, embedder, LibraryPlan(max_fragments=60))
    return Identifier(ReferenceLibrary(lib), embedder, IdentifyOptions())


def identify(identifier, *sequences):
    records = [SequenceRecord(n, f"q{n}", f"q{n}", text) for n, text in enumerate(sequences, 1)]
    return identifier.identify(records)


def names(found):
    return {rank: name for rank, name, _ in found.assigned()}


def test_two_species_with_one_barcode_leave_the_species_open_and_are_both_told(identifier, table):
    (found,) = identify(identifier, table[-1]["dna_barcode"])
    assert "conflict" in found.flags
    assert set(found.candidates) == {"Genush dus", "Genush twin"}
    assert names(found)["genus"] == "Genush"
    assert "species" not in names(found)


def test_they_are_both_told_of_a_part_of_the_barcode_too(identifier, table):
    (found,) = identify(identifier, table[-1]["dna_barcode"][100:500])
    assert set(found.candidates) == {"Genush dus", "Genush twin"}
    assert "species" not in names(found)


def test_primers_and_the_other_strand_change_no_name_and_are_told(identifier, table):
    text = table[0]["dna_barcode"]
    adapter = "GATCGGAAGAGCACACGTCTGAACTCCAGTCAC"
    plain, cut, turned = identify(identifier, text, text + adapter, reverse_complement(text))
    assert names(plain) == names(cut) == names(turned)
    assert names(plain)["species"] == table[0]["species"]
    assert (plain.bin, plain.bin_agreement) == ("BOLD:AAA00", 1.0)
    assert "trimmed" in cut.flags
    assert abs(cut.placed.num_after - len(adapter)) <= 8  # letters that fit by chance stay
    assert turned.placed.strand == "-"


def test_gaps_are_read_like_unknown_bases(identifier, table):
    text = table[0]["dna_barcode"]
    gap, unknown = (text[:300] + 60 * letter + text[360:] for letter in "-N")
    first, second = identify(identifier, gap, unknown)
    assert names(first) == names(second)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.identity == 1.0


def test_bases_lost_and_gained_are_no_differences_between_species(identifier, table):
    generator = random.Random(0)
    text = table[4]["dna_barcode"]
    for place in sorted(generator.sample(range(60, 600, 90), 3), reverse=True):
        text = text[:place] + text[place + 1 :]
    (found,) = identify(identifier, text)
    assert found.placed.num_lost > 0
    assert found.identity == pytest.approx(1.0, abs=0.002)
    assert names(found)["genus"] == table[4]["genus"]


@pytest.mark.parametrize("kind", ["random", "shuffled", "reversed", "repeat"])
def test_what_is_no_barcode_has_no_name_at_any_rank(identifier, table, kind):
    generator = random.Random(1)
    text = table[7]["dna_barcode"]
    letters = {
        "random": "".join(generator.choices("ACGT", k=650)),
        "shuffled": "".join(generator.sample(text, len(text))),
        "reversed": text[::-1],
        "repeat": "ACG" * 200,
    }[kind]
    (found,) = identify(identifier, letters)
    assert names(found) == {}
    assert found.flags[0] == "not_a_barcode"
    assert max(found.probabilities) == 0


def test_a_name_and_the_novelty_of_its_rank_never_stand_together(identifier, table, tokenizer):
    generator = np.random.default_rng(2)
    shares = np.full((660, 4), 0.25)
    base = {letter: code for code, letter in enumerate("ACGT")}
    texts = []
    for number, rate in enumerate(np.linspace(0, 0.4, 40)):
        codes = np.array([base[letter] for letter in table[number]["dna_barcode"]])
        texts.append("".join("ACGT"[code] for code in changed(codes, rate, shares, generator)))
    for found in identify(identifier, *texts):
        given = names(found)
        assert not [rank for rank in RANKS if rank in given and f"novel_{rank}" in found.flags]
