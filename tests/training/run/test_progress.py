"""The progress line: plain lines in a log file, nothing from other processes."""

from types import SimpleNamespace

from barcodemae.training.run.progress import TrainingProgress


def show(capsys, *, is_main_process=True):
    with TrainingProgress(10, 2, SimpleNamespace(is_main_process=is_main_process)) as progress:
        progress.advance()
        progress.show(3, {"loss": 4.15888, "barcodes_per_second": 1234.5, "learning_rate": 1.0})
        progress.show(3, {"val_accuracy": 12.34})
    return capsys.readouterr()


def test_measurements_are_lines_on_stderr_that_keep_the_latest_numbers(capsys):
    captured = show(capsys)
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "step 3/10  loss 4.159  barcodes/s 1234",
        "step 3/10  loss 4.159  val acc 12.3 %  barcodes/s 1234",
    ]


def test_only_the_main_process_talks(capsys):
    captured = show(capsys, is_main_process=False)
    assert captured.out == captured.err == ""


def test_on_a_terminal_the_bar_counts_from_where_the_run_stands(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    captured = show(capsys)
    assert "3/10" in captured.err
    assert "val acc 12.3 %" in captured.err
    assert captured.out == ""
