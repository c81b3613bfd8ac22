"""What can go wrong on the user's side, said in one line a biologist can act on.

The command line prints these without a traceback and exits with 2; anything else is a bug.
"""

from pathlib import Path


class BarcodeMAEError(Exception):
    """Base of every error caused by input, settings or the machine, not by this code."""


class DataError(BarcodeMAEError):
    """A file that cannot be read as what it should be.

    Args:
        path: The file.
        problem: What is wrong.
        line: Line number, 1-based, if one is known.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        self.path = Path(path)
        self.problem = problem
        self.line = line
        place = f"{path}, line {line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")


class SettingsError(BarcodeMAEError):
    """Settings that are unknown or contradict each other."""


class CheckpointError(BarcodeMAEError):
    """A checkpoint or model folder that is missing, foreign, damaged or unsafe."""


class TrainingError(BarcodeMAEError):
    """A run that cannot go on, such as a loss that is no longer a number."""


class WorkerError(BarcodeMAEError):
    """A process that worked for this one and ended before it was done."""
