import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from barcodemae import masked_mean
from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.embed.embedder import (
    UnusableSequencesError,
    equal_length_batches,
)
from barcodemae.eval.embed.foreign import loading as foreign_loading
from barcodemae.eval.embed.loading import load_embedder


def test_embedding_is_the_masked_mean_of_a_padded_batch(model_folder, barcodes):
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModel.from_pretrained(model_folder).eval()
    batch = tokenizer(barcodes, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden_states = model(**batch).last_hidden_state
    expected = masked_mean(hidden_states, batch["attention_mask"]).numpy()
    np.testing.assert_allclose(load_embedder(model_folder).embed(barcodes), expected, atol=1e-5)


def test_full_folder_and_native_encoder_embed_alike(model_folder, encoder_folder, barcodes):
    full, native = load_embedder(model_folder), load_embedder(encoder_folder)
    np.testing.assert_allclose(full.embed(barcodes), native.embed(barcodes), atol=1e-6)
    assert full.fingerprint != native.fingerprint


def test_rows_come_back_in_input_order(model_folder, barcodes):
    embedder = load_embedder(model_folder)
    whole = embedder.embed(barcodes)
    np.testing.assert_allclose(embedder.embed(barcodes[::-1]), whole[::-1], atol=1e-5)


@pytest.mark.number_format
@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (2, 1), (64, 1), (3, 2)])
def test_batch_size_and_thread_count_change_nothing(model_folder, barcodes, batch_size, threads):
    sequences = [*barcodes, *(text[::-1] for text in barcodes)]
    expected = load_embedder(model_folder, batch_size=5).embed(sequences)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        vectors = load_embedder(model_folder, batch_size=batch_size).embed(sequences)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_a_batch_never_mixes_lengths():
    lengths = [3, 5, 3, 3, 5]
    batches = equal_length_batches(lengths, 2)
    assert [rows.tolist() for rows in batches] == [[1, 4], [0, 2], [3]]


@pytest.mark.number_format
def test_bfloat16_is_close_and_comes_back_as_float32(model_folder, barcodes):
    exact = load_embedder(model_folder).embed(barcodes)
    rounded = load_embedder(model_folder, dtype="bfloat16").embed(barcodes)
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=0.1)


def test_unreadable_sequences_are_named_before_anything_runs(model_folder):
    embedder = load_embedder(model_folder)
    sequences = ["ACGTACGT", "NNNN", "MKLV"]
    assert list(embedder.find_invalid(sequences)) == [1, 2]
    with pytest.raises(UnusableSequencesError, match="sequence 1: nothing but N"):
        embedder.embed(sequences)


def test_no_sequences_give_no_rows(model_folder):
    assert load_embedder(model_folder).embed([]).shape == (0, 32)


def test_missing_weights_are_refused_rather_than_drawn_at_random(model_folder):
    file = model_folder / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "layer.1.output.dense.weight" in name)
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="1 weights are not in its files"):
        load_embedder(model_folder)


def test_tokenizer_of_another_k_is_refused(model_folder):
    from barcodemae import BarcodeKmerTokenizer

    BarcodeKmerTokenizer(k=4).save_pretrained(model_folder)
    with pytest.raises(CheckpointError, match=r"k-mers of 4 .258 tokens., the weights are for 66"):
        load_embedder(model_folder)


def test_pickled_weights_are_never_opened(model_folder):
    (model_folder / "model.safetensors").rename(model_folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        load_embedder(model_folder)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dtype": "int8"}, SettingsError, "dtype 'int8'"),
        ({"batch_size": 0}, SettingsError, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(model_folder, options, error, words):
    with pytest.raises(error, match=words):
        load_embedder(model_folder, **options)


def test_an_unknown_name_is_one_clear_error(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder, and not available from the Hub"):
        load_embedder(tmp_path / "nothing")


def test_readout_of_the_folder_is_applied(model_folder, barcodes):
    plain = load_embedder(model_folder).embed(barcodes)
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Normalize", "path": "1_Normalize"},
    ]
    (model_folder / "modules.json").write_text(json.dumps(modules))
    scaled = load_embedder(model_folder).embed(barcodes)
    np.testing.assert_allclose(scaled, plain / np.linalg.norm(plain, axis=1, keepdims=True), 1e-5)


def test_the_revision_reaches_a_published_system(monkeypatch):
    monkeypatch.setattr(foreign_loading, "load_foreign", lambda model, **options: (model, options))
    model, options = load_embedder("lab/foreign", revision="0123abc", device="cpu")
    assert model == "lab/foreign"
    assert options["revision"] == "0123abc"


def test_a_missing_device_is_an_error_of_one_line(model_folder):
    for device in ("gpu9", "meta:x", "xpu:99"):
        with pytest.raises(SettingsError, match=f"device '{device}' cannot be used") as caught:
            load_embedder(model_folder, device=device)
        assert "\n" not in str(caught.value)
