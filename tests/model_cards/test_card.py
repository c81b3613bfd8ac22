"""A card contains what the folder, the run and the records say, and nothing else.

The whole text is compared with tests/golden/cards/; `REWRITE_GOLDEN=1 pytest THIS_FILE` writes it
anew after a wanted change, to be read before it is committed.
"""

import json
import os
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from barcodemae import (
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
)
from barcodemae.cli import main
from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.model_cards.card import CardSettings, write_cards
from barcodemae.model_cards.model_folder import ModelFolder
from barcodemae.model_cards.run_record import RunRecord
from barcodemae.training.export.folders import export
from barcodemae.training.run.pretrain_settings import PretrainConfig


GOLDEN = Path(__file__).parents[1] / "golden" / "cards"
FULL, NATIVE = "lab/tiny", "lab/tiny-encoder"
PNG = b"\x89PNG\r\n\x1a\n made up"
PROTOCOL = {"rank": "genus", "references": "train", "queries": "test_unseen", "neighbors": 1}


def record(model, value, **further):
    return ResultRecord(
        **{
            "model": model, "dataset": "simulated", "probe": "1nn", "metric": "accuracy",
            "value": value, "dataset_hash": "00c0ffee00c0ffee", "protocol": PROTOCOL,
            "command": "barcodemae probe --model tiny --model kmer:6 --data simulated",
            **further,
        }
    )  # fmt: skip


def python_blocks(folder):
    card = (folder / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)


@pytest.fixture
def results(exported, tmp_path):
    """Records of these weights, of other models, and of unrelated weights."""
    ours = ModelFolder(exported / "encoder").fingerprint()
    clusters = {"num_neighbors": 30, "umap_dimensions": 50}
    path = tmp_path / "results.json"
    write_records(
        path,
        [
            record("kmer:6", 71.25, weights="kmer:6", low=70.0, high=72.5),
            record("tiny", 61.5, weights=ours, low=60.0, high=63.0),
            record("tiny", 44.0, weights=ours, metric="macro_f1"),
            record("tiny", 80.0, weights=ours, probe="zsc", metric="ami", seed=0,
                   protocol=clusters),
            record("tiny", 82.0, weights=ours, probe="zsc", metric="ami", seed=1,
                   protocol=clusters),
            record("elsewhere", 99.9, weights="f" * 16, dataset="other"),
        ],
    )  # fmt: skip
    return path


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    PretrainConfig(data=tmp_path / "simulated", output=folder, recipe="tiny", max_steps=40).save(
        folder / "settings.json"
    )
    history = [{"step": 20, "loss": 4.0, "seconds": 1800.0}, {"step": 40, "loss": 3.5,
               "seconds": 3600.0}, {"step": 40, "val_loss": 3.625}]  # fmt: skip
    (folder / "history.json").write_text(json.dumps(history))
    return folder


@pytest.fixture
def compiled(exported, results, run_folder, tmp_path):
    """The two cards with everything that a card can contain."""
    (tmp_path / "map.png").write_bytes(PNG)
    assert (
        main([
            "card", str(exported), "--repo-id", FULL, "--native", NATIVE,
            "--results", str(results), "--run", str(run_folder),
            "--figure", str(tmp_path / "map.png"), "--dataset", "bioscan-ml/BIOSCAN-5M",
            "--power-watts", "250", "--grams-per-kwh", "40",
        ])
        == 0
    )  # fmt: skip
    return exported


@pytest.mark.parametrize(
    ("folder", "golden"), [("", "full.md"), ("encoder", "native.md")], ids=["full", "native"]
)
def test_the_whole_card_equals_the_golden_one(compiled, folder, golden):
    text = (compiled / folder / "README.md").read_text()
    if os.environ.get("REWRITE_GOLDEN"):
        (GOLDEN / golden).write_text(text)
    assert text == (GOLDEN / golden).read_text()


