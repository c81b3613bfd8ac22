"""`default` means the bundled model; other names pass through; a missing bundle is said so."""

import pytest

from barcodemae import default_model
from barcodemae.default_model import resolve_model
from barcodemae.errors import CheckpointError


def test_other_names_pass_through(tmp_path):
    assert resolve_model("bioscan-ml/BarcodeMAE") == "bioscan-ml/BarcodeMAE"
    assert resolve_model(tmp_path) == str(tmp_path)


def test_a_missing_bundle_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "BUNDLED_FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="bundled model is missing"):
        resolve_model("default")
