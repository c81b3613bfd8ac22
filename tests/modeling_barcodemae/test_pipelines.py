"""Pipelines as the Hub's widgets call them, and our own `dna-embedding`."""

import json

import pytest
import torch
from transformers import pipeline

from barcodemae import BarcodeMAEForSequenceClassification, masked_mean
from barcodemae.model_cards.model_folder import ModelFolder
from barcodemae.training.export.folders import export


BARCODE = "AACATTATATTTTATTTTTGGAGCTTGAGCAGGAATAGTAGG"


@pytest.fixture
def exported(tiny_model, tokenizer, tmp_path):
    with torch.no_grad():  # as after training: every row is non-zero, [UNK] included
        tiny_model.get_input_embeddings().weight.normal_()
    export(tiny_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def classifier(make_config, tokenizer, tmp_path):
    torch.manual_seed(0)
    names = {0: "Apis", 1: "Bombus", 2: "Vespa"}
    config = make_config(id2label=names, label2id={name: row for row, name in names.items()})
    export(BarcodeMAEForSequenceClassification(config).eval(), tokenizer, tmp_path / "classes")
    return tmp_path / "classes"


@pytest.fixture
def embedder(exported):
    return pipeline("dna-embedding", model=str(exported), trust_remote_code=True)


@torch.no_grad()
def embed_by_hand(tiny_model, tokenizer, barcodes):
    batch = tokenizer(barcodes, return_tensors="pt")
    return masked_mean(tiny_model.barcodemae(**batch).last_hidden_state, batch["attention_mask"])


def test_fill_mask_reads_spaced_and_raw_letters_alike(exported, tokenizer):
    folder = ModelFolder(exported)
    fill = pipeline(folder.pipeline_tag, model=str(exported), trust_remote_code=True)
    assert fill.tokenizer.mask_token == "[MASK]"  # what the widget asks the user to type
    spaced, raw = (part.join(["AACATT", "[MASK]", "TTATTTTTGG"]) for part in (" ", ""))
    answers = fill(spaced)
    assert answers == fill(raw)
    assert len(answers) == 5
    assert all(set(answer) == {"score", "token", "token_str", "sequence"} for answer in answers)
    filled = raw.replace("[MASK]", answers[0]["token_str"])
    assert answers[0]["sequence"] == filled
    assert {answer["token_str"] for answer in answers} <= set(tokenizer.get_vocab())


def test_each_of_two_masks_gets_its_own_answers(exported):
    fill = pipeline("fill-mask", model=str(exported), trust_remote_code=True)
    first, second = fill("ACG [MASK] TTT [MASK] ACG")
    assert len(first) == len(second) == 5


def test_feature_extraction_answers_on_the_native_encoder(exported, tiny_model, tokenizer):
    folder = ModelFolder(exported / "encoder")
    extract = pipeline(folder.pipeline_tag, model=str(exported / "encoder"))
    (states,) = extract(BARCODE)
    mean = torch.tensor(states).mean(dim=0, keepdim=True)
    expected = embed_by_hand(tiny_model, tokenizer, [BARCODE])
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=0)


def test_text_classification_names_classes(classifier):
    folder = ModelFolder(classifier)
    classify = pipeline(folder.pipeline_tag, model=str(classifier), trust_remote_code=True)
    (best,) = classify(BARCODE)
    answers = classify(BARCODE, top_k=None)  # as the widget asks
    assert {answer["label"] for answer in answers} == {"Apis", "Bombus", "Vespa"}
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-5)
    assert answers[0] == best


def test_sequences_in_give_the_masked_mean_out(embedder, tiny_model, tokenizer, barcodes):
    expected = embed_by_hand(tiny_model, tokenizer, barcodes)
    torch.testing.assert_close(torch.tensor(embedder(barcodes)), expected, atol=1e-5, rtol=0)
    assert embedder(barcodes[0]) == embedder(barcodes)[0]


def test_records_keep_their_ids_and_batching_changes_nothing(embedder, barcodes):
    records = [{"id": f"r{row}", "sequence": text} for row, text in enumerate(barcodes)]
    one_by_one = embedder(records)
    assert [found["id"] for found in one_by_one] == [record["id"] for record in records]
    batched = embedder((record for record in records), batch_size=3)  # streams a generator
    for single, found in zip(one_by_one, batched, strict=True):
        assert single["id"] == found["id"]
        assert found["embedding"] == pytest.approx(single["embedding"], abs=1e-5)


def test_hidden_kmers_do_not_enter_the_vector(embedder, barcodes):
    k, barcode = 3, barcodes[3]
    hidden = barcode[:k] + "[MASK]" + barcode[2 * k :]
    long_one = barcodes[-1]
    alone = embedder(hidden)
    assert alone != pytest.approx(embedder(barcode), abs=1e-4)
    assert embedder([hidden, long_one], batch_size=2)[0] == pytest.approx(alone, abs=1e-5)


def test_pooling_and_scaling_are_options(embedder, barcodes):
    per_token = torch.tensor(embedder(barcodes[0], pooling="none"))
    mean = torch.tensor(embedder(barcodes[0]))
    torch.testing.assert_close(per_token.mean(dim=0), mean, atol=1e-5, rtol=0)
    scaled = torch.tensor(embedder(barcodes[0], normalize=True))
    torch.testing.assert_close(scaled, mean / mean.norm(), atol=1e-5, rtol=0)
    batched = embedder(barcodes[:2], pooling="none", batch_size=2)
    assert [len(rows) for rows in batched] == [len(text) // 3 for text in barcodes[:2]]


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ("NNNN", {}, "0 bases after clean-up"),
        ({"id": "a"}, {}, "needs a text under 'sequence'"),
        ("ACGTTT", {"pooling": "max"}, "pooling must be one of mean, none"),
        ("ACGTTT", {"pool": "mean"}, "no option pool"),
    ],
)
def test_what_cannot_be_embedded_is_refused(embedder, inputs, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        embedder(inputs, **options)


def test_the_task_is_declared_beside_the_weights_and_not_in_the_native_encoder(exported):
    config = json.loads((exported / "config.json").read_text())
    module, name = config["custom_pipelines"]["dna-embedding"]["impl"].split(".")
    assert f"class {name}(" in (exported / f"{module}.py").read_text()
    assert "custom_pipelines" not in json.loads((exported / "encoder" / "config.json").read_text())
    assert not list((exported / "encoder").glob("*.py"))
