"""Invariants of the models: nothing leaks from hidden k-mers, padding changes nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining, BarcodeMAEModel, masked_mean
from barcodemae.modeling_barcodemae.modeling_barcodemae import NO_POSITION, table_of_positions


TOLERANCE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(params=["bert", "modernbert"])
def model(make_config, request):
    torch.manual_seed(4)
    config = make_config(tower_type=request.param, initializer_range=0.1)
    return BarcodeMAEForPreTraining(config).eval()


@pytest.fixture
def ids(model):
    generator = torch.Generator().manual_seed(5)
    return torch.randint(2, model.config.vocab_size, (5, 24), generator=generator)


def embed(model, ids, attention_mask=None):
    with torch.no_grad():
        output = model.base_model(ids, attention_mask)
    return masked_mean(output.last_hidden_state, output.attention_mask)


def test_hidden_letters_never_reach_the_encoder(model, ids):
    """The hidden states depend on the visible tokens alone, whatever is hidden and where: the
    encoder's input holds neither hidden letters nor [MASK]."""
    is_hidden = torch.rand(ids.shape, generator=torch.Generator().manual_seed(6)) < 0.5
    other_letters = ids.flip(0).masked_fill(~is_hidden, 0) + ids.masked_fill(is_hidden, 0)
    assert not torch.equal(other_letters, ids)
    masked = ids.masked_fill(is_hidden, model.config.mask_token_id)
    assert torch.equal(masked, other_letters.masked_fill(is_hidden, model.config.mask_token_id))
    visible = table_of_positions(~is_hidden)
    with torch.no_grad():
        seen_by_masking = model.barcodemae(masked).last_hidden_state
        seen_by_position = [
            model.barcodemae(letters, visible_positions=visible).last_hidden_state
            for letters in (ids, other_letters)
        ]
    for states in seen_by_position:
        assert torch.equal(states, seen_by_masking)


def test_the_mask_embedding_of_the_encoder_has_no_influence(model, ids):
    masked = ids.clone()
    masked[:, ::2] = model.config.mask_token_id
    with torch.no_grad():
        before = model(masked).logits
        model.get_input_embeddings().weight[model.config.mask_token_id] += 100.0
        after = model(masked).logits
    assert torch.equal(before, after)


def test_bert_does_read_the_mask_embedding(make_config, ids):
    model = BarcodeMAEModel(make_config(encoder_sees_mask=True)).eval()
    masked = ids.clone()
    masked[:, ::2] = model.config.mask_token_id
    with torch.no_grad():
        before = model(masked).last_hidden_state
        model.get_input_embeddings().weight[model.config.mask_token_id] += 1.0
        after = model(masked).last_hidden_state
    assert before.shape[1] == ids.shape[1]
    assert not torch.allclose(before, after)


def test_visible_tokens_keep_their_true_positions(model, ids):
    late, early, apart = (torch.full_like(ids, model.config.mask_token_id) for _ in range(3))
    late[:, 12:] = ids[:, 12:]
    early[:, :12] = ids[:, 12:]
    apart[:, ::2] = ids[:, 12:]
    assert not torch.allclose(embed(model, apart), embed(model, early), atol=1e-3)
    # Rotary positions encode distances only.
    is_same = torch.allclose(embed(model, late), embed(model, early), atol=1e-3)
    assert is_same == (model.config.tower_type == "modernbert")


def test_without_masks_the_model_equals_the_plain_encoder(model, ids):
    attention_mask = torch.ones_like(ids)
    attention_mask[1, 20:] = 0
    encoder = model.barcodemae.encoder
    with torch.no_grad():
        ours = model.barcodemae(ids, attention_mask).last_hidden_state
        assert torch.equal(ours, encoder(ids, attention_mask=attention_mask).last_hidden_state)


def test_padding_changes_no_embedding(model, ids):
    padded = torch.cat([ids, torch.full((5, 9), model.config.pad_token_id)], dim=1)
    attention_mask = torch.cat([torch.ones_like(ids), torch.zeros(5, 9, dtype=torch.long)], dim=1)
    torch.testing.assert_close(embed(model, padded, attention_mask), embed(model, ids), **TOLERANCE)


