"""The taxon loss of pre-training: its labels, its value, its record, resuming."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional as F

from barcodemae import BarcodeMAEForPreTraining, BarcodeMAEForSequenceClassification, masked_mean
from barcodemae.dataset import read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.training.batches.labelled import NO_CLASS, Taxa
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.pretrain_run import prepare_pretraining


LABELS = {"taxon_loss_weight": 0.5, "train_splits": "pretrain,train"}
IDS = torch.tensor([[2, 0, 7, 0, 5, 30], [0, 0, 9, 33, 65, 1], [11, 12, 0, 14, 15, 16]])


@pytest.fixture
def model(make_config):
    torch.manual_seed(0)
    config = make_config(num_taxa=4, taxon_loss_weight=0.5, initializer_range=0.1)
    return BarcodeMAEForPreTraining(config).eval()


def test_the_loss_is_that_of_the_kmers_and_of_the_known_taxa(model):
    labels = torch.where(IDS == 0, 40, -100)
    taxa = torch.tensor([3, -100, 1])
    encoded = model.barcodemae(IDS)
    mean = masked_mean(encoded.last_hidden_state, encoded.attention_mask)
    named = F.cross_entropy(model.taxon_head(mean)[[0, 2]], taxa[[0, 2]])
    kmers = model(IDS, labels=labels).loss
    both = model(IDS, labels=labels, taxon_targets=taxa).loss
    torch.testing.assert_close(both, kmers + 0.5 * named)
    assert model(IDS, taxon_targets=taxa).loss is None


def test_a_batch_without_a_name_has_the_loss_of_its_kmers_and_all_gradients(model):
    labels = torch.where(IDS == 0, 40, -100)
    unnamed = model(IDS, labels=labels, taxon_targets=torch.full((3,), -100)).loss
    assert torch.equal(unnamed, model(IDS, labels=labels).loss)
    unnamed.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_the_loss_there_is_no_head_and_no_entry_in_the_config(tiny_model, tmp_path):
    assert not any("taxon" in name for name in tiny_model.state_dict())
    tiny_model.save_pretrained(tmp_path)
    assert "tax" not in (tmp_path / "config.json").read_text()


def test_every_row_has_the_number_of_its_taxon(simulated):
    splits = ("pretrain", "train")
    taxa = Taxa.read(simulated, splits, "genus")
    names = read_splits(simulated, splits, ("genus",))["genus"].to_pylist()
    assert taxa.classes == sorted(set(names) - {None})
    found = [None if number == NO_CLASS else taxa.classes[number] for number in taxa.numbers]
    assert found == names


def test_batches_carry_the_taxa_of_their_barcodes(settings, simulated):
    run = prepare_pretraining(settings(**LABELS))
    taxa = Taxa.read(simulated, ("pretrain", "train"), "genus")
    for step in (0, 3):
        (batch,) = run.train[step]
        expected = taxa.numbers[run.train.barcodes(step)]
        np.testing.assert_array_equal(batch.taxon_targets.numpy(), expected)
    (batch,) = run.val[0]
    assert batch.taxon_targets is None


@pytest.mark.parametrize("rank", ["genus", "species"])
def test_a_run_learns_taxa_and_records_what_they_were(settings, simulated, rank):
    result = pretrain(settings(**LABELS, taxon_rank=rank))
    num_taxa = len(Taxa.read(simulated, ("pretrain", "train"), rank).classes)
    assert json.loads((result.output / "settings.json").read_text())["taxon_rank"] == rank
    expected = {"taxon_loss_weight": 0.5, "taxon_rank": rank, "num_taxa": num_taxa}
    full = json.loads((result.output / "config.json").read_text())
    native = json.loads((result.output / "encoder" / "config.json").read_text())
    assert expected.items() <= full.items()
    assert expected.items() <= native["barcodemae"].items()
    loaded = BarcodeMAEForPreTraining.from_pretrained(result.output)
    assert loaded.taxon_head.weight.shape == (num_taxa, 32)
    assert loaded.taxon_head.bias.any()
    BarcodeMAEForSequenceClassification.from_pretrained(result.output)


@pytest.mark.parametrize("precision", ["fp32", "bf16-weights"])
def test_a_run_that_was_cut_off_continues_bitwise(settings, cut_off, precision):
    whole = pretrain(settings("whole", **LABELS, precision=precision)).output
    cut_off(settings("cut", **LABELS, precision=precision), 7)
    resumed = pretrain(settings("cut", **LABELS, precision=precision), resume=True).output
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, resumed)]
    assert weights[0] == weights[1]


def test_a_rank_without_names_is_refused(simulated, tmp_path):
    table = read_splits(simulated, ("train",)).drop_columns(["genus"])
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    for rank, found in (("genus", "no genus"), ("phylum", "only one phylum")):
        with pytest.raises(DataError, match=found):
            Taxa.read(tmp_path / "data", ("train",), rank)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"taxon_loss_weight": -1.0}, "taxon_loss_weight must not be negative"),
        ({"taxon_rank": "tribe"}, "taxon_rank must be one of phylum"),
    ],
)
def test_impossible_settings_are_refused(settings, values, message):
    with pytest.raises(SettingsError, match=message):
        settings(**values)