def test_the_front_matter_is_what_the_hub_reads(compiled):
    data = ModelCard.load(compiled / "encoder" / "README.md").data
    assert (data.library_name, data.license) == ("transformers", "mit")
    assert data.pipeline_tag == "feature-extraction"
    assert data.base_model == FULL
    assert data.datasets == ["bioscan-ml/BIOSCAN-5M"]
    found = {(item.task_name, item.metric_type): item.metric_value for item in data.eval_results}
    assert found == {
        ("1-NN probe", "accuracy"): 61.5,
        ("1-NN probe", "macro_f1"): 44.0,
        ("Zero-shot clustering", "ami"): 81.0,
    }
    assert data.co2_eq_emissions["emissions"] == 10.0  # 1 h x 250 W x 40 g/kWh


def test_figures_are_copied_beside_both_cards(compiled):
    for folder in (compiled, compiled / "encoder"):
        card = (folder / "README.md").read_text()
        named = re.findall(r"!\[.*?\]\((.*?)\)", card)
        assert named == ["figures/loss.png", "figures/map.png"]
        assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in named)


def test_a_picture_that_is_still_being_written_is_not_shown(exported):
    (exported / "figures").mkdir()
    (exported / "figures" / ".map.12-0123abcd.tmp.png").write_bytes(PNG)
    assert main(["card", str(exported), "--repo-id", FULL]) == 0
    assert ".tmp.png" not in (exported / "README.md").read_text()


def test_without_records_no_result_renders(exported):
    assert main(["card", str(exported), "--repo-id", FULL]) == 0
    for folder in (exported, exported / "encoder"):
        card = ModelCard.load(folder / "README.md")
        assert card.data.eval_results is None
        results = card.text.partition("## Results")[2].partition("## Limits")[0]
        assert results.strip() == "No probe has been recorded for these weights."
        training = card.text.partition("## Training")[2].partition("## Results")[0]
        assert training.strip() == "The record of the run is not part of this folder."


def test_records_of_other_weights_do_not_render(exported, results, tiny_model, tokenizer):
    for parameter in tiny_model.parameters():
        parameter.data.mul_(1.5)
    export(tiny_model, tokenizer, exported)
    assert main(["card", str(exported), "--repo-id", FULL, "--results", str(results)]) == 0
    card = (exported / "README.md").read_text()
    assert "No probe has been recorded for these weights." in card
    for number in ("61.5", "44.0", "81.0", "71.2", "99.9"):
        assert number not in card


def test_every_python_block_is_short(compiled):
    blocks = python_blocks(compiled) + python_blocks(compiled / "encoder")
    assert len(blocks) == 7
    assert max(sum(bool(line.strip()) for line in block.splitlines()) for block in blocks) <= 8


@pytest.mark.parametrize(
    ("model_class", "expected"),
    [(BarcodeMAEModel, {"vectors"}), (BarcodeMAEForSequenceClassification, {"vectors", "answers"})],
)
def test_the_cards_of_other_models_run_too(make_config, tokenizer, tmp_path, model_class, expected):
    folder = tmp_path / "model"
    export(model_class(make_config()), tokenizer, folder)
    # A folder opens like a repository, so its path may stand in the card in place of a name.
    assert main(["card", str(folder), "--repo-id", str(folder)]) == 0
    names = {}
    for block in python_blocks(folder):
        exec(compile(block, "README.md", "exec"), names)
    assert expected | {"embeddings"} <= set(names)
    assert names["vectors"][0]["id"] == "first"


def test_the_card_of_an_encoder_without_a_decoder_offers_no_mask_filling(
    make_config, tokenizer, tmp_path
):
    export(BarcodeMAEModel(make_config()), tokenizer, tmp_path / "model")
    assert main(["card", str(tmp_path / "model"), "--repo-id", FULL]) == 0
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.pipeline_tag == "feature-extraction"
    assert "fill" not in card.text
    assert "| decoder |" not in card.text


def test_the_card_of_a_classifier_shows_classification_and_its_base_model(
    make_config, tokenizer, tmp_path
):
    config = make_config(num_labels=7)
    export(BarcodeMAEForSequenceClassification(config), tokenizer, tmp_path / "model")
    options = ["--repo-id", FULL, "--base-model", "lab/base"]
    assert main(["card", str(tmp_path / "model"), *options]) == 0
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.base_model == "lab/base"
    assert 'pipeline("text-classification", model="lab/tiny"' in card.text
    assert "knows 7 classes" in card.text


