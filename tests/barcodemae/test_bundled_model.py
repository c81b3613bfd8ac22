"""The models that come with the package: small, complete, and with histories of their own."""

import json

import numpy as np
import pytest

from barcodemae import fasta
from barcodemae.default_model import bundled_folders
from barcodemae.demonstration import QUERIES
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.identify.reference.library import SAME_VECTOR
from barcodemae.eval.report.records import read_records
from barcodemae.eval.search.reference_search import unit_length


LARGEST_MB = 30
BARCODE = "AACATTATATTTTATTTTTGGAGCTTGAGCAGGAATAGTAGGAACTTCTTTAAGTATTTTAATTCGTGCTGAATTAGGACATCC"


@pytest.fixture(scope="module", params=["default", "default@1"])
def default(request):
    return load_embedder(request.param)


def test_they_are_small_and_in_safetensors():
    files = [path for folder in bundled_folders() for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST_MB * 1e6
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pkl", ".py"}]


def test_a_changed_letter_moves_an_embedding_less_than_another_barcode_does(default):
    changed = BARCODE[:40] + "C" + BARCODE[41:]
    other = "".join(reversed(BARCODE))
    vectors = default.embed([BARCODE, changed, other])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def random_barcodes(number):
    generator = np.random.default_rng(0)
    return ["".join(generator.choice(list("ACGT"), 648 + 6 * (i % 3))) for i in range(number)]


@pytest.mark.number_format
@pytest.mark.parametrize("model", ["default", "default@1"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_size_of_a_batch_changes_no_bit_of_an_embedding(model, dtype):
    barcodes = random_barcodes(24)
    expected = load_embedder(model, dtype=dtype, batch_size=1).embed(barcodes)
    for batch_size in (3, 64):
        found = load_embedder(model, dtype=dtype, batch_size=batch_size).embed(barcodes)
        np.testing.assert_array_equal(found, expected)


def test_with_onnx_runtime_no_bit_depends_on_what_is_embedded_beside_it():
    """How it sums depends on the rows and tokens of a batch, at the sizes of a real model."""
    embedder = load_embedder("default", engine="onnx")
    whole = [record.sequence for record in fasta.read_records(str(QUERIES))]
    generator = np.random.default_rng(0)
    cuts = np.sort(generator.integers(0, 600, (60, 2)), axis=1)
    windows = [whole[n % len(whole)][first : last + 40] for n, (first, last) in enumerate(cuts)]
    invalid = embedder.find_invalid([*whole, *windows])
    every = [text for n, text in enumerate([*whole, *windows]) if n not in invalid]
    together = embedder.embed(every)
    for size in (1, 1, 1, 2, 3, 17):
        rows = generator.choice(len(every), size, replace=False)
        np.testing.assert_array_equal(embedder.embed([every[n] for n in rows]), together[rows])


@pytest.mark.number_format
def test_the_number_format_changes_an_embedding_less_than_a_library_allows(default):
    barcodes = random_barcodes(24)
    exact, rounded = (
        unit_length(embedder.embed(barcodes))
        for embedder in (default, load_embedder(default.name, dtype="bfloat16"))
    )
    assert (1 - np.einsum("nd,nd->n", exact, rounded)).max() < SAME_VECTOR


def test_its_records_were_measured_on_these_weights(default):
    records = [
        record
        for path in (default.folder / "results").glob("*.json")
        for record in read_records(path)
    ]
    own = [record for record in records if record.weights == default.fingerprint]
    assert {(record.probe, record.metric) for record in own} >= {
        ("1nn", "accuracy"),
        ("zsc", "ami"),
    }
    assert all(
        record.protocol["queries"] == "test_unseen" for record in own if record.probe == "1nn"
    )


@pytest.mark.parametrize(("version", "recipe"), [(0, "compact"), (1, "bundled")])
def test_its_settings_and_history_belong_together_and_name_no_machine(version, recipe):
    folder = bundled_folders()[version]
    settings = json.loads((folder / "settings.json").read_text())
    history = json.loads((folder / "history.json").read_text())
    assert settings["recipe"] == recipe
    assert "/" not in settings["data"] + settings["output"]
    last = [record for record in history if "epoch" in record][-1]
    assert (
        last["epoch"] == pytest.approx(settings["epochs"], abs=0.01)
        or last["step"] == settings["max_steps"]
    )
