from dataclasses import replace

import numpy as np
import pytest

from barcodemae.eval.identify.judge.judgement import Calibration, LengthClass
from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, LADDER
from barcodemae.eval.identify.reference.calibrating import (
    CalibrationFitter,
    Lesson,
    add_decoys,
    fit_class,
)
from barcodemae.eval.identify.reference.heldout import held_out_from_references


NUM_RANKS = 7


def make_lesson(steps, identity=0.9):
    """Examples whose only feature says on which step they stand."""
    steps = np.asarray(steps)
    count = len(steps)
    codes = np.zeros((count, NUM_RANKS), np.int64)
    noise = np.random.default_rng(0).normal(0, 0.1, count)
    return Lesson(
        (steps + noise)[:, None],
        codes,
        codes,
        np.ones((count, NUM_RANKS), bool),
        steps,
        np.full(count, identity),
    )


def test_a_step_that_the_library_cannot_show_is_learned_from_decoys_and_the_next_one():
    lesson = make_lesson(np.repeat([1, 2, 3, 4, 5, 6], 40))
    decoys = replace(make_lesson([0] * 30), identity=np.repeat([0.7, 0.95, 0.99], 10))
    found = add_decoys(lesson, decoys)
    # The far decoys, and the examples of a new class, for which a new phylum may be mistaken.
    assert (found.step == 0).sum() == 10 + 40
    assert (found.step == 5).sum() == 40


def test_the_fitted_functions_find_the_step_and_survive_json():
    lesson = make_lesson(np.repeat(np.arange(7), 60))
    fitted = fit_class(lesson, DEFAULT_MIXTURE, 90, 100)
    again = LengthClass.from_json(fitted.to_json())
    calibration = Calibration((again,), None, DEFAULT_MIXTURE, {})
    judged = calibration.judge(np.array([[0.0], [3.0], [6.0]]), [100, 100, 100])
    steps = judged.likelihoods * np.array(DEFAULT_MIXTURE.shares)
    assert steps.argmax(axis=1).tolist()[::2] == [0, 6]
    np.testing.assert_allclose(steps.sum(axis=1), 1)
    assert len(fitted.in_library) == len(LADDER)


def test_a_library_says_what_it_was_calibrated_on(library):
    calibration = Calibration.from_json(library.read_calibration())
    details = calibration.details
    assert details["held_out"] == "val+val_unseen and references, left out"
    assert details["examples"]["new_species"] > 100
    assert details["decoys"] > 0
    assert details["reliability"]["genus"]["error"] == pytest.approx(0, abs=0.1)


def test_queries_are_judged_by_the_class_of_their_length():
    near = fit_class(make_lesson(np.repeat(np.arange(7), 60)), DEFAULT_MIXTURE, 90, 100)
    far = replace(near, min_length=200, scale=replace(near.scale, mean=near.scale.mean + 5))
    calibration = Calibration((near, far), None, DEFAULT_MIXTURE, {})
    judged = calibration.judge(np.array([[5.0]] * 3), [100, 199, 200])
    assert (judged.likelihoods[0] == judged.likelihoods[1]).all()
    assert (judged.likelihoods[1] != judged.likelihoods[2]).any()


def test_a_class_learns_from_fragments_of_all_its_lengths(library, embedder):
    fitter = CalibrationFitter(library, embedder, DEFAULT_MIXTURE, 100)
    found = fitter.fragments(held_out_from_references(library), range(90, 150), 100)
    lengths = [len(placed.letters) for placed in found.placed]
    assert min(lengths) >= 90
    assert max(lengths) < 150
    assert len(set(lengths)) > 20


def test_what_hardly_varied_among_the_examples_does_not_decide():
    lesson = make_lesson(np.repeat(np.arange(7), 60))
    constant = 6.0 + np.random.default_rng(1).normal(0, 1e-6, (len(lesson.step), 1))
    features = np.concatenate([lesson.features, constant], axis=1)
    fitted = fit_class(replace(lesson, features=features), DEFAULT_MIXTURE, 90, 100)
    calibration = Calibration((fitted,), None, DEFAULT_MIXTURE, {})
    near, far = calibration.judge(np.array([[3.0, 6.0], [3.0, 6.002]]), [100, 100]).likelihoods
    np.testing.assert_allclose(near, far, rtol=0.01)
