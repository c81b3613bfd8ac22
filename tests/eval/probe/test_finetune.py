import pytest
import torch

from barcodemae.errors import DataError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.probe.finetune import (
    FinetuneRecipe,
    make_batch,
    make_classifier,
    predict_by_finetuning,
)
from barcodemae.eval.probe.probe_data import read_labelled


RECIPE = FinetuneRecipe(epochs=8, batch_size=16, learning_rate=1e-2)


def test_fine_tuning_learns_species(model_folder, dataset_folder):
    embedder = load_embedder(model_folder)
    train = read_labelled(dataset_folder, ["train"], "species")
    test = read_labelled(dataset_folder, ["test"], "species")
    predicted = predict_by_finetuning(
        embedder, train.sequences, train.labels, test.sequences, seed=0, recipe=RECIPE
    )
    right = sum(a == b for a, b in zip(predicted, test.labels, strict=True))
    assert right / len(test.labels) > 0.5  # chance is 1 in 16


def test_the_head_reads_the_masked_mean_of_a_padded_batch(model_folder, encoder_folder, barcodes):
    for folder in (model_folder, encoder_folder):
        embedder = load_embedder(folder)
        classifier = make_classifier(embedder, 3, 0).eval()
        rows = embedder.tokenize([barcodes[0], barcodes[1][:40]])
        with torch.inference_mode():
            logits = classifier(**make_batch(rows, embedder.tokenizer, "cpu"))
            vectors = torch.from_numpy(embedder.embed([barcodes[0], barcodes[1][:40]]))
            torch.testing.assert_close(logits, classifier.head(vectors), atol=1e-5, rtol=0)


def test_a_native_encoder_is_fine_tuned_like_the_full_folder(
    model_folder, encoder_folder, dataset_folder
):
    train = read_labelled(dataset_folder, ["train"], "species")
    frozen = FinetuneRecipe(epochs=20, batch_size=16, learning_rate=5e-2, freeze_encoder=True)
    full, native = (
        predict_by_finetuning(
            load_embedder(folder), train.sequences, train.labels, train.sequences, seed=0,
            recipe=frozen,
        )
        for folder in (model_folder, encoder_folder)
    )  # fmt: skip
    assert full == native
    assert len(set(native)) > 8  # a head on a constant would name one species


def test_fine_tuning_repeats_with_its_seed(model_folder, barcodes):
    labels = ["a", "b"] * 4
    short = FinetuneRecipe(epochs=2, batch_size=4, learning_rate=1e-2)
    embedder = load_embedder(model_folder)
    runs = [
        predict_by_finetuning(embedder, barcodes, labels, barcodes, seed=seed, recipe=short)
        for seed in (0, 0, 1, 2, 3)
    ]
    assert runs[0] == runs[1]
    assert any(run != runs[0] for run in runs[2:])


def test_a_frozen_encoder_stays_as_it_was(model_folder, dataset_folder, monkeypatch):
    embedder = load_embedder(model_folder)
    train = read_labelled(dataset_folder, ["train"], "species")
    models = []

    def remember(*args):
        models.append(make_classifier(*args))
        return models[0]

    monkeypatch.setattr("barcodemae.eval.probe.finetune.make_classifier", remember)
    recipe = FinetuneRecipe(epochs=1, freeze_encoder=True)
    predict_by_finetuning(
        embedder, train.sequences, train.labels, train.sequences[:1], seed=0, recipe=recipe
    )
    trained = dict(models[0].encoder.named_parameters())
    for name, weight in embedder.model.named_parameters():
        assert (trained[name] == weight).all(), name


def test_one_label_is_refused(model_folder):
    with pytest.raises(DataError, match="all have the same label"):
        predict_by_finetuning(
            load_embedder(model_folder), ["ACGTACG"] * 2, ["a", "a"], ["ACGTACG"], seed=0
        )
