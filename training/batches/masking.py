"""Draw which k-mers are hidden: one pure function for training and validation.

    ids      [ 7 19  4 33  2  8 ]          (B, L), padding beyond `lengths`
    input    [ 7  M  4  M  M  8 ]          M = [MASK]: left out of the encoder
    labels   [ .  19 .  33 2  . ]          . = -100: not predicted

The same ids, lengths, settings and noise always give the same batch. Guarded by
tests/training/batches/test_masking.py.

Shapes: B = batch, L = tokens, V = visible tokens, T = predicted tokens.
"""

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.modeling_barcodemae.modeling_barcodemae import IGNORE_INDEX, NO_POSITION
from barcodemae.training.batches.kmers import MASK_ID


MIN_WINDOW = 0.15  # of a barcode: 100 bp of 658
WIDTH_STEP = 16  # tables grow in few steps: each new shape makes a compiled model compile again


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How k-mers are chosen and what stands in their place.

    Attributes:
        ratio: Share of a barcode's k-mers that are hidden; 0.5 in the published runs.
        scored_ratio: Share of a barcode's k-mers that are predicted, if fewer than are hidden: with
            most k-mers hidden, scoring them all is a large part of a step. None scores all.
        exact: Whether every barcode gives exactly the nearest whole number to `ratio` of its
            k-mers (no fill-up among the visible), or each k-mer is drawn on its own (Bernoulli),
            as the reference does.
        random_fraction: Share of the predicted k-mers shown as a random k-mer, not hidden.
        kept_fraction: Share of the predicted k-mers shown as they are (BERT's 80/10/10 is
            0.1 and 0.1). The published runs use 0 for both.
        window_fraction: Share of the barcodes of which only one window is shown, as if it were a
            fragment, from `MIN_WINDOW` of its k-mers to all; everything outside is hidden, and
            of the k-mers there at most `ratio` or `scored_ratio` are predicted.
        span_length: Hidden k-mers stand in runs of this many, or of several such runs that meet;
            ends of a barcode, [UNK] and the exact count cut some short. 1 draws each on its own.

    Raises:
        SettingsError: A share is outside its range.
    """

    ratio: float = 0.5
    scored_ratio: float | None = None
    exact: bool = True
    random_fraction: float = 0.0
    kept_fraction: float = 0.0
    window_fraction: float = 0.0
    span_length: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise SettingsError(f"mask_ratio must lie between 0 and 1, got {self.ratio}")
        if self.scored_ratio is not None and not 0 < self.scored_ratio <= self.ratio:
            raise SettingsError(
                f"scored_ratio must be above 0 and at most mask_ratio={self.ratio}, "
                f"got {self.scored_ratio}"
            )
        if min(self.random_fraction, self.kept_fraction) < 0:
            raise SettingsError("random_fraction and kept_fraction must not be negative")
        if self.random_fraction + self.kept_fraction > 1:
            raise SettingsError(
                "random_fraction and kept_fraction must not add up to more than 1, got "
                f"{self.random_fraction} + {self.kept_fraction}"
            )
        self._check_runs()

    def _check_runs(self) -> None:
        if not 0 <= self.window_fraction <= 1:
            raise SettingsError(
                f"window_fraction must lie between 0 and 1, got {self.window_fraction}"
            )
        if self.window_fraction > 0 and not self.exact:
            raise SettingsError("window_fraction needs exact_masks")
        if self.span_length < 1:
            raise SettingsError(f"span_length must be at least 1, got {self.span_length}")
        if self.span_length > 1 and not self.exact:
            raise SettingsError("span_length above 1 needs exact_masks")


@dataclass(frozen=True)
class MaskedBatch:
    """What the pre-training model is called with.

    Attributes:
        input_ids: Ids with [MASK] at hidden positions, (B, L).
        attention_mask: 1 for tokens, 0 for padding, (B, L).
        labels: True ids at predicted positions, -100 elsewhere, (B, L).
        visible_positions: Positions the encoder reads, ascending, -1 for fill-up, (B, V).
        target_positions: Predicted positions, ascending, -1 for fill-up, (B, T).
        barcode_targets: What the mean of the visible tokens is to predict about the whole
            barcode (`training.batches.barcode_targets`), (B, D); None for nothing.
        taxon_labels: Number of each barcode's taxon, -100 where it is not known, (B,); None if
            taxa are not to be named.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    visible_positions: Tensor
    target_positions: Tensor
    barcode_targets: Tensor | None = None
    taxon_labels: Tensor | None = None

    @property
    def num_targets(self) -> int:
        """Number of predicted k-mers in the batch; cheap on the CPU, a sync on a device."""
        return int((self.target_positions != NO_POSITION).sum())

    def without_targets(self) -> "MaskedBatch":
        """The same batch with nothing to predict."""
        return dataclasses.replace(
            self,
            labels=torch.full_like(self.labels, IGNORE_INDEX),
            target_positions=torch.full_like(self.target_positions, NO_POSITION),
        )

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Keyword arguments of the model, on `device`."""
        return {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if value is not None
        }

    def pin_memory(self) -> "MaskedBatch":
        """Copy into page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return MaskedBatch(
            **{name: value.pin_memory() for name, value in vars(self).items() if value is not None}
        )


