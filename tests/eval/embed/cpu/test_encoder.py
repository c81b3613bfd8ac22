import random

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.eval.embed.cpu import encoder as encoder_module
from barcodemae.eval.embed.cpu.encoder import CpuEncoder, can_pack, pack
from barcodemae.eval.embed.cpu.token_pieces import Piece
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.number_format import DTYPES, onednn_takes_bfloat16
from barcodemae.training.export.folders import export_native


pytestmark = [
    pytest.mark.number_format,
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN"),
]
needs_bfloat16 = pytest.mark.skipif(
    not onednn_takes_bfloat16(), reason="oneDNN takes no bfloat16 on this processor"
)
EACH_FORMAT = ["float32", pytest.param("bfloat16", marks=needs_bfloat16)]


def make_bert(**changes):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=66,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        **changes,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():  # biases and gains that show when they are left out
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def places(ids):
    """Positions of rows that begin at the first."""
    return torch.arange(ids.shape[1]).expand_as(ids)


def encode(model, ids, positions):
    """Packed states of rows of equal length, (B, L, D)."""
    encoder = CpuEncoder(model)
    distinct, rows = encoder.embed_distinct(ids.flatten().numpy(), positions.flatten().numpy())
    (states,) = encoder(distinct, Piece.of(rows.split(ids.shape[1]), encoder.row_step))
    return states


@needs_bfloat16
@torch.inference_mode()
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (300, 11)])  # the last takes many products
def test_packed_states_are_as_near_to_fp32_as_the_stock_model_in_bf16(shape):
    model = make_bert()
    ids = torch.randint(66, shape)
    exact = model(input_ids=ids).last_hidden_state
    half = model.bfloat16()
    stock = half(input_ids=ids).last_hidden_state.float()
    packed = encode(half, ids, places(ids)).float()
    assert packed.shape == exact.shape
    error, allowed = (packed - exact).norm(), (stock - exact).norm()
    assert 0 < allowed < 0.05 * exact.norm()
    assert error < 1.3 * allowed


@torch.inference_mode()
def test_packed_states_in_fp32_are_those_of_the_stock_model():
    model = make_bert()
    ids = torch.randint(66, (300, 11))
    for positions in (places(ids), torch.randint(512, ids.shape)):
        expected = model(input_ids=ids, position_ids=positions).last_hidden_state
        packed = encode(model, ids, positions)
        torch.testing.assert_close(packed, expected, atol=2e-5, rtol=1e-5)


def test_other_activations_and_precisions_keep_the_stock_model():
    assert can_pack(make_bert())
    assert not can_pack(make_bert(hidden_act="relu"))
    assert pack(make_bert(hidden_act="gelu_new")) is None
    assert pack(make_bert().half()) is None


@pytest.mark.parametrize("is_taken", [False, True])
def test_weights_in_bfloat16_are_packed_where_onednn_takes_them(monkeypatch, is_taken):
    monkeypatch.setattr(encoder_module, "onednn_takes_bfloat16", lambda: is_taken)
    assert can_pack(make_bert().bfloat16()) is is_taken
    assert can_pack(make_bert())


def test_where_onednn_takes_no_bfloat16_the_stock_model_computes(
    model_folder, barcodes, monkeypatch
):
    monkeypatch.setattr(encoder_module, "onednn_takes_bfloat16", lambda: False)
    exact = load_embedder(model_folder).embed(barcodes)
    embedder = load_embedder(model_folder, dtype="bfloat16")
    assert embedder.packed is None
    np.testing.assert_allclose(embedder.embed(barcodes), exact, atol=0.1)


def test_both_folders_are_packed_and_give_the_vectors_of_the_stock_model(
    model_folder, encoder_folder, barcodes
):
    for folder in (model_folder, encoder_folder):
        embedder = load_embedder(folder)
        packed = embedder.embed(barcodes)
        assert embedder.packed is not None
        embedder.packed = None
        np.testing.assert_allclose(packed, embedder.embed(barcodes), atol=1e-5, rtol=1e-5)


@needs_bfloat16
def test_both_folders_are_packed_in_bfloat16_as_near_to_fp32_as_the_stock_model(
    model_folder, encoder_folder, barcodes
):
    exact = torch.from_numpy(load_embedder(encoder_folder).embed(barcodes))
    for folder in (model_folder, encoder_folder):
        embedder = load_embedder(folder, dtype="bfloat16")
        assert embedder.packed is not None
        packed = torch.from_numpy(embedder.embed(barcodes))
        embedder.packed = None
        stock = torch.from_numpy(embedder.embed(barcodes))
        assert (packed - exact).norm() < 1.5 * (stock - exact).norm()


def test_hidden_tokens_are_left_to_the_full_model(model_folder):
    embedder = load_embedder(model_folder)
    model = AutoModel.from_pretrained(model_folder).eval()
    ids = [[5, 0, 9, 3], [0, 7, 8, 2]]
    with torch.inference_mode():
        states = model(input_ids=torch.tensor(ids)).last_hidden_state
    assert states.shape[1] == 3
    expected = states.mean(dim=1)
    pooled = embedder.pool(ids, np.zeros(2, np.int64))
    torch.testing.assert_close(torch.from_numpy(pooled), expected)


