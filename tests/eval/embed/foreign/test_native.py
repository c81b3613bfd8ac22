"""Systems whose network is part of transformers: recognised by their vocabulary of DNA."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    EsmConfig,
    EsmForMaskedLM,
    EsmModel,
    EsmTokenizer,
    ModernBertConfig,
    ModernBertModel,
)

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.loading import load_foreign


BARCODES = ["ACGTACGTTGCAACG", "TTGACCAGGTC"]


@pytest.fixture
def nucleotide_transformer_v1(tmp_path, write_esm_tokenizer):
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=27,
        mask_token_id=2,
        pad_token_id=1,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=12,
        position_embedding_type="absolute",
        emb_layer_norm_before=False,
        token_dropout=True,
    )
    EsmForMaskedLM(config).save_pretrained(tmp_path)
    write_esm_tokenizer(tmp_path, k=2)
    return tmp_path


@pytest.fixture
def moderngena(tmp_path, write_bpe_tokenizer):
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=32,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        pad_token_id=3,
    )
    ModernBertModel(config).save_pretrained(tmp_path)
    write_bpe_tokenizer(tmp_path)
    return tmp_path


@torch.no_grad()
def test_nucleotide_transformer_v1_gives_the_mean_over_its_kmers(nucleotide_transformer_v1):
    vectors = load_foreign(nucleotide_transformer_v1).embed(BARCODES)
    model = EsmModel.from_pretrained(nucleotide_transformer_v1, add_pooling_layer=False).eval()
    tokenizer = EsmTokenizer.from_pretrained(nucleotide_transformer_v1)
    for vector, barcode in zip(vectors, BARCODES, strict=True):
        inputs = tokenizer(barcode, add_special_tokens=False, return_tensors="pt")
        expected = model(**inputs).last_hidden_state.mean(dim=1)[0]
        assert abs(vector - expected.numpy()).max() < 1e-5


@torch.no_grad()
def test_moderngena_gives_the_mean_over_its_tokens(moderngena):
    embedder = load_foreign(moderngena)
    model = ModernBertModel.from_pretrained(moderngena).eval()
    for vector, ids in zip(embedder.embed(BARCODES), embedder.tokenize(BARCODES), strict=True):
        expected = model(torch.tensor([ids])).last_hidden_state.mean(dim=1)[0]
        assert abs(vector - expected.numpy()).max() < 1e-5


@pytest.mark.number_format
@pytest.mark.parametrize("name", ["nucleotide_transformer_v1", "moderngena"])
def test_native_systems_compute_in_the_number_format_asked_for(name, request):
    folder = request.getfixturevalue(name)
    exact, embedder = load_foreign(folder), load_foreign(folder, dtype=torch.bfloat16)
    assert {weight.dtype for weight in embedder.model.parameters()} == {torch.bfloat16}
    expected, vectors = exact.embed(BARCODES), embedder.embed(BARCODES)
    assert not np.array_equal(vectors, expected)
    np.testing.assert_allclose(vectors, expected, atol=0.05)


def test_positions_of_esm_start_after_the_padding_id(nucleotide_transformer_v1):
    embedder = load_foreign(nucleotide_transformer_v1)
    assert embedder.max_tokens == 10
    assert [len(tokens) for tokens in embedder.tokenize(["ACGT" * 20])] == [10]
    assert embedder.embed(["ACGT" * 20]).shape == (1, 24)


def test_an_esm_for_proteins_is_left_to_automodel(nucleotide_transformer_v1):
    amino_acids = "\n".join(["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", *"LAGVSERTIDPKQNFYMHWC"])
    (nucleotide_transformer_v1 / "vocab.txt").write_text(amino_acids)
    assert load_foreign(nucleotide_transformer_v1) is None


def test_a_missing_weight_is_named(nucleotide_transformer_v1):
    path = nucleotide_transformer_v1 / "model.safetensors"
    weights = load_file(path)
    del weights["esm.encoder.layer.1.output.dense.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights: encoder\.layer\.1\.output"):
        load_foreign(nucleotide_transformer_v1)


def test_the_fingerprint_is_that_of_the_weights(nucleotide_transformer_v1):
    first = load_foreign(nucleotide_transformer_v1).fingerprint
    assert load_foreign(nucleotide_transformer_v1).fingerprint == first
    path = nucleotide_transformer_v1 / "model.safetensors"
    weights = load_file(path)
    weights["esm.encoder.layer.1.output.dense.weight"] += 1
    save_file(weights, path, metadata={"format": "pt"})
    assert load_foreign(nucleotide_transformer_v1).fingerprint != first
