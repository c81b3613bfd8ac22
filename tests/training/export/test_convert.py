"""Conversion of checkpoints as the original code writes them; refusal of everything else."""

import argparse
import os
import types
from itertools import product
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForTokenClassification, BertModel

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEForPreTraining, BarcodeMAEModel, masked_mean
from barcodemae.cli import main
from barcodemae.errors import CheckpointError
from barcodemae.training.export.convert import convert
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.export.original_checkpoint import load_safely


K = 3
SEQUENCES = [
    "ACGTTTACGAAATCCGGGTACCA" * 28,  # 644 bp
    "ACGNNNACGTTTRAAACGT",
    "TTTGGGCCC" * 80,  # 720 bp: cut at 660
    "ACGTAC",
]


class Original:
    """A run of the original code: a random model, and what `safe_save_model` writes of it."""

    def __init__(self, arch, k=K, **namespace):
        torch.manual_seed(9)
        self.bert_config = BertConfig(
            vocab_size=4**k + 2,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            num_labels=4**k,
            output_hidden_states=True,
            max_position_embeddings=512,
            # Not set by the original: BERT's 0 names [MASK] here, whose row then stays zero.
            pad_token_id=0,
        )
        classes = {"maelm": BertModel, "transformer": BertForTokenClassification}
        self.model = classes[arch](self.bert_config).eval()
        with torch.no_grad():  # as after training: no bias is zero
            for parameter in self.model.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        self.namespace = argparse.Namespace(
            arch=arch,
            **(
                {
                    "k_mer": k,
                    "stride": k,
                    "max_len": 660,
                    "tokenizer": "kmer",
                    "n_layers": 2,
                    "n_heads": 4,
                    "decoder_n_layers": 3,
                    "decoder_n_heads": 2,
                    "decoder_embed_dim": 24,
                    "maelm_version": "maelm_v2",
                    "checkpoint_path": "model_checkpoints/checkpoint_pretraining.pt",
                    "seed": None,
                }
                | namespace
            ),
        )

    def content(self, ddp_prefix="", **changes):
        """Build the entries of the file."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-4, total_steps=10)
        optimizer.step()
        scheduler.step()
        weights = {f"{ddp_prefix}{name}": value for name, value in self.model.state_dict().items()}
        prefix = "bert." if "classifier.weight" in self.model.state_dict() else ""
        # transformers 4.29, which the original pins, stores this buffer.
        weights[f"{ddp_prefix}{prefix}embeddings.position_ids"] = torch.arange(512)[None]
        return {
            "model": weights,
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "epoch": 3,
            "total_step": 10,
            "n_samples_seen": 160,
            "bert_config": self.bert_config.to_dict(),
            "max_accuracy": torch.tensor(12.5),
            "best_epoch": 3,
            "config": self.namespace,
        } | changes

    def save(self, path, **changes):
        torch.save(self.content(**changes), path)
        return path

    @torch.no_grad()
    def embeddings(self):
        """Embed as the original does: one by one, padded with N to 660 bp, masked mean."""
        k = self.namespace.k_mer
        tokens = ["[MASK]", "[UNK]", *("".join(kmer) for kmer in product("ACGT", repeat=k))]
        vectors = []
        for sequence in SEQUENCES:
            cut = sequence[:660]
            padded = cut + "N" * (660 - len(cut))
            kmers = [padded[i : i + k] for i in range(0, 660 - k + 1, k)]
            ids = torch.tensor([[tokens.index(kmer) if kmer in tokens else 1 for kmer in kmers]])
            attention = (torch.arange(660 // k) < len(cut) // k).int()[None]
            states = self.model(ids, attention).hidden_states[-1]
            vectors.append((states * attention[..., None]).sum(1) / attention.sum(1, keepdim=True))
        return torch.cat(vectors)


@torch.no_grad()
def embed(folder):
    batch = AutoTokenizer.from_pretrained(folder)(
        SEQUENCES, padding=True, truncation=True, return_tensors="pt"
    )
    states = AutoModel.from_pretrained(folder)(**batch).last_hidden_state
    return masked_mean(states, batch["attention_mask"])


@pytest.mark.parametrize("arch", ["maelm", "transformer"])
@pytest.mark.parametrize("ddp_prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_both_artefacts_embed_as_the_original_does(arch, ddp_prefix, tmp_path):
    original = Original(arch)
    file = original.save(tmp_path / "original.pt", ddp_prefix=ddp_prefix)
    convert(file, tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "out" / "encoder"):
        torch.testing.assert_close(embed(folder), original.embeddings(), atol=1e-5, rtol=0)


def test_barcodebert_keeps_its_head(tmp_path):
    original = Original("transformer")
    convert(original.save(tmp_path / "original.pt"), tmp_path / "out")
    model, tokenizer = load_model_folder(tmp_path / "out")
    assert isinstance(model, BarcodeMAEForPreTraining)
    assert model.decoder is None
    assert model.config.encoder_sees_mask
    ids = tokenizer(["ACG[MASK]TTTAAA", "ACGTTT"], return_tensors="pt")
    torch.testing.assert_close(model(**ids).logits, original.model(**ids).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("version", "sees_mask"), [("maelm_v1", False), ("maelm_v2", False), ("baseline", True)]
)
def test_barcodemae_is_an_encoder_whose_decoder_is_described(version, sees_mask, tmp_path):
    original = Original("maelm", maelm_version=version)
    convert(original.save(tmp_path / "original.pt"), tmp_path / "out")
    model, tokenizer = load_model_folder(tmp_path / "out")
    assert isinstance(model, BarcodeMAEModel)
    config = model.config
    assert (config.k, tokenizer.k, tokenizer.model_max_length) == (3, 3, 220)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (32, 2, 4)
    assert (config.intermediate_size, config.max_position_embeddings) == (48, 512)
    assert config.decoder_hidden_size == 24
    assert (config.decoder_num_hidden_layers, config.decoder_num_attention_heads) == (3, 2)
    assert config.encoder_sees_mask is sees_mask


def test_the_command_reports_what_it_found_and_what_is_missing(tmp_path, capsys):
    file = Original("maelm").save(tmp_path / "original.pt")
    assert main(["convert", str(file), str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "BarcodeMAE encoder: k=3, 2 layers, width 32" in said.err
    assert "never stores the decoder" in said.err
    assert main(["convert", str(file), str(tmp_path / "out")]) == 0  # onto its own earlier work


def test_files_of_older_torch_with_a_function_in_the_schedule_are_read(tmp_path):
    """Before torch 2.4 the schedule's state held a function, before 2.1 a bound method."""
    original = Original("maelm")
    static = torch.optim.lr_scheduler.OneCycleLR._annealing_cos
    optimizer = torch.optim.AdamW(original.model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    for number, function in enumerate([static, types.MethodType(static, scheduler)]):
        file = tmp_path / f"{number}.pt"
        original.save(file, scheduler=scheduler.state_dict() | {"anneal_func": function})
        convert(file, tmp_path / f"out{number}")
        torch.testing.assert_close(
            embed(tmp_path / f"out{number}"), original.embeddings(), atol=1e-5, rtol=0
        )


class Payload:
    """Unpickling this calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"), [(Path.touch, "pathlib.Path"), (os.mkdir, "posix.mkdir")]
)
def test_a_file_that_would_run_code_is_refused_and_runs_none(function, name, tmp_path, capsys):
    trace = tmp_path / "trace"
    argument = trace if function is Path.touch else str(trace)
    file = Original("maelm").save(tmp_path / "original.pt", extra=Payload(function, argument))
    assert main(["convert", str(file), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"asks to load {name}" in error
    assert len(error.strip().splitlines()) == 1
    assert not trace.exists()
    assert not (tmp_path / "out").exists()


def test_the_replacement_of_getattr_reaches_no_attribute(tmp_path):
    extra = Payload(getattr, argparse.Namespace, "mro")
    file = Original("maelm").save(tmp_path / "original.pt", extra=extra)
    assert load_safely(file)["extra"] is None


def refused(original, tmp_path, match, **changes):
    file = original.save(tmp_path / "original.pt", **changes)
    with pytest.raises(CheckpointError, match=match):
        convert(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arch", "namespace", "match"),
    [
        ("maelm", {"k_mer": 4}, r"k is 3 according to its weights but 4 according to"),
        ("maelm", {"n_layers": 6}, r"num_hidden_layers is 2 .* but 6"),
        ("maelm", {"n_heads": 2}, r"attention heads is 4 .* but 2"),
        ("maelm", {"stride": 1}, r"stride=1 and k=3"),
        ("maelm", {"tokenizer": "bpe"}, r"'bpe', not k-mers"),
        ("maelm", {"maelm_version": "maelm_v9"}, r"maelm_v9"),
        ("maelm", {"decoder_embed_dim": 25}, r"decoder_hidden_size=25"),
        ("transformer", {"n_layers": 12}, r"num_hidden_layers is 2 .* but 12"),
    ],
)
def test_contradictions_with_the_command_line_are_refused(arch, namespace, match, tmp_path):
    refused(Original(arch, **namespace), tmp_path, match)


def test_a_k_out_of_range_is_refused(tmp_path):
    refused(Original("maelm", k=2), tmp_path, r"a vocabulary of 18 .* k from 3 to 8")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"hidden_size": 64}, r"hidden_size is 32 according to its weights but 64 according"),
        ({"num_hidden_layers": 3}, r"num_hidden_layers is 2 .* but 3"),
        ({"intermediate_size": 3072}, r"intermediate_size is 48 .* but 3072"),
        ({"max_position_embeddings": 1024}, r"max_position_embeddings is 512 .* but 1024"),
        ({"vocab_size": 4098}, r"vocab_size is 66 .* but 4098"),
        ({"num_attention_heads": 3}, r"attention heads is 3 according to its bert config but 4"),
        ({"hidden_act": "nonsense"}, r"hidden_act"),
    ],
)
def test_contradictions_with_the_bert_config_are_refused(changes, match, tmp_path):
    original = Original("maelm")
    stored = original.bert_config.to_dict() | changes
    refused(original, tmp_path, match, bert_config=stored)


def test_another_architecture_than_that_of_the_command_line_is_refused(tmp_path):
    original = Original("maelm")
    original.namespace.arch = "transformer"
    refused(original, tmp_path, r"arch is maelm according to its weights but transformer")


@pytest.mark.parametrize("vocab_size", [4**K + 3, 5**K + 2, 128])
def test_other_vocabularies_are_refused(vocab_size, tmp_path):
    original = Original("maelm")
    weights = original.content()["model"]
    name = "embeddings.word_embeddings.weight"
    weights[name] = torch.zeros(vocab_size, 32)
    stored = original.bert_config.to_dict() | {"vocab_size": vocab_size}
    match = f"vocabulary of {vocab_size} is not"
    refused(original, tmp_path, match, model=weights, bert_config=stored)


def test_a_head_of_another_size_is_refused(tmp_path):
    original = Original("transformer")
    weights = original.content()["model"]
    weights["classifier.weight"] = torch.zeros(5**K, 32)
    match = r"k-mer classes is 125 according to its head but 64 according to its vocabulary"
    refused(original, tmp_path, match, model=weights)


@pytest.mark.parametrize(
    ("lost", "match"),
    [
        ("encoder.layer.1.output.dense.weight", r"encoder.layer.1.output.dense.weight"),
        ("embeddings.position_embeddings.weight", r"position_embeddings"),
    ],
)
def test_missing_weights_are_refused_by_name(lost, match, tmp_path):
    original = Original("maelm")
    weights = original.content()["model"]
    del weights[lost]
    refused(original, tmp_path, match, model=weights)


def test_weights_that_are_not_numbers_are_refused_by_name(tmp_path):
    original = Original("maelm")
    weights = original.content()["model"]
    weights["encoder.layer.1.output.dense.weight"][0, 0] = float("nan")
    refused(original, tmp_path, r"output.dense.weight holds NaN", model=weights)


@pytest.mark.parametrize("entry", ["model", "bert_config", "config"])
def test_a_file_without_an_entry_is_refused(entry, tmp_path):
    content = Original("maelm").content()
    del content[entry]
    torch.save(content, tmp_path / "original.pt")
    with pytest.raises(CheckpointError, match=f"no entry {entry}"):
        convert(tmp_path / "original.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"config": {"k_mer": 3}}, "entry config is not a Namespace"),
        ({"model": [1, 2]}, "entry model is not a Mapping"),
        ({"model": {"embeddings": 1}}, "does not hold tensors"),
        ({"bert_config": None}, "entry bert_config"),
    ],
)
def test_entries_of_another_kind_are_refused(changes, match, tmp_path):
    refused(Original("maelm"), tmp_path, match, **changes)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoints_are_refused(content, tmp_path):
    (tmp_path / "original.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"original\.pt"):
        convert(tmp_path / "original.pt", tmp_path / "out")


def test_a_truncated_checkpoint_is_refused(tmp_path):
    file = Original("maelm").save(tmp_path / "original.pt")
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="damaged"):
        convert(file, tmp_path / "out")


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "absent.pt"), str(tmp_path / "out")]) == 2
    assert "absent.pt: no such file" in capsys.readouterr().err


def test_a_bare_list_is_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "original.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        convert(tmp_path / "original.pt", tmp_path / "out")


def test_the_maximum_length_of_the_run_becomes_the_tokenizers(tmp_path):
    convert(Original("maelm", max_len=300).save(tmp_path / "original.pt"), tmp_path / "out")
    tokenizer = BarcodeKmerTokenizer.from_pretrained(tmp_path / "out")
    assert (tokenizer.max_length_bp, tokenizer.model_max_length) == (300, 100)
