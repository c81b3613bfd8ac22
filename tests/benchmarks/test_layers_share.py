"""The share of the layers: two parts that add up to the embedding, and a record of each share."""

import sys
from pathlib import Path

import numpy as np


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import layers_share
from gpu_data import write_toy_data

from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.report.records import read_records


def test_the_kept_share_gives_the_embedding_and_none_the_table(sites_folder, relatives):
    embedder = load_embedder(sites_folder, device="cpu")
    parts = layers_share.embed_parts(embedder, relatives[:6], kept=0.5)
    np.testing.assert_allclose(parts.at(0.5), embedder.embed(relatives[:6]), atol=1e-5)
    table = layers_share.without_layers(embedder).embed(relatives[:6])
    np.testing.assert_array_equal(parts.at(0), table)
    assert np.abs(parts.layers).max() > 0.1


def test_windows_are_parts_of_their_barcodes_and_the_same_again(relatives):
    cut = layers_share.windows(relatives, 100)
    assert all(len(part) == 100 and part in text for part, text in zip(cut, relatives, strict=True))
    assert cut == layers_share.windows(relatives, 100)
    assert layers_share.windows(["ACGT"], 100) == ["ACGT"]


def test_every_share_and_window_has_a_record(sites_folder, tmp_path):
    data = write_toy_data(tmp_path / "toy")
    layers_share.main(data, tmp_path / "shares.json", str(sites_folder), kept=1.0)
    records = read_records(tmp_path / "shares.json")
    asked = {(r.protocol["layers_share"], r.protocol["queries_cut_to"]) for r in records}
    assert len(asked) == len(records) == 5 * 6
