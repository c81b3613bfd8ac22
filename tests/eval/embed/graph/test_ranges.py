"""Ranges are measured once, kept with the weights, and refused with others."""

import shutil

import numpy as np
import pytest

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.graph.encoder_nodes import Range
from barcodemae.eval.embed.graph.graph_embedder import site_codes
from barcodemae.eval.embed.graph.ranges import (
    measure_ranges,
    range_of,
    read_ranges,
    rounded,
    write_ranges,
)
from barcodemae.eval.embed.graph.stored_encoder import read_encoder


@pytest.fixture
def folder(framed_folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(framed_folder, copy)
    return copy


def test_every_linear_layer_has_a_range_around_zero(folder, relatives):
    encoder = read_encoder(folder, "tiny")
    ranges = measure_ranges(encoder, site_codes(encoder, relatives[:8]))
    places = ("projections", "attended", "widened", "narrowed")
    assert list(ranges) == [f"{layer}.{place}" for layer in range(2) for place in places]
    assert all(found.low < 0 < found.high for found in ranges.values())


def test_ranges_are_written_and_read(folder):
    encoder = read_encoder(folder, "tiny")
    write_ranges(folder, encoder, {"0.widened": Range(-1.0, 2.5)})
    assert read_ranges(folder, encoder) == {"0.widened": Range(-1.0, 2.5)}


@pytest.mark.parametrize("damage", ["", "{}", '{"weights": "x", "ranges": {}}', "[]"])
def test_ranges_of_other_weights_or_damaged_ones_are_refused(folder, damage):
    encoder = read_encoder(folder, "tiny")
    with pytest.raises(CheckpointError, match=r"`barcodemae export --onnx` measures them"):
        read_ranges(folder, encoder)
    write_ranges(folder, encoder, {})
    (folder / "onnx/ranges.json").write_text(damage)
    with pytest.raises(CheckpointError, match=r"ranges.json"):
        read_ranges(folder, encoder)


def test_a_range_holds_zero_and_a_size_is_rounded_up():
    assert range_of([np.array([0.5, 1.0]), np.array([0.5, 1.1])]) == Range(0.0, 1.125)
    assert [rounded(size) for size in (0.0, 1.0, 1.01, 9.0)] == [0.0, 1.0, 1.125, 9.0]