def test_ids_in_the_padding_change_nothing(model, ids):
    attention_mask = torch.ones_like(ids)
    attention_mask[:, 20:] = 0
    other = ids.clone()
    other[:, 20:] = model.config.mask_token_id
    torch.testing.assert_close(
        embed(model, ids, attention_mask), embed(model, other, attention_mask), **TOLERANCE
    )


def test_batch_order_and_batch_size_change_no_embedding(model, ids):
    attention_mask = (torch.arange(24) < torch.tensor([24, 7, 13, 1, 20])[:, None]).long()
    together = embed(model, ids, attention_mask)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        embed(model, ids[order], attention_mask[order]), together[order], **TOLERANCE
    )
    for row in range(5):
        alone = embed(model, ids[row : row + 1], attention_mask[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], **TOLERANCE)


def test_predictions_of_a_barcode_do_not_depend_on_its_neighbours_masks(model, ids):
    masked = ids.clone()
    masked[0, :20] = masked[1, 3:5] = masked[2, 10] = model.config.mask_token_id
    with torch.no_grad():
        together = model(masked).logits
        alone = [model(row[None]).logits[0] for row in masked]
    torch.testing.assert_close(together, torch.stack(alone), **TOLERANCE)


def test_a_completely_hidden_barcode_gives_finite_predictions(model, ids):
    masked = ids.clone()
    masked[1] = model.config.mask_token_id
    with torch.no_grad():
        logits = model(masked).logits
        others = model(masked[[0, 2, 3, 4]]).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2, 3, 4]], others, **TOLERANCE)


def test_the_model_is_deterministic_in_evaluation_mode(model, ids):
    ids[:, 3:9] = model.config.mask_token_id
    assert torch.equal(model(ids).logits, model(ids).logits)


@settings(max_examples=60)
@given(table=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=6))
def test_table_of_positions_lists_each_rows_positions_in_order(table):
    positions = table_of_positions(torch.tensor(table))
    width = max(1, max(sum(row) for row in table))
    for row, found in zip(table, positions.tolist(), strict=True):
        expected = [index for index, selected in enumerate(row) if selected]
        assert found == expected + [NO_POSITION] * (width - len(expected))


TRUNCATED_STD = 0.8796  # standard deviation of a standard normal truncated at +-2


def expected_statistics(name, config):
    """Return the (mean, standard deviation) that a parameter should be initialised with."""
    if "norm.weight" in name.lower():
        return 1.0, 0.0
    if name.endswith("bias"):
        return 0.0, 0.0
    if config.tower_type == "bert" or name.startswith(("head.", "projection.")):
        return 0.0, config.initializer_range
    deviation = config.initializer_range * TRUNCATED_STD
    if ".Wo." in name:  # its output is added to the residual stream
        is_decoder = name.startswith("decoder.")
        layers = config.decoder_num_hidden_layers if is_decoder else config.num_hidden_layers
        deviation /= (2 * layers) ** 0.5
    return 0.0, deviation


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
@pytest.mark.parametrize("sees_mask", [False, True])
def test_every_parameter_is_initialised_as_promised(sees_mask, tower_type):
    torch.manual_seed(7)
    config = BarcodeMAEConfig(
        tower_type=tower_type,
        k=4,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=256,
        decoder_hidden_size=96,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=128,
        encoder_sees_mask=sees_mask,
        initializer_range=0.05,
    )
    model = BarcodeMAEForPreTraining(config)
    for name, parameter in model.named_parameters():
        mean, deviation = expected_statistics(name, config)
        # Five standard errors of the estimates from `count` independent normal numbers.
        count = parameter.numel()
        assert abs(parameter.mean().item() - mean) <= 5 * deviation / count**0.5, name
        tolerance = 5 * deviation / (2 * count) ** 0.5
        assert abs(parameter.std(correction=0).item() - deviation) <= tolerance, name


def test_every_parameter_learns(model, ids):
    """A gradient reaches every weight, except embedding rows that are never read."""
    labels = ids.clone()
    ids[:, ::2] = model.config.mask_token_id
    labels[:, 1::2] = -100
    model(ids, labels=labels).loss.backward()
    without_gradient = [
        name
        for name, parameter in model.named_parameters()
        # A key's bias shifts all scores of a row equally, which softmax undoes.
        if (parameter.grad is None or not parameter.grad.any()) and "key.bias" not in name
    ]
    assert without_gradient == []
    assert not model.get_input_embeddings().weight.grad[model.config.mask_token_id].any()
