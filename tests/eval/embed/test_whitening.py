"""A fitted readout equals the formula, and all ways to embed return the same numbers with it."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from transformers import pipeline

from barcodemae.cli import main
from barcodemae.dataset import dataset_hash
from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.readout import load_readout, save_readout
from barcodemae.eval.embed.whitening import fit_whitening
from barcodemae.model_files import hash_weights
from barcodemae.training.data.simulate import write_simulated
from barcodemae.training.export.folders import export


POWERS = [0.0, 0.25, 0.5]


@pytest.fixture
def exported(tiny_model, tokenizer, tmp_path):
    """Both folders of an untrained model whose vectors differ."""
    with torch.no_grad():
        tiny_model.get_input_embeddings().weight.normal_()
    export(tiny_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def vectors():
    """Correlated, off centre, of very different variances: (300, 6)."""
    generator = np.random.default_rng(0)
    scaled = generator.normal(size=(300, 6)) * [5, 3, 2, 1, 0.5, 0.2]
    rotation, _ = np.linalg.qr(generator.normal(size=(6, 6)))
    return (scaled @ rotation + 7).astype(np.float32)


@pytest.fixture
def readout():
    """A readout of the tiny model's width, unlike any other."""
    generator = np.random.default_rng(1)
    return fit_whitening(generator.normal(size=(100, 32)) @ generator.normal(size=(32, 32)) + 1)


def embed_with_handler(folder, barcodes):
    spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answers = module.EndpointHandler(str(folder))({"inputs": barcodes})
    return np.array([answer["embedding"] for answer in answers])


def embed_in_every_way(folder, barcodes):
    embed = pipeline("dna-embedding", model=str(folder), trust_remote_code=True)
    return {
        "full": load_embedder(folder).embed(barcodes),
        "encoder": load_embedder(folder / "encoder").embed(barcodes),
        "sentence-transformers": SentenceTransformer(str(folder / "encoder")).encode(barcodes),
        "pipeline": np.array(embed(barcodes, batch_size=3)),
        "handler": embed_with_handler(folder, barcodes),
    }


