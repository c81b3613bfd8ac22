"""Whitening: a readout that centres, rotates and rescales vectors, fitted on unlabelled barcodes.

Mean-pooled vectors share a large common part, and a few axes hold most of the variance, so that
cosines crowd near 1. In: a model folder and a data set. Out: `2_Dense` in the folder, which every
way to embed applies (`eval/embed/readout.py`). Guarded by tests/eval/embed/test_whitening.py.

Whitening of sentence vectors: Su et al. 2021, https://arxiv.org/abs/2103.15316.

Shapes: N = barcodes, D = width of the encoder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from barcodemae.dataset import dataset_hash, read_splits
from barcodemae.errors import CheckpointError, DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.readout import Dense, save_readout


VARIANCE_FLOOR = 1e-6  # share of the largest variance; smaller ones are noise, not to be amplified
ENCODER_FOLDER = "encoder"


@runtime_checkable
class ReadoutEmbedder(Embedder, Protocol):
    """An embedder whose folder may hold a readout."""

    def without_readout(self) -> Embedder:
        """Return the same model without readout: its embedding is the masked mean."""


@dataclass(frozen=True, kw_only=True)
class WhiteningSettings:
    """Settings of the fit of a whitening.

    Attributes:
        dataset: Folder of a prepared data set.
        splits: Partitions that barcodes are drawn from; labels are never read.
        power: Strength from 0 (centring and rotation only) to 0.5 (equal variance of all axes).
        sample: Largest number of barcodes to fit on.
        seed: Seed of the draw.

    Raises:
        SettingsError: The power or the sample is out of range.
    """

    dataset: Path
    splits: tuple[str, ...] = ("pretrain", "train")
    power: float = 0.25
    sample: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_power(self.power)
        if self.sample < 2:
            raise SettingsError(f"a covariance needs at least 2 barcodes, got {self.sample}")


def check_power(power: float) -> None:
    """Check that a power is between 0 (centring) and 0.5 (whitening).

    Raises:
        SettingsError: It is not.
    """
    if not 0 <= power <= 0.5:
        raise SettingsError(f"power must be from 0 (centring) to 0.5 (whitening), got {power}")


def fit_whitening(vectors: NDArray[np.floating], power: float = 0.25) -> Dense:
    """Fit y = s (x - mean) V diag(max(variance, floor) ** -power).

    Args:
        vectors: Pooled vectors, (N, D), N at least 2.
        power: Strength from 0 (centring and rotation only) to 0.5 (equal variance of all axes).

    Returns:
        Linear layer (D, D) onto the principal axes, largest variance first. The sign of each axis
        makes its largest entry positive; s makes the mean squared length of y 1.

    Raises:
        SettingsError: The power is out of range, there are fewer than two vectors, or all are
            equal.
    """
    check_power(power)
    if len(vectors) < 2:
        raise SettingsError(f"a covariance needs at least 2 vectors, got {len(vectors)}")
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)  # (D,)
    covariance = np.cov(exact, rowvar=False, bias=True).reshape(len(mean), len(mean))
    variances, axes = np.linalg.eigh(covariance)  # ascending; columns of (D, D)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    if not variances[0] > 0:
        raise SettingsError("all vectors are equal: there is nothing to whiten")
    largest_entries = axes[np.abs(axes).argmax(axis=0), np.arange(len(mean))]  # (D,)
    scales = np.maximum(variances, VARIANCE_FLOOR * variances[0]) ** -power  # (D,)
    scales /= np.sqrt((variances * scales**2).sum())
    weight = (axes * np.sign(largest_entries) * scales).T  # (out, in)
    return Dense(weight.astype(np.float32), (-weight @ mean).astype(np.float32))


def draw_barcodes(settings: WhiteningSettings) -> list[str]:
    """Draw barcodes without replacement; they keep the order of the data set."""
    table = read_splits(settings.dataset, settings.splits, ["dna_barcode"])
    number = min(settings.sample, table.num_rows)
    generator = np.random.default_rng(settings.seed)
    rows = np.sort(generator.choice(table.num_rows, size=number, replace=False))
    barcodes: list[str] = table["dna_barcode"].take(rows).to_pylist()
    return barcodes


def whiten_folder(
    folder: Path, settings: WhiteningSettings, *, device: str | None = None, batch_size: int = 64
) -> int:
    """Fit a whitening on the pooled vectors of a folder's model, and store it there as readout.

    A readout that the folder already has is not applied in the fit, and replaced. The native
    encoder in `encoder/` gets the same readout, so that both folders give the same embeddings.

    Args:
        folder: Model folder.
        settings: Settings of the fit.
        device: Device to compute on, None for the default.
        batch_size: Sequences per forward pass.

    Returns:
        Number of barcodes that it was fitted on; those that the model cannot read are left out.

    Raises:
        CheckpointError: The folder has no model that `AutoModel` opens.
        DataError: There are too few usable barcodes.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such model folder")
    embedder = load_embedder(folder, device=device, batch_size=batch_size)
    if not isinstance(embedder, ReadoutEmbedder):
        raise CheckpointError(f"{folder}: only models that AutoModel opens can have a readout")
    plain = embedder.without_readout()
    drawn = draw_barcodes(settings)
    reasons = plain.find_invalid(drawn)
    usable = [barcode for row, barcode in enumerate(drawn) if row not in reasons]
    if len(usable) < 2:
        raise DataError(
            settings.dataset,
            f"only {len(usable)} usable barcodes were drawn; at least 2 are needed",
        )
    vectors = plain.embed(usable, progress=True)
    if settings.power > 0 and len(vectors) < vectors.shape[1]:
        raise DataError(
            settings.dataset,
            f"{len(vectors):,} usable barcodes for vectors of {vectors.shape[1]:,} numbers: their "
            "covariance cannot be told; give more barcodes (--splits, --sample)",
        )
    dense = fit_whitening(vectors, settings.power)
    fitted_on = {
        "dataset": settings.dataset.resolve().name,
        "dataset_hash": dataset_hash(settings.dataset),
        "splits": list(settings.splits),
        "num_barcodes": len(usable),
        "power": settings.power,
        "seed": settings.seed,
    }
    encoder = folder / ENCODER_FOLDER
    for target in (encoder, folder) if (encoder / "config.json").is_file() else (folder,):
        save_readout(target, dense, fitted_on=fitted_on)
    return len(usable)
