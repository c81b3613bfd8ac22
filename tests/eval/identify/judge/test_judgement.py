import json

import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.alignment import AlignedCandidates
from barcodemae.eval.identify.judge.calibrator import constant
from barcodemae.eval.identify.judge.evidence import RankEvidence
from barcodemae.eval.identify.judge.judgement import (
    IDENTITY_TEMPERATURE,
    NOVELTIES,
    SPECIES,
    Calibration,
    Evidence,
    Judgement,
    LengthClass,
    gather_evidence,
    make_monotone,
)
from barcodemae.eval.search.reference_search import Neighborhood


T = len(RANKS)


def make_calibration(probabilities):
    """Classes by minimum length whose every probability is a constant."""
    classes = tuple(
        LengthClass(
            length,
            length,
            {
                "similarity": {
                    **{rank: constant(4, value) for rank in RANKS},
                    **{name: constant(12, value) for name in NOVELTIES},
                }
            },
        )
        for length, value in probabilities.items()
    )
    return Calibration(0.1, classes, {"held_out": "val"})


def make_evidence(count):
    ones = np.full((count, T), 0.9)
    return Evidence(
        np.zeros((count, T), np.int64), RankEvidence(ones, ones, ones), None, np.zeros(count, int)
    )


def test_each_query_is_judged_by_the_class_of_its_length():
    calibration = make_calibration({90: 0.2, 300: 0.6})
    judged = calibration.judge(make_evidence(4), [50, 90, 299, 300])
    np.testing.assert_allclose(judged.probabilities[:, 0], [0.2, 0.2, 0.2, 0.6])
    np.testing.assert_allclose(judged.novelty[:, 1], [0.2, 0.2, 0.2, 0.6])


def test_a_rank_without_name_has_no_probability():
    evidence = make_evidence(1)
    evidence.winners[0, 4] = -1
    judged = make_calibration({90: 0.7}).judge(evidence, [100])
    assert np.isnan(judged.probabilities[0, 4])
    assert not np.isnan(np.delete(judged.probabilities[0], 4)).any()


def test_probabilities_never_rise_towards_the_species():
    found = make_monotone(np.array([[0.5, np.nan, 0.9, 0.4]]))
    np.testing.assert_array_equal(found, [[0.9, np.nan, 0.9, 0.4]])


@pytest.mark.parametrize(("threshold", "depth"), [(0.95, 0), (0.8, 3), (0.3, 6), (0.0, 7)])
def test_names_end_at_the_first_rank_below_the_threshold(threshold, depth):
    probabilities = np.array([[0.9, np.nan, 0.8, 0.5, 0.5, 0.5, 0.1]])
    none = np.zeros((1, 2))
    judged = Judgement(np.zeros((1, T), int), probabilities, none, none, np.zeros(1, int))
    np.testing.assert_array_equal(judged.depth(threshold), [depth])


def test_a_species_is_at_least_as_likely_new_as_its_genus():
    calibration = make_calibration({90: 0.2})
    calibration.classes[0].calibrators["similarity"]["new_genus"] = constant(12, 0.7)
    judged = calibration.judge(make_evidence(1), [100])
    np.testing.assert_allclose(judged.novelty, [[0.7, 0.7]])


def test_a_calibration_survives_json():
    calibration = make_calibration({90: 0.2, 300: 0.6})
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again == calibration
    assert (again.min_length, again.full_length) == (90, 300)


CODES = np.array([[0] * 6 + [number] for number in range(3)], np.int32)  # three species
NEAR = Neighborhood(np.array([[0, 1, 2]]), np.array([[0.9, 0.8, 0.7]]))
TEMPERATURE = 0.1


def test_without_alignments_the_nearest_neighbour_is_believed():
    found = gather_evidence(CODES, NEAR, None, TEMPERATURE)
    assert (found.mode, found.identity) == ("similarity", None)
    assert found.winners[0, SPECIES] == 0
    assert found.nearest.tolist() == [0]
    weights = np.exp([0, -1, -2])
    np.testing.assert_allclose(found.similarity.agreement[0, SPECIES], weights[0] / weights.sum())


def test_with_alignments_the_best_of_them_is_believed():
    aligned = AlignedCandidates(
        np.array([[2, 0, -1]]),
        np.array([[0.99, 0.99 - IDENTITY_TEMPERATURE, -np.inf]]),
        *np.zeros((2, 1, 3)),
    )
    found = gather_evidence(CODES, NEAR, aligned, TEMPERATURE)
    assert found.mode == "verified"
    assert found.winners[0, SPECIES] == 2
    assert found.nearest.tolist() == [2]
    np.testing.assert_allclose(found.similarity.best[0, SPECIES], 0.7)
    np.testing.assert_allclose(found.identity.agreement[0, SPECIES], 1 / (1 + np.exp(-1)))
