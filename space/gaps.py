"""Prediction of hidden k-mers.

In: a barcode with `[MASK]` in place of k-mers. Out: guesses with probabilities for each of them.
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
    """One hidden k-mer.

    Attributes:
        start: Position of its first base, from 1.
        guesses: K-mers with their probabilities, best first.
    """

    start: int
    guesses: list[tuple[str, float]]


class GapFiller:
    """A model with a decoder that fills in hidden k-mers.

    Args:
        model: Model folder, or `default`.

    Raises:
        CheckpointError: The model has no decoder.
    """

    def __init__(self, model: str) -> None:
        folder = ModelFolder(Path(resolve_model(model)))
        if not folder.path.is_dir() or folder.pipeline_tag != "fill-mask":
            raise CheckpointError("this model has no decoder to fill in k-mers with")
        self._pipeline: Any = pipeline(
            "fill-mask", model=str(folder.path), device="cpu", trust_remote_code=True
        )
        self.k: int = self._pipeline.model.config.k

    def fill(self, text: str) -> tuple[list[Gap], str]:
        """Fill in every gap.

        Args:
            text: Barcode with `[MASK]` in place of each hidden k-mer.

        Returns:
            The gaps in order, and the barcode with the best guess in each.

        Raises:
            GapError: The gaps cannot be filled in; the message says which one and why.
        """
        stretches = "".join(text.split()).upper().split(MASK)
        self.check(stretches)
        found = self._pipeline(MASK.join(stretches), top_k=NUM_GUESSES)
        found = [found] if len(stretches) == 2 else found  # the result for one gap is not nested
        gaps, filled = [], stretches[0]
        for guesses, stretch in zip(found, stretches[1:], strict=True):
            pairs = [(guess["token_str"], float(guess["score"])) for guess in guesses]
            gaps.append(Gap(len(filled) + 1, pairs))
            filled += pairs[0][0] + stretch
        return gaps, filled

    def check(self, stretches: list[str]) -> None:
        """Check that the tokenizer keeps gaps and letters as they are.

        Args:
            stretches: Letters before, between and after the gaps.

        Raises:
            GapError: It would not, or there are too few or too many gaps.
        """
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
        """Return the start of a sequence with its second and fifth k-mer hidden."""
        k = self.k
        return MASK.join((sequence[:k], sequence[2 * k : 4 * k], sequence[5 * k : 20 * k]))
