"""Every system of the paper's table, from its published layout to a row with numbers."""

import json
import shutil
from argparse import Namespace

import pytest
import torch

from barcodemae.cli import main
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.report.records import read_records
from barcodemae.training.data.simulate import write_simulated


ROWS = {
    "BarcodeBERT": ("barcodebert", "encoder-only"),
    "DNABERT-2": ("dnabert_2", "encoder-only"),
    "DNABERT-S": ("dnabert_s", "encoder-only"),
    "Nucleotide Transformer": ("nucleotide_transformer", "encoder-only"),
    "HyenaDNA": ("hyenadna", "causal"),
    "BarcodeMAE w/MASK": ("barcodemae_with_mask", "encoder-decoder"),
    "BarcodeMAE": ("model_folder", "encoder-decoder"),
}


@pytest.fixture
def barcodemae_with_mask(tmp_path, tiny_model, tokenizer):
    """A BarcodeMAE whose encoder sees [MASK]."""
    folder = tmp_path / "with-mask"
    tiny_model.config.encoder_sees_mask = True
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Barcodes of 192 species, split as prepared data are."""
    folder = tmp_path_factory.mktemp("simulated") / "data"
    write_simulated(folder, num_species=192, barcodes_per_species=4)
    return folder


@pytest.mark.usefixtures("quick_layout")
@pytest.mark.parametrize("model", ROWS)
def test_a_published_folder_fills_its_row(model, request, simulated, tmp_path, capsys):
    fixture, architecture = ROWS[model]
    folder, results = request.getfixturevalue(fixture), tmp_path / "r.json"
    probe = f"probe --data {simulated} --probes 1nn,zsc --zsc-neighbors 5 --json {results}"
    assert main([*probe.split(), "-m", f"{model}={folder}", "-m", "kmer:3"]) == 0
    measured = [record for record in read_records(results) if record.model == model]
    assert {record.weights for record in measured} == {load_embedder(folder).fingerprint}
    systems = tmp_path / "s.yaml"
    listed = {"model": model, "architecture": architecture, "weights": "elsewhere"}
    systems.write_text(json.dumps({"unavailable": [listed]}))  # JSON is YAML
    capsys.readouterr()
    assert main(["leaderboard", str(results), "--systems", str(systems), "--format", "csv"]) == 0
    table = capsys.readouterr().out
    header, row, *others = (line.split(",") for line in table.splitlines())
    filled = dict(zip(header, row, strict=True))
    assert (filled["model"], filled["architecture"], filled["note"]) == (model, architecture, "")
    for column in ("1nn_accuracy", "zsc_ami", "harmonic_harmonic_mean"):
        assert 0 < float(filled[column]) <= 100
    assert [other[1] for other in others] == ["kmer:3"]


def test_without_its_weights_a_published_folder_gives_no_row(
    published_folder, dataset_folder, tmp_path, capsys
):
    copy, results = tmp_path / "copy", tmp_path / "r.json"
    shutil.copytree(published_folder, copy)
    for path in [*copy.glob("*.bin"), *copy.glob("*.safetensors")]:
        path.unlink()
    probe = ["probe", "--data", str(dataset_folder), "-m", str(copy), "--json", str(results)]
    assert main(probe) == 2
    assert "weights not available here" in capsys.readouterr().err
    assert not results.exists()


@pytest.mark.parametrize(
    ("arch", "architecture"), [("maelm", "encoder-decoder"), ("transformer", "encoder-only")]
)
def test_a_training_file_says_what_it_was_trained_as(tmp_path, golden, arch, architecture):
    original = golden("barcodebert")
    path = tmp_path / "best.pt"
    options = Namespace(arch=arch, tokenizer="kmer")
    content = {"model": original.weights, "bert_config": original.config, "config": options}
    torch.save(content, path)
    assert load_embedder(path).architecture == architecture
