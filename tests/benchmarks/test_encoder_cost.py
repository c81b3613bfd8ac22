"""The cost of an encoder: products are counted, and every model has a row."""

import json
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import encoder_cost
from gpu_data import write_toy_data

from barcodemae.eval.embed.loading import load_embedder


def test_products_are_counted(sites_folder):
    embedder = load_embedder(sites_folder, device="cpu")
    tokens, width, inner, out, layers = 80, 16, 64, 32, 2
    products = layers * (4 * width * width + 2 * width * inner + 2 * tokens * width) + width * out
    assert encoder_cost.forward_flop(embedder) == 2 * tokens * products


def test_every_model_has_a_row_with_its_weights(sites_folder, framed_folder, tmp_path):
    data = write_toy_data(tmp_path / "toy")
    file = tmp_path / "cost.json"
    encoder_cost.main(data, f"{sites_folder},{framed_folder}", 4, file)
    rows = json.loads(file.read_text())["rows"]
    weights = [load_embedder(folder).fingerprint for folder in (sites_folder, framed_folder)]
    assert [row["weights"] for row in rows] == weights
    assert all(row["barcodes_per_cpu_second"] > 0 for row in rows)
