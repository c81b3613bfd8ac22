"""An option means the same in every command that has it."""

import typer.main

from barcodemae.cli import app
from barcodemae.cli.options import MODEL_HELP


COMMANDS = typer.main.get_command(app).commands
SHARED = ("--device", "--batch-size", "--revision", "--threads", "--seed", "--marker")


def options_named(flag):
    return {
        (name, parameter.help)
        for name, command in COMMANDS.items()
        for parameter in command.params
        if flag in parameter.opts and name not in ("pretrain", "finetune")
    }


def test_shared_options_have_one_help_text():
    for flag in SHARED:
        found = options_named(flag)
        assert found, flag
        assert len({text for _, text in found}) == 1, found


def test_models_are_described_alike_wherever_barcodes_are_embedded():
    texts = dict(options_named("--model"))
    assert {texts[name] for name in ("embed", "identify", "index", "cluster")} == {MODEL_HELP}
