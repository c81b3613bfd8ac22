"""The models against stock BERT and against a slow loop over single barcodes."""

import pytest
import torch
from torch.nn import functional as F
from transformers import BertForTokenClassification, BertModel

from barcodemae import BarcodeMAEForPreTraining, BarcodeMAEModel, masked_mean
from barcodemae.modeling_barcodemae.modeling_barcodemae import table_of_positions


TOLERANCE = {"atol": 1e-5, "rtol": 0}


def random_batch(config, num_tokens=21, num_rows=4, hidden=0.5, seed=0):
    """Draw ids with a share `hidden` of [MASK], attention mask and labels; row lengths differ."""
    generator = torch.Generator().manual_seed(seed)
    size = (num_rows, num_tokens)
    ids = torch.randint(config.unk_token_id, config.vocab_size, size, generator=generator)
    lengths = torch.arange(num_rows) * 3 + num_tokens - 3 * (num_rows - 1)
    attention_mask = (torch.arange(num_tokens) < lengths[:, None]).long()
    is_hidden = (torch.rand(size, generator=generator) < hidden) & attention_mask.bool()
    is_hidden &= ids != config.unk_token_id
    labels = ids.masked_fill(~is_hidden, -100)
    ids = ids.masked_fill(is_hidden, config.mask_token_id)
    return ids.masked_fill(attention_mask == 0, config.pad_token_id), attention_mask, labels


def stock_encoder(model):
    """Make a `BertModel` of transformers with the weights of our encoder."""
    oracle = BertModel(model.config.encoder_config(), add_pooling_layer=False).eval()
    oracle.load_state_dict(model.base_model.encoder.state_dict())
    return oracle


def slow_loss_and_logits(model, ids, attention_mask, labels):
    """Process one barcode at a time, without padding, with stock BERT and plain indexing."""
    config = model.config
    encoder = stock_encoder(model)
    decoder = BertModel(config.decoder_config(), add_pooling_layer=False).eval()
    decoder.load_state_dict(model.decoder.state_dict())
    rows, losses = [], []
    for row, length in enumerate(attention_mask.sum(dim=1).tolist()):
        tokens = ids[row, :length]
        positions = torch.arange(length)
        if not config.encoder_sees_mask:
            positions = positions[tokens != config.mask_token_id]
        hidden = encoder(tokens[None, positions], position_ids=positions[None]).last_hidden_state[0]
        if config.decoder_projection:
            hidden = F.linear(hidden, model.projection.weight, model.projection.bias)
        canvas = decoder.embeddings.word_embeddings.weight[0].repeat(length, 1)
        canvas[positions] = hidden
        decoded = decoder(inputs_embeds=canvas[None]).last_hidden_state[0]
        logits = F.linear(decoded, model.head.weight, model.head.bias)
        rows.append(logits)
        for position in range(length):
            label = int(labels[row, position])
            if label >= 2:
                losses.append(-logits[position].log_softmax(-1)[label - 2])
    return torch.stack(losses).mean(), rows


@pytest.mark.parametrize("sees_mask", [False, True])
@pytest.mark.parametrize("decoder_width", [16, 32, 64])
def test_the_whole_model_equals_a_slow_loop_over_barcodes(make_config, sees_mask, decoder_width):
    torch.manual_seed(1)
    config = make_config(
        encoder_sees_mask=sees_mask,
        decoder_hidden_size=decoder_width,
        decoder_projection=decoder_width != 32,
        decoder_num_hidden_layers=2,
        initializer_range=0.1,
    )
    model = BarcodeMAEForPreTraining(config).eval()
    ids, attention_mask, labels = random_batch(config)
    with torch.no_grad():
        loss, rows = slow_loss_and_logits(model, ids, attention_mask, labels)
        everywhere = model(ids, attention_mask)
        at_labels = model(
            ids,
            attention_mask,
            labels=labels,
            target_positions=table_of_positions(labels != -100),
        )
        assert model(ids, attention_mask, labels=labels).logits.shape == everywhere.logits.shape
    for row, expected in enumerate(rows):
        torch.testing.assert_close(everywhere.logits[row, : len(expected)], expected, **TOLERANCE)
        wanted = (labels[row] != -100).nonzero()[:, 0]
        assert at_labels.target_positions[row, : len(wanted)].tolist() == wanted.tolist()
        torch.testing.assert_close(
            at_labels.logits[row, : len(wanted)], expected[wanted], **TOLERANCE
        )
    torch.testing.assert_close(at_labels.loss, loss, **TOLERANCE)


