from types import SimpleNamespace

import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError
from barcodemae.eval.identify.judge.calibrator import constant
from barcodemae.eval.identify.judge.judgement import (
    FAMILY,
    GENUS,
    MODES,
    NOVELTIES,
    SPECIES,
    Calibration,
)
from barcodemae.eval.identify.reference import calibrating
from barcodemae.eval.identify.reference.calibrating import (
    CalibrationFitter,
    calibrate,
    choose_temperature,
    fit_mode,
    random_fragments,
)
from barcodemae.eval.identify.reference.heldout import Examples, Mixture, held_out_from_references
from barcodemae.eval.search.reference_search import Neighborhood


@pytest.fixture
def calibration(library):
    return Calibration.from_json(library.read_calibration())


def test_every_length_has_calibrators_of_both_modes(calibration):
    assert [part.length for part in calibration.classes] == [100, 150, 200]
    assert calibration.min_length == 90
    for part in calibration.classes:
        assert tuple(part.calibrators) == MODES


def test_reliability_is_kept_by_rank_and_small_where_it_was_fitted(calibration):
    for mode in MODES:
        found = calibration.details["reliability"][mode]
        assert {"species", "genus", "family"} <= set(found)
        assert "subfamily" not in found  # nobody knows a name there
        assert all(part["error"] < 0.1 for part in found.values())


def test_examples_are_counted_and_weighted_as_asked(calibration):
    assert calibration.details["held_out"] == "val+val_unseen"
    # 20 new species are few, so leave-species-out adds all 60; so does leave-genus-out.
    assert calibration.details["examples"] == {"known": 40, "new_species": 80, "new_genus": 60}
    assert calibration.details["mixture"] == {"known": 65, "new_species": 30, "new_genus": 5}


def test_without_held_out_partitions_references_are_left_out(library, reference_data, embedder):
    found = calibrate(library, reference_data, embedder, splits=("key_unseen",))
    assert found.details["held_out"] == "references, left out"
    assert found.details["examples"]["known"] == len(library)


def test_too_few_names_to_calibrate_with_is_an_error(library, reference_data, embedder):
    library.codes[:] = -1
    with pytest.raises(DataError, match="only 0 barcodes with species and genus"):
        calibrate(library, reference_data, embedder, splits=("key_unseen",))


def test_fragments_are_parts_of_the_sequence():
    fragments = random_fragments(["ACGTACGTTT", "ACG"], 4, np.random.default_rng(0))
    assert len(fragments[0]) == 4
    assert fragments[0] in "ACGTACGTTT"
    assert fragments[1] == "ACG"


def test_the_temperature_is_a_quarter_of_the_usual_span():
    rows = np.array([[0, 1], [2, -1], [3, 4]])
    similarity = np.array([[0.9, 0.5], [0.8, -np.inf], [0.7, 0.5]])
    assert choose_temperature(Neighborhood(rows, similarity)) == pytest.approx(0.2 / 4)
    assert choose_temperature(Neighborhood(rows[1:2], similarity[1:2])) == 1e-4


def test_every_calibrator_is_fitted_on_what_it_is_to_predict(monkeypatch):
    """Two barcodes in three situations; the second has no name at the family."""
    seen = {}
    names = iter([*RANKS, *NOVELTIES])

    def note(features, is_true, weights):
        seen[next(names)] = (is_true.tolist(), weights.tolist())
        return constant(1, 0.5)

    monkeypatch.setattr(calibrating, "fit_calibrator", note)
    truth, is_named = np.full((2, len(RANKS)), 5), np.ones((2, len(RANKS)), bool)
    is_named[1, FAMILY] = False
    winners = np.full((3, len(RANKS)), 5)
    winners[0, GENUS] = -1  # nothing was chosen
    winners[2, SPECIES] = 6  # wrong
    features = SimpleNamespace(
        winners=winners,
        features=lambda rank: np.zeros((3, 1)),
        novelty_features=lambda: np.zeros((3, 1)),
    )
    found = Neighborhood(np.zeros((3, 1), int), np.zeros((3, 1)))
    examples = Examples(np.array([0, 1, 1]), np.array([0, 1, 2]), found)
    held_out = SimpleNamespace(truth=truth, is_named=is_named)
    fit_mode(features, held_out, examples, Mixture(60, 30, 10))
    assert seen["species"] == ([True, True, False], [60, 30, 10])
    assert seen["genus"] == ([True, True], [30, 10])
    assert seen["family"] == ([True], [60])
    assert seen["new_species"] == ([False, True, True], [60, 30, 10])
    assert seen["new_genus"] == ([False, False, True], [60, 30, 10])


def test_pieces_are_cut_of_longer_barcodes_only(library, embedder):
    found = held_out_from_references(library, np.random.default_rng(0))
    making = CalibrationFitter(library, embedder, Mixture(), 1000)
    whole = len(found.sequences[0])
    assert {len(text) for text in found.sequences} == {whole}
    assert making.fit_length(found, whole, 0.1, np.random.default_rng(1)) is None
    part = making.fit_length(found, whole - 1, 0.1, np.random.default_rng(1))
    assert part.length == whole - 1
