"""Every model class through a folder, in both directions, in every number format."""

import json
import logging

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)

from barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
)


CLASSES = [
    BarcodeMAEModel,
    BarcodeMAEForPreTraining,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForSequenceClassification,
]
AUTO_CLASSES = {
    AutoModel: BarcodeMAEModel,
    AutoModelForPreTraining: BarcodeMAEForPreTraining,
    AutoModelForMaskedLM: BarcodeMAEForMaskedLM,
    AutoModelForSequenceClassification: BarcodeMAEForSequenceClassification,
}


@pytest.fixture
def warnings_of_transformers():
    """Collect the messages of transformers at level WARNING and above."""
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.mark.parametrize("tower_type", ["bert", "modernbert"])
@pytest.mark.parametrize("model_class", CLASSES)
def test_saved_and_loaded_models_are_the_same_bit_for_bit(
    model_class, tower_type, make_config, tmp_path, warnings_of_transformers
):
    model = model_class(make_config(tower_type=tower_type)).eval()
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert warnings_of_transformers == []
    assert not loaded.training
    expected = dict(model.named_parameters()) | dict(model.named_buffers())
    found = dict(loaded.named_parameters()) | dict(loaded.named_buffers())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()


@pytest.mark.parametrize("saved", CLASSES)
@pytest.mark.parametrize("opened", CLASSES)
def test_any_folder_opens_as_any_class_and_new_weights_are_announced(
    saved, opened, tiny_config, tmp_path, warnings_of_transformers
):
    model = saved(tiny_config)
    model.save_pretrained(tmp_path)
    loaded, report = opened.from_pretrained(tmp_path, output_loading_info=True)
    encoder, loaded_encoder = (which.base_model.encoder.state_dict() for which in (model, loaded))
    assert all(torch.equal(loaded_encoder[name], value) for name, value in encoder.items())
    assert not any("encoder.embeddings" in name for name in report["missing_keys"])
    lacking = set(loaded.state_dict()) - set(model.state_dict())
    if isinstance(model, BarcodeMAEModel) or opened is BarcodeMAEModel:
        lacking = {name for name in loaded.state_dict() if name.startswith(("decoder", "head"))}
        lacking |= {name for name in loaded.state_dict() if name.startswith(("proj", "classifier"))}
    assert report["missing_keys"] == lacking
    assert bool(warnings_of_transformers) == bool(lacking or report["unexpected_keys"])


@pytest.mark.parametrize("saved", CLASSES)
def test_the_encoder_opens_from_any_folder_without_a_warning(
    saved, tiny_config, tmp_path, warnings_of_transformers
):
    saved(tiny_config).save_pretrained(tmp_path)
    BarcodeMAEModel.from_pretrained(tmp_path)
    assert warnings_of_transformers == []


@pytest.mark.parametrize(("auto_class", "model_class"), AUTO_CLASSES.items())
def test_auto_classes_give_our_classes_once_the_package_is_imported(
    auto_class, model_class, tiny_model, tmp_path
):
    tiny_model.save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is model_class


def test_the_auto_map_is_complete_whatever_was_saved(tiny_config, tmp_path):
    for model_class in CLASSES:
        model_class(tiny_config).save_pretrained(tmp_path / model_class.__name__)
        stored = json.loads((tmp_path / model_class.__name__ / "config.json").read_text())
        assert set(stored["auto_map"]) == {
            "AutoConfig",
            *(auto_class.__name__ for auto_class in AUTO_CLASSES),
        }


def test_weights_keep_the_names_that_published_folders_use(tiny_model):
    names = set(tiny_model.state_dict())
    assert {
        "barcodemae.encoder.embeddings.word_embeddings.weight",
        "barcodemae.encoder.encoder.layer.1.attention.self.query.weight",
        "projection.weight",
        "decoder.embeddings.word_embeddings.weight",
        "decoder.encoder.layer.0.output.LayerNorm.bias",
        "head.weight",
        "head.bias",
    } <= names
    assert len(names) == 62


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("sees_mask", [False, True])
def test_decoders_of_any_width_survive_a_folder(make_config, width, sees_mask, tmp_path):
    config = make_config(decoder_hidden_size=width, encoder_sees_mask=sees_mask)
    model = BarcodeMAEForPreTraining(config).eval()
    model.save_pretrained(tmp_path)
    loaded = BarcodeMAEForPreTraining.from_pretrained(tmp_path)
    ids = torch.tensor([[2, 0, 7, 0, 5], [0, 0, 1, 33, 65]])
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-6, rtol=0)


def test_barcodebert_has_no_decoder_and_survives_a_folder(make_config, tmp_path):
    config = make_config(decoder_num_hidden_layers=0, encoder_sees_mask=True)
    model = BarcodeMAEForPreTraining(config).eval()
    assert model.decoder is None
    assert not [name for name in model.state_dict() if name.startswith(("decoder", "projection"))]
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    ids = torch.tensor([[2, 0, 7, 0, 5]])
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-6, rtol=0)


@pytest.mark.number_format
@pytest.mark.parametrize("model_class", CLASSES)
def test_bfloat16_loading_reaches_every_weight_and_computes(model_class, tiny_config, tmp_path):
    model_class(tiny_config).save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {value.dtype for value in loaded.parameters()} == {torch.bfloat16}
    output = loaded(torch.tensor([[2, 0, 7, 0, 5]]))
    assert output[0].dtype == torch.bfloat16
    assert output[0].isfinite().all()


def test_models_are_built_from_a_config_in_the_requested_dtype(tiny_config):
    model = AutoModelForPreTraining.from_config(tiny_config, dtype=torch.bfloat16)
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}


def test_a_device_map_gives_the_same_model(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    loaded = BarcodeMAEForPreTraining.from_pretrained(tmp_path, device_map={"": "cpu"})
    ids = torch.tensor([[2, 0, 7, 0, 5]])
    torch.testing.assert_close(loaded(ids).logits, tiny_model(ids).logits, atol=1e-6, rtol=0)


def test_a_folder_can_be_saved_onto_itself(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    BarcodeMAEForPreTraining.from_pretrained(tmp_path).save_pretrained(tmp_path)
    loaded = BarcodeMAEForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(loaded.head.weight, tiny_model.head.weight)


def test_a_fine_tuned_folder_keeps_its_labels(make_config, tmp_path):
    config = make_config(id2label={0: "Apis", 1: "Bombus"}, label2id={"Apis": 0, "Bombus": 1})
    model = BarcodeMAEForSequenceClassification(config)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "Apis", 1: "Bombus"}
    assert torch.equal(loaded.classifier.weight, model.classifier.weight)


def test_an_override_at_loading_is_validated_too(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    assert BarcodeMAEModel.from_pretrained(
        tmp_path, encoder_sees_mask=True
    ).config.encoder_sees_mask
    with pytest.raises(Exception, match="vocab_size"):
        BarcodeMAEModel.from_pretrained(tmp_path, k=4)


def test_configs_of_saved_models_name_their_class(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    assert BarcodeMAEConfig.from_pretrained(tmp_path).architectures == ["BarcodeMAEForPreTraining"]
