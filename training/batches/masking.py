"""Masking: choose which k-mers are hidden and which are predicted.

    ids      [ 7 19  4 33  2  8 ]          (B, L), padding beyond `lengths`
    input    [ 7  M  4  M  M  8 ]          M = [MASK]: left out of the encoder
    labels   [ .  19 .  33 2  . ]          . = -100: not predicted

`mask_kmers` is one pure function for training and validation: the same ids, lengths, settings and
random numbers always give the same batch. Guarded by tests/training/batches/test_masking.py.

Shapes: B = batch, L = tokens, V = visible tokens, T = predicted tokens, D = encoder width.
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


MIN_WINDOW = 0.15  # shortest window, as a fraction of the barcode: 100 bp of 658
WIDTH_STEP = 16  # tables grow in large steps, since each new shape compiles the model again


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How many k-mers are hidden, how they are chosen, and what replaces them.

    Attributes:
        ratio: Fraction of a barcode's k-mers that are hidden; 0.5 in the published runs.
        scored_ratio: Fraction of a barcode's k-mers that are predicted, if fewer than are hidden:
            with most k-mers hidden, predicting them all is a large part of a step's cost. None
            predicts all hidden ones.
        exact: Whether exactly `ratio` of each barcode's k-mers are hidden, to the nearest whole
            number, so that the visible ones need no padding; or each k-mer is drawn independently
            (Bernoulli), as in the reference code.
        random_fraction: Fraction of the predicted k-mers shown as a random k-mer, not hidden.
        kept_fraction: Fraction of the predicted k-mers shown unchanged (BERT's 80/10/10 is
            0.1 and 0.1). The published runs use 0 for both.
        window_fraction: Fraction of the barcodes that are shown as a fragment: one window of
            `MIN_WINDOW` to all of its k-mers is visible, the rest is hidden, and of the hidden
            k-mers at most `ratio` or `scored_ratio` of the barcode's are predicted.
        span_length: Number of consecutive k-mers that are hidden together. Adjacent spans may
            merge; the ends of a barcode, [UNK] and the exact count cut some short. 1 draws each
            k-mer independently.

    Raises:
        SettingsError: A value is out of range.
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
        self._check_windows_and_spans()

    def _check_windows_and_spans(self) -> None:
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
    """The arguments of the pre-training model's forward pass.

    Attributes:
        input_ids: Token ids with [MASK] at the hidden positions, (B, L).
        attention_mask: 1 for tokens, 0 for padding, (B, L).
        labels: True token ids at the positions to predict, -100 elsewhere, (B, L).
        visible_positions: Positions of the visible tokens, ascending, -1 for padding, (B, V).
        target_positions: Positions to predict, ascending, -1 for padding, (B, T).
        barcode_targets: Vectors that describe the whole barcodes, to be predicted from the mean of
            the visible tokens (`training.batches.barcode_targets`), (B, D); None without that loss.
        taxon_targets: Class number of each barcode's taxon, -100 if unknown, (B,); None without
            that loss.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    visible_positions: Tensor
    target_positions: Tensor
    barcode_targets: Tensor | None = None
    taxon_targets: Tensor | None = None

    @property
    def num_targets(self) -> int:
        """Number of k-mers to predict in the batch; on a device, reading it costs a sync."""
        return int((self.target_positions != NO_POSITION).sum())

    def without_targets(self) -> "MaskedBatch":
        """Copy the batch with nothing to predict."""
        return dataclasses.replace(
            self,
            labels=torch.full_like(self.labels, IGNORE_INDEX),
            target_positions=torch.full_like(self.target_positions, NO_POSITION),
        )

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Return the keyword arguments of the model, moved to `device`."""
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
    """The random numbers of a batch, drawn before any decision.

    A slice of rows is therefore masked exactly as within the whole batch, which makes a run on
    many processes equal to a run on one.

    Attributes:
        order: Uniform numbers that rank the k-mers of a row, (B, L).
        dice: Uniform numbers that choose the replacement of a k-mer, (B, L); None if it is always
            [MASK].
        kmers: Token ids of random k-mers, (B, L); None if the replacement is always [MASK].
        windows: Uniform numbers that decide whether a row is shown as a window, how long the
            window is and where, (B, 3); None without windows.
        spans: Uniform numbers that decide where the spans of a row begin, the first, and rank
            them, the others, (B, L + 1); None without spans.
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
        """Draw the random numbers of a batch.

        The order of the draws is fixed, newer options last, so that without these a seed still
        gives the batches it always gave.

        Args:
            generator: Source of the numbers.
            shape: Shape of the batch, (B, L).
            masking: Settings, which decide what is drawn.
            num_kmers: Number of k-mer classes, 4**k.
        """
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
        """Take the numbers of some rows."""
        given = {name: numbers for name, numbers in vars(self).items() if numbers is not None}
        return dataclasses.replace(self, **{name: numbers[rows] for name, numbers in given.items()})


