"""The masking study: is [MASK] part of how a model computes?

Some tokens of every barcode are taken away or replaced by [MASK] before embedding, in four modes:

    drop      tokens truly removed, the others keep their true positions; mean over the others
    combined  tokens replaced by [MASK]; mean over all tokens
    mask      tokens replaced by [MASK]; mean over the [MASK] positions only
    nonmask   tokens replaced by [MASK]; mean over the other positions only

In: a model and a data set. Out: 1-NN accuracy per mode, rate and seed, as records. References and
queries are treated alike. Guarded by tests/eval/test_mask_study.py.

Shapes: N = barcodes, B = batch, L = tokens, V = tokens left, D = width.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from barcodemae import masked_mean
from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.embedder import equal_length_batches
from barcodemae.eval.embedding import load_embedder
from barcodemae.eval.model_embedder import AutoModelEmbedder
from barcodemae.eval.nearest import nearest_neighbors
from barcodemae.eval.probe_data import LabelledRows, read_labelled, usable_rows
from barcodemae.eval.records import ResultRecord
from barcodemae.eval.scores import score_predictions
from barcodemae.eval.subjects import architecture_of


MODES = ("drop", "combined", "mask", "nonmask")
# Models whose position ids are 0 .. L-1, so that tokens can be left out at their true positions.
PLAIN_POSITIONS = ("barcodemae", "bert", "modernbert")


@dataclass(frozen=True, kw_only=True)
class MaskStudy:
    """What to measure.

    Attributes:
        dataset: Folder of a prepared data set.
        rates: Shares of tokens taken away.
        modes: Of `MODES`.
        rank: Label of the 1-NN probe.
        references: Split that answers.
        queries: Split that is asked.
        max_references: Size of a random subset of the references; 0 for all.
        num_seeds: Repeats with other random positions.
        command: The command line, kept in the records.
    """

    dataset: Path
    rates: tuple[float, ...]
    modes: tuple[str, ...] = MODES
    rank: str = "genus"
    references: str = "train"
    queries: str = "val_unseen"
    max_references: int = 0
    num_seeds: int = 1
    command: str = ""


def parse_rates(text: str) -> tuple[float, ...]:
    """Read `START:STOP:STEP`, both ends included, or a comma-separated list.

    Raises:
        SettingsError: Not numbers, or not in [0, 1).
    """
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            count = int(np.floor((stop - start) / step + 1e-9)) + 1
            rates = tuple(round(start + index * step, 6) for index in range(count))
        else:
            rates = tuple(float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError) as error:
        raise SettingsError(f"rates {text!r}: expected START:STOP:STEP or a list") from error
    if not rates or min(rates) < 0 or max(rates) >= 1:
        raise SettingsError(f"rates {text!r}: they must lie in [0, 1)")
    return rates


def parse_modes(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of modes.

    Raises:
        SettingsError: An unknown mode.
    """
    modes = tuple(part.strip() for part in text.split(","))
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise SettingsError(f"mode {unknown[0]!r} is not one of {', '.join(MODES)}")
    return modes


def choose_hidden(
    tokens: Sequence[Sequence[int]], special_ids: frozenset[int], rate: float, seed: int
) -> list[NDArray[np.bool_]]:
    """Choose the tokens to take away, one array (L,) per row.

    Exactly round(rate x L) tokens of a row, fewer only if it has not as many that are not
    special, and never all. A row's choice depends on the seed and its place alone.
    """
    chosen = []
    for row, ids in enumerate(tokens):
        can_hide = np.array([token not in special_ids for token in ids])
        noise = np.random.default_rng([seed, row]).random(len(ids))
        noise[~can_hide] = 2.0  # sorts behind every token that can be hidden
        count = min(round(rate * len(ids)), int(can_hide.sum()), len(ids) - 1)
        is_hidden = np.zeros(len(ids), bool)
        is_hidden[np.argsort(noise, kind="stable")[:count]] = True
        chosen.append(is_hidden)
    return chosen


