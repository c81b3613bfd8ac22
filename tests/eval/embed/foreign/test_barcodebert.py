"""BarcodeBERT's two published layouts against the original's embeddings."""

import argparse
import os
from pathlib import Path

import pytest
import torch

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.barcodebert import KmerVocabulary, recognises
from barcodemae.eval.embed.foreign.loading import load_foreign


# What BarcodeBERT and BarcodeMAE pickle as part of their schedulers' state.
METHOD = torch.optim.lr_scheduler.OneCycleLR._annealing_cos


def write_checkpoint(path: Path, original, weights=None, **options):
    """Write a checkpoint as the original training code does."""
    defaults = {"k_mer": 2, "stride": 2, "max_len": 24, "tokenizer": "kmer", "lr": 1e-4}
    content = {
        "model": original.weights if weights is None else weights,
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]},
        "scheduler": {"total_steps": 7, "anneal_func": METHOD},
        "config": argparse.Namespace(**(defaults | options)),
        "bert_config": {k: v for k, v in original.config.items() if k != "barcodes"},
        "epoch": 3,
    }
    torch.save(content, path)
    return path


@pytest.fixture
def original(golden):
    return golden("barcodebert")


@pytest.fixture
def checkpoint(tmp_path, original):
    return write_checkpoint(tmp_path / "best_pretraining.pt", original)


def test_embeddings_of_the_training_checkpoint_equal_the_original(checkpoint, original):
    vectors = load_foreign(checkpoint).embed(original.config["barcodes"])
    assert abs(vectors - original.tensors["embeddings"].numpy()).max() < 1e-5


def test_embeddings_of_the_hub_layout_equal_the_original(barcodebert, original):
    embedder = load_foreign(barcodebert)
    # The folder does not say how long its inputs were; the first barcode was cut at 24 bp.
    barcodes = [barcode[:24] for barcode in original.config["barcodes"]]
    assert abs(embedder.embed(barcodes) - original.tensors["embeddings"].numpy()).max() < 1e-5


def test_tokens_are_the_attended_ones_of_the_original(checkpoint, original):
    tokens = load_foreign(checkpoint).tokenize(original.config["barcodes"])
    is_token = original.tensors["attention_mask"].bool()
    expected = [
        ids[mask].tolist()
        for ids, mask in zip(original.tensors["input_ids"], is_token, strict=True)
    ]
    assert tokens == expected


def test_both_layouts_have_the_same_fingerprint(checkpoint, barcodebert):
    assert load_foreign(checkpoint).fingerprint == load_foreign(barcodebert).fingerprint


def test_weights_of_a_distributed_run_lose_their_prefix(tmp_path, original, barcodebert):
    weights = {f"module.{name}": tensor for name, tensor in original.weights.items()}
    path = write_checkpoint(tmp_path / "x.pt", original, weights)
    assert load_foreign(path).fingerprint == load_foreign(barcodebert).fingerprint


def test_an_encoder_saved_alone_as_by_barcodemae_is_read(tmp_path, original, barcodebert):
    weights = {
        name.removeprefix("bert."): tensor
        for name, tensor in original.weights.items()
        if name.startswith("bert.")
    }
    path = write_checkpoint(tmp_path / "x.pt", original, weights, arch="maelm")
    assert load_foreign(path).fingerprint == load_foreign(barcodebert).fingerprint


def test_kmers_with_n_come_after_the_others_if_they_have_tokens():
    tokens = KmerVocabulary.of_size(5**2 + 2, Path("x")).tokens()
    assert tokens[:3] == ["[MASK]", "[UNK]", "AA"]
    assert tokens[17:20] == ["TT", "AN", "CN"]
    assert len(set(tokens)) == 27


def test_a_vocabulary_that_fits_no_k_is_refused():
    with pytest.raises(CheckpointError, match="4101 tokens fits no k-mer length"):
        KmerVocabulary.of_size(4101, Path("dnabert"))


def test_this_projects_own_encoders_are_left_to_automodel(tmp_path):
    settings = {"model_type": "bert", "vocab_size": 18, "architectures": ["BertModel"]}
    (tmp_path / "tokenizer.json").write_text("{}")
    assert not recognises(settings, tmp_path)
    assert recognises(settings | {"architectures": ["BertForTokenClassification"]}, tmp_path)
    assert not recognises(settings | {"vocab_size": 30522}, tmp_path)


class Payload:
    """An object whose unpickling runs a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_a_checkpoint_that_would_run_a_command_is_refused(tmp_path):
    flag = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    torch.save({"model": Payload(os.mkdir, str(flag))}, path)
    with pytest.raises(CheckpointError, match=r"evil\.pt: refused as unsafe: .*mkdir"):
        load_foreign(path)
    assert not flag.exists()


def test_a_method_looked_up_through_getattr_is_neither_found_nor_called(tmp_path):
    flag = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    lookup = Payload(getattr, torch.optim.lr_scheduler.OneCycleLR, "__init__")
    torch.save({"model": lookup, "next": Payload(Path.mkdir, str(flag))}, path)
    with pytest.raises(CheckpointError, match="refused as unsafe"):
        load_foreign(path)
    assert not flag.exists()


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {"model": {}, "config": {}}])
def test_a_checkpoint_of_another_program_is_refused(tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not a BarcodeBERT training checkpoint"):
        load_foreign(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "bpe"}, "only non-overlapping k-mers"),
        ({"stride": 1}, "only non-overlapping k-mers"),
        ({"k_mer": 4, "stride": 4}, "say k=4, but its vocabulary of 18 tokens is of k=2"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path, original, options, message):
    with pytest.raises(CheckpointError, match=message):
        load_foreign(write_checkpoint(tmp_path / "x.pt", original, **options))
