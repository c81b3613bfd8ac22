"""Markers are told from what only looks like one."""

import pytest

from barcodemae.training.data.sources.markers import marker_in_text, marker_of_field


@pytest.mark.parametrize(
    ("field", "marker"),
    [
        ("COI-5P", "COI-5P"),
        ("cox1", "COI-5P"),
        ("rbcLa", "rbcLa"),
        ("16S", "16S"),
        ("Mexico", None),
    ],
)
def test_a_field_is_a_marker_or_none(field, marker):
    assert marker_of_field(field) == marker


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        ("cytochrome c oxidase subunit I (COI) gene", "COI-5P"),
        ("cytochrome oxidase subunit 1 gene", "COI-5P"),
        ("cytochrome oxidase subunit II gene", "COII"),
        ("cytochrome b gene", "CYTB"),
        ("internal transcribed spacer 2", "ITS"),
        ("voucher BIOUG16Sx", None),
    ],
)
def test_running_text_names_a_marker(text, marker):
    assert marker_in_text(text) == marker
