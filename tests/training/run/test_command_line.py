"""The options are the fields of the settings, of the same types; exit codes are right."""

import dataclasses

import pytest
import typer
from typer.testing import CliRunner

from barcodemae.exit_codes import run_app
from barcodemae.training.run.command_line import command_from_settings
from barcodemae.training.run.pretrain_settings import PretrainConfig, recipe_names


@pytest.fixture
def calls():
    return []


@pytest.fixture
def app(calls):
    def pretend(config, resume):
        """Train something.

        Args: not for the help.
        """
        calls.append((config, resume))

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command_from_settings(PretrainConfig, pretend))
    return app


REQUIRED = ["--data", "D", "--output", "O"]


def test_every_field_is_an_option_with_help_and_default(app, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")
    text = CliRunner().invoke(app, ["--help"]).stdout
    for field in dataclasses.fields(PretrainConfig):
        if field.name != "recipe":
            assert f"--{field.name.replace('_', '-')} " in text
    assert "Train something." in text
    assert "Args" not in text
    assert "(default 0.5)" in text
    assert "(default pretrain,other_heldout)" in text
    assert "fp32|fp16|bf16|bf16-weights" in text
    assert "--no-random-offset" in text
    assert ", ".join(recipe_names()) in text


def test_options_reach_the_settings_with_their_types(app, calls):
    typed = [
        *REQUIRED, "--preset", "tiny", "--resume", "--no-random-offset", "--train-splits",
        "pretrain,train", "--val-split", "", "--precision", "bf16-weights", "--max-grad-norm",
        "none", "--micro-batch-size", "8", "--learning-rate", "1e-3", "--encoder-sees-mask",
    ]  # fmt: skip
    assert run_app(app, typed) == 0
    ((config, resume),) = calls
    assert resume is True
    assert (config.recipe, config.k, config.max_steps) == ("tiny", 4, 1000)
    assert (config.random_offset, config.encoder_sees_mask) == (False, True)
    assert config.train_splits == ("pretrain", "train")
    assert (config.val_split, config.max_grad_norm, config.micro_batch_size) == ("", None, 8)
    assert (config.precision, config.learning_rate) == ("bf16-weights", 1e-3)


def test_options_that_are_left_out_have_their_defaults(app, calls):
    assert run_app(app, REQUIRED) == 0
    assert calls == [(PretrainConfig(data="D", output="O"), False)]


def test_a_recipe_file_is_a_starting_point(app, calls, tmp_path):
    (tmp_path / "mine.yml").write_text("seed: 5\nk: 4\n")
    assert run_app(app, [*REQUIRED, "--config", str(tmp_path / "mine.yml"), "--k", "5"]) == 0
    assert (calls[0][0].seed, calls[0][0].k) == (5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing setting(s): data, output"),
        ([*REQUIRED, "--batch-size", "0"], "batch_size must be at least 1"),
        ([*REQUIRED, "--batch-size", "x"], "'--batch-size'"),
        ([*REQUIRED, "--max-steps", "x"], "max_steps must be int, got 'x'"),
        ([*REQUIRED, "--precision", "fp8"], "precision"),
        ([*REQUIRED, "--depth", "3"], "No such option"),
        ([*REQUIRED, "--preset", "huge"], "no recipe 'huge'"),
        ([*REQUIRED, "--preset", "tiny", "--config", "a.yaml"], "exclude each other"),
        ([*REQUIRED, "--epochs", "2", "--max-steps", "3"], "exclude each other"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_message(app, calls, capsys, arguments, message):
    assert run_app(app, arguments) == 2
    assert message in capsys.readouterr().err
    assert not calls