@dataclass(frozen=True)
class MaskingNoise:
    """The random numbers of a batch, drawn before anything is decided.

    Any slice of rows is masked as it would be within the whole batch, which is what makes a run
    on many processes equal to a run on one.

    Attributes:
        order: Uniform numbers that rank the k-mers of a row, (B, L).
        dice: Uniform numbers that choose the stand-in, (B, L); None if all are [MASK].
        kmers: Token ids of random k-mers, (B, L); None if all stand-ins are [MASK].
        windows: Uniform numbers for whether a row is shown as a window, how long and where, (B, 3);
            None if none is.
        spans: Uniform numbers for where the runs of a row begin and that rank them, (B, L + 1);
            None if k-mers are not hidden in runs.
    """

    order: NDArray[np.float32]
    dice: NDArray[np.float32] | None = None
    kmers: NDArray[np.int64] | None = None
    windows: NDArray[np.float32] | None = None
    spans: NDArray[np.float32] | None = None

    @classmethod
    def draw(
        cls,
        generator: np.random.Generator,
        shape: tuple[int, int],
        masking: Masking,
        num_kmers: int,
    ) -> Self:
        """Draw the numbers for a batch of `shape` (B, L) from one generator."""
        order = generator.random(shape, dtype=np.float32)
        dice = kmers = windows = spans = None
        if masking.random_fraction > 0 or masking.kept_fraction > 0:
            dice = generator.random(shape, dtype=np.float32)
            kmers = generator.integers(num_kmers, size=shape) + NUM_SPECIAL_TOKENS
        if masking.window_fraction > 0:
            windows = generator.random((shape[0], 3), dtype=np.float32)
        if masking.span_length > 1:
            spans = generator.random((shape[0], shape[1] + 1), dtype=np.float32)
        return cls(order, dice, kmers, windows, spans)

    def rows(self, rows: slice) -> "MaskingNoise":
        """The numbers of some rows."""
        given = {name: numbers for name, numbers in vars(self).items() if numbers is not None}
        return dataclasses.replace(self, **{name: numbers[rows] for name, numbers in given.items()})


def mask_kmers(
    ids: NDArray[np.int64], lengths: NDArray[np.int64], masking: Masking, noise: MaskingNoise
) -> MaskedBatch:
    """Hide k-mers of a batch.

    Special tokens and padding are never chosen; at least one k-mer of a row is not. Of a row that
    is shown as a window, all tokens outside are hidden instead, [UNK] included.

    Args:
        ids: Token ids, (B, L).
        lengths: Tokens in each row, (B,).
        masking: How to choose.
        noise: The random numbers of the rows.

    Returns:
        The masked batch, as torch tensors. V and T are the same for all batches of one L, unless
        a row needs more, say for its [UNK]; then they grow by `WIDTH_STEP`.
    """
    is_token = tokens_of(ids, lengths)
    is_maskable = is_token & (ids >= NUM_SPECIAL_TOKENS)
    is_outside, is_window = outside_windows(is_token, masking, noise)  # (B, L), (B, 1)
    is_chosen = choose(is_maskable, masking.ratio, span_order(masking, noise), exact=masking.exact)
    is_chosen = np.where(is_window, is_outside, is_chosen)
    scored_ratio = masking.scored_ratio or masking.ratio
    order = noise.order + ~is_chosen  # what is chosen comes first
    is_target = choose(is_maskable, scored_ratio, order, exact=masking.exact)
    is_target &= is_chosen & is_maskable
    shown = np.where(is_chosen, stand_ins(ids, masking, noise), ids)
    shown[is_outside] = MASK_ID
    is_visible = is_token & (shown != MASK_ID)
    num_chosen = round(masking.ratio * ids.shape[1])
    num_targets = round(scored_ratio * ids.shape[1])
    return MaskedBatch(
        input_ids=torch.from_numpy(shown),
        attention_mask=torch.from_numpy(is_token.astype(np.int64)),
        labels=torch.from_numpy(np.where(is_target, ids, IGNORE_INDEX)),
        visible_positions=positions_table(is_visible, ids.shape[1] - num_chosen),
        target_positions=positions_table(is_target, num_targets),
    )


