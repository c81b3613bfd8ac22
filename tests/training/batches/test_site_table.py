"""The table of site embeddings: before any training, the mean of the tokens is the target."""

import numpy as np
import pytest
import torch

from barcodemae import BarcodeMAEForPreTraining, BarcodeMAEModel, masked_mean
from barcodemae.errors import SettingsError
from barcodemae.training.batches.barcode_targets import (
    TargetSettings,
    barcode_targets,
    fit_components,
)
from barcodemae.training.batches.kmers import base_codes
from barcodemae.training.batches.masking import find_tokens
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.batches.site_table import fill_site_table, keep_share
from barcodemae.training.batches.step_batches import padded_ids


SITES, WIDTH = 240, 32


@pytest.fixture
def reader(relatives):
    return BarcodeReader(*base_codes(relatives), k=3, max_length_bp=SITES)


@pytest.fixture
def components(reader):
    return fit_components(reader, TargetSettings(num_components=WIDTH, whitening=0.25))


def test_the_mean_of_whole_barcodes_points_where_the_target_does(make_config, reader, components):
    torch.manual_seed(0)
    encoder = BarcodeMAEModel(make_config(hidden_size=WIDTH, tower_size=16, num_sites=SITES)).eval()
    fill_site_table(encoder, components)
    rows = np.arange(len(reader))
    ids, lengths = padded_ids(reader, rows, np.zeros_like(rows))
    mask = torch.from_numpy(find_tokens(ids, lengths).astype(np.int64))
    with torch.no_grad():
        mean = masked_mean(encoder(torch.from_numpy(ids), mask).last_hidden_state, mask)
    targets = torch.from_numpy(barcode_targets(reader, components).astype(np.float32))
    cosines = torch.nn.functional.cosine_similarity(mean, targets)
    assert cosines.min() > 0.999
    assert 0.05 < mean.square().mean().sqrt() < 1


def test_a_frame_of_another_length_is_refused(make_config, components):
    for changes in ({"num_sites": 60}, {}):
        encoder = BarcodeMAEModel(make_config(hidden_size=WIDTH, **changes))
        with pytest.raises(SettingsError, match="the frame has 240 sites and the model vectors"):
            fill_site_table(encoder, components)


def test_a_share_of_the_layers_part_is_kept_and_the_table_whole(sites_folder):
    model = BarcodeMAEForPreTraining.from_pretrained(sites_folder).eval()
    ids = torch.randint(2, 66, (2, 40), generator=torch.Generator().manual_seed(0))
    halved, none = (keep_share(model, share).barcodemae for share in (0.5, 0.0))
    with torch.no_grad():
        whole, half, table = (
            part(ids).last_hidden_state for part in (model.barcodemae, halved, none)
        )
    torch.testing.assert_close(half, (whole + table) / 2)
    positions = torch.arange(40).expand(2, -1)
    torch.testing.assert_close(table, model.barcodemae.sites(ids, positions))
    assert keep_share(model, 1.0) is model
