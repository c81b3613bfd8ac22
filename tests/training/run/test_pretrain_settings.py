"""Settings are converted and checked; recipes resolve; precedence is as documented."""

import dataclasses
import json

import pytest

from barcodemae.errors import SettingsError
from barcodemae.training.run.pretrain_settings import PretrainConfig, load_recipe, recipe_names


NEEDED = {"data": "D", "output": "O"}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves_to_a_model(name):
    config = PretrainConfig.resolve(load_recipe(name), **NEEDED)
    assert config.recipe == name
    assert config.model_config().k == config.k


def test_the_recipes_are_the_three_models_of_the_paper_and_the_smaller_ones():
    models = {}
    for name in recipe_names():
        config = PretrainConfig.resolve(load_recipe(name), **NEEDED)
        models[name] = (config.hidden_size, config.decoder_num_hidden_layers > 0,
                        config.encoder_sees_mask)  # fmt: skip
    assert models == {
        "barcodebert": (768, False, True),
        "barcodemae": (768, True, False),
        "barcodemae_with_mask": (768, True, True),
        "bundled": (512, True, False),
        "bundled_control": (512, False, True),
        "bundled_middle": (512, True, False),
        "bundled_start": (512, True, False),
        "compact": (512, True, False),
        "small": (256, True, False),
        "tiny": (128, True, False),
    }


def test_the_default_recipe_is_the_published_one():
    published = PretrainConfig.resolve(load_recipe("barcodemae"), **NEEDED)
    assert dataclasses.replace(published, recipe="default") == PretrainConfig(**NEEDED)
    assert published.peak_learning_rate == pytest.approx(2e-4)  # 1e-4 per 64, batch of 128
    assert published.num_steps(2_280_000) == round(35 * 2_280_000 / 128)


def test_options_override_the_recipe_and_the_recipe_the_defaults(tmp_path):
    (tmp_path / "mine.yaml").write_text("batch_size: 32\nseed: 3\n")
    config = PretrainConfig.resolve(load_recipe(tmp_path / "mine.yaml"), seed=4, k=None, **NEEDED)
    assert (config.batch_size, config.seed, config.k) == (32, 4, 6)
    assert config.recipe == "mine"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batchsize": 3}, r"unknown setting\(s\): batchsize"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 10, "micro_batch_size": 4}, "multiple of micro_batch_size, got 10 and 4"),
        ({"batch_size": "many"}, "batch_size must be int, got 'many'"),
        ({"batch_size": 2.5}, "batch_size must be int, got 2.5"),
        ({"batch_size": True}, "batch_size must be int, got True"),
        ({"batch_size": []}, r"batch_size must be int, got \[\]"),
        ({"compile": "yes"}, "compile must be bool, got 'yes'"),
        ({"compile": 1}, "compile must be bool, got 1"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"warmup_fraction": 0}, "warmup_fraction must lie"),
        ({"cooldown_fraction": 1.5, "schedule": "constant"}, "cooldown_fraction must lie"),
        ({"cooldown_fraction": 0.5}, "cooldown_fraction is for the schedule constant"),
        ({"precision": "fp8"}, "precision must be one of fp32, fp16, bf16, bf16-weights"),
        ({"track": "tensorboard, excel"}, "track must name .* got excel"),
        ({"val_split": "pretrain"}, "val_split 'pretrain' is also a training split"),
        ({"max_length_bp": 11}, "must hold two k-mers"),
        ({"mask_ratio": 1.5}, "mask_ratio must lie"),
        ({"decoder_num_hidden_layers": 0}, "needs encoder_sees_mask=True"),
        ({"hidden_size": 100}, "hidden_size must be a positive multiple"),
        ({"k": 2}, "k must be between 3 and 8 bp, got 2"),
        ({"k": 9}, "k must be between 3 and 8 bp, got 9"),
    ],
)
def test_wrong_and_contradictory_settings_are_refused_by_name(values, message):
    for recipe, typed in ((values, {}), ({}, values)):
        with pytest.raises(SettingsError, match=message) as caught:
            PretrainConfig.resolve(recipe, **NEEDED, **typed)
        assert "\n" not in str(caught.value)


def test_missing_settings_are_named():
    with pytest.raises(SettingsError, match=r"missing setting\(s\): data, output"):
        PretrainConfig.resolve({})


def test_yaml_numbers_without_a_point_are_numbers(tmp_path):
    (tmp_path / "r.yaml").write_text("learning_rate: 1e-3\nepochs: 2\nmax_grad_norm: 1\n")
    config = PretrainConfig.resolve(load_recipe(tmp_path / "r.yaml"), **NEEDED)
    assert (config.learning_rate, config.epochs, config.max_grad_norm) == (1e-3, 2.0, 1.0)
    assert isinstance(config.epochs, float)


def test_splits_are_read_from_text_and_from_a_list():
    typed = PretrainConfig.resolve({}, train_splits="pretrain, train", **NEEDED)
    listed = PretrainConfig.resolve({"train_splits": ["pretrain", "train"]}, **NEEDED)
    assert typed.train_splits == listed.train_splits == ("pretrain", "train")


def test_none_unsets_an_optional_setting_of_a_recipe():
    recipe = {"max_grad_norm": 1.0}
    assert PretrainConfig.resolve(recipe, max_grad_norm="none", **NEEDED).max_grad_norm is None
    assert PretrainConfig.resolve(recipe, **NEEDED).max_grad_norm == 1.0


def test_epochs_on_the_command_line_replace_the_steps_of_a_recipe():
    config = PretrainConfig.resolve(load_recipe("tiny"), epochs=2.0, **NEEDED)
    assert config.max_steps is None
    assert config.num_steps(640) == 20


def test_epochs_and_steps_given_together_are_refused():
    with pytest.raises(SettingsError, match="epochs and max_steps exclude each other"):
        PretrainConfig.resolve({}, epochs=3.0, max_steps="4", **NEEDED)


def test_short_kmers_get_the_positions_they_need():
    assert (
        PretrainConfig(**NEEDED, k=3, max_length_bp=1980).model_config().max_position_embeddings
        == 660
    )
    assert PretrainConfig(**NEEDED).model_config().max_position_embeddings == 512


def test_saved_settings_resolve_to_the_same(tmp_path):
    config = PretrainConfig(
        **NEEDED, max_grad_norm=0.5, track="tensorboard", seed=9, max_steps=7, recipe="settings"
    )
    config.save(tmp_path / "settings.json")
    assert json.loads((tmp_path / "settings.json").read_text()) == config.as_json()
    assert PretrainConfig.resolve(load_recipe(tmp_path / "settings.json")) == config


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", "just text"])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(
        SettingsError, match=r"r\.yaml: (a recipe must be a mapping|not YAML)"
    ) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(SettingsError, match="no recipe 'huge'; there are barcodebert, "):
        load_recipe("huge")
    with pytest.raises(SettingsError, match=r"no such recipe file: .*none\.yaml"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("name", ["learning_rate", "epochs", "dropout", "max_grad_norm"])
def test_a_setting_that_is_no_finite_number_is_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} must be float"):
        PretrainConfig(data="d", output="o", **{name: value})
