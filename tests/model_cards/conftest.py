"""Exported folders with cards, and a local Hub to push them to."""

import importlib.util
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from barcodemae.cli import main
from barcodemae.training.export.folders import export


FULL, NATIVE = "lab/tiny", "lab/tiny-encoder"


def load_local_hub():
    spec = importlib.util.spec_from_file_location(
        "local_hub", Path(__file__).with_name("local_hub.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder for files that are made once, since the tiny model is the same in every test."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def exported(tiny_model, tokenizer, made, tmp_path):
    """The full folder of the tiny model, with its native encoder."""
    if not (made / "model").exists():
        with torch.no_grad():  # as after training: the [UNK] row is not special
            tiny_model.get_input_embeddings().weight.normal_()
        export(tiny_model, tokenizer, made / "model")
    shutil.copytree(made / "model", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def carded(exported, made):
    """The exported folder with its two cards."""
    if not (made / "carded").exists():
        assert main(["card", str(exported), "--repo-id", FULL, "--native", NATIVE]) == 0
        shutil.copytree(exported, made / "carded")
    shutil.copytree(made / "carded", exported, dirs_exist_ok=True)
    return exported


@pytest.fixture
def hub(monkeypatch):
    """A local Hub that this process is logged in to; waits between attempts are skipped."""
    module = load_local_hub()
    monkeypatch.setenv("HF_TOKEN", module.TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    # Large files go by the LFS protocol, which a test server can speak; xet is another service.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with module.LocalHub() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
