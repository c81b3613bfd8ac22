"""Folders whose tokenizer has a frame: one vector per fragment, however the model is opened."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, pipeline

from barcodemae import masked_mean
from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.embedder import split_leads
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.masked_embedder import MASKING, MaskedEmbedder
from barcodemae.eval.probe.finetune import (
    FinetuneRecipe,
    classify,
    make_batch,
    make_classifier,
    predict_by_finetuning,
)
from barcodemae.model_files import hash_weights


@pytest.fixture(scope="module")
def fragments(relatives):
    """Whole, truncated, middle, prefixed and unrelated: leads of 0, 9, 20, 0, 0 and 34 tokens."""
    return [
        relatives[0],
        relatives[1][25:],
        relatives[2][60:150],
        "GATTACA" * 5 + relatives[3],
        "GATTACA" * 9,
        relatives[4][101:],
    ]


LEADS = [0, 9, 20, 0, 0, 34]


@pytest.fixture(scope="module")
@torch.no_grad()
def expected(framed_folder, fragments):
    """Output of the full model for each fragment alone, its k-mers at their true positions."""
    tokenizer = AutoTokenizer.from_pretrained(framed_folder)
    model = AutoModel.from_pretrained(framed_folder).eval()
    vectors = []
    for fragment, lead in zip(fragments, LEADS, strict=True):
        ids = torch.tensor([tokenizer(fragment)["input_ids"]])
        assert (ids[0, :lead] == 1).all()
        assert (ids[0, lead:] > 1).all()
        positions = torch.arange(lead, ids.shape[1])[None]
        hidden = model.encoder(input_ids=ids[:, lead:], position_ids=positions).last_hidden_state
        vectors.append(hidden.mean(dim=1)[0])
    return torch.stack(vectors)


@pytest.mark.parametrize("part", [".", "encoder"])
@pytest.mark.parametrize("packs", [True, False])
def test_embedders_place_every_fragment_in_the_frame(
    framed_folder, fragments, expected, part, packs
):
    embedder = load_embedder(framed_folder / part)
    if not packs:
        embedder.packed = None
    found = torch.from_numpy(embedder.embed(fragments))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    backwards = torch.from_numpy(embedder.embed(fragments[::-1]))
    torch.testing.assert_close(backwards.flip(0), expected, atol=2e-5, rtol=0)


@torch.no_grad()
def test_models_opened_by_hand_give_the_same_vectors(framed_folder, fragments, expected):
    tokenizer = AutoTokenizer.from_pretrained(framed_folder / "encoder")
    batch = tokenizer(fragments, return_tensors="pt")
    native = AutoModel.from_pretrained(framed_folder / "encoder").eval()
    states = native(**batch).last_hidden_state
    found = masked_mean(states, batch["attention_mask"])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    outputs = AutoModel.from_pretrained(framed_folder).eval()(**batch)
    found = masked_mean(outputs.last_hidden_state, outputs.attention_mask)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_sentence_transformers_and_the_pipeline_give_the_same_vectors(
    framed_folder, fragments, expected
):
    sentences = SentenceTransformer(str(framed_folder / "encoder"), device="cpu")
    found = sentences.encode(fragments, convert_to_tensor=True)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    embed = pipeline("dna-embedding", model=str(framed_folder), trust_remote_code=True)
    for batch_size in (1, 4):
        found = torch.tensor(embed(fragments, batch_size=batch_size))
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert len(embed(fragments[2], pooling="none")) == 30  # the k-mers of a 90 bp fragment


def test_the_endpoint_gives_the_same_vectors(framed_folder, fragments, expected):
    specification = importlib.util.spec_from_file_location("handler", framed_folder / "handler.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    answers = module.EndpointHandler(str(framed_folder))({"inputs": [*fragments, "NNN"]})
    assert "error" in answers.pop()
    found = torch.tensor([answer["embedding"] for answer in answers])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_fill_mask_answers_for_the_mask_in_the_text_alone(framed_folder, relatives):
    fill = pipeline("fill-mask", model=str(framed_folder), trust_remote_code=True)
    text = relatives[0][25:60] + "[MASK]" + relatives[0][63:]
    answers = fill(text, top_k=1)
    with torch.no_grad():
        logits = fill.model(**fill.tokenizer(text, return_tensors="pt")).logits
    assert [answer["token"] for answer in answers] == [int(logits[0, 20].argmax())]


def test_a_fragment_read_from_its_first_base_would_be_something_else(
    framed_folder, tmp_path, fragments, expected
):
    folder = without_frame(framed_folder / "encoder", tmp_path)
    found = torch.from_numpy(load_embedder(folder).embed(fragments))
    is_same = (found - expected).abs().amax(dim=1) < 1e-4
    assert is_same.tolist() == [True, False, False, False, True, False]


def without_frame(folder, tmp_path):
    """A copy whose tokenizer has the same k and no frame."""
    copied = tmp_path / "without"
    shutil.copytree(folder, copied)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    type(tokenizer)(k=tokenizer.k, max_length_bp=tokenizer.max_length_bp).save_pretrained(copied)
    return copied


def test_the_frame_is_part_of_the_fingerprint(framed_folder, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(framed_folder, copied)
    assert hash_weights(copied) == hash_weights(framed_folder)
    path = copied / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    first = settings["frame"][0]
    settings["frame"][0] = ("1" if first[0] == "0" else "0") + first[1:]
    path.write_text(json.dumps(settings))
    other = without_frame(framed_folder, tmp_path)
    assert len({hash_weights(folder) for folder in (framed_folder, copied, other)}) == 3
    path.write_text("[")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: cannot be read"):
        hash_weights(copied)


def test_leads_are_stripped_if_and_only_if_there_is_a_frame(framed_folder, tokenizer):
    framed = AutoTokenizer.from_pretrained(framed_folder)
    tokens = [[1, 1, 5, 1, 7], [9, 1], [0, 1]]
    rows, leads = split_leads(tokens, framed)
    assert (rows, leads.tolist()) == ([[5, 1, 7], [9, 1], [0, 1]], [2, 0, 0])
    rows, leads = split_leads(tokens, tokenizer)
    assert (rows, leads.tolist()) == (tokens, [0, 0, 0])


@pytest.mark.parametrize("part", [".", "encoder"])
def test_a_classifier_reads_fragments_as_the_embedder_does(
    framed_folder, fragments, expected, part
):
    embedder = load_embedder(framed_folder / part)
    classifier = make_classifier(embedder, 5, 0).eval()
    tokens = embedder.tokenize(fragments)
    with torch.inference_mode():
        scores = classifier.head(expected)
        logits = classifier(**make_batch(tokens, embedder.tokenizer, "cpu"))
    torch.testing.assert_close(logits, scores, atol=5e-5, rtol=0)
    classes = classify(classifier, tokens, embedder.tokenizer, batch_size=4)
    assert classes.tolist() == scores.argmax(dim=1).tolist()


def test_fine_tuning_on_whole_barcodes_predicts_fragments(framed_folder, relatives):
    """Ten families of one ancestor; fragments have their letters at the sites trained on."""
    labels = [str(row // 10) for row in range(len(relatives))]
    recipe = FinetuneRecipe(epochs=25, batch_size=16, learning_rate=1e-2)
    embedder = load_embedder(framed_folder)
    queries = [barcode[20:] for barcode in relatives]
    predicted = predict_by_finetuning(embedder, relatives, labels, queries, seed=0, recipe=recipe)
    right = np.mean([one == other for one, other in zip(predicted, labels, strict=True)])
    assert right > 0.6  # chance is 1 in 6


def hide_third_and_last(tokens, *_):
    hidden = [np.zeros(len(row), bool) for row in tokens]
    for row in hidden:
        row[[2, -1]] = True
    return hidden


@torch.no_grad()
def test_the_mask_study_removes_kmers_of_the_fragment_at_their_positions(
    framed_folder, fragments, monkeypatch
):
    monkeypatch.setattr("barcodemae.eval.embed.masked_embedder.choose_hidden", hide_third_and_last)
    native = framed_folder / "encoder"
    tokenizer = AutoTokenizer.from_pretrained(native)
    model = AutoModel.from_pretrained(native).eval()
    some = [1, 2]
    dropped = MaskedEmbedder(load_embedder(native), "drop")
    masked = MaskedEmbedder(load_embedder(native), *MASKING)
    texts = [fragments[row] for row in some]
    removed, replaced = dropped.embed(texts, 0.1, 0), masked.embed(texts, 0.1, 0)
    for place, row in enumerate(some):
        ids = torch.tensor(tokenizer(fragments[row])["input_ids"])[None, LEADS[row] :]
        positions = torch.arange(ids.shape[1])[None] + LEADS[row]
        is_hidden = torch.from_numpy(hide_third_and_last(ids.tolist())[0])
        states = model(
            input_ids=ids[:, ~is_hidden], position_ids=positions[:, ~is_hidden]
        ).last_hidden_state[0]
        np.testing.assert_allclose(removed["drop"][place], states.mean(dim=0), atol=2e-5)
        ids[0, is_hidden] = tokenizer.mask_token_id
        states = model(input_ids=ids, position_ids=positions).last_hidden_state[0]
        for mode, part in (
            ("combined", states),
            ("mask", states[is_hidden]),
            ("nonmask", states[~is_hidden]),
        ):
            np.testing.assert_allclose(replaced[mode][place], part.mean(dim=0), atol=2e-5)