class MaskedEmbedder:
    """A transformers model read through one mode of the study.

    Raises:
        SettingsError: The tokenizer has no [MASK]; the model leaves [MASK] tokens out by itself,
            so that modes with [MASK] say nothing; or its tokens cannot be left out.
    """

    def __init__(self, embedder: AutoModelEmbedder, mode: str) -> None:
        self.embedder = embedder
        self.mode = mode
        self.mask_id: int | None = embedder.tokenizer.mask_token_id
        if self.mask_id is None and mode != "drop":
            raise SettingsError(f"{embedder.name}: its tokenizer has no mask token")
        model_type = embedder.model.config.model_type
        if mode == "drop" and model_type not in PLAIN_POSITIONS:
            raise SettingsError(f"{embedder.name}: tokens cannot be left out of a {model_type}")
        leaves_out = getattr(embedder.model.config, "encoder_sees_mask", True) is False
        if leaves_out and mode in ("mask", "combined", "nonmask"):
            raise SettingsError(
                f"{embedder.name} leaves [MASK] tokens out, so mode `{mode}` says nothing about "
                "it; study the native encoder in its `encoder/` folder"
            )

    def embed(self, sequences: Sequence[str], rate: float, seed: int) -> NDArray[np.float32]:
        """Embed sequences with a share of their tokens taken away, (N, D)."""
        tokens = self.embedder.tokenize(sequences)
        special = frozenset(self.embedder.tokenizer.all_special_ids)
        hidden = choose_hidden(tokens, special, rate, seed)
        # Equal length and equal number of hidden tokens: no padding in any mode.
        kinds = [
            len(ids) * 100_000 + int(part.sum()) for ids, part in zip(tokens, hidden, strict=True)
        ]
        pooled = np.empty((len(tokens), self.embedder.model.config.hidden_size), np.float32)
        for rows in equal_length_batches(kinds, self.embedder.batch_size):
            ids = torch.tensor([tokens[row] for row in rows])  # (B, L)
            is_hidden = torch.from_numpy(np.stack([hidden[row] for row in rows]))  # (B, L)
            pooled[rows] = self.pool(ids, is_hidden)
        return self.embedder.readout(pooled)

    @torch.inference_mode()
    def pool(self, ids: Tensor, is_hidden: Tensor) -> NDArray[np.float32]:
        """Run one batch, ids and choice (B, L) to vectors (B, D)."""
        model = self.embedder.model
        options = {}
        if self.mode == "drop":
            positions = torch.arange(ids.shape[1]).expand_as(ids)[~is_hidden]
            ids = ids[~is_hidden].view(len(ids), -1)  # (B, V)
            options["position_ids"] = positions.view_as(ids).to(model.device)
            weights = torch.ones_like(ids)
        else:
            ids = torch.where(is_hidden, torch.tensor(self.mask_id), ids)
            counts_in = {"combined": torch.ones_like(ids), "mask": is_hidden, "nonmask": ~is_hidden}
            weights = counts_in[self.mode].long()  # (B, L)
        outputs = model(input_ids=ids.to(model.device), **options).last_hidden_state
        vectors = masked_mean(outputs.float(), weights.to(model.device))  # (B, D)
        pooled: NDArray[np.float32] = vectors.cpu().numpy()
        return pooled


def read_rows(study: MaskStudy, embedder: AutoModelEmbedder) -> tuple[LabelledRows, LabelledRows]:
    """Read references and queries that the model can read."""
    references = read_labelled(study.dataset, [study.references], study.rank)
    references = references.select(usable_rows(embedder, references.sequences))
    if 0 < study.max_references < len(references.labels):
        generator = np.random.default_rng(0)
        chosen = generator.permutation(len(references.labels))[: study.max_references]
        references = references.select(np.sort(chosen))
    queries = read_labelled(study.dataset, [study.queries], study.rank)
    return references, queries.select(usable_rows(embedder, queries.sequences))


def run_mask_study(
    model: str,
    study: MaskStudy,
    *,
    device: str | None = None,
    batch_size: int = 64,
    on_left_out: Callable[[str], object] | None = None,
) -> Iterator[ResultRecord]:
    """Measure 1-NN accuracy for every mode, rate and seed.

    Mode `mask` at rate 0 has nothing to average and is left out; a mode that the model cannot be
    studied in is left out too, unless it is the only one asked for; `on_left_out` is told why.

    Raises:
        SettingsError: Not a transformers model, or no mode applies.
    """
    label, _, target = model.rpartition("=")
    embedder = load_embedder(target, device=device, batch_size=batch_size)
    if not isinstance(embedder, AutoModelEmbedder):
        raise SettingsError(
            f"{target}: the masking study needs a folder that transformers opens by itself "
            "(`barcodemae convert` makes one of an original BarcodeMAE or BarcodeBERT checkpoint)"
        )
    references, queries = read_rows(study, embedder)
    name = label or (Path(target).resolve().name if Path(target).exists() else target)
    for mode in applicable_modes(embedder, study.modes, on_left_out):
        masked = MaskedEmbedder(embedder, mode)
        for rate in study.rates:
            if mode == "mask" and rate == 0:
                continue
            for seed in range(study.num_seeds):
                yield measure(masked, name, study, (references, queries), rate, seed)


def applicable_modes(
    embedder: AutoModelEmbedder,
    modes: Sequence[str],
    on_left_out: Callable[[str], object] | None = None,
) -> list[str]:
    """Keep the modes that mean something for a model; tell why each of the others does not.

    Raises:
        SettingsError: None does.
    """
    kept, refusals = [], []
    for mode in modes:
        try:
            MaskedEmbedder(embedder, mode)
        except SettingsError as error:
            refusals.append(error)
        else:
            kept.append(mode)
    if not kept and refusals:
        raise refusals[-1]
    if on_left_out is not None:
        for refusal in refusals:
            on_left_out(str(refusal))
    return kept


def measure(
    masked: MaskedEmbedder,
    name: str,
    study: MaskStudy,
    rows: tuple[LabelledRows, LabelledRows],
    rate: float,
    seed: int,
) -> ResultRecord:
    """Measure one point of the study."""
    references, queries = rows
    start = time.perf_counter()
    found = nearest_neighbors(
        masked.embed(references.sequences, rate, 2 * seed),
        masked.embed(queries.sequences, rate, 2 * seed + 1),
    )
    predicted = [references.labels[row] for row in found.rows]
    score = score_predictions(queries.labels, predicted)["accuracy"]
    return ResultRecord(
        model=name,
        dataset=study.dataset.resolve().name,
        probe="mask-study",
        metric="accuracy",
        value=score.value,
        low=score.low,
        high=score.high,
        architecture=architecture_of(masked.embedder),
        weights=masked.embedder.fingerprint,
        dataset_hash=dataset_hash(study.dataset),
        protocol={
            "mode": masked.mode,
            "rate": rate,
            "rank": study.rank,
            "references": study.references,
            "queries": study.queries,
        },
        seed=seed,
        counts={"references": len(references.labels), "queries": len(queries.labels)},
        seconds=round(time.perf_counter() - start, 2),
        command=study.command,
    )