@pytest.mark.parametrize("power", POWERS)
def test_the_fit_is_the_formula_up_to_scale_and_sign(vectors, power):
    fitted = fit_whitening(vectors, power)(vectors)
    exact = vectors.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    # Singular values, where the fit takes eigenvalues of the covariance.
    _, singular_values, axes = np.linalg.svd(centred, full_matrices=False)
    variances = singular_values**2 / len(vectors)
    expected = centred @ axes.T * variances**-power
    expected /= np.sqrt((expected**2).sum(axis=1).mean())
    expected *= np.sign((expected * fitted).sum(axis=0))
    np.testing.assert_allclose(fitted, expected, atol=1e-4)
    assert (fitted**2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(fitted.mean(axis=0), 0, atol=1e-5)


def test_full_whitening_leaves_all_axes_equal_and_uncorrelated(vectors):
    fitted = fit_whitening(vectors, 0.5)(vectors)
    np.testing.assert_allclose(np.cov(fitted, rowvar=False, bias=True), np.eye(6) / 6, atol=1e-4)


def test_partial_whitening_keeps_the_order_of_the_variances(vectors):
    deviations = fit_whitening(vectors, 0.25)(vectors).std(axis=0)
    assert (np.diff(deviations) < 0).all()


def test_each_axis_points_to_where_its_largest_entry_is_positive(vectors):
    weight = fit_whitening(vectors).weight
    assert (weight[np.arange(6), np.abs(weight).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(fit_whitening(vectors[::-1]).weight, weight, rtol=1e-3, atol=1e-5)


def test_an_axis_without_variance_stays_finite(vectors):
    flat = vectors.copy()
    flat[:, 5] = flat[:, 4]
    layer = fit_whitening(flat, 0.5)
    assert np.isfinite(layer.weight).all()
    assert np.linalg.norm(layer(flat), axis=1).max() < 10


@pytest.mark.parametrize(
    ("rows", "power", "message"),
    [(1, 0.25, "at least 2"), (300, 0.6, "power must be"), (300, -0.1, "power must be")],
)
def test_vectors_that_cannot_be_whitened_are_refused(vectors, rows, power, message):
    with pytest.raises(SettingsError, match=message):
        fit_whitening(vectors[:rows], power)


def test_equal_vectors_are_refused():
    with pytest.raises(SettingsError, match="nothing to whiten"):
        fit_whitening(np.ones((5, 3)))


def test_a_saved_readout_is_loaded_as_it_was_and_the_second_replaces_the_first(exported, readout):
    for folder in (exported, exported / "encoder"):
        save_readout(folder, fit_whitening(np.random.default_rng(2).normal(size=(50, 32))))
        save_readout(folder, readout)
        (step,) = load_readout(folder).steps
        np.testing.assert_array_equal(step.weight, readout.weight)
        np.testing.assert_array_equal(step.bias, readout.bias)
        modules = json.loads((folder / "modules.json").read_text())
        assert [module["path"] for module in modules] == ["", "1_Pooling", "2_Dense"]
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_readout_of_another_width_is_refused_and_changes_nothing(exported, vectors):
    before = hash_weights(exported)
    with pytest.raises(CheckpointError, match="32 wide, but the readout is for 6"):
        save_readout(exported, fit_whitening(vectors))
    assert hash_weights(exported) == before
    assert not (exported / "2_Dense").exists()


def test_a_full_disk_leaves_the_readout_that_was_there(exported, readout, monkeypatch):
    save_readout(exported, readout)
    before = {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()}

    def fill_disk(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("barcodemae.eval.embed.readout.save_file", fill_disk)
    with pytest.raises(CheckpointError, match=r"readout cannot be written: .*No space left"):
        save_readout(exported, fit_whitening(np.random.default_rng(2).normal(size=(50, 32))))
    assert {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()} == before


def test_every_way_to_embed_applies_the_readout(exported, readout, barcodes):
    plain = load_embedder(exported).embed(barcodes)
    save_readout(exported, readout)
    save_readout(exported / "encoder", readout)
    expected = plain @ readout.weight.T + readout.bias
    assert np.abs(expected - plain).max() > 0.1
    for way, found in embed_in_every_way(exported, barcodes).items():
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=way)


def test_a_normalize_module_is_applied_by_the_pipeline_too(exported, readout, barcodes):
    save_readout(exported, readout)
    listing = exported / "modules.json"
    kind = "sentence_transformers.models.Normalize"
    modules = json.loads(listing.read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Normalize", "type": kind})
    listing.write_text(json.dumps(modules))
    embed = pipeline("dna-embedding", model=str(exported), trust_remote_code=True)
    found = load_embedder(exported).embed(barcodes)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embed(barcodes), found, atol=1e-5)
    save_readout(exported, readout)
    assert [module["path"] for module in json.loads(listing.read_text())][2:] == [
        "2_Dense", "3_Normalize",
    ]  # fmt: skip


def test_the_pipeline_refuses_a_module_it_cannot_apply(exported, readout):
    save_readout(exported, readout)
    listing = exported / "modules.json"
    listing.write_text(listing.read_text().replace(".Dense", ".LSTM"))
    with pytest.raises(ValueError, match="module LSTM is not supported"):
        pipeline("dna-embedding", model=str(exported), trust_remote_code=True)


def test_the_fingerprint_covers_the_readout(exported, readout, vectors):
    plain = hash_weights(exported)
    save_readout(exported, readout)
    first = hash_weights(exported)
    other = fit_whitening(np.random.default_rng(3).normal(size=(50, 32)))
    save_readout(exported, other)
    assert len({plain, first, hash_weights(exported)}) == 3
    assert load_embedder(exported).fingerprint == hash_weights(exported)


def test_a_library_made_with_another_readout_is_refused(exported, dataset_folder, tmp_path, capsys):
    library = tmp_path / "lib"
    model = str(exported / "encoder")
    assert main(["index", str(dataset_folder), "--model", model, "-o", str(library)]) == 0
    fit = ["whiten", model, "--data", str(dataset_folder), "--splits", "train"]
    assert main(fit) == 0
    fasta = tmp_path / "one.fasta"
    fasta.write_text(">one\n" + "ACGTTTACGAAA" * 10 + "\n")
    capsys.readouterr()
    assert main(["identify", str(fasta), "--model", model, "--reference", str(library)]) == 2
    assert "weights" in capsys.readouterr().err


def test_export_carries_the_readout_to_both_folders(exported, readout, barcodes, tmp_path):
    save_readout(exported, readout, fitted_on={"power": 0.25})
    shutil.rmtree(exported / "encoder")
    clean = tmp_path / "clean"
    assert main(["export", str(exported), "-o", str(clean)]) == 0
    expected = load_embedder(exported).embed(barcodes)
    for way, found in embed_in_every_way(clean, barcodes).items():
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=way)
    for folder in (clean, clean / "encoder"):
        assert json.loads((folder / "2_Dense" / "fitted_on.json").read_text()) == {"power": 0.25}


def test_other_weights_in_the_same_folder_lose_the_old_readout(
    exported, readout, tiny_model, tokenizer
):
    save_readout(exported, readout)
    save_readout(exported / "encoder", readout)
    export(tiny_model, tokenizer, exported)
    for folder in (exported, exported / "encoder"):
        assert load_readout(folder).steps == ()
        assert not (folder / "2_Dense").exists()


def test_whiten_fits_on_the_plain_mean_of_simulated_barcodes(exported, tmp_path, capsys):
    data = tmp_path / "data"
    write_simulated(data, num_species=48, barcodes_per_species=4)
    fit = ["whiten", str(exported), "--data", str(data), "--sample", "40", "--power", "0.5"]
    assert main([*fit, "--seed", "3"]) == 0
    first = load_readout(exported).steps[0]
    output = capsys.readouterr()
    assert output.out == ""
    assert "fitted on 40 barcodes" in output.err
    for folder in (exported, exported / "encoder"):
        assert json.loads((folder / "2_Dense" / "fitted_on.json").read_text()) == {
            "dataset": "data", "dataset_hash": dataset_hash(data), "num_barcodes": 40,
            "splits": ["pretrain", "train"], "power": 0.5, "seed": 3,
        }  # fmt: skip
    # The same again, now that a readout is stored: it must not be fitted on its own output.
    assert main([*fit, "--seed", "3"]) == 0
    np.testing.assert_array_equal(load_readout(exported).steps[0].weight, first.weight)
    assert main([*fit, "--seed", "4"]) == 0
    assert np.abs(load_readout(exported).steps[0].weight - first.weight).max() > 1e-3
    np.testing.assert_array_equal(
        load_readout(exported).steps[0].weight, load_readout(exported / "encoder").steps[0].weight
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--power", "2"], "power must be"),
        (["--sample", "1"], "at least 2 barcodes"),
        (["--splits", "nowhere"], "no rows in split"),
        (["--sample", "3"], "3 usable barcodes for vectors of "),
    ],
)
def test_whiten_says_in_one_line_what_is_wrong(
    exported, dataset_folder, capsys, arguments, message
):
    assert main(["whiten", str(exported), "--data", str(dataset_folder), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (exported / "2_Dense").exists()
