"""Filling in hidden k-mers: a barcode with `[MASK]` in it becomes guesses with probabilities.

Guarded by tests/space/test_space_gaps_and_tables.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import pipeline

from barcodemae.default_model import resolve_model
from barcodemae.errors import BarcodeMAEError, CheckpointError
from barcodemae.eval.embed.screening import reason_unusable
from barcodemae.model_cards.model_folder import ModelFolder


MASK = "[MASK]"
NUM_GUESSES = 5
MAX_GAPS = 20


class GapError(BarcodeMAEError):
    """A sequence whose gaps cannot be filled in."""


@dataclass(frozen=True)
class Gap:
    """One hidden k-mer: its first base (1-based), and guesses with probabilities, best first."""

    start: int
    guesses: list[tuple[str, float]]


class GapFiller:
    """A model with a decoder, ready to fill in.

    Args:
        model: As in `answers.py`.

    Raises:
        CheckpointError: The model has no decoder.
    """

    def __init__(self, model: str) -> None:
        folder = ModelFolder(Path(resolve_model(model)))
        if not folder.path.is_dir() or folder.pipeline_tag != "fill-mask":
            raise CheckpointError("this model has no decoder to fill in k-mers with")
        self._pipeline: Any = pipeline("fill-mask", model=str(folder.path), device="cpu")
        self.k: int = self._pipeline.model.config.k

    def fill(self, text: str) -> tuple[list[Gap], str]:
        """Fill in every gap.

        Args:
            text: A barcode with `[MASK]` in place of each hidden k-mer.

        Returns:
            The gaps in order, and the barcode with the best guess in each.

        Raises:
            GapError: Says which stretch is at fault.
        """
        stretches = "".join(text.split()).upper().split(MASK)
        self.check(stretches)
        found = self._pipeline(MASK.join(stretches), top_k=NUM_GUESSES)
        found = [found] if len(stretches) == 2 else found  # one gap comes without a list around it
        gaps, filled = [], stretches[0]
        for guesses, stretch in zip(found, stretches[1:], strict=True):
            pairs = [(guess["token_str"], float(guess["score"])) for guess in guesses]
            gaps.append(Gap(len(filled) + 1, pairs))
            filled += pairs[0][0] + stretch
        return gaps, filled

    def check(self, stretches: list[str]) -> None:
        """Refuse what the tokenizer would silently cut; errors as `fill`."""
        num_gaps = len(stretches) - 1
        if not 1 <= num_gaps <= MAX_GAPS:
            raise GapError(f"{num_gaps} gaps: mark 1 to {MAX_GAPS} hidden k-mers with {MASK}")
        longest = self._pipeline.tokenizer.model_max_length * self.k
        length = sum(map(len, stretches)) + num_gaps * self.k
        if length > longest:
            raise GapError(f"{length} bases with the gaps, the model reads up to {longest}")
        for number, stretch in enumerate(stretches[:-1], start=1):
            if len(stretch) % self.k:
                raise GapError(
                    f"gap {number} does not stand between k-mers: {len(stretch)} bases before it, "
                    f"which is no multiple of {self.k}"
                )
        reason = reason_unusable("".join(stretches), self.k, length)
        if reason:
            raise GapError(f"beside the gaps: {reason}")

    def example(self, sequence: str) -> str:
        """Hide the second and the fifth k-mer of a sequence."""
        k = self.k
        return MASK.join((sequence[:k], sequence[2 * k : 4 * k], sequence[5 * k : 20 * k]))