def mask_kmers(
    ids: NDArray[np.int64], lengths: NDArray[np.int64], masking: Masking, noise: MaskingNoise
) -> MaskedBatch:
    """Hide k-mers of a batch.

    Special tokens and padding are never chosen, and at least one k-mer of a row stays. In a row
    that is shown as a window, all tokens outside the window are hidden instead, [UNK] included.

    Args:
        ids: Token ids, (B, L).
        lengths: Number of tokens in each row, (B,).
        masking: How to choose.
        noise: The random numbers of the rows.

    Returns:
        The masked batch, as torch tensors. V and T are the same for all batches of one L, unless
        a row needs more, for instance for its [UNK]; then they grow by `WIDTH_STEP`.
    """
    is_token = find_tokens(ids, lengths)  # (B, L)
    is_maskable = is_token & (ids >= NUM_SPECIAL_TOKENS)  # (B, L)

    # Choose what to hide: k-mers one by one or in spans, or everything outside a window.
    is_outside, is_window = outside_windows(is_token, masking, noise)  # (B, L), (B, 1)
    order = span_order(masking, noise)  # (B, L)
    is_chosen = choose_kmers(is_maskable, masking.ratio, order, exact=masking.exact)
    is_chosen = np.where(is_window, is_outside, is_chosen)  # (B, L)

    # Choose what to predict among it.
    scored_ratio = masking.scored_ratio or masking.ratio
    order = noise.order + ~is_chosen  # chosen k-mers rank first
    is_target = choose_kmers(is_maskable, scored_ratio, order, exact=masking.exact)
    is_target &= is_chosen & is_maskable  # (B, L)

    # Replace the chosen k-mers.
    shown = np.where(is_chosen, choose_replacements(ids, masking, noise), ids)  # (B, L)
    shown[is_outside] = MASK_ID
    is_visible = is_token & (shown != MASK_ID)  # (B, L)
    num_chosen = round(masking.ratio * ids.shape[1])
    num_targets = round(scored_ratio * ids.shape[1])
    return MaskedBatch(
        input_ids=torch.from_numpy(shown),
        attention_mask=torch.from_numpy(is_token.astype(np.int64)),
        labels=torch.from_numpy(np.where(is_target, ids, IGNORE_INDEX)),
        visible_positions=positions_table(is_visible, ids.shape[1] - num_chosen),
        target_positions=positions_table(is_target, num_targets),
    )


