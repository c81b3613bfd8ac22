"""A saved tiny model, its native encoder, and a small labelled data set."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest


SPLIT_SIZES = {"train": 4, "test": 2, "test_unseen": 2, "val_unseen": 2}  # barcodes per species


@pytest.fixture
def model_folder(tmp_path, tiny_model, tokenizer):
    """A pre-training folder: encoder, decoder and tokenizer."""
    folder = tmp_path / "model"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def encoder_folder(tmp_path, tiny_model, tokenizer):
    """The native encoder of the same model: plain BERT."""
    folder = tmp_path / "encoder"
    tiny_model.barcodemae.encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def mutate(sequence, rate, generator):
    """Replace a share of the bases."""
    letters = [
        generator.choice("ACGT") if generator.random() < rate else letter for letter in sequence
    ]
    return "".join(letters)


def simulate_rows():
    """Eight genera of three species; the third is unseen; one row has no genus."""
    generator = random.Random(1)
    rows = []
    for genus in range(8):
        root = "".join(generator.choices("ACGT", k=150))
        for species in range(3):
            parent = mutate(root, 0.12, generator)
            is_seen = species < 2
            splits = ("train", "test") if is_seen else ("test_unseen", "val_unseen")
            for split in splits:
                rows += [
                    {
                        "processid": f"P{len(rows)}{copy}",
                        "order": f"Order{genus // 4}",
                        "genus": f"Genus{genus}",
                        "species": f"Genus{genus} species{species}",
                        "dna_barcode": mutate(parent, 0.03, generator),
                        "split": split,
                    }
                    for copy in range(SPLIT_SIZES[split])
                ]
    rows[0]["genus"] = None
    return rows


@pytest.fixture
def dataset_folder(tmp_path):
    """A data set of 128 labelled barcodes in four splits."""
    folder = tmp_path / "toy"
    folder.mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(simulate_rows()), folder / "part.parquet")
    return folder


@pytest.fixture
def quick_layout(monkeypatch):
    """A random projection in place of UMAP, whose compilation takes most of a minute.

    UMAP itself is tested in test_clustering.py.
    """

    def project(vectors, *, num_neighbors, dimensions, seed):
        assert num_neighbors < len(vectors)
        weights = np.random.default_rng(seed).normal(size=(vectors.shape[1], dimensions))
        return (vectors @ weights).astype(np.float32)

    for module in ("clustering", "map_plot"):
        monkeypatch.setattr(f"barcodemae.eval.probe.{module}.reduce_dimensions", project)
