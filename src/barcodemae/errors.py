"""Errors that a user can cause, each reported in one line that a biologist can act on.

The command line prints these without a traceback and exits with 2; any other error is a bug.
Guarded by tests/barcodemae/test_errors.py.
"""

from pathlib import Path


class BarcodeMAEError(Exception):
    """Base class of all errors caused by input, settings or the machine, not by this package."""


class DataError(BarcodeMAEError):
    """A file or folder that cannot be read as what it should be.

    Args:
        path: Path of the file or folder.
        problem: What is wrong with it.
        line: Number of the line, 1-based; None if not known.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        self.path = Path(path)
        self.problem = problem
        self.line = line
        place = f"{path}, line {line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")


class DataWarning(UserWarning):
    """Something in the data that is likely a mistake; the command line says it in one line."""


class SettingsError(BarcodeMAEError):
    """Settings that are unknown or contradict each other."""


class CheckpointError(BarcodeMAEError):
    """A checkpoint or model folder that is missing, foreign, damaged or unsafe."""


class TrainingError(BarcodeMAEError):
    """A training run that cannot continue, for instance because the loss is not a number."""


class WorkerError(BarcodeMAEError):
    """A worker process that ended before it had finished."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank, else the name of its class.

    Args:
        error: An exception of any library; its message may be empty or many lines long.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
