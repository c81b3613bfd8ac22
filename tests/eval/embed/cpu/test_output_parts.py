"""What follows the layers, applied to means: the vectors of the stock model, bit by bit alone."""

import numpy as np
import pytest
import torch

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.eval.embed.cpu.encoder import pack
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.training.export.folders import export_full


pytestmark = [
    pytest.mark.number_format,
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN"),
]


@pytest.fixture(scope="module")
def wide_folder(frame_rows, tmp_path_factory):
    """A model of the sizes of a bundled one: oneDNN treats small products all alike."""
    torch.manual_seed(0)
    config = BarcodeMAEConfig(
        k=3,
        hidden_size=512,
        tower_size=192,
        num_sites=240,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=384,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=32,
        decoder_num_attention_heads=4,
    )
    model = BarcodeMAEForPreTraining(config)
    with torch.no_grad():
        model.barcodemae.sites.weight.normal_()
    tokenizer = BarcodeKmerTokenizer(k=3, max_length_bp=240, frame=frame_rows)
    folder = tmp_path_factory.mktemp("wide") / "model"
    export_full(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def texts(relatives):
    """Whole barcodes and pieces, some with unknown letters."""
    pieces = [text[start : start + 150] for start, text in enumerate(relatives[:9])]
    return [*relatives[:20], *pieces, relatives[20][:100] + "N" * 7 + relatives[20][107:]]


@pytest.mark.parametrize("folder", ["sites_folder", "wide_folder"])
def test_packed_vectors_are_those_of_the_stock_model(folder, texts, request):
    embedder = load_embedder(request.getfixturevalue(folder), device="cpu")
    packed = embedder.embed(texts)
    assert embedder.packed is not None
    embedder.packed = None
    np.testing.assert_allclose(packed, embedder.embed(texts), atol=2e-5, rtol=1e-5)


def test_a_vector_is_the_same_bit_by_bit_alone_and_in_any_mixture(wide_folder, texts):
    embedder = load_embedder(wide_folder, device="cpu")
    whole = embedder.embed(texts)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(embedder.embed(texts[::-1]), whole[::-1])


def test_either_part_can_be_alone(make_config, frame_rows):
    for changes in ({"tower_size": 16}, {"num_sites": 240}):
        torch.manual_seed(0)
        model = BarcodeMAEForPreTraining(make_config(**changes)).eval().barcodemae
        if model.sites is not None:
            torch.nn.init.normal_(model.sites.weight)
        ids = torch.randint(2, 66, (4, 50))
        with torch.inference_mode():
            expected = model(ids).last_hidden_state.mean(dim=1)
            found = pack(model).mean(ids.tolist(), np.zeros(4, np.int64), 4)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
