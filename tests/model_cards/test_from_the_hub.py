"""Pushed models open by name and revision from an empty folder; the code of their cards runs."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from barcodemae import BarcodeMAEModel, masked_mean
from barcodemae.cli import main
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.readout import save_readout
from barcodemae.eval.embed.whitening import fit_whitening


PROGRAM = Path(__file__).with_name("open_from_hub.py")
FULL, NATIVE = "lab/tiny", "lab/tiny-encoder"
BARCODES = ["ACGTACGTTTAA", "TTTGGGCCCAAATTT"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def visitor(hub, tmp_path):
    """Run a command as somebody with an empty folder, an empty cache and no login."""
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "TRANSFORMERS_")) or name.endswith("_TIMEOUT")
    } | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(*command):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder
    return run


@torch.no_grad()
def test_both_repositories_open_by_name_and_revision_and_their_cards_run(
    carded, hub, visitor, capsys, tokenizer
):
    assert main(["push", str(carded), FULL, "--native", NATIVE]) == 0
    revisions = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    # Later weights on main: cards open main, a pinned revision must still open the first ones.
    for repo in (FULL, NATIVE):
        _, files = hub.head(repo)
        later = {name: 2 * value for name, value in load(files["model.safetensors"]).items()}
        weights = save(later, metadata={"format": "pt"})
        hub.repos[repo].commit({**files, "model.safetensors": weights}, "train on")
    found = json.loads(
        visitor(
            *(sys.executable, "-I", str(PROGRAM)), *(FULL, revisions[FULL]),
            *(NATIVE, revisions[NATIVE]),
        )
    )  # fmt: skip
    model = BarcodeMAEModel.from_pretrained(carded)
    batch = tokenizer(BARCODES, return_tensors="pt")
    expected = masked_mean(model(**batch).last_hidden_state, batch["attention_mask"])
    for name in ("full", "native", "pipeline", "sentences"):
        torch.testing.assert_close(torch.tensor(found[name]), expected, atol=1e-5, rtol=0)
    full, native = found["full card"], found["native card"]
    assert (full["blocks"], native["blocks"]) == (4, 3)
    assert max(full["lines"] + native["lines"]) <= 8
    assert torch.allclose(
        torch.tensor(full["embeddings"]), torch.tensor(native["embeddings"]), atol=1e-5
    )
    first = torch.tensor(native["embeddings"])[:1]
    assert torch.allclose(torch.tensor(native["vectors"]), first, atol=1e-5)
    kmers = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    assert {guess["token_str"] for guess in full["guesses"]} <= kmers
    assert not list(visitor.folder.iterdir())


def test_a_readout_is_applied_from_the_hub_at_the_requested_revision(
    exported, hub, visitor, capsys
):
    fitted = fit_whitening(np.random.default_rng(0).normal(size=(50, 32)))
    for folder in (exported, exported / "encoder"):
        save_readout(folder, fitted, fitted_on={"power": 0.25})
    assert main(["card", str(exported), "--repo-id", FULL, "--native", NATIVE]) == 0
    assert main(["push", str(exported), FULL, "--native", NATIVE]) == 0
    revisions = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    for repo in (FULL, NATIVE):
        _, files = hub.head(repo)
        assert "2_Dense/fitted_on.json" in files
        assert "stores a readout" in files["README.md"].decode()
        later = {
            name: 2 * value for name, value in load(files["2_Dense/model.safetensors"]).items()
        }
        hub.repos[repo].commit({**files, "2_Dense/model.safetensors": save(later)}, "whiten again")
    found = json.loads(
        visitor(
            *(sys.executable, "-I", str(PROGRAM)), *(FULL, revisions[FULL]),
            *(NATIVE, revisions[NATIVE]),
        )
    )  # fmt: skip
    expected = load_embedder(exported).embed(BARCODES)
    for name in ("pipeline", "sentences"):
        np.testing.assert_allclose(found[name], expected, atol=1e-5, err_msg=name)
    plain = np.array(found["native"]) @ fitted.weight.T + fitted.bias
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    np.testing.assert_allclose(found["full"], found["native"], atol=1e-5)


@pytest.mark.parametrize("repo", [FULL, NATIVE])
def test_the_shell_block_of_each_card_runs(carded, hub, tmp_path, monkeypatch, repo):
    assert main(["push", str(carded), FULL, "--native", NATIVE]) == 0
    card = hub.head(repo)[1]["README.md"].decode()
    (block,) = re.findall(r"^```bash\n(.*?)^```$", card, flags=re.DOTALL | re.MULTILINE)
    make_fasta, embed = block.splitlines()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    subprocess.run(["bash", "-ec", make_fasta], check=True, cwd=tmp_path)
    program, *arguments = shlex.split(embed)
    assert program == "barcodemae"
    assert main(arguments) == 0
    (line,) = (tmp_path / "embeddings.tsv").read_text().splitlines()[-1:]
    name, *vector = line.split("\t")
    assert name == "first"
    assert len(vector) == 32
