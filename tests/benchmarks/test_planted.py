"""Planted faults are what they are said to be, and findings are scored against them rightly."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from barcodemae.conventions.taxa import tidy_taxon
from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.judge.placing import PlacedLetters


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from audit import score_curve
from audit_cleaning import Audited, Queries, at_random, by_nearest
from audit_scale import fitted
from planted import CHANGES, plant
from vector_cache import CachedEmbedder


MAMMAL = "ACGT" * 60
NO_DIGITS = str.maketrans("0123456789", "abcdefghij")  # a genus has none


class AsTheyAre:
    """Places every sequence at the first site."""

    width = 240

    def place(self, sequences, *, both_strands=True):
        return [PlacedLetters(text) for text in sequences]


@pytest.fixture(scope="module")
def rows():
    """Two orders of two families of two genera of two species, each with fifteen records."""
    generator = random.Random(0)
    return [
        {
            "processid": f"P{number}",
            **dict.fromkeys(RANKS),
            "order": f"Order{number % 2}",
            "family": f"Family{number % 4}",
            "genus": f"Genus{number % 8}",
            "species": f"Genus{number % 8} species{number % 16}",
            "dna_bin": f"BOLD:{number % 16}",
            "dna_barcode": "".join(generator.choices("ACGT", k=240)),
        }
        for number in range(240)
    ]


@pytest.fixture(scope="module")
def planting(rows):
    return plant(rows, [MAMMAL], AsTheyAre(), share=0.025, seed=0)


def test_every_kind_has_its_share_and_no_record_two_faults(planting):
    counts = Counter(planting.kinds.values())
    assert set(counts.values()) == {6}
    assert len(counts) == len(CHANGES) + 3


def test_records_without_a_fault_stay_as_they_were(rows, planting):
    for number, row in enumerate(rows):
        if number not in planting.kinds:
            assert planting.rows[number] == row


def test_labels_are_exchanged_below_what_both_share_and_bins_stay(rows, planting):
    for number, partner in planting.partners.items():
        kind, before, after = planting.kinds[number], rows[number], planting.rows[number]
        assert after["species"] == rows[partner]["species"] != before["species"]
        assert after["dna_bin"] == before["dna_bin"]
        assert after["dna_barcode"] == before["dna_barcode"]
        if kind != "label, anywhere":
            assert after[kind.removeprefix("label, ")] == before[kind.removeprefix("label, ")]
        wrong = planting.wrong_at[number]
        assert after[wrong] != before[wrong]


def test_letters_change_as_the_kind_says(rows, planting):
    for number, kind in planting.kinds.items():
        before, after = rows[number]["dna_barcode"], planting.rows[number]["dna_barcode"]
        if kind == "other strand":
            assert reverse_complement(after) == before
        elif kind == "mammal":
            assert after == MAMMAL
        elif kind == "chimera":
            assert after[:80] == before[:80]
            assert after[160:] != before[160:]
        elif kind == "placeholder":
            name = planting.rows[number]["species"]
            assert tidy_taxon("species", name.translate(NO_DIGITS)) is None
        elif kind == "NUMT-like":
            assert after != before


def test_a_perfect_score_has_full_precision_and_recall():
    answers = np.array([True, False, True, False])
    curve = score_curve(np.array([0.9, 0.1, 0.8, 0.0]), answers)
    assert curve["precision_at_90_recall"] == curve["recall_at_95_precision"] == 100


def test_what_is_not_found_never_counts_as_recalled():
    curve = score_curve(np.array([0.9, 0.0, 0.0]), np.array([True, True, False]))
    assert curve["recall"] == 50
    assert curve["precision_at_90_recall"] == 0


def test_equal_scores_stand_or_fall_together():
    answers = np.array([True] + [False] * 9)
    assert score_curve(np.ones(10), answers)["precision_at_90_recall"] == 10


def test_cleaning_is_compared_with_as_many_dropped_at_random():
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    genera = np.array(["Bus", "Aus", "Bus", "Cus"])  # the first is wrong
    is_first = np.array([True, False, False, False])
    audited = Audited([{}] * 4, genera, vectors, {0.9: is_first}, is_first)
    queries = Queries("val", ["A"], np.array(["Aus"]), vectors[:1])
    (row,) = by_nearest(audited, queries, 0)
    assert (row["as_is"], row["cleaned"]) == (0, 100)
    assert (row["dropped"], row["planted"]) == (1, 1)
    assert 0 < row["random"] < 100
    assert at_random(4, 1, seed=1).sum() == 1


def test_time_is_split_into_what_grows_with_the_number_and_with_its_square():
    rows = [{"records": n, "seconds": 0.01 * n + 2e-6 * n**2} for n in (1000, 5000, 9000)]
    np.testing.assert_allclose(fitted(rows, "seconds"), [0.01, 2e-6], rtol=1e-6)


def test_a_barcode_is_embedded_once(tmp_path):
    class Counting:
        name = fingerprint = architecture = device = "counting"
        dtype = network = placer = None
        shareable = True
        asked = 0

        def embed(self, sequences, *, progress=False):
            self.asked += len(sequences)
            return np.array([[len(text), 1.0] for text in sequences], np.float32)

    counting = Counting()
    first = CachedEmbedder(counting, tmp_path)
    assert first.embed(["AC", "ACG", "AC"]).tolist() == [[2, 1], [3, 1], [2, 1]]
    first.save()
    assert CachedEmbedder(counting, tmp_path).embed(["ACG"]).tolist() == [[3, 1]]
    assert counting.asked == 2


def test_the_committed_page_is_what_the_results_file_says():
    script = Path(__file__).parents[2] / "benchmarks" / "audit.py"
    result = subprocess.run(
        [sys.executable, script, "page", "--check"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
