"""Published systems: which are opened, which are left to other loaders, and that all act alike."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed import masked_embedder
from barcodemae.eval.embed.embedder import UnusableSequencesError
from barcodemae.eval.embed.foreign import loading as foreign
from barcodemae.eval.embed.foreign.loading import PUBLISHED, load_foreign
from barcodemae.eval.embed.masked_embedder import MASKING, MODES
from barcodemae.eval.probe.finetune import FinetuneRecipe, predict_by_finetuning
from barcodemae.eval.probe.mask_study import MaskStudy, run_mask_study


BARCODES = ["ACGTACGTTGCAACG", "TTGACCAGGTC", "ACGNTTACGAT", "TTGACCAGGTC", "GGCATTTTAGCA", "AC"]


def test_every_published_layout_gives_one_finite_vector_per_sequence(published_folder):
    vectors = load_foreign(published_folder).embed(BARCODES)
    assert vectors.shape == (6, 24)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[1], vectors[3], atol=1e-5)  # the same barcode
    assert len(np.unique(vectors.round(4), axis=0)) == 5


def test_the_batch_size_and_the_neighbours_do_not_change_an_embedding(published_folder):
    together = load_foreign(published_folder, batch_size=64).embed(BARCODES)
    embedder = load_foreign(published_folder, batch_size=1)
    np.testing.assert_allclose(embedder.embed(BARCODES), together, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(BARCODES[2:3])[0], together[2], atol=1e-5)


def test_an_embedding_equals_the_masked_mean_of_a_padded_batch(published_folder):
    embedder = load_foreign(published_folder)
    padded = embedder.tokenizer.pad({"input_ids": embedder.tokenize(BARCODES)}, return_tensors="pt")
    outputs = embedder.model(padded["input_ids"], attention_mask=padded["attention_mask"])
    mask = padded["attention_mask"].unsqueeze(-1)
    means = (outputs.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
    np.testing.assert_allclose(embedder.embed(BARCODES), means.detach().numpy(), atol=1e-5)


@pytest.mark.number_format
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_number_format_is_computed_in_and_stays_near_float32(published_folder, barcodes, dtype):
    exact, embedder = load_foreign(published_folder), load_foreign(published_folder, dtype=dtype)
    weights = {name: value.dtype for name, value in embedder.model.named_parameters()}
    assert {kind for name, kind in weights.items() if ".filter_fn." not in name} == {dtype}
    axes = [buffer for buffer in embedder.model.buffers() if buffer.is_floating_point()]
    assert all(axis.dtype == torch.float32 for axis in axes)  # positions are not rounded
    expected, vectors = exact.embed(barcodes), embedder.embed(barcodes)
    assert vectors.dtype == np.float32
    assert not np.array_equal(vectors, expected)
    error = np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < (0.02 if dtype is torch.bfloat16 else 0.003)
    assert embedder.fingerprint == exact.fingerprint  # of the weights as published


def test_case_u_and_gaps_or_n_at_the_ends_do_not_change_an_embedding(published_folder):
    embedder = load_foreign(published_folder)
    written = ["acgtacguugcaacg", "--ACGTACGTTGCAACG..", "ACGTACGTTGCAACGNNN"]
    np.testing.assert_array_equal(embedder.embed(written), embedder.embed([BARCODES[0]] * 3))


def test_no_special_token_is_read(published_folder):
    embedder = load_foreign(published_folder)
    tokenizer = embedder.tokenizer
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.eos_token_id} - {None}
    assert special.isdisjoint(embedder.tokenize(["ACGTACGTTGCAACG"])[0])


@pytest.mark.parametrize("sequence", ["", "---", "NNNN", "MKVLAAGIVG"])
def test_sequences_without_a_base_or_of_protein_are_refused_by_row(published_folder, sequence):
    embedder = load_foreign(published_folder)
    with pytest.raises(UnusableSequencesError) as caught:
        embedder.embed(["ACGTACGT", sequence])
    assert list(caught.value.reasons) == [1]


def test_no_sequences_give_no_vectors(published_folder):
    assert load_foreign(published_folder).embed([]).shape == (0, 24)


def test_the_name_is_the_one_given_and_the_fingerprint_that_of_the_weights(published_folder):
    embedder = load_foreign(published_folder)
    assert embedder.name == str(published_folder)
    assert len(embedder.fingerprint) == 16
    assert load_foreign(published_folder).fingerprint == embedder.fingerprint


def test_a_published_folder_without_weights_says_so(published_folder):
    for path in [*published_folder.glob("*.bin"), *published_folder.glob("*.safetensors")]:
        path.unlink()
    with pytest.raises(CheckpointError, match="weights not available here"):
        load_foreign(published_folder)


@pytest.fixture
def offline(monkeypatch):
    def refuse(name, **_):
        raise LocalEntryNotFoundError(f"cannot reach the Hub for {name}")

    monkeypatch.setattr(foreign, "snapshot_download", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["kmer:6", "vsearch", "someone/some-model", "a/b/c", "no such"])
def test_unknown_names_are_left_to_other_loaders(name):
    assert load_foreign(name) is None


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", [*PUBLISHED, *PUBLISHED.values(), "DNABERT-2"])
def test_a_published_system_that_cannot_be_reached_is_reported_not_invented(name):
    with pytest.raises(CheckpointError, match="weights not available here"):
        load_foreign(name)


def test_unknown_folders_and_files_are_left_to_other_loaders(tmp_path):
    assert load_foreign(tmp_path) is None
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert load_foreign(tmp_path) is None
    (tmp_path / "notes.txt").write_text("ACGT")
    assert load_foreign(tmp_path / "notes.txt") is None


def test_a_hub_name_brings_description_and_weights_but_no_code(
    published_folder, tmp_path, monkeypatch
):
    fetched = []

    def download(name, *, revision, allow_patterns):
        cache = tmp_path / "cache"
        cache.mkdir(exist_ok=True)
        for path in published_folder.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, cache)
                fetched.append((name, revision, path.name))
        return str(cache)

    monkeypatch.setattr(foreign, "snapshot_download", download)
    by_name = load_foreign("someone/finetuned", revision="v1")
    assert by_name.fingerprint == load_foreign(published_folder).fingerprint
    assert {(name, revision) for name, revision, _ in fetched} == {("someone/finetuned", "v1")}
    assert not any(Path(file).suffix == ".py" for _, _, file in fetched)


def test_a_recognised_hub_model_without_its_weights_is_not_passed_on(dnabert_2, monkeypatch):
    (dnabert_2 / "pytorch_model.bin").unlink()

    def download(name, *, revision, allow_patterns):
        if "config.json" in allow_patterns:
            return str(dnabert_2)
        raise LocalEntryNotFoundError(f"cannot reach the Hub for {name} at {revision}")

    monkeypatch.setattr(foreign, "snapshot_download", download)
    with pytest.raises(CheckpointError, match="someone/finetuned: weights not available here"):
        load_foreign("someone/finetuned")


def test_another_hub_model_costs_only_its_description(tmp_path, monkeypatch):
    patterns = []

    def download(_, *, revision, allow_patterns):
        assert revision is None
        patterns.extend(allow_patterns)
        (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
        return str(tmp_path)

    monkeypatch.setattr(foreign, "snapshot_download", download)
    assert load_foreign("someone/else") is None
    assert not any("safetensors" in pattern or "bin" in pattern for pattern in patterns)


@pytest.mark.parametrize(("system", "modes"), [("barcodebert", MODES), ("dnabert_2", MASKING)])
def test_published_systems_can_run_in_the_masking_study(system, modes, request, dataset_folder):
    folder, said = str(request.getfixturevalue(system)), []
    study = MaskStudy(dataset=dataset_folder, rates=(0.5,), max_references=30)
    records = list(run_mask_study(folder, study, on_left_out=said.append))
    assert tuple(record.protocol["mode"] for record in records) == modes
    assert len(said) == len(MODES) - len(modes)
    assert all("tokens cannot be left out of a MosaicBertModel" in reason for reason in said)


@torch.no_grad()
def test_removing_tokens_from_barcodebert_keeps_the_true_positions(barcodebert, monkeypatch):
    is_hidden = np.array([False, True, False, True, False])
    monkeypatch.setattr(masked_embedder, "choose_hidden", lambda tokens, *_: [is_hidden])
    embedder = load_foreign(barcodebert)
    (ids,) = embedder.tokenize(["ACGTTGCAACGGTAC"[: 5 * embedder.k]])
    vectors = masked_embedder.MaskedEmbedder(embedder, "drop")
    sequence = "ACGTTGCAACGGTAC"[: 5 * embedder.k]
    kept, positions = torch.tensor([[ids[0], ids[2], ids[4]]]), torch.tensor([[0, 2, 4]])
    expected = embedder.model(kept, position_ids=positions).last_hidden_state.mean(dim=1)
    found = vectors.embed([sequence], 0.4, 0)["drop"]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_every_published_system_can_be_fine_tuned(published_folder):
    embedder = load_foreign(published_folder)
    before = embedder.embed(BARCODES)
    labels = ["a", "b", "a", "b", "a", "b"]
    recipe = FinetuneRecipe(epochs=1, batch_size=4)
    predicted = predict_by_finetuning(embedder, BARCODES, labels, BARCODES, seed=0, recipe=recipe)
    assert set(predicted) <= {"a", "b"}
    np.testing.assert_array_equal(embedder.embed(BARCODES), before)  # a copy was tuned
