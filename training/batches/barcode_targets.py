"""What the mean of the visible k-mers is trained to predict: the whole barcode, as one vector.

    barcodes -> start of each in a common frame -> letters by site -> principal components

Deposited barcodes begin at different bases, so letters are first brought into one frame
(`training.batches.frame`). The components of the letters, scaled so that the small ones that tell
relatives apart are not drowned by the deep branches, are the target. Two purines (A, G) or two
pyrimidines (C, T) may lie closer together than one of each: such transitions happen, and are
undone, far more often. What differs even between close relatives, found by their letters alone, may
count for less. Nothing here uses a label or anything but the training barcodes, and nothing of it
is needed after training.

In: a reader. Out: an array in OUTPUT/cache, kept so that a resumed run has the same targets.
Guarded by tests/training/batches/test_barcode_targets.py.

Shapes: N = barcodes, W = sites of the frame, D = components.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import DataError
from barcodemae.files import whole_file
from barcodemae.training.batches.frame import (
    blocks,
    estimate_frame,
    find_starts,
    placed_letters,
    sample,
)
from barcodemae.training.batches.kmers import UNKNOWN_BASE
from barcodemae.training.batches.reader import BarcodeReader


NUM_BASES = 4
MAX_COMPARED = 15_000  # barcodes among which relatives are looked for
RELATIVES_FROM, RELATIVES_TO = 0.03, 0.12  # share of sites that differ: one genus, two species
NUM_RELATIVES = 5  # of each barcode
MIN_COMPARED = 0.6  # share of the sites that both must have
RELATIVES_FLOOR = 0.1
TURNED_BY = 5  # every so many barcodes of the sample tell where the initial encoder points
Encode = Callable[[NDArray[np.int64]], NDArray[np.float32]]


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


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """What is predicted about a barcode.

    Attributes:
        num_components: D, the width of the encoder.
        whitening: Components are scaled by their variance ** -whitening.
        transversion_cost: See `letter_points`.
        relatives_whitening: Before that, directions are scaled by the variance between close
            relatives ** -relatives_whitening: what differs even among them tells little.
    """

    num_components: int
    whitening: float = 0.0
    transversion_cost: float = 1.0
    relatives_whitening: float = 0.0

    @property
    def name(self) -> str:
        """A file name that only equal settings share."""
        return (
            f"{self.num_components}_{self.whitening:g}_{self.transversion_cost:g}"
            f"_{self.relatives_whitening:g}"
        )


def covariance_of(vectors: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Mean of the outer products of vectors that come in parts, (n, F) each, to (F, F)."""
    total, count = np.zeros(()), 0
    for part in vectors:
        total = total + (part.T @ part).astype(np.float64)
        count += len(part)
    return np.asarray(total / max(count, 1))


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
    rows = np.arange(len(framed))
    covariance = covariance_of(Components.centred(framed[part], mean) for part in blocks(rows))
    points = np.kron(np.eye(framed.shape[1]), letter_points(settings.transversion_cost))
    if settings.relatives_whitening > 0:
        points = points @ relatives_scaling(framed, mean, points, settings.relatives_whitening)
    variances, axes = np.linalg.eigh(points.T @ covariance @ points)
    largest = slice(None, -settings.num_components - 1, -1)
    variances, axes = variances[largest], points @ axes[:, largest]  # (D,), (W * 4, D)
    # The axes beyond the data's own have no variance, and scaling them up would be noise.
    scale = np.where(
        variances > 1e-6 * variances[0], variances.clip(1e-12) ** -settings.whitening, 0
    )
    return Components(mean, (axes * scale).astype(np.float32))


def relatives_scaling(
    framed: NDArray[np.uint8],
    mean: NDArray[np.float32],
    points: NDArray[np.floating],
    whitening: float,
) -> NDArray[np.float64]:
    """Find the matrix that scales directions by the variance between relatives ** -whitening.

    This is the within-class scatter of discriminant analysis with near neighbours in place of
    classes. No direction counts as less variable than `RELATIVES_FLOOR` of the mean.

    Args:
        framed: Barcodes, (N, W).
        mean: Share of each letter by site, (W * 4,).
        points: From letters to the space in which distances are measured, (W * 4, W * 4).
        whitening: The exponent.

    Returns:
        A symmetric matrix, (W * 4, W * 4); the identity if the sample has no relatives.
    """
    one, other = find_relatives(framed)
    if not len(one):
        return np.eye(len(mean))
    scatter = covariance_of(
        Components.centred(framed[one[part]], mean) - Components.centred(framed[other[part]], mean)
        for part in blocks(np.arange(len(one)))
    )
    variances, axes = np.linalg.eigh(points.T @ scatter @ points)
    floored = variances.clip(0) + RELATIVES_FLOOR * variances.mean()
    scaling: NDArray[np.float64] = (axes * floored**-whitening) @ axes.T
    return scaling


