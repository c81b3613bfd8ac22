import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

from barcodemae.eval.cpu_encoder import CpuEncoder, can_pack, pack
from barcodemae.eval.embedding import load_embedder


pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this processor has no bfloat16 products",
)


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


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (300, 11)])  # the last comes in two pieces
def test_packed_states_are_as_near_to_fp32_as_the_stock_model_in_bf16(shape):
    model = make_bert()
    ids = torch.randint(66, shape)
    exact = model(input_ids=ids).last_hidden_state
    half = model.bfloat16()
    stock = half(input_ids=ids).last_hidden_state.float()
    packed = CpuEncoder(half)(ids, places(ids)).float()
    assert packed.shape == exact.shape
    error, allowed = (packed - exact).norm(), (stock - exact).norm()
    assert 0 < allowed < 0.05 * exact.norm()
    assert error < 1.3 * allowed


@torch.inference_mode()
def test_rows_do_not_depend_on_the_pieces_they_come_in():
    encoder = CpuEncoder(make_bert().bfloat16())
    ids = torch.randint(66, (300, 11))
    positions = torch.randint(512, ids.shape)
    whole, ends = encoder(ids, positions), encoder(ids[[0, 299]], positions[[0, 299]])
    torch.testing.assert_close(whole[[0, 299]], ends, atol=0.05, rtol=0.05)


@torch.inference_mode()
def test_packed_states_in_fp32_are_those_of_the_stock_model():
    model = make_bert()
    ids = torch.randint(66, (300, 11))
    for positions in (places(ids), torch.randint(512, ids.shape)):
        expected = model(input_ids=ids, position_ids=positions).last_hidden_state
        packed = CpuEncoder(model)(ids, positions)
        torch.testing.assert_close(packed, expected, atol=2e-5, rtol=1e-5)


def test_other_activations_and_precisions_keep_the_stock_model():
    assert can_pack(make_bert())
    assert can_pack(make_bert().bfloat16())
    assert not can_pack(make_bert(hidden_act="relu").bfloat16())
    assert pack(make_bert(hidden_act="gelu_new")) is None
    assert pack(make_bert().half()) is None


def test_both_folders_are_packed_and_give_the_vectors_of_the_stock_model(
    model_folder, encoder_folder, barcodes
):
    whole = load_embedder(encoder_folder)
    packed = whole.embed(barcodes)
    whole.packed = None
    exact = torch.from_numpy(whole.embed(barcodes))
    torch.testing.assert_close(torch.from_numpy(packed), exact, atol=1e-5, rtol=1e-5)
    for folder in (model_folder, encoder_folder):
        embedder = load_embedder(folder, dtype="bfloat16")
        assert embedder.packed is not None
        packed = torch.from_numpy(embedder.embed(barcodes))
        embedder.packed = None
        stock = torch.from_numpy(embedder.embed(barcodes))
        assert (packed - exact).norm() < 1.5 * (stock - exact).norm()


def test_hidden_tokens_are_left_to_the_full_model(model_folder):
    embedder = load_embedder(model_folder, dtype="bfloat16")
    model = AutoModel.from_pretrained(model_folder, dtype=torch.bfloat16).eval()
    ids = [[5, 0, 9, 3], [0, 7, 8, 2]]
    with torch.inference_mode():
        states = model(input_ids=torch.tensor(ids)).last_hidden_state
    assert states.shape[1] == 3
    expected = states.float().mean(dim=1)
    pooled = embedder.pool(ids, np.zeros(2, np.int64))
    torch.testing.assert_close(torch.from_numpy(pooled), expected)
