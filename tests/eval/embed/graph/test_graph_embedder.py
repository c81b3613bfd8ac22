"""The engine onnx gives torch's vectors, for barcodes with indels too."""

import sys

import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import Embedder, UnusableSequencesError, embed_placed
from barcodemae.eval.embed.graph import graph_embedder
from barcodemae.eval.embed.graph.encoder_nodes import BOUND_STEP
from barcodemae.eval.embed.graph.exporting import export_graphs
from barcodemae.eval.embed.graph.graph_embedder import batches_of_equal_bounds, site_codes
from barcodemae.eval.embed.graph.placing_nodes import NO_BASE
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder


@pytest.fixture(scope="module")
def engines(framed_folder):
    return [
        load_embedder(framed_folder, device="cpu", engine=engine) for engine in ("onnx", "torch")
    ]


def test_the_embedder_has_the_interface_and_the_model_of_torch(engines):
    onnx, torch = engines
    assert isinstance(onnx, Embedder)
    assert (onnx.name, onnx.fingerprint, onnx.architecture) == (
        torch.name,
        torch.fingerprint,
        torch.architecture,
    )
    assert (onnx.dtype, onnx.device, onnx.network) == ("float32", "cpu", None)


def test_vectors_of_whole_cut_and_damaged_barcodes_are_those_of_torch(
    engines, relatives, monkeypatch
):
    monkeypatch.setattr(graph_embedder, "ROWS", 3)
    text = relatives[0]
    texts = [
        *relatives[:7],
        text[:100] + text[101:],
        text[:100] + "G" + text[100:],
        text.lower(),
        text[:90] + "----" + text[94:],
        text[30:200],
        "GATTACA" * 9 + text,
        "ACGT" * 7,
    ]
    onnx, torch = (engine.embed(texts) for engine in engines)
    assert np.allclose(onnx, torch, atol=1e-5)


def test_a_batch_holds_sequences_with_the_same_bounds_and_every_row_is_in_one(
    engines, relatives, monkeypatch
):
    """Else the last bit of a vector would depend on what is embedded beside it."""
    monkeypatch.setattr(graph_embedder, "ROWS", 3)
    encoder = engines[0].encoder
    texts = [text[first : first + size] for text in relatives[:8]
             for first, size in ((0, 240), (0, 80), (90, 100), (6, 200), (150, 90))]  # fmt: skip
    codes = site_codes(encoder, texts)
    batches = batches_of_equal_bounds(encoder, codes)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(texts)))
    assert max(map(len, batches)) == 3
    bounds = []
    for row in codes:
        kmers = row.reshape(-1, encoder.k)
        read = np.flatnonzero((kmers < NO_BASE).all(axis=1))
        bounds.append((read[0] // BOUND_STEP, read[-1] // BOUND_STEP))
    assert len(set(bounds)) > 2
    assert all(len({bounds[row] for row in batch}) == 1 for batch in batches)


def test_places_are_those_of_torch(engines, relatives):
    onnx, torch = (engine.placer.place(relatives[:5]) for engine in engines)
    assert onnx == torch


def test_placed_sequences_get_the_vectors_of_sequences_and_are_not_placed_again(
    engines, relatives, monkeypatch
):
    onnx, torch = engines
    text = relatives[0]
    texts = [*relatives[:3], text[30:200], text[:90] + text[91:], "GATTACA" * 9 + text]
    placed = onnx.placer.place(texts)
    wanted = onnx.embed([sequence.letters for sequence in placed])
    assert np.allclose(embed_placed(torch, placed), wanted, atol=1e-5)
    monkeypatch.setattr(onnx.placer, "lay_out", None)
    for embedder in (onnx, OffsetEmbedder(onnx, 1)):
        assert np.array_equal(embed_placed(embedder, placed), wanted)
    with pytest.raises(UnusableSequencesError, match="1 sequence"):
        onnx.embed_placed([placed[0], placed[1]._replace(letters="NNNN")])


def test_several_offsets_are_read_of_placed_sequences_too(engines, relatives):
    averaged = OffsetEmbedder(engines[0], 2)
    placed = averaged.placer.place(relatives[:2])
    wanted = averaged.embed([sequence.letters for sequence in placed])
    assert np.array_equal(embed_placed(averaged, placed), wanted)


def test_unusable_sequences_are_named(engines):
    onnx, torch = engines
    texts = ["ACGTACGT", "NN", "MKLV"]
    assert onnx.find_invalid(texts) == torch.find_invalid(texts)
    with pytest.raises(UnusableSequencesError, match="2 sequence"):
        onnx.embed(texts)


def test_nothing_to_embed_gives_no_rows(engines):
    assert engines[0].embed([]).shape == (0, 32)


def test_int8_is_opened_where_ranges_were_measured(framed_folder, relatives, tmp_path, engines):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(framed_folder, folder)
    export_graphs(folder, relatives, "relatives")
    found = load_embedder(folder, engine="onnx", dtype="int8")
    assert found.dtype == "int8"
    vectors, exact = found.embed(relatives), engines[0].embed(relatives)
    assert not np.array_equal(vectors, exact)
    assert np.allclose(vectors, exact, atol=0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float16"}, "in float32 or int8, not in float16"),
        ({"device": "meta"}, "on the CPU, not on meta"),
        ({"engine": "tensorflow"}, "engine 'tensorflow' is not one of torch, onnx"),
    ],
)
def test_what_the_engine_cannot_do_is_said(framed_folder, options, words):
    with pytest.raises(SettingsError, match=words):
        load_embedder(framed_folder, **{"engine": "onnx", **options})


def test_without_onnx_runtime_the_message_says_how_to_install_it(framed_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError, match="pip install onnxruntime"):
        load_embedder(framed_folder, engine="onnx")
