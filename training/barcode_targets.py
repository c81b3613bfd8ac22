"""What the mean of the visible k-mers is trained to predict: the whole barcode, as one vector.

    barcodes -> start of each in a common frame -> letters by site -> principal components

Deposited barcodes begin at different bases, so letters are first brought into one frame, found from
the barcodes themselves: a profile of letters by site, and for each barcode the start at which it
fits best. The components of the letters, scaled so that the small ones that tell relatives apart
are not drowned by the deep branches, are the target. Two purines (A, G) or two pyrimidines (C, T)
may lie closer together than one of each: such transitions happen, and are undone, far more often.
Nothing here uses a label or anything but the training barcodes, and nothing of it is needed after
training: the encoder learns to find the frame.

In: a reader. Out: an array in OUTPUT/cache, kept so that a resumed run has the same targets.
Guarded by tests/training/test_barcode_targets.py.

Shapes: N = barcodes, W = sites of the frame, S = possible starts, D = components.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import DataError
from barcodemae.training.kmers import UNKNOWN_BASE
from barcodemae.training.reader import BarcodeReader


NUM_BASES = 4
MARGIN_BP = 100  # barcodes may start this much before or after the frame
ROUNDS = 2  # the profile is estimated, the starts found, the profile estimated again
SAMPLE_SIZE = 20_000  # barcodes that profile and components are estimated from
BLOCK_SIZE = 4096
SEED = 658


@dataclass(frozen=True)
class Components:
    """A linear description of barcodes in the frame.

    Attributes:
        mean: Share of each letter by site, (W * 4,).
        projection: From letters, less the mean, to scaled components, (W * 4, D).
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    def __call__(self, framed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe barcodes given in the frame (N, W) by vectors of length 1, (N, D)."""
        vectors: NDArray[np.float32] = self.centred(framed, self.mean) @ self.projection
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
        return scaled

    @staticmethod
    def centred(framed: NDArray[np.uint8], mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """Letters less their mean, (N, W * 4); 0 where the letter is not known."""
        is_known = np.repeat(framed != UNKNOWN_BASE, NUM_BASES, axis=1)  # (N, W * 4)
        return np.where(is_known, letters(framed) - mean, np.float32(0))


def letters(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One-hot letters, (N, W * 4), all zero for an unknown one."""
    is_letter = codes[..., None] == np.arange(NUM_BASES, dtype=np.uint8)  # (N, W, 4)
    hot: NDArray[np.float32] = is_letter.reshape(len(codes), -1).astype(np.float32)
    return hot


def letter_points(transversion_cost: float) -> NDArray[np.float64]:
    """Place A, C, G, T as points, (4, 4), one per row.

    The squared distance of A and G, or of C and T, is 2; every other one `transversion_cost` times
    that. At a cost of 1 the points are one-hot.
    """
    is_same_class = np.arange(NUM_BASES)[:, None] % 2 == np.arange(NUM_BASES) % 2
    points: NDArray[np.float64] = np.linalg.cholesky(
        np.eye(NUM_BASES) + (transversion_cost - 1) * is_same_class
    )
    return points


def sample(reader: BarcodeReader) -> NDArray[np.int64]:
    """Rows that everything is estimated from, (n,)."""
    size = min(SAMPLE_SIZE, len(reader))
    return np.sort(np.random.default_rng(SEED).choice(len(reader), size, replace=False))


def estimate_profile(reader: BarcodeReader, width: int) -> NDArray[np.float32]:
    """Estimate how common each letter is by site, less one quarter, (2 * MARGIN_BP + W, 4).

    The barcodes of the most common length, left as they are, give the frame; then all take part.

    Args:
        reader: The barcodes.
        width: Sites of the frame.
    """
    rows = sample(reader)
    common = int(np.bincount(reader.lengths[rows]).argmax())
    same_length = rows[reader.lengths[rows] == common]
    profile = profile_of(reader, same_length, np.zeros(len(same_length), np.int64), width)
    for _ in range(ROUNDS):
        profile = profile_of(reader, rows, find_starts(reader, rows, profile), width)
    return profile


def profile_of(
    reader: BarcodeReader, rows: NDArray[np.int64], starts: NDArray[np.int64], width: int
) -> NDArray[np.float32]:
    """Count letters by site for barcodes whose starts are known; see `estimate_profile`."""
    num_sites = width + 2 * MARGIN_BP
    counts = np.zeros((num_sites + width, NUM_BASES))
    for start in np.unique(starts):
        codes = reader.letters(rows[starts == start], width)
        sites = slice(MARGIN_BP + start, MARGIN_BP + start + width)
        counts[sites] += letters(codes).sum(axis=0).reshape(width, NUM_BASES)
    total = counts.sum(axis=1, keepdims=True)  # (sites, 1)
    is_covered = total > 0.01 * len(rows)  # a site that few barcodes reach says nothing
    profile = np.where(is_covered, counts / np.maximum(total, 1) - 1 / NUM_BASES, 0)
    return profile[:num_sites].astype(np.float32)


def find_starts(
    reader: BarcodeReader, rows: NDArray[np.int64], profile: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Find the site at which each barcode starts, -MARGIN_BP to MARGIN_BP, (N,)."""
    width = len(profile) - 2 * MARGIN_BP
    starts = np.arange(-MARGIN_BP, MARGIN_BP + 1)  # (S,)
    # One column per start: the profile as a barcode starting there would meet it.
    columns = np.stack(
        [profile[MARGIN_BP + start :][:width].ravel() for start in starts], axis=1
    )  # (W * 4, S)
    best = [
        (letters(reader.letters(part, width)) @ columns).argmax(axis=1) for part in blocks(rows)
    ]
    found: NDArray[np.int64] = starts[np.concatenate(best)]
    return found


def blocks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut rows into parts that fit into memory as letters."""
    for start in range(0, len(rows), BLOCK_SIZE):
        yield rows[start : start + BLOCK_SIZE]


def framed_barcodes(
    reader: BarcodeReader, rows: NDArray[np.int64], profile: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Base codes of barcodes brought into the frame, (N, W)."""
    width = len(profile) - 2 * MARGIN_BP
    codes = reader.letters(rows, width)  # (N, W)
    sites = np.arange(width) - find_starts(reader, rows, profile)[:, None]  # (N, W)
    is_inside = (sites >= 0) & (sites < width)
    found = np.take_along_axis(codes, np.clip(sites, 0, width - 1), axis=1)
    return np.where(is_inside, found, np.uint8(UNKNOWN_BASE))


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """What is predicted about a barcode.

    Attributes:
        num_components: D, the width of the encoder.
        whitening: Components are scaled by their variance ** -whitening.
        transversion_cost: See `letter_points`.
    """

    num_components: int
    whitening: float = 0.0
    transversion_cost: float = 1.0

    @property
    def name(self) -> str:
        """A file name that only equal settings share."""
        return f"{self.num_components}_{self.whitening:g}_{self.transversion_cost:g}"


def estimate_components(framed: NDArray[np.uint8], settings: TargetSettings) -> Components:
    """Find the components of framed barcodes (N, W).

    Args:
        framed: A sample of barcodes.
        settings: How letters and components are scaled.

    Raises:
        ValueError: The frame has fewer dimensions than components are wanted.
    """
    known = (framed != UNKNOWN_BASE).sum(axis=0).repeat(NUM_BASES)  # (W * 4,)
    mean = (letters(framed).sum(axis=0) / np.maximum(known, 1)).astype(np.float32)
    if settings.num_components > len(mean):
        raise ValueError(f"{settings.num_components} components of {len(mean)} letters")
    covariance = np.zeros((len(mean), len(mean)))
    for part in blocks(np.arange(len(framed))):
        centred = Components.centred(framed[part], mean)
        covariance += centred.T @ centred
    points = np.kron(np.eye(framed.shape[1]), letter_points(settings.transversion_cost))
    variances, axes = np.linalg.eigh(points.T @ covariance @ points / len(framed))
    largest = slice(None, -settings.num_components - 1, -1)
    variances, axes = variances[largest], points @ axes[:, largest]  # (D,), (W * 4, D)
    # The axes beyond the data's own have no variance, and scaling them up would be noise.
    scale = np.where(
        variances > 1e-6 * variances[0], variances.clip(1e-12) ** -settings.whitening, 0
    )
    return Components(mean, (axes * scale).astype(np.float32))


def barcode_targets(reader: BarcodeReader, settings: TargetSettings) -> NDArray[np.float16]:
    """Describe every barcode of a reader by its components, (N, D)."""
    profile = estimate_profile(reader, reader.max_tokens * reader.k)
    framed = framed_barcodes(reader, sample(reader), profile)
    components = estimate_components(framed, settings)
    parts = blocks(np.arange(len(reader)))
    vectors = [components(framed_barcodes(reader, part, profile)) for part in parts]
    return np.concatenate(vectors).astype(np.float16)


def cached_barcode_targets(
    folder: Path, reader: BarcodeReader, settings: TargetSettings
) -> NDArray[np.float16]:
    """Open the targets of a run, writing them first if they are not there.

    Args:
        folder: Where they are kept; a run that is resumed finds them again.
        reader: The training barcodes.
        settings: How letters and components are scaled.

    Returns:
        Memory-mapped, (N, D).

    Raises:
        DataError: What lies there belongs to other barcodes.
    """
    path = folder / f"barcode_targets_{settings.name}.npy"
    if not path.is_file():
        targets = barcode_targets(reader, settings)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, targets)
        temporary.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    wanted = (len(reader), settings.num_components)
    if found.shape != wanted:
        raise DataError(path, f"holds {found.shape}, not {wanted}: delete it")
    return found
