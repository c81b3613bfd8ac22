"""The models through the interface of transformers: flags, back ends, pipelines, heads."""

import pytest
import torch
from torch import nn
from transformers import pipeline
from transformers.modeling_layers import GradientCheckpointingLayer

from barcodemae import (
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    masked_mean,
)


IDS = torch.tensor([[2, 0, 7, 0, 5, 30], [0, 0, 9, 33, 65, 1], [11, 12, 13, 14, 1, 1]])
ATTENTION = torch.tensor([[1] * 6, [1] * 6, [1, 1, 1, 1, 0, 0]])


@pytest.fixture
def folder(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
def test_eager_and_sdpa_attention_agree(make_config, tmp_path, tower_type):
    tiny_model = BarcodeMAEForPreTraining(make_config(tower_type=tower_type)).eval()
    tiny_model.save_pretrained(tmp_path)
    eager = BarcodeMAEForPreTraining.from_pretrained(tmp_path, attn_implementation="eager")
    towers = (eager.barcodemae.encoder, eager.decoder)
    assert [tower.config._attn_implementation for tower in towers] == ["eager", "eager"]
    torch.testing.assert_close(
        eager(IDS, ATTENTION).logits, tiny_model(IDS, ATTENTION).logits, atol=1e-5, rtol=0
    )


def test_the_attention_back_end_can_be_changed_later_in_both_towers(tiny_model):
    before = tiny_model(IDS, ATTENTION).logits
    tiny_model.set_attn_implementation("eager")
    towers = (tiny_model.barcodemae.encoder, tiny_model.decoder)
    assert [tower.config._attn_implementation for tower in towers] == ["eager", "eager"]
    torch.testing.assert_close(tiny_model(IDS, ATTENTION).logits, before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
def test_attentions_and_hidden_states_cover_the_visible_tokens(make_config, tower_type):
    tiny_model = BarcodeMAEForPreTraining(make_config(tower_type=tower_type)).eval()
    tiny_model.set_attn_implementation("eager")
    output = tiny_model(IDS, ATTENTION, output_attentions=True, output_hidden_states=True)
    assert [tuple(states.shape) for states in output.hidden_states] == [(3, 4, 32)] * 3
    assert [tuple(weights.shape) for weights in output.attentions] == [(3, 2, 4, 4)] * 2
    encoded = tiny_model.barcodemae(IDS, ATTENTION)
    assert torch.equal(output.hidden_states[-1], encoded.last_hidden_state)
    assert encoded.visible_positions.tolist() == [[0, 2, 4, 5], [2, 3, 4, 5], [0, 1, 2, 3]]


def test_flags_of_the_config_work_like_arguments(tiny_model):
    tiny_model.config.output_hidden_states = True
    assert len(tiny_model(IDS).hidden_states) == 3
    assert tiny_model(IDS, output_hidden_states=False).hidden_states is None


@pytest.mark.parametrize(
    "model_class",
    [
        BarcodeMAEModel,
        BarcodeMAEForPreTraining,
        BarcodeMAEForMaskedLM,
        BarcodeMAEForSequenceClassification,
    ],
)
def test_tuples_hold_the_same_as_named_outputs(model_class, tiny_config):
    model = model_class(tiny_config).eval()
    named = model(IDS, ATTENTION)
    as_argument = model(IDS, ATTENTION, return_dict=False)
    model.config.return_dict = False
    as_setting = model(IDS, ATTENTION)
    for output in (as_argument, as_setting):
        assert isinstance(output, tuple)
        assert all(torch.equal(a, b) for a, b in zip(output, named.to_tuple(), strict=True))


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
def test_activation_checkpointing_changes_memory_not_gradients(make_config, tower_type):
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BarcodeMAEForPreTraining(make_config(tower_type=tower_type, **rates)).train()
    labels = torch.where(IDS == 0, 40, -100)
    model(IDS, ATTENTION, labels=labels).loss.backward()
    plain = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    # The older name is deprecated in newer releases of transformers.
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)()
    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    assert len(layers) == 3
    assert all(layer.gradient_checkpointing for layer in layers)
    model(IDS, ATTENTION, labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, plain[name], atol=1e-6, rtol=1e-4)


def test_embeddings_may_replace_ids(tiny_model):
    whole = IDS[2:, :4]
    embedded = tiny_model.get_input_embeddings()(whole)
    assert torch.equal(
        tiny_model.barcodemae(inputs_embeds=embedded).last_hidden_state,
        tiny_model.barcodemae(whole).last_hidden_state,
    )


def test_positions_can_be_shifted_by_the_caller(tiny_model):
    ids = IDS[:2]  # four visible tokens each
    shifted = tiny_model.barcodemae(ids, position_ids=torch.arange(6)[None] + 3)
    three_hidden_before = torch.cat([torch.zeros(2, 3, dtype=torch.long), ids], dim=1)
    expected = tiny_model.barcodemae(three_hidden_before)
    assert torch.equal(shifted.last_hidden_state, expected.last_hidden_state)


def test_padding_named_as_visible_is_still_not_attended(tiny_model):
    everything = torch.arange(6).expand(3, 6)
    whole = torch.where(IDS == 0, 40, IDS)
    named = tiny_model.barcodemae(whole, ATTENTION, visible_positions=everything)
    expected = tiny_model.barcodemae(whole, ATTENTION)
    is_token = ATTENTION.bool()
    assert torch.equal(named.attention_mask, ATTENTION)
    torch.testing.assert_close(
        named.last_hidden_state[is_token],
        expected.last_hidden_state[is_token],
        atol=1e-5,
        rtol=0,
    )


def test_a_single_barcode_without_batch_is_refused_clearly(tiny_model):
    with pytest.raises(ValueError, match="must be a batch"):
        tiny_model(IDS[0])


def test_too_many_tokens_are_refused_clearly(tiny_model):
    with pytest.raises(ValueError, match="max_position_embeddings=256"):
        tiny_model(torch.full((1, 257), 5))


def test_neither_ids_nor_embeddings_is_refused_clearly(tiny_model):
    with pytest.raises(ValueError, match="input_ids or inputs_embeds"):
        tiny_model.barcodemae()


def test_fill_mask_pipeline_proposes_kmers(folder, tokenizer):
    model = BarcodeMAEForMaskedLM.from_pretrained(folder)
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=64)
    proposals = fill("ACGTAC[MASK]ACGTTT")
    assert {proposal["token_str"] for proposal in proposals} == set(tokenizer.get_vocab()) - {
        "[MASK]",
        "[UNK]",
    }
    assert sum(proposal["score"] for proposal in proposals) == pytest.approx(1.0, abs=1e-5)
    best = proposals[0]
    assert best["sequence"] == f"ACGTAC{best['token_str']}ACGTTT"
    ids = tokenizer("ACGTAC[MASK]ACGTTT", return_tensors="pt")["input_ids"]
    assert best["token"] == int(model(ids).logits[0, 2].argmax())


