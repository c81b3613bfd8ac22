"""Fine-tuning: the head learns, classes keep their names, the best weights are reported."""

import dataclasses
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, pipeline

from barcodemae import BarcodeKmerTokenizer
from barcodemae.dataset import PRETRAINING_SPLITS, read_splits
from barcodemae.errors import CheckpointError, DataError, SettingsError
from barcodemae.training.batches.labelled import NO_CLASS, LabelledBarcodes, count_named
from barcodemae.training.finetune import finetune, prepare_finetuning
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run import classifier, loop
from barcodemae.training.run.classifier import load_encoder
from barcodemae.training.run.finetune_settings import FinetuneConfig
from barcodemae.training.run.pretrain_settings import PretrainConfig


TOKENIZER = BarcodeKmerTokenizer(k=3, max_length_bp=60)
OPTIONS = {
    "rank": "genus", "precision": "fp32", "max_steps": 30, "batch_size": 16, "learning_rate": 1e-2,
    "validate_every": 10, "checkpoint_every": 10, "log_every": 10, "max_length_bp": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(simulated, tiny_run, tmp_path_factory):
    config = PretrainConfig(
        data=simulated, output=tmp_path_factory.mktemp("pretrained"), **{**tiny_run, "max_steps": 2}
    )
    pretrain(config)
    return config.output


@pytest.fixture(scope="module")
def finished(simulated, pretrained, tmp_path_factory):
    output = tmp_path_factory.mktemp("finetuned")
    config = FinetuneConfig(data=simulated, model=pretrained, output=output, **OPTIONS)
    return config, finetune(config)


@pytest.fixture
def settings(simulated, pretrained, tmp_path):
    def build(name="run", **changes):
        values = {"data": simulated, "model": pretrained, "output": tmp_path / name}
        return FinetuneConfig(**{**values, **OPTIONS, **changes})

    return build


def test_training_lowers_the_loss_and_learns_the_classes(finished):
    _, result = finished
    losses = result.history.column("val_loss")[1]
    assert losses[-1] < losses[0]
    assert result.steps == 30


def test_the_config_names_the_classes(finished, simulated):
    config, _ = finished
    names = sorted(set(read_splits(simulated, ["train"], ("genus",))["genus"].to_pylist()))
    model = AutoModelForSequenceClassification.from_pretrained(config.output)
    assert list(model.config.id2label.values()) == names
    assert model.config.label2id == {name: number for number, name in enumerate(names)}


def test_a_pipeline_answers_with_taxa(finished, simulated):
    config, _ = finished
    barcode = read_splits(simulated, ["test"], ("dna_barcode",))["dna_barcode"][0].as_py()
    classify = pipeline("text-classification", model=str(config.output), trust_remote_code=True)
    (answer,) = classify(barcode)
    assert answer["label"] in classify.model.config.label2id
    assert 0 < answer["score"] <= 1


def test_the_reported_accuracy_is_that_of_the_saved_model(finished, simulated):
    config, result = finished
    model = AutoModelForSequenceClassification.from_pretrained(config.output).eval()
    barcodes = LabelledBarcodes.read(simulated, "test", "genus", TOKENIZER)
    labels = barcodes.labels(list(model.config.id2label.values()))
    rows = torch.arange(len(labels)).numpy()
    ids, lengths = barcodes.reader.batch(rows, rows * 0)
    mask = (torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]).long()
    with torch.no_grad():
        found = model(torch.from_numpy(ids), mask).logits.argmax(-1).numpy()
    report = json.loads((config.output / "test.json").read_text())
    assert report["accuracy"] == pytest.approx(100 * (found == labels).mean(), abs=1e-3)
    assert report["num_barcodes"] == len(labels)
    assert result.history.records[-1]["test_accuracy"] == report["accuracy"]


def test_the_saved_weights_are_the_best_on_validation(finished):
    config, _ = finished
    best, final = (load_file(config.output / name / "model.safetensors") for name in ("best", "."))
    assert all(torch.equal(value, final[name]) for name, value in best.items())


def test_a_test_partition_without_any_known_taxon_is_refused(settings):
    config = settings(rank="species", test_split="test_unseen", max_steps=1)
    with pytest.raises(DataError, match="no species of split test_unseen is among those"):
        finetune(config)


def test_unknown_taxa_of_the_test_partition_count_as_wrong(settings, simulated, tmp_path):
    table = read_splits(simulated, [*PRETRAINING_SPLITS, "train", "val", "test"])
    rows = table.to_pylist()
    next(row for row in rows if row["split"] == "test")["genus"] = "Novum"
    table = pa.Table.from_pylist(rows, schema=table.schema)
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(table, data / "a.parquet")
    result = finetune(settings(data=data, max_steps=1))
    report = json.loads((result.output / "test.json").read_text())
    assert report["num_of_unknown_class"] == 1
    num_correct = report["accuracy"] * report["num_barcodes"] / 100
    assert num_correct == pytest.approx(round(num_correct), abs=1e-3)
    assert num_correct < report["num_barcodes"]


