"""The configuration: derived values, refused values, and the round trip through a file."""

import json

import pytest
from transformers import AutoConfig, BertConfig, ModernBertConfig

from barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining


def test_defaults_are_the_published_model():
    config = BarcodeMAEConfig()
    assert (config.k, config.vocab_size, config.num_kmers) == (6, 4098, 4096)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (768, 6, 6)
    assert config.decoder_projection
    assert not config.encoder_sees_mask


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"k": 0}, "k=0"),
        ({"k": 9}, "k=9"),
        ({"k": -1}, "k=-1"),
        ({"k": "6"}, "'k'"),
        ({"k": 3.0}, "'k'"),
        ({"vocab_size": 70}, "vocab_size=70"),
        ({"hidden_size": 33}, "hidden_size=33"),
        ({"hidden_size": "32"}, "'hidden_size'"),
        ({"num_attention_heads": 0}, "num_attention_heads=0"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"intermediate_size": 0}, "intermediate_size"),
        ({"decoder_hidden_size": 15}, "decoder_hidden_size=15"),
        ({"decoder_num_hidden_layers": -1}, "decoder_num_hidden_layers"),
        ({"decoder_num_attention_heads": 3}, "decoder_num_attention_heads=3"),
        ({"decoder_intermediate_size": 0}, "decoder_intermediate_size"),
        ({"decoder_num_hidden_layers": 0}, "encoder_sees_mask=True"),
        ({"decoder_projection": False}, "decoder_projection"),
        ({"encoder_sees_mask": "yes"}, "'encoder_sees_mask'"),
        ({"hidden_act": "gelux"}, "hidden_act"),
        ({"tower_type": "gpt"}, "tower_type"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob"),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob"),
        ({"classifier_dropout": 1}, "classifier_dropout"),
        ({"max_position_embeddings": 0}, "max_position_embeddings"),
        ({"initializer_range": 0.0}, "initializer_range"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
        ({"mask_token_id": 2}, "mask_token_id=2"),
        ({"pad_token_id": 0}, "pad_token_id=0"),
        ({"pad_token_id": 66}, "pad_token_id=66"),
    ],
)
def test_contradictions_are_refused_and_the_field_is_named(make_config, changes, field):
    with pytest.raises((TypeError, ValueError), match=field):
        make_config(**changes)


def test_all_fields_survive_the_file(make_config, tmp_path):
    config = make_config(
        encoder_sees_mask=True, decoder_hidden_size=64, classifier_dropout=0.25, pad_token_id=None
    )
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["k"] == 3
    for loaded in (
        BarcodeMAEConfig.from_pretrained(tmp_path),
        AutoConfig.from_pretrained(tmp_path),
    ):
        assert isinstance(loaded, BarcodeMAEConfig)
        assert loaded.to_diff_dict() == config.to_diff_dict()


def test_a_file_without_newer_fields_still_loads(tiny_config, tmp_path):
    tiny_config.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    for name in ("decoder_projection", "classifier_dropout", "vocab_size", "unk_token_id"):
        del stored[name]
    path.write_text(json.dumps(stored | {"a_field_of_the_future": 1}))
    loaded = BarcodeMAEConfig.from_pretrained(tmp_path)
    assert loaded.decoder_projection
    assert loaded.vocab_size == 66


def test_a_file_whose_k_and_vocabulary_disagree_is_refused(tiny_config, tmp_path):
    tiny_config.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"k": 3', '"k": 4'))
    with pytest.raises(ValueError, match="vocab_size"):
        BarcodeMAEConfig.from_pretrained(tmp_path)


def test_a_field_changed_into_a_contradiction_is_refused_by_the_model(tiny_config):
    tiny_config.hidden_size = 33
    with pytest.raises(ValueError, match="hidden_size=33"):
        BarcodeMAEForPreTraining(tiny_config)


def test_towers_are_described_as_stock_bert(make_config):
    config = make_config(layer_norm_eps=1e-6, hidden_act="relu")
    encoder, decoder = config.encoder_config(), config.decoder_config()
    assert isinstance(encoder, BertConfig)
    assert (encoder.vocab_size, encoder.hidden_size, encoder.num_hidden_layers) == (66, 32, 2)
    assert (decoder.vocab_size, decoder.hidden_size, decoder.num_hidden_layers) == (1, 16, 1)
    for tower in (encoder, decoder):
        assert (tower.layer_norm_eps, tower.hidden_act) == (1e-6, "relu")
        assert tower.max_position_embeddings == 256


def test_modernbert_towers_have_global_attention_and_no_biases(make_config):
    config = make_config(tower_type="modernbert", layer_norm_eps=1e-6, hidden_dropout_prob=0.3)
    encoder, decoder = config.encoder_config(), config.decoder_config()
    assert isinstance(encoder, ModernBertConfig)
    assert (encoder.vocab_size, encoder.hidden_size, encoder.num_hidden_layers) == (66, 32, 2)
    assert (decoder.vocab_size, decoder.hidden_size, decoder.num_hidden_layers) == (1, 16, 1)
    for tower in (encoder, decoder):
        assert set(tower.layer_types) == {"full_attention"}
        assert tower.rope_parameters["full_attention"]["rope_theta"] == 10_000
        assert (tower.norm_eps, tower.mlp_dropout, tower.embedding_dropout) == (1e-6, 0.3, 0.3)
        assert not any((tower.attention_bias, tower.mlp_bias, tower.norm_bias))


def test_newer_fields_are_stored_only_if_they_are_used(make_config):
    assert "tower_type" not in make_config().to_dict()
    assert make_config(tower_type="modernbert").to_dict()["tower_type"] == "modernbert"


def test_number_of_labels_and_problem_type_are_kept(make_config, tmp_path):
    config = make_config(num_labels=5, problem_type="multi_label_classification")
    config.save_pretrained(tmp_path)
    loaded = BarcodeMAEConfig.from_pretrained(tmp_path)
    assert (loaded.num_labels, loaded.problem_type) == (5, "multi_label_classification")