def test_the_encoder_equals_stock_bert_on_whole_barcodes(make_config):
    torch.manual_seed(2)
    model = BarcodeMAEModel(make_config(initializer_range=0.1)).eval()
    ids, attention_mask, _ = random_batch(model.config, hidden=0)
    with torch.no_grad():
        ours = model(ids, attention_mask)
        stock = stock_encoder(model)(ids, attention_mask).last_hidden_state
    torch.testing.assert_close(ours.last_hidden_state, stock, atol=1e-6, rtol=0)
    assert ours.visible_positions is None


def test_without_a_decoder_it_is_berts_token_classifier(make_config):
    torch.manual_seed(3)
    config = make_config(decoder_num_hidden_layers=0, encoder_sees_mask=True, initializer_range=0.1)
    model = BarcodeMAEForPreTraining(config).eval()
    stock_config = config.encoder_config()
    stock_config.num_labels = config.num_kmers
    stock = BertForTokenClassification(stock_config).eval()
    stock.bert.load_state_dict(model.barcodemae.encoder.state_dict())
    stock.classifier.load_state_dict(model.head.state_dict())
    ids, attention_mask, labels = random_batch(config)
    with torch.no_grad():
        theirs = stock(ids, attention_mask).logits
        ours = model(ids, attention_mask).logits
        loss = model(ids, attention_mask, labels=labels).loss
    is_token = attention_mask.bool()
    torch.testing.assert_close(ours[is_token], theirs[is_token], **TOLERANCE)
    expected = F.cross_entropy(theirs.flatten(0, 1), (labels - 2).clamp(min=-100).flatten())
    torch.testing.assert_close(loss, expected, **TOLERANCE)


def test_masked_mean_averages_attended_tokens_only():
    hidden_states = torch.arange(12.0).view(2, 3, 2)
    attention_mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    expected = torch.tensor([[1.0, 2.0], [8.0, 9.0]])
    assert torch.equal(masked_mean(hidden_states, attention_mask), expected)
    torch.testing.assert_close(masked_mean(hidden_states), hidden_states.mean(1))


def test_labels_on_unknown_kmers_do_not_enter_the_loss(tiny_model):
    ids, attention_mask, labels = random_batch(tiny_model.config)
    with_unknown = labels.masked_fill(ids == tiny_model.config.unk_token_id, 1)
    assert not torch.equal(labels, with_unknown)
    expected = tiny_model(ids, attention_mask, labels=labels).loss
    torch.testing.assert_close(
        tiny_model(ids, attention_mask, labels=with_unknown).loss, expected, **TOLERANCE
    )


def test_positions_given_by_the_caller_equal_positions_found(tiny_model):
    ids, attention_mask, labels = random_batch(tiny_model.config)
    found = tiny_model(ids, attention_mask, labels=labels)
    visible = tiny_model.barcodemae.find_visible(ids, attention_mask)
    given = tiny_model(
        ids,
        attention_mask,
        labels=labels,
        visible_positions=visible,
        target_positions=found.target_positions,
    )
    assert torch.equal(found.loss, given.loss)
    assert torch.equal(found.logits, given.logits)


@pytest.mark.parametrize("num_layers", [0, 1])
def test_a_model_that_reads_mask_tokens_does_so_whatever_positions_are_offered(
    make_config, num_layers
):
    torch.manual_seed(4)
    config = make_config(decoder_num_hidden_layers=num_layers, encoder_sees_mask=True)
    model = BarcodeMAEForPreTraining(config).eval()
    ids, attention_mask, labels = random_batch(config)
    visible = table_of_positions((ids != config.mask_token_id) & attention_mask.bool())
    found = model(ids, attention_mask, labels=labels)
    offered = model(ids, attention_mask, labels=labels, visible_positions=visible)
    assert torch.equal(found.logits, offered.logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_masked_mean_of_half_numbers_adds_up_in_float32(dtype):
    """Ones beyond 256 are lost in a bfloat16 sum, large numbers overflow in float16."""
    hidden_states = torch.cat([torch.full((1, 300, 1), 300.0), torch.ones(1, 300, 1)], dim=1)
    mean = masked_mean(hidden_states.to(dtype), torch.ones(1, 600))
    assert mean.dtype == dtype
    torch.testing.assert_close(mean.float(), torch.tensor([[150.5]]), atol=0, rtol=2.0**-8)
