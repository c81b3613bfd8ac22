"""The label-aided comparison: which labels are hidden, and what is measured."""

import json

import label_aided
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.dataset import read_splits
from barcodemae.eval.report.records import read_records
from barcodemae.eval.search.nearest import Neighbors


@pytest.fixture
def settings(tiny):
    """Settings of a tiny model with a tower of its own, and a decoder."""
    decoder = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    sizes = {f"decoder_{name}": size for name, size in decoder.items()}
    return json.dumps({**json.loads(tiny), **sizes, "tower_size": 12, "max_steps": 2})


@pytest.fixture(scope="module")
def data(data):
    """The toy data set, some of it held out as well."""
    table = pq.read_table(data / "val.parquet")
    other = pa.array(["other_heldout"] * table.num_rows)
    table = table.set_column(table.schema.get_field_index("split"), "split", other)
    pq.write_table(table, data / "other_heldout.parquet")
    return data


def genera(folder, split):
    return read_splits(folder, [split], ("genus",))["genus"].to_pylist()


def test_chosen_genera_lose_their_labels_where_a_model_is_trained_and_nowhere_else(data, tmp_path):
    hidden = label_aided.genera_without_labels(data)
    assert 0 < len(hidden) < len(set(genera(data, "train")))
    label_aided.write_without_labels(data, tmp_path / "copy", hidden)
    before, after = genera(data, "train"), genera(tmp_path / "copy", "train")
    assert after == [None if name in hidden else name for name in before]
    assert genera(tmp_path / "copy", "val_unseen") == genera(data, "val_unseen")


def test_novelty_is_whole_where_all_that_is_new_is_farther():
    near = Neighbors(np.zeros(3, np.int64), np.array([0.9, 0.95, 1.0]))
    far = Neighbors(np.zeros(2, np.int64), np.array([0.5, 0.6]))
    assert label_aided.novelty(near, far).value == 100
    assert label_aided.novelty(far, near).value == 0


def test_every_weight_is_trained_once_and_asked_the_same(data, settings, tmp_path):
    asked = (data, tmp_path / "out", tmp_path / "records.json")
    label_aided.main(*asked, weights="0.5", threads=1, settings=settings)
    records = read_records(tmp_path / "records.json")
    by_model = {}
    for record in records:
        by_model.setdefault(record.model, {})[record.metric] = record.value
    assert list(by_model) == ["bundled, no labels", "genus loss, weight 0.5"]
    assert all(len(metrics) == 6 for metrics in by_model.values())
    weights = {record.model: record.weights for record in records}
    assert len(set(weights.values())) == 2
