"""One way out of every program: 0 done, 2 said in one line, and a bug keeps its traceback."""

import sys

import pytest
import typer

from barcodemae.errors import DataError
from barcodemae.exit_codes import run_app


def app_that_raises(error):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        if error is not None:
            raise error

    return app


def test_a_command_that_ends_well_gives_zero():
    assert run_app(app_that_raises(None), []) == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError("reads.fasta", "is empty", line=3), "reads.fasta, line 3: is empty"),
        (FileNotFoundError(2, "No such file or directory", "lib"), "No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_a_user_or_the_machine_got_wrong_is_one_line_and_two(capsys, error, words):
    assert run_app(app_that_raises(error), []) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("barcodemae: error: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_an_unknown_option_gives_two(capsys):
    assert run_app(app_that_raises(None), ["--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_app(app_that_raises(ZeroDivisionError()), [])


def test_a_reader_that_left_ends_the_program_quietly(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_app(app_that_raises(BrokenPipeError()), []) == 0
