"""Only complete and safe folders without other files can be published; errors name the file."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import torch

from barcodemae.cli import main
from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.model_embedder import hash_weights
from barcodemae.eval.embed.readout import save_readout
from barcodemae.eval.embed.whitening import fit_whitening
from barcodemae.model_cards.model_folder import ModelFolder
from barcodemae.model_cards.push import plan_push


FULL, NATIVE = "lab/tiny", "lab/tiny-encoder"


def test_both_folders_of_an_exported_model_with_cards_can_be_published(carded):
    ModelFolder(carded).check_publishable()
    ModelFolder(carded / "encoder").check_publishable()


def test_fingerprints_are_those_of_the_probes(exported):
    for folder in (exported, exported / "encoder"):
        assert ModelFolder(folder).fingerprint() == hash_weights(folder)


def test_a_readout_belongs_to_a_folder_and_must_be_whole(exported):
    layer = fit_whitening(np.random.default_rng(0).normal(size=(50, 32)))
    for folder in (exported, exported / "encoder"):
        assert not ModelFolder(folder).has_readout
        save_readout(folder, layer, fitted_on={"power": 0.25})
        assert ModelFolder(folder).has_readout
        assert ModelFolder(folder).fingerprint() == hash_weights(folder)
    assert main(["card", str(exported), "--repo-id", FULL, "--native", NATIVE]) == 0
    for folder in (exported, exported / "encoder"):
        ModelFolder(folder).check_publishable()
        weights = folder / "2_Dense" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-8])
        with pytest.raises(CheckpointError, match="its header says"):
            ModelFolder(folder).check_publishable()
        weights.unlink()
        with pytest.raises(CheckpointError, match=r"2_Dense/model.safetensors missing"):
            ModelFolder(folder).check_publishable()


def test_without_a_card_nothing_is_published(exported, capsys):
    assert main(["push", str(exported), FULL, "--dry-run"]) == 2
    assert "no card; run `barcodemae card" in capsys.readouterr().err


def test_a_card_that_opens_another_repository_is_refused(carded):
    with pytest.raises(CheckpointError, match="does not open lab/renamed"):
        plan_push(ModelFolder(carded), "lab/renamed")


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "modeling_barcodemae.py", "pipeline_barcodemae.py",
     "handler.py", "requirements.txt", "model.safetensors", "encoder/modules.json",
     "encoder/1_Pooling/config.json", "encoder/tokenizer_config.json"],
)  # fmt: skip
def test_an_incomplete_folder_is_refused(carded, name):
    (carded / name).unlink()
    folder = carded / "encoder" if name.startswith("encoder/") else carded
    named = "*.safetensors" if name == "model.safetensors" else name.removeprefix("encoder/")
    with pytest.raises(CheckpointError, match=re.escape(named)):
        ModelFolder(folder).check_publishable()


@pytest.mark.parametrize(
    "name",
    ["notes.txt", ".model.safetensors.tmp", "modeling_other.py", "best/config.json",
     "checkpoints/step-00000005/state.json", "figures/map.svg", "deep/figures/map.png"],
)  # fmt: skip
def test_a_folder_with_anything_else_in_it_is_refused(carded, name):
    (carded / name).parent.mkdir(parents=True, exist_ok=True)
    (carded / name).write_text("mine")
    with pytest.raises(CheckpointError, match=rf"{name}: does not belong"):
        ModelFolder(carded).check_publishable()


@pytest.mark.parametrize(
    "name", ["weights.bin", "optimizer.pt", "figures/map.png", "model-00001-of-00002.safetensors"]
)
@pytest.mark.parametrize("writes", ["pickle", "torch"])
def test_pickles_are_refused_under_any_name(carded, name, writes):
    (carded / name).parent.mkdir(exist_ok=True)
    if writes == "pickle":
        (carded / name).write_bytes(pickle.dumps({"weights": [1.0]}))
    else:
        torch.save({"weights": torch.ones(1)}, carded / name)
    with pytest.raises(CheckpointError, match=rf"{name}: may hold a pickle"):
        ModelFolder(carded).check_publishable()


def test_links_are_refused(carded, tmp_path):
    shutil.move(carded / "model.safetensors", tmp_path / "elsewhere.safetensors")
    (carded / "model.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(CheckpointError, match="is a link"):
        ModelFolder(carded).check_publishable()


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_weights_are_refused(carded, kept):
    weights = carded / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .*(truncated|header says)"):
        ModelFolder(carded).check_publishable()


def test_a_missing_shard_is_named(carded):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (carded / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors missing"):
        ModelFolder(carded).check_publishable()


def test_pictures_and_python_caches_are_accepted(carded):
    (carded / "figures").mkdir()
    (carded / "figures" / "map.png").write_bytes(b"\x89PNG")
    (carded / "__pycache__").mkdir()
    (carded / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"cache")
    folder = ModelFolder(carded)
    folder.check_publishable()
    assert not [file for file in folder.files() if "__pycache__" in file.parts]


@pytest.mark.parametrize("content", [None, "{}", "[]", "{", '{"model_type": "gpt2"}'])
def test_a_folder_without_a_model_is_named(tmp_path, content, capsys):
    folder = tmp_path / "thesis"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    for command in (["card", str(folder)], ["push", str(folder), FULL, "--dry-run"]):
        assert main(command) == 2
        assert "thesis" in capsys.readouterr().err


def test_exporting_a_folder_again_keeps_its_fingerprint(exported, tmp_path):
    """Records of a run's own folder must still name the weights of the published one."""
    assert main(["export", str(exported), "--out", str(tmp_path / "clean")]) == 0
    for part in (".", "encoder"):
        before, after = (ModelFolder(root / part) for root in (exported, tmp_path / "clean"))
        assert after.fingerprint() == before.fingerprint()
