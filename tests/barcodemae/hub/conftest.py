"""A local Hub, and a small library to publish on it."""

import importlib.util
import random
from pathlib import Path

import huggingface_hub.constants
import pytest

import barcodemae


LINEAGE = (
    "k__Animalia; p__Arthropoda; c__Insecta; o__Order; f__Family{0}; g__Genus{0}; s__Genus{0} x"
)


@pytest.fixture(scope="session")
def lib(tmp_path_factory):
    """A library of twelve genera with three barcodes each, by counts of 3-mers."""
    generator = random.Random(3)
    folder = tmp_path_factory.mktemp("library")
    fasta, taxonomy = folder / "refs.fasta", folder / "taxonomy.tsv"
    rows = [("Feature ID", "Taxon")]
    with fasta.open("w") as stream:
        for genus in range(12):
            letters = "".join(generator.choices("ACGT", k=120))
            for copy in range(3):
                stream.write(f">R{genus}{copy}\n{letters[:-1]}{'ACG'[copy]}\n")
                rows.append((f"R{genus}{copy}", LINEAGE.format(genus)))
    taxonomy.write_text("".join("\t".join(row) + "\n" for row in rows))
    return barcodemae.index(fasta, folder / "lib", model="kmer:3", taxonomy=taxonomy)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A local Hub that this process is logged in to, and an empty cache."""
    path = Path(__file__).parents[2] / "model_cards" / "local_hub.py"
    spec = importlib.util.spec_from_file_location("local_hub", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("HF_TOKEN", module.TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with module.LocalHub() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
