"""What happens in a command becomes an exit code; foreign progress bars stay out of sight."""

import os
import shlex
import signal
import subprocess
import sys

import pytest
import typer

from barcodemae import exit_codes
from barcodemae.errors import DataError
from barcodemae.exit_codes import hide_foreign_bars, run_app


def app_that(action):
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command(number: int = 0) -> None:
        action()

    return app


def fail(error):
    def action():
        raise error

    return action


@pytest.fixture(autouse=True)
def bars(monkeypatch):
    """Foreign bars of this process are left as they are."""
    monkeypatch.setattr(exit_codes, "hide_foreign_bars", lambda: None)


def test_a_command_that_ends_well_gives_0():
    assert run_app(app_that(lambda: None), []) == 0


def test_wrong_usage_gives_2(capsys):
    assert run_app(app_that(lambda: None), ["--number", "many"]) == 2
    assert "'--number'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        DataError("x.fasta", "holds no sequences", line=3),
        FileNotFoundError(2, "No such file or directory", "library"),
        OSError(28, "No space left on device"),
    ],
)
def test_bad_input_and_a_machine_that_cannot_give_2_and_one_line(error, capsys):
    assert run_app(app_that(fail(error)), []) == 2
    assert capsys.readouterr().err == f"barcodemae: error: {error}\n"


def test_bytes_that_are_no_text_are_told_as_codes(capsys):
    assert run_app(app_that(fail(DataError("x.fasta", "record M\udcfcller"))), []) == 2
    assert "record M\\udcfcller" in capsys.readouterr().err


def test_an_interrupt_is_one_line_that_says_how_to_go_on(capsys):
    error = KeyboardInterrupt()
    error.add_note("run it again")
    assert run_app(app_that(fail(error)), []) == 130
    assert capsys.readouterr().err == "barcodemae: interrupted; run it again\n"


def test_what_was_noted_in_an_error_is_said_with_it(capsys):
    error = OSError(28, "No space left on device")
    error.add_note("run it again")
    assert run_app(app_that(fail(error)), []) == 2
    assert capsys.readouterr().err.endswith("No space left on device; run it again\n")


PROGRAM = """
import threading, time, typer
from barcodemae.exit_codes import run_program
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
def compute():
    while True:
        sum(range(1000))
@app.command()
def command(how: str) -> None:
    if how == "print":
        typer.echo("x" * 100_000)
        return
    if how == "thread":
        threading.Thread(target=compute).start()
    print("ready", flush=True)
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            if how != "deaf":
                raise
run_program(app)
"""


@pytest.mark.parametrize("how", ["idle", "thread", "deaf"])
def test_an_interrupt_ends_a_program_whatever_its_threads_do(how):
    def heed():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # of a job in the background

    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed,
    )
    assert program.stdout.readline() == b"ready\n"
    program.send_signal(signal.SIGINT)
    _, said = program.communicate()
    assert (program.returncode, said) == (130, b"barcodemae: interrupted\n")


WRITING = """
import sys, time, typer
from pathlib import Path
from barcodemae.exit_codes import run_program
from barcodemae.files import staged_folder, whole_file
from barcodemae.output.lock import held
app = typer.Typer(add_completion=False)
@app.command()
def wait(place: Path):
    out = place / "out"
    with held(out), staged_folder(out) as folder, whole_file(place / "table.tsv") as table:
        (folder / "part").write_text("half")
        table.write_text("half")
        print("ready", flush=True)
        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:  # as what computes without a break does not hear it
                pass
run_program(app)
"""


def test_an_interrupt_that_is_not_heard_leaves_nothing_half_written(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-c", WRITING, tmp_path],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert program.stdout.readline() == b"ready\n"
    assert len(list(tmp_path.iterdir())) == 3
    program.send_signal(signal.SIGINT)
    program.communicate()
    assert program.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_standard_stream_is_no_error(closed):
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)} print {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_app(app_that(lambda: 1 / 0), [])


def test_a_command_says_itself_how_it_ends():
    assert run_app(app_that(fail(typer.Exit(1))), []) == 1


def test_a_reader_that_leaves_is_no_error():
    code = (
        "import sys, typer; from barcodemae.exit_codes import run_app\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def talk():\n"
        "    for _ in range(100_000): print('line')\n"
        "sys.exit(run_app(app, []))"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    program.stdout.readline()
    program.stdout.close()
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait() == 0


def test_libraries_that_are_loaded_already_are_told_to_show_no_bars(monkeypatch):
    told = []
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for name, function in exit_codes.BARS.items():
        library = type(sys)(name)
        setattr(library, function, lambda name=name: told.append(name))
        monkeypatch.setitem(sys.modules, name, library)
    hide_foreign_bars()
    assert told == ["huggingface_hub.utils", "transformers.utils.logging"]


def test_libraries_that_come_later_show_no_bars():
    code = (
        "from barcodemae.exit_codes import hide_foreign_bars; hide_foreign_bars()\n"
        "from transformers.utils.logging import is_progress_bar_enabled\n"
        "from huggingface_hub.utils import are_progress_bars_disabled\n"
        "print(is_progress_bar_enabled(), are_progress_bars_disabled())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_PROGRESS_BARS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
