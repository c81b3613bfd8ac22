import pytest

from barcodemae.errors import DataError
from barcodemae.eval.embedding import load_embedder
from barcodemae.eval.finetune import FinetuneRecipe, load_classifier, predict_by_finetuning
from barcodemae.eval.probe_data import read_labelled


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
        models.append(load_classifier(*args))
        return models[0]

    monkeypatch.setattr("barcodemae.eval.finetune.load_classifier", remember)
    recipe = FinetuneRecipe(epochs=1, freeze_encoder=True)
    predict_by_finetuning(
        embedder, train.sequences, train.labels, train.sequences[:1], seed=0, recipe=recipe
    )
    trained = dict(models[0].base_model.named_parameters())
    for name, weight in embedder.model.named_parameters():
        assert (trained[name] == weight).all(), name


def test_one_label_is_refused(model_folder):
    with pytest.raises(DataError, match="all have the same label"):
        predict_by_finetuning(
            load_embedder(model_folder), ["ACGTACG"] * 2, ["a", "a"], ["ACGTACG"], seed=0
        )
