"""`default` means the bundled model; other names pass through; a missing bundle is said so."""

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard

from barcodemae import BarcodeMAEForPreTraining, default_model
from barcodemae.cli import main
from barcodemae.default_model import OLDER_VERSIONS, resolve_model, version_with
from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.training.export.folders import export, export_full
from barcodemae.training.run.pretrain_settings import PretrainConfig


FULL, NATIVE = "lab/barcodes", "lab/barcodes-encoder"


@pytest.fixture
def bundled(tiny_model, tokenizer, tmp_path, monkeypatch):
    """A bundle as the package ships it: the full model in bf16, its run, its results, its card."""
    folder = tmp_path / "site" / "default"
    export_full(tiny_model, tokenizer, folder, dtype=torch.bfloat16)
    monkeypatch.setattr(default_model, "BUNDLED_FOLDER", folder)
    PretrainConfig(data=tmp_path / "reference", output=folder, recipe="tiny", max_steps=40).save(
        folder / "settings.json"
    )
    (folder / "history.json").write_text(json.dumps([{"step": 40, "loss": 3.5, "seconds": 3600.0}]))
    (folder / "results").mkdir()
    record = {"dataset": "simulated", "probe": "1nn", "metric": "accuracy"}
    weights = load_embedder("default").fingerprint
    write_records(
        folder / "results" / "genus.json",
        [ResultRecord(model="default", value=61.5, weights=weights, **record),
         ResultRecord(model="kmer:6", value=71.5, weights="kmer:6", **record)],
    )  # fmt: skip
    return folder


def test_other_names_pass_through(tmp_path):
    assert resolve_model("bioscan-ml/BarcodeMAE") == "bioscan-ml/BarcodeMAE"
    assert resolve_model(tmp_path) == str(tmp_path)


def test_a_missing_bundle_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "BUNDLED_FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="bundled model is missing"):
        resolve_model("default")


def test_a_version_is_named_by_its_number():
    assert resolve_model("default@2") == resolve_model("default")
    older = resolve_model("default@1")
    assert older != resolve_model("default")
    assert load_embedder("default@1").fingerprint == OLDER_VERSIONS["default@1"].weights
    with pytest.raises(CheckpointError, match="has the versions default@1, default@2"):
        resolve_model("default@3")


def test_default_means_the_version_that_a_library_was_made_with():
    weights = OLDER_VERSIONS["default@1"].weights
    assert version_with("default", weights) == "default@1"
    assert version_with("default", load_embedder("default").fingerprint) == "default"
    assert version_with("default@2", weights) == "default@2"
    assert version_with("lab/model", weights) == "lab/model"


def test_the_bundled_model_is_published_from_its_name_with_its_own_run_and_results(
    bundled, tmp_path, capsys
):
    out = tmp_path / "mine"
    assert main(["export", "--model", "default", "--out", str(out), "--dtype", "bfloat16"]) == 0
    assert (out / "model.safetensors").read_bytes() == (bundled / "model.safetensors").read_bytes()
    assert load_embedder(out / "encoder").embed(["ACGTACGTTTAA"]).shape == (1, 32)
    assert main(["card", str(out), "--repo-id", FULL, "--native", NATIVE]) == 0
    for folder in (out, out / "encoder"):
        card = ModelCard.load(folder / "README.md")
        assert [result.metric_value for result in card.data.eval_results] == [61.5]
        assert "71.5" in card.text
        assert "The run took 40 steps and 60 min." in card.text
        assert (folder / "figures" / "loss.png").is_file()
    capsys.readouterr()
    assert main(["push", str(out), FULL, "--native", NATIVE, "--dry-run"]) == 0
    listed = {tuple(line.split("\t")[:2]) for line in capsys.readouterr().out.splitlines()}
    assert {(FULL, "model.safetensors"), (NATIVE, "model.safetensors")} <= listed
    assert not {name for _, name in listed if name.startswith(("results", "history", "settings"))}


def test_other_weights_borrow_neither_run_nor_results_of_the_bundled_model(
    bundled, make_config, tokenizer, tmp_path
):
    torch.manual_seed(1)
    export(BarcodeMAEForPreTraining(make_config()), tokenizer, tmp_path / "other")
    assert main(["card", str(tmp_path / "other"), "--repo-id", FULL]) == 0
    card = (tmp_path / "other" / "README.md").read_text()
    assert "No probe has been recorded for these weights." in card
    assert "The record of the run is not part of this folder." in card


def test_an_encoder_that_is_not_stock_is_published_with_its_code(sites_folder, tmp_path, capsys):
    folder = shutil.copytree(sites_folder, tmp_path / "mine")
    assert main(["card", str(folder), "--repo-id", FULL, "--native", NATIVE]) == 0
    card = (folder / "encoder" / "README.md").read_text()
    assert "with its code" in card
    assert "trust_remote_code=True" in card
    assert "cannot serve this folder" in card
    capsys.readouterr()
    assert main(["push", str(folder), FULL, "--native", NATIVE, "--dry-run"]) == 0
    listed = {tuple(line.split("\t")[:2]) for line in capsys.readouterr().out.splitlines()}
    for name in ("modeling_barcodemae.py", "site_embeddings_barcodemae.py"):
        assert {(FULL, name), (NATIVE, name)} <= listed


@pytest.mark.parametrize("arguments", [[], ["somewhere", "--model", "default"]])
def test_export_wants_exactly_one_model(arguments, tmp_path, capsys):
    assert main(["export", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert "either MODEL_DIR or --model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
