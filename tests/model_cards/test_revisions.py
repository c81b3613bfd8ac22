"""Every command that opens a model by its Hub name opens it at the requested revision."""

import json
import subprocess
import sys

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load, save

from barcodemae.cli import main
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.model_files import hash_weights
from barcodemae.training.data.simulate import write_simulated


NAME = "lab/tiny-encoder"
BARCODES = {"train": "ACGTACGTTTAACCA", "val_unseen": "TTTGGGCCCAAATTTAC"}


@pytest.fixture
def published(exported, hub, tmp_path, monkeypatch):
    """An encoder on the Hub with later weights on main: (its folder, its first commit)."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    folder = exported / "encoder"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    huggingface_hub.HfApi().create_repo(NAME)
    first = hub.repos[NAME].commit(files, "first")
    later = {name: 2 * value for name, value in load(files["model.safetensors"]).items()}
    weights = save(later, metadata={"format": "pt"})
    hub.repos[NAME].commit({**files, "model.safetensors": weights}, "later")
    return folder, first


@pytest.fixture
def data(tmp_path):
    """Two references and two queries."""
    rows = [
        {"processid": f"{split}{genus}", "split": split, "genus": genus, "dna_barcode": barcode}
        for split, barcode in BARCODES.items()
        for genus in ("Apis", "Bombus")
    ]
    (tmp_path / "toy").mkdir()
    pd.DataFrame(rows).to_parquet(tmp_path / "toy" / "part.parquet")
    return tmp_path / "toy"


def record_of(path):
    return json.loads(path.read_text())[0]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("probe", ["--queries", "val_unseen"]),
        ("mask-study", ["--rates", "0.5", "--modes", "drop"]),
    ],
)
def test_records_are_of_the_requested_revision_and_say_so(
    published, data, tmp_path, command, options
):
    folder, first = published
    arguments = [command, "-m", NAME, "--data", str(data), "--json", str(tmp_path / "r.json")]
    assert main([*arguments, *options]) == 0
    newest = record_of(tmp_path / "r.json")
    assert main([*arguments, *options, "--revision", first]) == 0
    pinned = record_of(tmp_path / "r.json")
    assert pinned["weights"] == hash_weights(folder) != newest["weights"]
    assert (pinned["revision"], newest["revision"]) == (first, None)
    assert f"--revision {first}" in pinned["command"]


def test_vectors_are_of_the_requested_revision(published, tmp_path):
    folder, first = published
    fasta, output = tmp_path / "x.fasta", tmp_path / "x.npy"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in BARCODES.items()))
    arguments = ["embed", str(fasta), "-o", str(output), "--model", NAME, "--dtype", "float32"]
    assert main([*arguments, "--revision", first]) == 0
    expected = load_embedder(folder).embed(list(BARCODES.values()))
    np.testing.assert_allclose(np.load(output), expected, atol=1e-5)
    assert main(arguments) == 0
    assert not np.allclose(np.load(output), expected, atol=1e-3)


def test_embedded_shards_are_of_the_requested_revision(published, hub, data, tmp_path):
    folder, first = published
    environment = {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "600", "HF_HUB_DOWNLOAD_TIMEOUT": "600",
        "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    program = [sys.executable, "-m", "barcodemae.eval.embed", str(data), "--model", NAME]
    subprocess.run(
        [*program, "-o", str(tmp_path / "out"), "--revision", first],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    note = json.loads((tmp_path / "out" / "embedding.json").read_text())
    assert (note["revision"], note["weights"]) == (first, hash_weights(folder))


def test_libraries_are_made_and_searched_at_the_requested_revision(published, tmp_path, capsys):
    folder, first = published
    dataset, library, fasta = tmp_path / "simulated", tmp_path / "lib", tmp_path / "x.fasta"
    write_simulated(dataset, num_species=96, barcodes_per_species=4)
    fasta.write_text(f">query\n{pd.read_parquet(dataset)['dna_barcode'][0]}\n")
    pinned = ["--model", NAME, "--revision", first]
    assert main(["index", str(dataset), "-o", str(library), *pinned]) == 0
    description = json.loads((library / "library.json").read_text())
    assert description["model"]["weights"] == hash_weights(folder)
    output = ["-o", str(tmp_path / "out.tsv")]
    assert main(["identify", str(fasta), "-r", str(library), *output, *pinned]) == 0
    assert main(["cluster", str(fasta), *output, *pinned]) == 0
    capsys.readouterr()
    assert main(["identify", str(fasta), "-r", str(library), *output, "--model", NAME]) == 2
    assert hash_weights(folder) in capsys.readouterr().err  # main holds other weights


@pytest.mark.parametrize("model", ["kmer:3", "default", "vsearch", "FOLDER"])
def test_a_revision_of_what_is_not_on_the_hub_is_refused(model, exported, data, capsys):
    model = str(exported) if model == "FOLDER" else model
    arguments = ["probe", "--data", str(data), "-m", f"label={model}", "--queries", "val_unseen"]
    assert main([*arguments, "--revision", "v1"]) == 2
    said = capsys.readouterr().err
    assert f"{model} " in said
    assert "has no revision 'v1'; only models on the Hub have" in said
