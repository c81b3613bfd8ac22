"""Each command's help says how to choose its main options and ends with two examples that parse."""

import re
import shlex

import pytest
import typer.main

from barcodemae.cli import app, main
from barcodemae.cli.guide import GUIDES


COMMANDS = typer.main.get_command(app).commands


def test_every_command_has_a_guide_and_the_other_way_round():
    assert set(GUIDES) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_the_choices_and_ends_with_two_examples(name, capsys):
    assert main([name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    guide = GUIDES[name]
    assert guide.choosing.split(".")[0].replace("`", "")[:40] in shown.replace("`", "")
    places = [shown.index(" ".join(command.split())) for _, command in guide.examples]
    assert len(places) == 2
    assert places == sorted(places)
    assert places[0] > shown.index("--help")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_name_real_options(name):
    known = {
        flag
        for parameter in COMMANDS[name].params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    for _, command in GUIDES[name].examples:
        line = command.split(" | ")[-1]
        words = shlex.split(line[line.index("barcodemae ") :])
        assert words[1] == name
        used = {word for word in words[2:] if re.match("-.", word)}
        assert used <= known, command


def test_every_command_is_in_the_list_with_its_summary(capsys):
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in GUIDES:
        assert f" {name} " in shown
