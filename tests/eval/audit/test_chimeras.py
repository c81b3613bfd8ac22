"""Parents of chimeras are found, block by block, as by trying every pair and every point."""

import numpy as np

from barcodemae.eval.audit.chimeras import MIN_PART, best_parents, nearest_of_half


WIDTH = 300


def simulate(num, generator):
    return generator.integers(4, size=(num, WIDTH)).astype(np.uint8)


def test_the_pair_and_the_point_that_leave_fewest_differences_are_found():
    generator = np.random.default_rng(0)
    letters = simulate(9, generator)
    letters[0, :140], letters[0, 140:] = letters[2, :140], letters[6, 140:]
    letters[0, 10] = 4  # unknown letters contradict nothing
    rows, left, right = np.array([0]), np.array([[1, 2, 3]]), np.array([[4, 5, 6]])
    lefts, rights, points, features = best_parents(letters, rows, left, right, np.array([[7, -1]]))
    assert (lefts[0], rights[0]) == (2, 6)
    candidates = {
        (int(a), int(b), point): (letters[a, :point] != letters[0, :point])[
            np.arange(point) != 10
        ].sum()
        + (letters[b, point:] != letters[0, point:]).sum()
        for a in left[0]
        for b in right[0]
        for point in range(MIN_PART + 1, WIDTH - MIN_PART + 1)
    }
    assert candidates[2, 6, int(points[0])] == min(candidates.values())
    assert features[0, 2] == 0


def test_padding_is_no_parent():
    letters = simulate(5, np.random.default_rng(1))
    left, right = np.array([[-1, 1]]), np.array([[2, -1]])
    lefts, rights, _, features = best_parents(
        letters, np.array([0]), left, right, np.array([[3, -1]])
    )
    assert (lefts[0], rights[0]) == (1, 2)
    assert features[0, 2] > 50


def test_a_record_of_few_letters_has_no_parents_but_its_nearest():
    letters = simulate(4, np.random.default_rng(2))
    letters[0, 2 * MIN_PART - 2 :] = 4
    lefts, rights, _, features = best_parents(
        letters, np.array([0]), np.array([[1]]), np.array([[2]]), np.array([[3]])
    )
    assert (lefts[0], rights[0], features[0, 0]) == (3, 3, 0)


def test_short_forms_choose_the_records_whose_letters_are_nearest():
    generator = np.random.default_rng(3)
    letters = simulate(400, generator)
    letters[1:4, 150:] = letters[0, 150:]  # alike on the right half
    for copy in range(1, 4):
        letters[copy, 150 : 150 + 5 * copy] = 4 - copy
    everyone = np.arange(400)
    found = nearest_of_half(letters, slice(150, WIDTH), np.array([0]), everyone)
    assert found[0, :3].tolist() == [1, 2, 3]
    assert 0 not in found[0]