def test_the_card_of_a_fine_tuned_classifier_tells_of_fine_tuning(make_config, tokenizer, tmp_path):
    folder = tmp_path / "model"
    export(BarcodeMAEForSequenceClassification(make_config(num_labels=7)), tokenizer, folder)
    settings = {
        "model": "lab/base",
        "rank": "genus",
        "data": "/home/me/mine",
        "train_split": "train",
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    history = [{"step": 4, "loss": 1.0, "seconds": 60.0}, {"step": 4, "val_loss": 1.25}]
    (folder / "history.json").write_text(json.dumps(history))
    test = {"rank": "genus", "split": "test", "accuracy": 87.5, "num_barcodes": 80,
            "num_of_unknown_class": 3}  # fmt: skip
    (folder / "test.json").write_text(json.dumps(test))
    assert main(["card", str(folder), "--repo-id", FULL]) == 0
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model == "lab/base"
    for told in ("nats per barcode", "| rank that is named | genus |", "genus of 87.5 %",
                 "| fine-tuned from | lab/base |", "Of the 80 barcodes"):  # fmt: skip
        assert told in card.text
    for wrong in ("hidden k-mer", "pre-training", "/home/me"):
        assert wrong not in card.text
    assert ModelFolder(folder).check_publishable() is None


def test_cards_have_no_widget_and_their_commands_can_be_pasted(compiled):
    for folder in (compiled, compiled / "encoder"):
        card = ModelCard.load(folder / "README.md")
        assert "widget" not in card.data.to_dict()
        assert " None" not in card.text.partition("## Results")[2]
    assert "custom_code" in ModelCard.load(compiled / "README.md").data.tags


def test_the_space_and_sister_models_are_linked_where_they_are_named(exported):
    options = ["--space", "lab/names", "--sister", "lab/small", "--sister", "lab/large"]
    assert main(["card", str(exported), *options]) == 0
    card = (exported / "README.md").read_text()
    assert "[lab/names](https://huggingface.co/spaces/lab/names)" in card
    assert "[lab/small](https://huggingface.co/lab/small),\n[lab/large]" in card


def test_a_card_can_be_compiled_again(compiled):
    before = (compiled / "README.md").read_text()
    weights = load_file(compiled / "model.safetensors")
    assert main(["card", str(compiled), "--repo-id", FULL]) == 0
    assert (compiled / "README.md").read_text() != before
    assert set(load_file(compiled / "model.safetensors")) == set(weights)


def test_an_estimate_of_emissions_needs_both_numbers(exported, capsys):
    assert main(["card", str(exported), "--power-watts", "250"]) == 2
    assert "needs both" in capsys.readouterr().err
    with pytest.raises(SettingsError):
        CardSettings(repo_id=FULL, grams_per_kwh=40)


def test_a_figure_that_is_not_a_png_is_refused_and_no_card_is_written(exported, tmp_path):
    (tmp_path / "map.png").write_text("<svg/>")
    with pytest.raises(CheckpointError, match="is not a PNG"):
        write_cards(
            ModelFolder(exported), CardSettings(repo_id=FULL), RunRecord(), [],
            [tmp_path / "map.png"],
        )  # fmt: skip
    assert not (exported / "README.md").exists()


def test_the_native_folder_alone_is_refused(exported, capsys):
    assert main(["card", str(exported / "encoder")]) == 2
    assert "give the full model folder above it" in capsys.readouterr().err


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
def test_cards_say_that_a_model_was_trained_with_labels(
    make_config, tokenizer, tmp_path, tower_type
):
    config = make_config(
        num_taxa=9, taxon_rank="genus", taxon_loss_weight=0.1, tower_type=tower_type
    )
    export(BarcodeMAEForPreTraining(config), tokenizer, tmp_path / "model")
    folder = str(tmp_path / "model")
    assert main(["card", folder, "--repo-id", FULL, "--native", NATIVE]) == 0
    for folder in ("model", "model/encoder"):
        text = (tmp_path / folder / "README.md").read_text()
        assert "Not self-supervised: beside the k-mers, training named the genus" in text
    assert ("plain ModernBERT" in text) == (tower_type == "modernbert")