def test_a_frozen_encoder_does_not_change(settings, pretrained):
    config = settings(freeze_encoder=True, max_steps=5)
    finetune(config)
    before, _, _ = load_encoder(pretrained)
    after, _, _ = load_encoder(config.output)
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    run = prepare_finetuning(settings("again", freeze_encoder=True))
    names = [name for name, value in run.model.named_parameters() if value.requires_grad]
    assert names == ["classifier.weight", "classifier.bias"]
    batch = run.train[0][0].inputs(run.accelerator.device)
    pooled = [run.model.barcodemae(batch["input_ids"]).last_hidden_state for _ in range(2)]
    assert torch.equal(*pooled)  # no dropout in what is not trained


def test_a_native_encoder_folder_gives_the_same_start(settings, pretrained):
    full = prepare_finetuning(settings("full"))
    native = prepare_finetuning(settings("native", model=pretrained / "encoder"))
    for name, value in full.model.state_dict().items():
        assert torch.equal(value, native.model.state_dict()[name]), name


def test_a_cut_off_run_resumes_to_the_same_weights(settings, monkeypatch):
    whole, parts = settings("whole", max_steps=12), settings("parts", max_steps=12)
    finetune(whole)
    load = loop.load_batches

    def first_steps(run):
        yield from itertools.islice(load(run), 11)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "load_batches", first_steps)
        with pytest.raises(KeyboardInterrupt):
            finetune(parts)
    finetune(parts, resume=True)
    for name in ("model.safetensors", "test.json"):
        assert (parts.output / name).read_bytes() == (whole.output / name).read_bytes()


def test_labels_follow_the_classes_and_unknown_ones_are_ignored(simulated):
    barcodes = LabelledBarcodes.read(simulated, "val", "genus", TOKENIZER)
    names = sorted(set(barcodes.names))
    labels = barcodes.labels(names[1:])
    for name, label in zip(barcodes.names, labels, strict=True):
        assert label == (NO_CLASS if name == names[0] else names[1:].index(name))


def test_a_rank_without_names_is_refused(settings):
    with pytest.raises(DataError, match="no row of split train has a subfamily"):
        finetune(settings(rank="subfamily"))


def test_one_class_is_refused(settings):
    with pytest.raises(DataError, match="split train has only one phylum"):
        finetune(settings(rank="phylum"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": "kingdom"}, "rank must be one of phylum, "),
        ({"val_split": "train"}, "train_split 'train' is also val_split or test_split"),
        ({"freeze_encoder": True, "gradient_checkpointing": True}, "saves nothing"),
    ],
)
def test_contradictions_are_refused(settings, changes, message):
    with pytest.raises(SettingsError, match=message):
        settings(**changes)


def test_a_folder_without_a_model_is_refused(settings, tmp_path):
    with pytest.raises(CheckpointError, match="is not a BarcodeMAE model folder"):
        finetune(settings(model=tmp_path))
    config = dataclasses.replace(settings("other"), max_length_bp=6000)
    with pytest.raises(CheckpointError, match="max_position_embeddings=512"):
        finetune(config)


def test_every_record_is_used_or_counted_with_its_reason(tmp_path):
    genera = {"train": ["A", "A", "B", None, " "], "val": ["A", "C", "nan"]}
    rows = [
        {"processid": "P", "dna_barcode": "ACGT", "split": split, "genus": genus}
        for split, names in genera.items()
        for genus in names
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    told = [counted.told("genus") for counted in count_named(tmp_path, ["train", "val"], "genus")]
    assert told == [
        "train: 5 records, 3 used; 2 without a genus",
        "val: 3 records, 1 used; 1 without a genus, 1 of no class",
    ]


def test_a_model_is_a_folder_the_bundled_one_or_a_name_on_the_hub(tmp_path, monkeypatch):
    assert classifier.find_model(tmp_path) == tmp_path
    assert (classifier.find_model(Path("default")) / "model.safetensors").is_file()
    monkeypatch.setattr(classifier, "snapshot_download", {"lab/mine": str(tmp_path)}.__getitem__)
    assert classifier.find_model(Path("lab/mine")) == tmp_path

    def refuse(name):
        raise OSError("offline mode is enabled")

    monkeypatch.setattr(classifier, "snapshot_download", refuse)
    with pytest.raises(CheckpointError, match=r"neither a folder nor a model on the Hub \(offline"):
        classifier.find_model(Path("lab/other"))