@pytest.fixture(scope="module", params=EACH_FORMAT)
def wide_folder(request, tmp_path_factory):
    """An encoder as wide as the bundled one: oneDNN treats small products all alike."""
    torch.manual_seed(0)
    config = BarcodeMAEConfig(
        k=3,
        hidden_size=512,
        num_hidden_layers=1,
        num_attention_heads=8,
        intermediate_size=2048,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=32,
        decoder_num_attention_heads=4,
    )
    folder = tmp_path_factory.mktemp("wide") / "encoder"
    export_native(BarcodeMAEForPreTraining(config), BarcodeKmerTokenizer(k=3), folder)
    return folder, request.param


def mixture():
    """Sequences of many lengths, some alike, in more than one piece."""
    generator = random.Random(0)
    lengths = [330] * 24 + [generator.randrange(3, 330) for _ in range(24)]
    generator.shuffle(lengths)
    return ["".join(generator.choices("ACGT", k=length)) for length in lengths]


def test_a_vector_is_the_same_bit_by_bit_alone_and_in_any_mixture(wide_folder):
    folder, dtype = wide_folder
    sequences = mixture()
    embedder = load_embedder(folder, dtype=dtype)
    whole = embedder.embed(sequences)
    alone = np.concatenate([embedder.embed([text]) for text in sequences])
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(embedder.embed(sequences[::-1]), whole[::-1])
    np.testing.assert_array_equal(embedder.embed(sequences[7:20]), whole[7:20])
    few = load_embedder(folder, dtype=dtype, batch_size=3)
    np.testing.assert_array_equal(few.embed(sequences), whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_vector_is_the_same_bit_by_bit_on_any_number_of_threads(wide_folder, threads):
    folder, dtype = wide_folder
    embedder = load_embedder(folder, dtype=dtype)
    sequences = mixture()
    expected = embedder.embed(sequences)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        vectors, alone = embedder.embed(sequences), embedder.embed(sequences[:1])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_array_equal(alone, expected[:1])


@torch.inference_mode()
@pytest.mark.parametrize("dtype", EACH_FORMAT)
def test_packed_vectors_of_a_mixture_are_as_near_to_fp32_as_those_of_the_stock_model(dtype):
    model = make_bert()
    tokens = [torch.randint(66, (length,)).tolist() for length in (90, 90, 41, 7, 7, 7, 1)]
    leads = np.array([0, 3, 12, 0, 400, 5, 9])

    def stock():
        rows = [
            model(input_ids=torch.tensor([ids]), position_ids=lead + torch.arange(len(ids))[None])
            for ids, lead in zip(tokens, leads.tolist(), strict=True)
        ]
        return torch.cat([row.last_hidden_state.float().mean(dim=1) for row in rows])

    exact = stock()
    model = model.to(DTYPES[dtype])
    packed = CpuEncoder(model).mean(tokens, leads, 64)
    assert (packed - exact).norm() < max(1.3 * (stock() - exact).norm(), 1e-5 * exact.norm())


@pytest.mark.parametrize("dtype", EACH_FORMAT)
def test_attention_survives_scores_that_no_exponential_would(dtype):
    model = make_bert().to(DTYPES[dtype])
    with torch.no_grad():
        for layer in model.encoder.layer:
            layer.attention.self.query.weight *= 1000
    ids = torch.randint(66, (3, 20))
    with torch.inference_mode():
        assert encode(model, ids, places(ids)).isfinite().all()


@torch.inference_mode()
def test_tokens_that_sequences_have_in_common_are_embedded_once():
    encoder = CpuEncoder(make_bert())
    ids, positions = np.array([5, 9, 5, 5, 9, 9]), np.array([0, 1, 2, 0, 1, 3])
    distinct, rows = encoder.embed_distinct(ids, positions)
    assert rows.tolist() == [0, 2, 1, 0, 2, 3]
    embedded = encoder.norm(encoder.token_table[ids] + encoder.position_table[positions])
    torch.testing.assert_close(distinct.embedded[rows], embedded)
    with pytest.raises(IndexError):
        encoder.embed_distinct(ids, positions + 512)


@pytest.mark.parametrize("dtype", EACH_FORMAT)
def test_a_hidden_token_changes_nothing_for_its_neighbours(model_folder, barcodes, dtype):
    embedder = load_embedder(model_folder, dtype=dtype)
    masked = barcodes[0][:3] + "[MASK]" + barcodes[0][6:]
    embedder.find_invalid = lambda sequences: {}
    whole = embedder.embed([*barcodes, masked])
    np.testing.assert_array_equal(whole[:-1], embedder.embed(barcodes))
    np.testing.assert_array_equal(whole[-1:], embedder.embed([masked]))
