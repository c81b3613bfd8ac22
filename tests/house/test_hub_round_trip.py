"""Exported folders give the same numbers in a process where barcodemae cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from barcodemae import BarcodeMAEForMaskedLM, BarcodeMAEModel, masked_mean
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.training.export.folders import export


PROGRAM = Path(__file__).with_name("open_without_package.py")


@pytest.fixture
def exported(tiny_model, tokenizer, tmp_path):
    """A folder with both artefacts of the tiny model."""
    with torch.no_grad():  # as after training: the [UNK] row is not special
        tiny_model.get_input_embeddings().weight.normal_()
    export(tiny_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


def assert_same(found, expected):
    """But for the last bits, which depend on how weights happen to be aligned in memory."""
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def open_without_package(mode, folder, tmp_path):
    """Run the program beside this file offline, with empty caches; return tensors and origins."""
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_MODULES_CACHE", "HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
        environment.pop(name, None)
    out = tmp_path / "out.safetensors"
    finished = subprocess.run(
        [
            *(sys.executable, "-I", str(PROGRAM)),
            *(mode, str(folder), str(out), str(torch.get_num_threads())),
        ],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,  # transformers would ask whether code may run
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return load_file(out), json.loads(finished.stdout)


@torch.no_grad()
def test_the_full_folder_opens_with_remote_code_for_every_auto_class(
    exported, tiny_model, tmp_path
):
    found, origins = open_without_package("full", exported, tmp_path)
    assert "0 bases after clean-up" in origins.pop("guard")
    remote = "transformers_modules"
    assert origins == {
        "AutoTokenizer": [remote, "BarcodeKmerTokenizer"],
        "AutoModel": [remote, "BarcodeMAEModel"],
        "AutoModelForPreTraining": [remote, "BarcodeMAEForPreTraining"],
        "AutoModelForMaskedLM": [remote, "BarcodeMAEForMaskedLM"],
        "AutoModelForSequenceClassification": [remote, "BarcodeMAEForSequenceClassification"],
    }
    batch = {name: found[name] for name in ("input_ids", "attention_mask")}
    assert (batch["input_ids"] == tiny_model.config.mask_token_id).any()
    encoder = BarcodeMAEModel.from_pretrained(exported)
    hidden = encoder(**batch).last_hidden_state
    assert_same(found["AutoModel"], hidden)
    for name in ("PreTraining", "MaskedLM", "SequenceClassification"):
        assert_same(found[f"AutoModelFor{name}.hidden"], hidden)
    assert_same(found["AutoModelForPreTraining"], tiny_model(**batch).logits)
    masked_lm = BarcodeMAEForMaskedLM.from_pretrained(exported)
    assert_same(found["AutoModelForMaskedLM"], masked_lm(**batch).logits)
    assert found["AutoModelForSequenceClassification"].shape == (3, 2)


@torch.no_grad()
def test_the_native_folder_opens_without_any_custom_code(exported, tiny_model, tmp_path):
    found, origins = open_without_package("native", exported / "encoder", tmp_path)
    assert origins["AutoModel"] == ["transformers", "BertModel"]
    assert origins["AutoTokenizer"][0] == "transformers"
    assert not list((tmp_path / "hf").rglob("modeling_barcodemae.py"))
    batch = {name: found[name] for name in ("input_ids", "attention_mask")}
    hidden = tiny_model.barcodemae(**batch).last_hidden_state
    assert_same(found["AutoModel"], hidden)
    torch.testing.assert_close(
        found["SentenceTransformer"],
        masked_mean(hidden, batch["attention_mask"]),
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(found["pipeline"][0], hidden[0, :4], atol=1e-5, rtol=0)


@torch.no_grad()
def test_framed_folders_read_letters_with_remote_code_only_and_embed_alike(framed_folder, tmp_path):
    found, origins = open_without_package("framed", framed_folder, tmp_path)
    full, native = origins["refusals"]
    assert "trust_remote_code" in full
    assert native.startswith("opened ")  # what reads framed text, and makes no token of letters
    assert origins["unplaced"] == [[]] * len(origins["fragments"])
    for name in ("AutoTokenizer", "pipeline"):
        assert origins[name] == ["transformers_modules", "BarcodeKmerTokenizer"]
    assert found["attention_mask"][:, 0].tolist() == [1, 0, 0, 1]
    expected = torch.from_numpy(load_embedder(framed_folder).embed(origins["fragments"]))
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)
    for name in ("AutoModel", "SentenceTransformer", "pipeline"):
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=0)
