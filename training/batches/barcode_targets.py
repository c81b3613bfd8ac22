"""Targets of the barcode loss: one vector per barcode, to be predicted from its visible k-mers.

    barcodes -> start of each in the barcode frame -> letters by site -> principal components

Deposited barcodes start at different bases, so they are first placed in the barcode frame, their
common coordinates (`training.batches.frame`). The target of a barcode is the vector of principal
components of its one-hot letters, with three optional scalings:

- Partial whitening, so that the large components, which separate orders and families, do not drown
  the small ones, which separate close relatives.
- A higher cost of transversions. Transitions (A to G, C to T) happen, and are undone, far more
  often, so they say less about relationship.
- A lower weight of directions that vary even between close relatives, which are found by their
  letters alone.

Nothing here uses a label or any barcode outside the training set, and nothing is needed after
training.

In: a reader of the training barcodes. Out: an array in OUTPUT/cache, kept so that a resumed run has
the same targets. Guarded by tests/training/batches/test_barcode_targets.py.

Shapes: N = barcodes, n = some of them, W = sites of the frame, D = components, R = neighbours.
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
    sample_rows,
)
from barcodemae.training.batches.kmers import UNKNOWN_BASE
from barcodemae.training.batches.reader import BarcodeReader


NUM_BASES = 4
MAX_COMPARED = 15_000  # barcodes among which close relatives are searched
# Close relatives differ at this fraction of their sites: two species of one genus.
MIN_RELATIVE_DISTANCE, MAX_RELATIVE_DISTANCE = 0.03, 0.12
NUM_RELATIVES = 5  # close relatives of each barcode
MIN_SHARED_SITES = 0.6  # fraction of the sites that both barcodes must cover
VARIANCE_FLOOR = 0.1  # of the mean variance between close relatives; see `relatives_scaling`
ROTATION_STRIDE = 5  # targets are rotated by every fifth barcode of the sample
Encode = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Components:
    """A linear map from barcodes in the frame to their scaled principal components.

    Attributes:
        mean: Frequency of each base at each site, (W * 4,).
        projection: From centred one-hot letters to scaled components, (W * 4, D).
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    def __call__(self, framed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the components of barcodes, scaled to vectors of length 1.

        Args:
            framed: Base codes of the barcodes by site of the frame, (N, W).

        Returns:
            Unit vectors, (N, D).
        """
        vectors: NDArray[np.float32] = self.centre(framed, self.mean) @ self.projection
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
        return scaled

    @staticmethod
    def centre(framed: NDArray[np.uint8], mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """Subtract the mean from one-hot letters, (N, W) to (N, W * 4); 0 at unknown bases."""
        is_known = np.repeat(framed != UNKNOWN_BASE, NUM_BASES, axis=1)  # (N, W * 4)
        return np.where(is_known, one_hot(framed) - mean, np.float32(0))


def one_hot(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Encode base codes as one-hot letters, (N, W) to (N, W * 4); all zero for an unknown base."""
    is_letter = codes[..., None] == np.arange(NUM_BASES, dtype=np.uint8)  # (N, W, 4)
    hot: NDArray[np.float32] = is_letter.reshape(len(codes), -1).astype(np.float32)
    return hot


def base_points(transversion_cost: float) -> NDArray[np.float64]:
    """Give the four bases coordinates whose distances reflect the kind of substitution.

    Args:
        transversion_cost: Squared distance of a purine and a pyrimidine, relative to that of A and
            G, or of C and T, which is 2. At a cost of 1 the points are one-hot.

    Returns:
        Coordinates of A, C, G, T, one per row, (4, 4).
    """
    is_same_class = np.arange(NUM_BASES)[:, None] % 2 == np.arange(NUM_BASES) % 2
    points: NDArray[np.float64] = np.linalg.cholesky(
        np.eye(NUM_BASES) + (transversion_cost - 1) * is_same_class
    )
    return points


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """How the letters of a barcode become its target vector.

    Attributes:
        num_components: Number of components D, which is the width of the encoder.
        whitening: Exponent: components are multiplied by their variance ** -whitening.
        transversion_cost: Squared distance of a transversion relative to that of a transition, at
            least 1.
        relatives_whitening: Exponent: before the components are computed, directions are
            multiplied by the variance between close relatives ** -relatives_whitening, because
            what differs even between those says little about relationship.
    """

    num_components: int
    whitening: float = 0.0
    transversion_cost: float = 1.0
    relatives_whitening: float = 0.0

    @property
    def name(self) -> str:
        """Name for files, different for different settings."""
        return (
            f"{self.num_components}_{self.whitening:g}_{self.transversion_cost:g}"
            f"_{self.relatives_whitening:g}"
        )


def covariance_of(vectors: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Compute the mean outer product of vectors that come in parts, (n, F) each, to (F, F)."""
    total, count = np.zeros(()), 0
    for part in vectors:
        total = total + (part.T @ part).astype(np.float64)
        count += len(part)
    return np.asarray(total / max(count, 1))


def estimate_components(framed: NDArray[np.uint8], settings: TargetSettings) -> Components:
    """Fit the scaled principal components to a sample of barcodes.

    Args:
        framed: Base codes of the barcodes by site of the frame, (N, W).
        settings: How letters and components are scaled.

    Returns:
        The map from barcodes to components.

    Raises:
        ValueError: More components are wanted than the one-hot letters have dimensions.
    """
    # Centre the letters and compute their covariance.
    num_known = (framed != UNKNOWN_BASE).sum(axis=0).repeat(NUM_BASES)  # (W * 4,)
    mean = (one_hot(framed).sum(axis=0) / np.maximum(num_known, 1)).astype(np.float32)
    if settings.num_components > len(mean):
        raise ValueError(
            f"{settings.num_components} components cannot be taken from {len(mean)} dimensions"
        )
    rows = np.arange(len(framed))
    covariance = covariance_of(Components.centre(framed[part], mean) for part in blocks(rows))
    # Choose the space in which distances are measured.
    points = np.kron(np.eye(framed.shape[1]), base_points(settings.transversion_cost))
    if settings.relatives_whitening > 0:
        points = points @ relatives_scaling(framed, mean, points, settings.relatives_whitening)
    # Take the components of largest variance and whiten them partially.
    variances, axes = np.linalg.eigh(points.T @ covariance @ points)
    largest = slice(None, -settings.num_components - 1, -1)
    variances, axes = variances[largest], points @ axes[:, largest]  # (D,), (W * 4, D)
    # Axes without variance are dropped: scaling them up would only amplify rounding errors.
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
    """Compute the matrix that scales directions by the variance between close relatives.

    The variance is the within-class scatter of linear discriminant analysis, with near neighbours
    in place of classes. To every direction's variance `VARIANCE_FLOOR` times the mean variance is
    added, so that none is scaled up without limit.

    Args:
        framed: Base codes of the barcodes by site of the frame, (N, W).
        mean: Frequency of each base at each site, (W * 4,).
        points: From one-hot letters to the space in which distances are measured, (W * 4, W * 4).
        whitening: Exponent: directions are multiplied by their variance ** -whitening.

    Returns:
        A symmetric matrix, (W * 4, W * 4); the identity if the sample has no close relatives.
    """
    one, other = find_relatives(framed)
    if not len(one):
        return np.eye(len(mean))
    scatter = covariance_of(
        Components.centre(framed[one[part]], mean) - Components.centre(framed[other[part]], mean)
        for part in blocks(np.arange(len(one)))
    )
    variances, axes = np.linalg.eigh(points.T @ scatter @ points)
    floored = variances.clip(0) + VARIANCE_FLOOR * variances.mean()
    scaling: NDArray[np.float64] = (axes * floored**-whitening) @ axes.T
    return scaling


def find_relatives(framed: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair barcodes with their nearest neighbours at the distance of two species of one genus.

    Args:
        framed: Base codes of the barcodes by site of the frame, (N, W).

    Returns:
        one: Row of the first barcode of each pair, (n,).
        other: Row of the second barcode of each pair, (n,).
    """
    compared_rows = np.linspace(0, len(framed) - 1, min(len(framed), MAX_COMPARED)).astype(int)
    framed = framed[compared_rows]
    hot, known = one_hot(framed), (framed != UNKNOWN_BASE).astype(np.float32)
    ones, others = [], []
    for part in blocks(np.arange(len(framed)), 1024):
        num_shared = known[part] @ known.T  # (n, N) sites that both cover
        distances = 1 - hot[part] @ hot.T / np.maximum(num_shared, 1)  # (n, N)
        is_relative = (distances > MIN_RELATIVE_DISTANCE) & (distances < MAX_RELATIVE_DISTANCE)
        is_relative &= num_shared > MIN_SHARED_SITES * framed.shape[1]
        distances[~is_relative] = np.inf
        nearest = distances.argsort(axis=1, kind="stable")[:, :NUM_RELATIVES]  # (n, R)
        row, place = np.nonzero(np.isfinite(np.take_along_axis(distances, nearest, axis=1)))
        ones.append(part[row])
        others.append(nearest[row, place])
    return compared_rows[np.concatenate(ones)], compared_rows[np.concatenate(others)]


def cached_components(folder: Path, reader: BarcodeReader, settings: TargetSettings) -> Components:
    """Open the components of a run; fit them to its barcodes and write them if there are none.

    Args:
        folder: Folder of the components; a resumed run finds them there.
        reader: The training barcodes.
        settings: How letters become vectors.
    """
    path = folder / f"components_{settings.name}.npz"
    if not path.is_file():
        fitted = fit_components(reader, settings)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.savez(file, mean=fitted.mean, projection=fitted.projection)
    with np.load(path, allow_pickle=False) as arrays:
        return Components(arrays["mean"], arrays["projection"])


def fit_components(reader: BarcodeReader, settings: TargetSettings) -> Components:
    """Fit the components to a sample of a reader's barcodes; arguments as of the above."""
    sampled = sample_rows(reader)
    framed = placed_letters(reader, sampled, find_sites(reader)[sampled])
    return estimate_components(framed, settings)


def find_sites(reader: BarcodeReader) -> NDArray[np.int64]:
    """Find the site of each barcode's first letter, (N,), as placed or in a frame of their own."""
    if reader.leads is not None:
        return reader.leads
    return find_starts(reader, np.arange(len(reader)), estimate_frame(reader))


def barcode_targets(reader: BarcodeReader, components: Components) -> NDArray[np.float16]:
    """Compute the target vector of every barcode of a reader.

    Args:
        reader: The training barcodes.
        components: From letters to vectors.

    Returns:
        Unit vectors, (N, D).
    """
    starts = find_sites(reader)
    parts = blocks(np.arange(len(reader)))
    vectors = [components(placed_letters(reader, part, starts[part])) for part in parts]
    return np.concatenate(vectors).astype(np.float16)


def rotate_towards(
    targets: NDArray[np.float16], rows: NDArray[np.int64], means: NDArray[np.float32]
) -> NDArray[np.float16]:
    """Rotate targets as close as possible to the embeddings that an encoder already gives.

    The axes of the targets are arbitrary, and a rotation keeps all distances. Without it, training
    from the weights of another run would spend its first thousand steps rotating the encoder.

    Args:
        targets: Target vectors, (N, D).
        rows: Rows of the barcodes that decide the rotation, (n,).
        means: The encoder's means for these barcodes, (n, D).

    Returns:
        The targets times the orthogonal matrix that solves the Procrustes problem, (N, D).
    """
    left, _, right = np.linalg.svd(targets[rows].astype(np.float32).T @ means)
    rotated = [
        targets[part].astype(np.float32) @ left @ right for part in blocks(np.arange(len(targets)))
    ]
    return np.concatenate(rotated).astype(np.float16)


def cached_barcode_targets(
    folder: Path,
    reader: BarcodeReader,
    settings: TargetSettings,
    encode: Encode | None = None,
) -> NDArray[np.float16]:
    """Open the targets of a run; compute and write them first if they do not exist.

    Args:
        folder: Folder of the targets; a resumed run finds them there.
        reader: The training barcodes.
        settings: How letters become vectors.
        encode: Function from rows of the reader, (n,), to the means that the initial encoder gives
            for them, (n, D); None if training starts from random weights.

    Returns:
        Target vectors, memory-mapped, (N, D).

    Raises:
        DataError: The targets in the folder belong to other barcodes.
    """
    path = folder / f"barcode_targets_{settings.name}.npy"
    if not path.is_file():
        targets = barcode_targets(reader, cached_components(folder, reader, settings))
        if encode is not None:
            rows = sample_rows(reader)[::ROTATION_STRIDE]
            targets = rotate_towards(targets, rows, encode(rows))
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.save(file, targets)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    wanted = (len(reader), settings.num_components)
    if found.shape != wanted:
        raise DataError(
            path, f"holds targets of shape {found.shape}, not {wanted}, so of other data: delete it"
        )
    return found
