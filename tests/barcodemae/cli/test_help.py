"""Help explains how to choose options and ends with two examples that work as they stand."""

import re
import shlex

import pytest
import typer.main

from barcodemae.cli import app, main
from barcodemae.cli.help.guide import GUIDES


COMMANDS = typer.main.get_command(app).commands
WIDTH = 80  # columns of a terminal


def help_of(name, capsys):
    assert main([name, "--help"]) == 0
    return capsys.readouterr().out


def words(text):
    return " ".join(text.split())


def arguments_of(example):
    return shlex.split(example.rpartition("| ")[2].replace("\\\n", " "))[1:]


def test_every_command_has_a_guide_and_every_guide_a_command():
    assert set(GUIDES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_how_to_choose_and_ends_with_two_examples(name, capsys):
    text = help_of(name, capsys)
    guide = GUIDES[name]
    assert words(guide.choosing) in words(text)
    ending = text.split("Examples:\n")[1]
    assert len(re.findall(r"^ +# ", ending, flags=re.MULTILINE)) == 2
    for what, example in guide.examples:
        assert f"# {what}\n" in ending
        assert words(example) in words(ending)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    assert max(map(len, help_of(name, capsys).splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, guide in GUIDES.items() for _, example in guide.examples],
)
def test_every_example_is_a_command_line_that_is_understood(name, example):
    command, *arguments = arguments_of(example)
    assert command == name
    with COMMANDS[name].make_context(name, arguments) as context:
        assert context.params


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_a_guide_names_exist(name):
    known = {
        flag
        for parameter in COMMANDS[name].params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"--[a-z][a-z-]*", GUIDES[name].choosing)) <= known


def test_long_option_names_are_shown_in_full(capsys):
    assert "--barcode-relatives-whitening" in help_of("pretrain", capsys)


def test_the_list_of_commands_says_what_each_does(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, guide in GUIDES.items():
        assert re.search(rf"^  {name} +{re.escape(guide.summary)}$", text, flags=re.MULTILINE)
