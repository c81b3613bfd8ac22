"""Fit a readout on barcodes without labels: centre, rotate, and even out the axes.

Mean-pooled vectors share a large common part, and a few axes hold most of the variance, so that
cosines crowd near 1. In: a model folder and a data set. Out: `2_Dense` in the folder, which every
way to embed applies (`eval/embed/readout.py`). Guarded by tests/eval/embed/test_whitening.py.

Whitening of sentence vectors: Su et al. 2021, https://arxiv.org/abs/2103.15316.
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


VARIANCE_FLOOR = 1e-6  # of the largest; below it, an axis is noise that must not be blown up
ENCODER_FOLDER = "encoder"


@runtime_checkable
class ReadoutEmbedder(Embedder, Protocol):
    """An embedder whose folder may hold a readout."""

    def without_readout(self) -> Embedder:
        """The same model with nothing after the masked mean."""


@dataclass(frozen=True, kw_only=True)
class WhiteningSettings:
    """How a readout is fitted.

    Attributes:
        dataset: Folder of a prepared data set.
        splits: Partitions that barcodes are drawn from; labels are never read.
        power: 0 centres and rotates, 0.5 gives all axes the same variance.
        sample: Most barcodes to fit on.
        seed: Of the draw.
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
    """Insist on a power from 0 (centring) to 0.5 (whitening).

    Raises:
        SettingsError: It is outside.
    """
    if not 0 <= power <= 0.5:
        raise SettingsError(f"power must be from 0 (centring) to 0.5 (whitening), got {power}")


def fit_whitening(vectors: NDArray[np.floating], power: float = 0.25) -> Dense:
    """Fit y = s (x - mean) V diag(max(variance, floor) ** -power).

    Args:
        vectors: (N, D), N at least 2.
        power: 0 centres and rotates, 0.5 gives all axes the same variance.

    Returns:
        A layer (D, D) onto the principal axes, largest variance first, each pointing to where its
        largest entry is positive; s makes the mean squared length of y 1.

    Raises:
        SettingsError: A power outside 0 to 0.5, fewer than two vectors, or all of them equal.
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
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(len(mean))]
    scales = np.maximum(variances, VARIANCE_FLOOR * variances[0]) ** -power
    scales /= np.sqrt((variances * scales**2).sum())
    weight = (axes * np.sign(largest) * scales).T  # (out, in)
    return Dense(weight.astype(np.float32), (-weight @ mean).astype(np.float32))


def draw_barcodes(settings: WhiteningSettings) -> list[str]:
    """Draw barcodes without replacement, in stored order."""
    table = read_splits(settings.dataset, settings.splits, ["dna_barcode"])
    number = min(settings.sample, table.num_rows)
    generator = np.random.default_rng(settings.seed)
    rows = np.sort(generator.choice(table.num_rows, size=number, replace=False))
    barcodes: list[str] = table["dna_barcode"].take(rows).to_pylist()
    return barcodes


def whiten_folder(
    folder: Path, settings: WhiteningSettings, *, device: str | None = None, batch_size: int = 64
) -> int:
    """Fit on the plain mean of a folder's model and store the readout there.

    A readout that is there already is ignored, then replaced. The native encoder in `encoder/`
    gets the same one, so that both embed alike.

    Returns:
        How many barcodes it was fitted on; those the model cannot read are left out.

    Raises:
        CheckpointError: No model of transformers in the folder.
        DataError: No usable barcodes.
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
        raise DataError(settings.dataset, f"only {len(usable)} usable barcodes were drawn")
    dense = fit_whitening(plain.embed(usable, progress=True), settings.power)
    fitted_on = {
        "dataset": settings.dataset.resolve().name,
        "dataset_hash": dataset_hash(settings.dataset),
        "splits": list(settings.splits),
        "num_barcodes": len(usable),
        "power": settings.power,
        "seed": settings.seed,
    }
    encoder = folder / ENCODER_FOLDER
    for place in (encoder, folder) if (encoder / "config.json").is_file() else (folder,):
        save_readout(place, dense, fitted_on=fitted_on)
    return len(usable)
