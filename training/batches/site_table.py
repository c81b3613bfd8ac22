"""Site embeddings computed from unlabelled barcodes: what a sum over letters can say, untrained.

    components of barcodes -> the vector of each base at each site -> table of `SiteEmbeddings`

The target of the barcode loss (`barcode_targets.py`) is linear in the letters of a barcode, so the
table that predicts it exactly is known in advance. Training with that table in place leaves to the
transformer what the letters that are there say about those that are missing.

In: the components of a run, its model before the first step; later, the trained model. Out: the
model's table is filled; what the layers add to it is scaled.
Guarded by tests/training/batches/test_site_table.py.

Shapes: W = sites of the frame, S = sites of the model, D = width of the embedding.
"""

import copy
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from barcodemae.errors import SettingsError
from barcodemae.modeling_barcodemae import BarcodeMAEModel, BarcodeMAEPreTrainedModel
from barcodemae.training.batches.barcode_targets import NUM_BASES, Components


# Root mean square of an entry of the sum over a barcode's letters, divided by its tokens: that of
# the mean of a trained encoder, so that the learning rates that fit the one fit the other.
ENTRY_SIZE = 0.2


def site_vectors(components: Components) -> NDArray[np.float32]:
    """Compute the vector of each base at each site, (W * 4, D).

    The sum of those of a barcode's letters is the barcode's components, before they are scaled to
    length 1; an unknown letter adds nothing.
    """
    width = components.projection.shape[1]
    by_site = components.projection.reshape(-1, NUM_BASES, width)  # (W, 4, D)
    share = components.mean.reshape(-1, NUM_BASES, 1)  # (W, 4, 1)
    centred: NDArray[np.float32] = by_site - (share * by_site).sum(axis=1, keepdims=True)
    return centred.reshape(-1, width)


def fill_site_table(encoder: BarcodeMAEModel, components: Components) -> None:
    """Fill the table of a model; what the layers add begins at zero.

    Args:
        encoder: Encoder with site embeddings, before its first step.
        components: Components of the training barcodes.

    Raises:
        SettingsError: The model has no site embeddings, or sites that the frame lacks.
    """
    vectors = site_vectors(components)  # (W * 4, D)
    table = encoder.sites
    if table is None or table.weight.shape != vectors.shape:
        held = 0 if table is None else table.num_sites
        raise SettingsError(
            f"the frame has {len(vectors) // NUM_BASES} sites and the model vectors for {held}: "
            "set max_length_bp to the number of sites"
        )
    # The size of the sum over a barcode, by the variance of each letter at its site.
    variance = components.mean * (1 - components.mean)  # (W * 4,)
    entry = np.sqrt((variance @ vectors**2).mean())
    num_tokens = table.num_sites / table.k
    with torch.no_grad():
        table.weight.copy_(torch.from_numpy(vectors * (ENTRY_SIZE * num_tokens / entry)))
        if isinstance(encoder.widening, nn.Linear):
            encoder.widening.weight.zero_()


def keep_share(model: BarcodeMAEPreTrainedModel, share: float) -> BarcodeMAEPreTrainedModel:
    """Scale down what the layers add to the site embeddings.

    The layers say what the missing letters probably are, and a probable letter is not worth as much
    as one that was read: among whole barcodes, fragments are nearest to their relatives when a part
    of it is kept (docs/log.md). The decoder reads the scaled states too.

    Args:
        model: A trained model with a `tower_size` of its own; it is left as it is.
        share: Share that is kept, 0 to 1.

    Returns:
        The model itself if all is kept, else a scaled copy.
    """
    if share == 1:
        return model
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in cast("BarcodeMAEModel", scaled.base_model).widening.parameters():
            parameter.mul_(share)
    return scaled