def find_relatives(framed: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair barcodes with their nearest neighbours that are about as far as species of one genus.

    Returns:
        Rows of the one and of the other, each (n,).
    """
    compared_rows = np.linspace(0, len(framed) - 1, min(len(framed), MAX_COMPARED)).astype(int)
    framed = framed[compared_rows]
    hot, known = letters(framed), (framed != UNKNOWN_BASE).astype(np.float32)
    ones, others = [], []
    for part in blocks(np.arange(len(framed)), 1024):
        compared = known[part] @ known.T  # (n, N) sites
        distances = 1 - hot[part] @ hot.T / np.maximum(compared, 1)
        is_relative = (distances > RELATIVES_FROM) & (distances < RELATIVES_TO)
        is_relative &= compared > MIN_COMPARED * framed.shape[1]
        distances[~is_relative] = np.inf
        nearest = distances.argsort(axis=1, kind="stable")[:, :NUM_RELATIVES]  # (n, R)
        row, place = np.nonzero(np.isfinite(np.take_along_axis(distances, nearest, axis=1)))
        ones.append(part[row])
        others.append(nearest[row, place])
    return compared_rows[np.concatenate(ones)], compared_rows[np.concatenate(others)]


def barcode_targets(reader: BarcodeReader, settings: TargetSettings) -> NDArray[np.float16]:
    """Describe every barcode of a reader by its components, (N, D)."""
    rows = np.arange(len(reader))
    starts = reader.leads
    if starts is None:
        starts = find_starts(reader, rows, estimate_frame(reader))
    known = sample(reader)
    components = estimate_components(placed_letters(reader, known, starts[known]), settings)
    vectors = [components(placed_letters(reader, part, starts[part])) for part in blocks(rows)]
    return np.concatenate(vectors).astype(np.float16)


def turned_towards(
    targets: NDArray[np.float16], rows: NDArray[np.int64], means: NDArray[np.float32]
) -> NDArray[np.float16]:
    """Turn targets so that they lie as near as they can to what an encoder gives already.

    Components have no natural sign or order, and distances stay as they are. Without this, training
    that goes on from other weights would spend its first thousand steps turning the encoder.

    Args:
        targets: (N, D).
        rows: Some of them, (n,).
        means: What the encoder gives for those, (n, D).

    Returns:
        The targets times the orthogonal matrix that solves the Procrustes problem, (N, D).
    """
    left, _, right = np.linalg.svd(targets[rows].astype(np.float32).T @ means)
    turned = [
        targets[part].astype(np.float32) @ left @ right for part in blocks(np.arange(len(targets)))
    ]
    return np.concatenate(turned).astype(np.float16)


def cached_barcode_targets(
    folder: Path,
    reader: BarcodeReader,
    settings: TargetSettings,
    encode: Encode | None = None,
) -> NDArray[np.float16]:
    """Open the targets of a run, writing them first if they are not there.

    Args:
        folder: Where they are kept; a run that is resumed finds them again.
        reader: The training barcodes.
        settings: How letters and components are scaled.
        encode: From rows of the reader (n,) to the means of an encoder (n, D) that training goes on
            from; None if it begins anew.

    Returns:
        Memory-mapped, (N, D).

    Raises:
        DataError: What lies there belongs to other barcodes.
    """
    path = folder / f"barcode_targets_{settings.name}.npy"
    if not path.is_file():
        targets = barcode_targets(reader, settings)
        if encode is not None:
            rows = sample(reader)[::TURNED_BY]
            targets = turned_towards(targets, rows, encode(rows))
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.save(file, targets)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    wanted = (len(reader), settings.num_components)
    if found.shape != wanted:
        raise DataError(path, f"holds {found.shape}, not {wanted}: delete it")
    return found