def find_tokens(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find the tokens of the barcodes, between the lead of a frame and the padding, (B, L).

    Args:
        ids: Token ids from `BarcodeReader.batch`, [MASK] in the lead, (B, L).
        lengths: Number of tokens in each row, the lead included, (B,).
    """
    is_token: NDArray[np.bool_] = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids != MASK_ID)
    return is_token


def outside_windows(
    is_token: NDArray[np.bool_], masking: Masking, noise: MaskingNoise
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose the rows that are shown as windows, and the windows.

    Args:
        is_token: Whether a position holds a token of the barcode, (B, L).
        masking: Settings of the windows.
        noise: The random numbers of the rows.

    Returns:
        is_outside: Tokens outside the window of a row that is shown as one, (B, L).
        is_window: Whether a row is shown as a window, (B, 1).
    """
    if noise.windows is None:
        return np.zeros_like(is_token), np.zeros((len(is_token), 1), bool)
    chance, size, place = noise.windows.T[..., None]  # (B, 1) each
    is_window = chance < masking.window_fraction
    count = is_token.sum(axis=1, keepdims=True)  # (B, 1)
    length = np.ceil((MIN_WINDOW + (1 - MIN_WINDOW) * size) * count)
    first = np.floor(place * (count - length + 1))
    number = is_token.cumsum(axis=1) - 1  # (B, L): of the token in its barcode
    is_inside = (number >= first) & (number < first + length)
    return is_window & is_token & ~is_inside, is_window


def span_order(masking: Masking, noise: MaskingNoise) -> NDArray[np.float32]:
    """Rank the k-mers of a row span by span: all k-mers of a span get the same number, (B, L)."""
    if noise.spans is None:
        return noise.order
    starts, ranks = noise.spans[:, :1], noise.spans[:, 1:]  # (B, 1), (B, L)
    shift = np.floor(starts * masking.span_length).astype(np.int64)
    span = (np.arange(ranks.shape[1]) + shift) // masking.span_length  # (B, L): its number
    return np.take_along_axis(ranks, span, axis=1)


def choose_kmers(
    is_maskable: NDArray[np.bool_], ratio: float, order: NDArray[np.float32], *, exact: bool
) -> NDArray[np.bool_]:
    """Choose a fraction of the maskable k-mers of each row.

    Args:
        is_maskable: Which positions may be chosen, (B, L).
        ratio: Fraction to choose; a larger fraction includes what a smaller one chooses.
        order: Numbers that rank the positions; the lowest are chosen, (B, L).
        exact: Whether to choose exactly that fraction, or all k-mers with a number below `ratio`.

    Returns:
        Whether each position is chosen, (B, L).
    """
    order = np.where(is_maskable, order, np.inf)
    most = is_maskable.sum(axis=1, keepdims=True) - 1  # (B, 1): one k-mer is never chosen
    rank = order.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")  # (B, L)
    if not exact:
        return np.asarray((order < ratio) & (rank < most))
    wanted = np.maximum(np.round(ratio * (most + 1)), 1)  # (B, 1)
    return np.asarray(rank < np.minimum(wanted, most))


def choose_replacements(
    ids: NDArray[np.int64], masking: Masking, noise: MaskingNoise
) -> NDArray[np.int64]:
    """Choose what replaces each k-mer if it is chosen: [MASK], a random k-mer or itself, (B, L)."""
    hidden = np.full_like(ids, MASK_ID)
    if noise.dice is None or noise.kmers is None:
        return hidden
    shown = np.where(noise.dice < masking.random_fraction, noise.kmers, hidden)
    return np.where(noise.dice >= 1 - masking.kept_fraction, ids, shown)


def positions_table(is_selected: NDArray[np.bool_], width: int) -> Tensor:
    """List the positions at which each row of a boolean mask is True, as a rectangular table.

    Args:
        is_selected: Boolean mask, (B, L).
        width: Width of the table, at least 1, unless a row needs more: then it grows by
            `WIDTH_STEP` until the longest row fits, up to L.

    Returns:
        Positions in ascending order, -1 for padding, (B, N), where N is the width.
    """
    counts = is_selected.sum(axis=1)  # (B,)
    longest = int(counts.max(initial=0))
    missing = max(longest - width, 0)
    width += -(-missing // WIDTH_STEP) * WIDTH_STEP
    width = max(min(width, is_selected.shape[1]), 1)
    table = np.full((len(is_selected), width), NO_POSITION, dtype=np.int64)
    table[np.arange(width) < counts[:, None]] = np.nonzero(is_selected)[1]
    return torch.from_numpy(table)
