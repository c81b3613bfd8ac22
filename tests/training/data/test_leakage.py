"""Shared barcodes are counted as by a search letter by letter."""

from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barcodemae.dataset import SPLITS
from barcodemae.training.data import leakage
from barcodemae.training.data.leakage import ANCHOR_BP, leakage_report


def write(directory, rows):
    directory.mkdir(exist_ok=True)
    columns = {
        "processid": [f"P{number}" for number in range(len(rows))],
        "dna_barcode": [barcode for barcode, _ in rows],
        "split": [split for _, split in rows],
    }
    pq.write_table(pa.table(columns), directory / "t.parquet")
    return directory


def search(rows, is_found):
    report = {}
    for mine, other in product(SPLITS, SPLITS):
        others = [barcode for barcode, split in rows if split == other]
        count = sum(
            any(is_found(barcode, longer) for longer in others)
            for barcode, split in rows
            if split == mine
        )
        if count and mine != other:
            report.setdefault(mine, {})[other] = count
    return report


def is_proper_part(barcode, longer):
    return barcode != longer and len(barcode) >= ANCHOR_BP and barcode in longer


LETTERS = "".join(np.random.default_rng(0).choice(list("ACGTN"), 120))
# Windows of one string: plenty of identity and containment.
WINDOWS = st.tuples(st.integers(0, 60), st.integers(8, 60)).map(
    lambda window: LETTERS[window[0] : window[0] + window[1]]
)


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(WINDOWS, st.sampled_from(SPLITS[:4])), min_size=1, max_size=15))
def test_the_report_is_that_of_a_search_letter_by_letter(tmp_path_factory, rows):
    report = leakage_report(write(tmp_path_factory.mktemp("d"), rows))
    assert report["identical"] == search(rows, str.__eq__)
    assert report["contained"] == search(rows, is_proper_part)


@pytest.mark.parametrize("rows_per_block", [1, 3, 4096])
def test_blocks_make_no_difference(tmp_path, monkeypatch, rows_per_block):
    rows = [(LETTERS[start : start + 40], SPLITS[start % 3]) for start in range(0, 60, 5)]
    rows += [(LETTERS, "train"), (LETTERS[10:60], "test")]
    monkeypatch.setattr(leakage, "ROWS_PER_BLOCK", rows_per_block)
    report = leakage_report(write(tmp_path / "d", rows))
    assert report["contained"] == search(rows, is_proper_part)
    assert report["contained"]["test"] == {"train": 1}


def test_a_window_across_two_barcodes_does_not_count(tmp_path):
    rows = [(LETTERS[:50], "train"), (LETTERS[50:100], "train"), (LETTERS[30:70], "test")]
    assert leakage_report(write(tmp_path / "d", rows))["contained"] == {}


def test_a_clean_data_set_has_an_empty_report(tmp_path):
    rows = [("A" * 40 + "C", "train"), ("G" * 40 + "C", "test")]
    assert leakage_report(write(tmp_path / "d", rows)) == {"identical": {}, "contained": {}}


def test_progress_reaches_the_number_of_rows(tmp_path):
    seen = []
    leakage_report(write(tmp_path / "d", [("ACGT" * 10, "train")] * 3), seen.append)
    assert seen[-1] == 3
