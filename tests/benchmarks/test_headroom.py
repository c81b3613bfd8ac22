"""What is left to gain: who is drawn, which neighbours may answer, and whose label is doubted."""

import sys
from pathlib import Path

import numpy as np
import pytest


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import headroom
from gpu_data import write_toy_data
from headroom import Labelled, ask_blast, name_left_out, one_of_each_species, paired

from barcodemae.eval.report.records import read_records
from barcodemae.eval.search.reference_search import unit_length


TRAIN = Labelled(
    ["A"] * 7,
    np.array(["Apis", "Apis", "Apis", "Bombus", "Bombus", "Vespa", "Apis"]),
    np.array(["A. one", "A. one", "A. two", "B. one", "B. two", "V. one", ""]),
)


def test_a_species_is_drawn_once_and_only_if_its_genus_has_another():
    drawn = one_of_each_species(TRAIN)
    assert TRAIN.species[drawn].tolist() == ["A. one", "A. two", "B. one", "B. two"]
    np.testing.assert_array_equal(drawn, one_of_each_species(TRAIN))


def test_a_barcode_is_never_named_by_its_own_species():
    vectors = np.eye(7, dtype=np.float32)
    vectors[1] = vectors[0]  # one species, the same letters
    vectors[0, 5] = vectors[1, 5] = 0.5  # and the wasp is next
    assert not name_left_out(unit_length(vectors), TRAIN, np.array([0]))[0]
    vectors[2] = vectors[0]  # a sister with the same letters is nearer than the wasp
    assert name_left_out(unit_length(vectors), TRAIN, np.array([0]))[0]


@pytest.mark.parametrize(
    ("hit", "expected"),
    [
        ((3, 99.0), (False, True)),
        ((3, 97.0), (False, False)),
        ((0, 99.0), (True, False)),
        (None, (False, False)),
    ],
)
def test_labels_are_contradicted_by_near_letters_of_another_genus(monkeypatch, hit, expected):
    class Program:
        def search_identities(self, references, queries):
            return [hit]

    monkeypatch.setattr(headroom, "Blastn", Program)
    query = Labelled(["A"], np.array(["Apis"]), np.array(["A. three"]))
    is_right, is_contradicted = ask_blast(TRAIN, query)
    assert (is_right[0], is_contradicted[0]) == expected


def test_a_paired_difference_knows_its_sign_and_its_interval():
    one = np.array([True, False] * 50)
    score = paired(one, np.ones(100, bool))
    assert score.value == 50
    assert 35 < score.low < 50 < score.high < 65
    assert paired(one, one).value == 0


def test_everything_is_asked_and_the_union_is_never_worse(monkeypatch, tmp_path):
    class Program:
        def search(self, references, queries):
            return [None] * len(queries)

        def search_identities(self, references, queries):
            return [None] * len(queries)

    monkeypatch.setattr(headroom, "Blastn", Program)
    monkeypatch.setattr(headroom, "Vsearch", Program)
    data = write_toy_data(tmp_path / "toy")
    headroom.main(data, tmp_path / "headroom.json", "val_unseen")
    records = read_records(tmp_path / "headroom.json")
    asked = {r.model: r.value for r in records if r.metric == "val_unseen"}
    assert asked["vsearch"] == asked["blastn"] == 0
    assert asked[headroom.ANY] == max(asked.values()) > 50
    left_out = {r.model: r.value for r in records if r.metric.startswith("species of train")}
    assert len(left_out) == 4
    assert all(0 <= value <= 100 for value in left_out.values())