def tokens_of(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where rows of ids hold a barcode: after a frame's lead and before the padding, (B, L)."""
    is_token: NDArray[np.bool_] = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids != MASK_ID)
    return is_token


def outside_windows(
    is_token: NDArray[np.bool_], masking: Masking, noise: MaskingNoise
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose the rows that are shown as windows, (B, 1), and what lies outside of those, (B, L)."""
    if noise.windows is None:
        return np.zeros_like(is_token), np.zeros((len(is_token), 1), bool)
    chance, size, place = noise.windows.T[..., None]  # (B, 1) each
    is_window = chance < masking.window_fraction
    count = is_token.sum(axis=1, keepdims=True)  # (B, 1)
    length = np.ceil((MIN_WINDOW + (1 - MIN_WINDOW) * size) * count)
    first = np.floor(place * (count - length + 1))
    nth = is_token.cumsum(axis=1) - 1  # (B, L): number of the token in its barcode
    is_inside = (nth >= first) & (nth < first + length)
    return is_window & is_token & ~is_inside, is_window


def span_order(masking: Masking, noise: MaskingNoise) -> NDArray[np.float32]:
    """Rank the k-mers of a row, run by run: all of a run have one number, (B, L)."""
    if noise.spans is None:
        return noise.order
    begins, ranks = noise.spans[:, :1], noise.spans[:, 1:]  # (B, 1), (B, L)
    shift = np.floor(begins * masking.span_length).astype(np.int64)
    run = (np.arange(ranks.shape[1]) + shift) // masking.span_length  # (B, L)
    return np.take_along_axis(ranks, run, axis=1)


def choose(
    is_maskable: NDArray[np.bool_], ratio: float, order: NDArray[np.float32], *, exact: bool
) -> NDArray[np.bool_]:
    """Choose a share of the maskable k-mers, (B, L); a larger share holds the smaller one."""
    order = np.where(is_maskable, order, np.inf)
    most = is_maskable.sum(axis=1, keepdims=True) - 1  # (B, 1): one k-mer is never chosen
    rank = order.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")  # (B, L)
    if not exact:
        return np.asarray((order < ratio) & (rank < most))
    wanted = np.maximum(np.round(ratio * (most + 1)), 1)  # (B, 1)
    return np.asarray(rank < np.minimum(wanted, most))


def stand_ins(ids: NDArray[np.int64], masking: Masking, noise: MaskingNoise) -> NDArray[np.int64]:
    """Choose what to show where a k-mer is predicted: [MASK], a random k-mer or itself."""
    hidden = np.full_like(ids, MASK_ID)
    if noise.dice is None or noise.kmers is None:
        return hidden
    shown = np.where(noise.dice < masking.random_fraction, noise.kmers, hidden)
    return np.where(noise.dice >= 1 - masking.kept_fraction, ids, shown)


def positions_table(is_selected: NDArray[np.bool_], width: int) -> Tensor:
    """List where each row is True, (B, N), -1 for fill-up.

    N is `width`, at least 1, and grows by `WIDTH_STEP` until the longest row fits, up to L.
    """
    counts = is_selected.sum(axis=1)  # (B,)
    longest = int(counts.max(initial=0))
    missing = max(longest - width, 0)
    width += -(-missing // WIDTH_STEP) * WIDTH_STEP
    width = max(min(width, is_selected.shape[1]), 1)
    table = np.full((len(is_selected), width), NO_POSITION, dtype=np.int64)
    table[np.arange(width) < counts[:, None]] = np.nonzero(is_selected)[1]
    return torch.from_numpy(table)