def test_fill_mask_pipeline_takes_batches_and_targets(folder, tokenizer):
    model = BarcodeMAEForMaskedLM.from_pretrained(folder)
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    short, long = fill(["ACG[MASK]", "ACGTACGTT[MASK]AAA"], batch_size=2, targets=["ACG", "TTT"])
    assert {proposal["token_str"] for proposal in short} == {"ACG", "TTT"}
    assert short[0]["score"] == pytest.approx(fill("ACG[MASK]", targets=["ACG", "TTT"])[0]["score"])
    assert len(long) == 2


def test_masked_lm_logits_are_the_pre_training_logits_and_never_special(folder, tiny_model):
    model = BarcodeMAEForMaskedLM.from_pretrained(folder)
    labels = torch.where(IDS == 0, 40, -100)
    output = model(IDS, ATTENTION, labels=labels)
    assert output.logits.shape == (3, 6, 66)
    assert torch.equal(output.logits[..., 2:], tiny_model(IDS, ATTENTION).logits)
    assert not output.logits.softmax(-1)[..., :2].any()
    expected = tiny_model(IDS, ATTENTION, labels=labels).loss
    torch.testing.assert_close(output.loss, expected, atol=1e-6, rtol=0)


def classifier(make_config, **changes):
    torch.manual_seed(8)
    return BarcodeMAEForSequenceClassification(make_config(**changes)).eval()


def test_the_classifier_reads_the_masked_mean(make_config):
    model = classifier(make_config, num_labels=4)
    encoded = model.barcodemae(IDS, ATTENTION)
    pooled = masked_mean(encoded.last_hidden_state, encoded.attention_mask)
    assert torch.equal(model(IDS, ATTENTION).logits, model.classifier(pooled))


@pytest.mark.parametrize(
    ("changes", "labels", "loss"),
    [
        ({"num_labels": 4}, torch.tensor([0, 3, 1]), nn.CrossEntropyLoss()),
        ({"num_labels": 1}, torch.tensor([0.5, -1.0, 2.0]), nn.MSELoss()),
        ({"num_labels": 4}, torch.eye(4)[:3], nn.BCEWithLogitsLoss()),
        (
            {"num_labels": 4, "problem_type": "single_label_classification"},
            torch.tensor([2, 2, 0]),
            nn.CrossEntropyLoss(),
        ),
        (
            {"num_labels": 4, "problem_type": "multi_label_classification"},
            torch.ones(3, 4),
            nn.BCEWithLogitsLoss(),
        ),
        ({"num_labels": 2, "problem_type": "regression"}, torch.rand(3, 2), nn.MSELoss()),
    ],
)
def test_the_classifier_follows_the_problem_type(make_config, changes, labels, loss):
    model = classifier(make_config, **changes)
    output = model(IDS, ATTENTION, labels=labels)
    torch.testing.assert_close(output.loss, loss(output.logits.squeeze(-1), labels))


def test_the_classifier_has_its_own_dropout(make_config):
    assert classifier(make_config, classifier_dropout=0.4).dropout.p == 0.4
    assert classifier(make_config, hidden_dropout_prob=0.2).dropout.p == 0.2
    assert classifier(make_config, classifier_dropout=0.0).dropout.p == 0.0


def test_text_classification_pipeline_names_taxa(make_config, tokenizer):
    model = classifier(make_config, id2label={0: "Apis", 1: "Bombus"}, label2id={"Apis": 0})
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    (prediction,) = classify("ACGTACGGTACC")
    ids = tokenizer(["ACGTACGGTACC"], return_tensors="pt")["input_ids"]
    expected = ["Apis", "Bombus"][int(model(ids).logits.argmax())]
    assert prediction["label"] == expected
