"""What the mean of the visible k-mers is trained to predict: the whole barcode, as one vector.

    barcodes -> start of each in a common frame -> letters by site -> principal components

Deposited barcodes begin at different bases, so letters are first brought into one frame
(`training.frame`). The components of the letters, scaled so that the small ones that tell relatives
apart are not drowned by the deep branches, are the target. Two purines (A, G) or two pyrimidines
(C, T) may lie closer together than one of each: such transitions happen, and are undone, far more
often.
Nothing here uses a label or anything but the training barcodes, and nothing of it is needed after
training.

In: a reader. Out: an array in OUTPUT/cache, kept so that a resumed run has the same targets.
Guarded by tests/training/test_barcode_targets.py.

Shapes: N = barcodes, W = sites of the frame, D = components.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import DataError
from barcodemae.training.frame import blocks, estimate_frame, find_starts, placed_letters, sample
from barcodemae.training.kmers import UNKNOWN_BASE
from barcodemae.training.reader import BarcodeReader


NUM_BASES = 4
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
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, targets)
        temporary.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    wanted = (len(reader), settings.num_components)
    if found.shape != wanted:
        raise DataError(path, f"holds {found.shape}, not {wanted}: delete it")
    return found
