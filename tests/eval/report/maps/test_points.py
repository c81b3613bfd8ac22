from itertools import pairwise

import numpy as np

from barcodemae.eval.report.colors import PALETTE
from barcodemae.eval.report.maps.points import Coloring


def test_every_point_is_in_its_group_or_among_the_rest():
    coloring = Coloring.of("genus", ["a", None, "b", "b"], "unknown")
    assert [(group.name, group.rows) for group in coloring.groups] == [("b", [2, 3]), ("a", [0])]
    assert coloring.rest == [1]


def test_no_group_is_grey_however_many_there_are():
    coloring = Coloring.of("unit", [f"U{number}" for number in range(40)], "single")
    assert {group.color for group in coloring.groups} == set(PALETTE)


def test_neighbours_in_a_given_order_have_different_colours():
    order = [f"U{number}" for number in (7, 3, 9, 1, 4)]
    colors = {group.name: group.color for group in Coloring.of("u", order, "", order).groups}
    assert all(colors[one] != colors[other] for one, other in pairwise(order))


def test_a_label_stands_at_a_point_of_its_group_whatever_lies_far_away():
    places = np.array([[0, 0], [1, 0], [2, 0], [900, 900], [5, 5]], np.float32)
    (group, _) = Coloring.of("g", ["a", "a", "a", "a", "b"], "").groups
    assert group.anchor(places) in {(1.0, 0.0), (2.0, 0.0)}
