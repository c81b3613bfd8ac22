"""The pipeline task `fill-mask` for barcodes: one answer for each [MASK], whatever the grid.

    pipeline("fill-mask", model=FOLDER, trust_remote_code=True)

A [MASK] stands for k unknown bases wherever it is written, so its bases may lie in two neighbouring
k-mers, which the model predicts one by one. This pipeline puts their predictions together into one
list of guesses, and a guess never contradicts the letters around the gap: of each k-mer only those
count that have the letters which are there. The folder's `config.json` names this class in
`custom_pipelines`. This file goes to the Hub verbatim: it imports only torch and transformers.

In: a sequence with one or more [MASK], or a list of them. Out: as from transformers' own task, a
list of guesses with `score`, `token`, `token_str` and `sequence`; a list for each [MASK] if there
are several. Guarded by tests/modeling_barcodemae/test_fill_mask.py.

Shapes: L = tokens, K = k-mers, H = hidden bases of one [MASK] within one k-mer.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import FillMaskPipeline
from transformers.pipelines.base import PipelineException


TASK = "fill-mask"
FILL_MASK = {  # as it stands in `config.json`
    TASK: {
        "impl": "fill_mask_barcodemae.BarcodeFillMaskPipeline",
        "pt": ["AutoModelForMaskedLM"],
        "type": "text",
    }
}
BASES = "ACGT"
WHITE_SPACE = re.compile(r"\s+")
FIRST_MASKED = "\ue000"  # `barcode_reading.py` writes the masked bases as letters from here on


class BarcodeFillMaskPipeline(FillMaskPipeline):
    """Fills the gaps of barcodes.

    Options are those of transformers' task: `top_k` and `targets`, k-mers to choose from.

    Raises:
        PipelineException: A sequence has no [MASK].
        ValueError: A [MASK] lies outside the barcode, so nothing is predicted there.
    """

    def preprocess(  # type: ignore[override]
        self, inputs: Any, return_tensors: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Tokenize one sequence; `input_ids` and `attention_mask` are (1, L)."""
        tokenizer: Any = self.tokenizer
        text = WHITE_SPACE.sub("", inputs)
        if tokenizer.mask_token not in text:
            raise PipelineException(
                TASK, self.model.base_model_prefix, f"there is no {tokenizer.mask_token} in {text}"
            )
        return {**tokenizer([text], return_tensors="pt"), "text": text}

    def _forward(  # type: ignore[override]
        self, model_inputs: dict[str, Any], **options: Any
    ) -> Any:
        """Predict the k-mers; `logits` are (B, L, vocab)."""
        texts = model_inputs.pop("text")
        outputs = self.model(**model_inputs)
        return {"logits": outputs.logits, "text": texts}

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], top_k: int = 5, target_ids: Any = None
    ) -> Any:
        """List the best guesses for each [MASK] of one sequence."""
        tokenizer: Any = self.tokenizer
        text: str = model_outputs["text"]
        logits: Tensor = model_outputs["logits"][0].float()  # (L, vocab)
        num_special = logits.shape[1] - len(BASES) ** tokenizer.k
        (reading,) = tokenizer.reading.read([text], tokenizer.model_max_length)
        parts = text.split(tokenizer.mask_token)
        answers = []
        for number in range(len(parts) - 1):
            scores = gap_probabilities(
                logits[reading.lead :, num_special:], reading.letters, number, tokenizer.k
            )  # (4**k,)
            chosen = ranked(scores, top_k, target_ids, num_special)
            before = tokenizer.mask_token.join(parts[: number + 1])
            after = tokenizer.mask_token.join(parts[number + 1 :])
            guesses = [(kmer, spell(kmer, tokenizer.k)) for kmer in chosen]
            answers.append(
                [
                    {
                        "score": float(scores[kmer]),
                        "token": kmer + num_special,
                        "token_str": letters,
                        "sequence": before + letters + after,
                    }
                    for kmer, letters in guesses
                ]
            )
        return answers[0] if len(answers) == 1 else answers


def gap_probabilities(logits: Tensor, letters: str, number: int, k: int) -> Tensor:
    """Compute how probable each filling of one gap is, given the letters around it.

    Args:
        logits: Logits of the k-mers of a sequence, (L, K).
        letters: Its letters from the first of these k-mers on.
        number: Which [MASK] of the sequence is the gap.
        k: Length of a k-mer in bp.

    Returns:
        Probability of each k-mer to fill the gap, (4**k,).

    Raises:
        ValueError: The gap is not wholly inside the barcode.
    """
    masked = chr(ord(FIRST_MASKED) + number)
    places = [place for place, letter in enumerate(letters) if letter == masked]
    if len(places) != k or places[-1] // k >= len(logits):
        raise ValueError(f"[MASK] number {number + 1} lies outside the barcode: nothing to predict")
    joint = logits.new_ones(1)
    for row in sorted({place // k for place in places}):
        hidden = [place % k for place in places if place // k == row]
        known = {
            site: BASES.index(letter)
            for site, letter in enumerate(
                letters[row * k : row * k + k].upper().replace("U", "T")
            )
            if letter in BASES
        }  # fmt: skip
        part = marginal(logits[row], hidden, known, k)  # (4**H,)
        joint = (joint[:, None] * part).flatten()
    return joint


def marginal(logits: Tensor, hidden: Sequence[int], known: dict[int, int], k: int) -> Tensor:
    """Compute the probabilities of the hidden bases of one k-mer, given its known ones.

    Args:
        logits: Logits of one k-mer, (K,).
        hidden: Places of the hidden bases within it, H of them.
        known: Place -> number of the base that is there.
        k: Length of a k-mer in bp.

    Returns:
        Probability of each combination of hidden bases, the first one slowest, (4**H,).
    """
    numbers = torch.arange(len(logits), device=logits.device)
    digits = [numbers // len(BASES) ** (k - 1 - place) % len(BASES) for place in range(k)]
    for place, base in known.items():
        logits = logits.masked_fill(digits[place] != base, -torch.inf)
    group = torch.zeros_like(numbers)
    for place in hidden:
        group = group * len(BASES) + digits[place]
    sums = logits.new_zeros(len(BASES) ** len(hidden))
    return sums.scatter_add(0, group, logits.softmax(dim=0))


def ranked(scores: Tensor, top_k: int, target_ids: Any, num_special: int) -> list[int]:
    """List the numbers of the best k-mers, best first, of all or of some targets."""
    if target_ids is None:
        best: list[int] = scores.topk(min(top_k, len(scores))).indices.tolist()
        return best
    wanted = [int(token) - num_special for token in target_ids if token >= num_special]
    return sorted(wanted, key=lambda kmer: -float(scores[kmer]))[:top_k]


def spell(kmer: int, k: int) -> str:
    """Write a k-mer of that number, in `product("ACGT")` order."""
    places = reversed(range(k))
    return "".join(BASES[kmer // len(BASES) ** place % len(BASES)] for place in places)


__all__ = ["FILL_MASK", "BarcodeFillMaskPipeline"]
