"""One graph does everything: the vectors of torch from letters alone."""

import numpy as np
import onnx
import pytest

from barcodemae.eval.embed.graph.building import EMBEDDING, SCORE, START, build_graph
from barcodemae.eval.embed.graph.encoder_nodes import Range
from barcodemae.eval.embed.graph.sessions import open_session
from barcodemae.eval.embed.graph.stored_encoder import read_encoder
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.readout import Dense, save_readout
from barcodemae.tokenization import BarcodeFrame


@pytest.fixture(scope="module", params=["framed_folder", "sites_folder"])
def framed(request):
    """The session of a framed model, and torch's embedder of it."""
    folder = request.getfixturevalue(request.param)
    graph = build_graph(read_encoder(folder, "tiny")).model
    onnx.checker.check_model(graph)
    return open_session(graph), load_embedder(folder, device="cpu")


@pytest.fixture(scope="module")
def cuts(relatives):
    """Whole barcodes, and pieces that begin before, in and after the frame's first site."""
    pieces = [text[start:stop] for text, start, stop in zip(
        relatives, (0, 1, 17, 60, 100, 3), (240, 240, 240, 180, 239, 200), strict=False
    )]  # fmt: skip
    return [*relatives[:4], *pieces, "ACGTGGTACCTT" + relatives[7], relatives[8] + "GATTACA" * 8]


def test_letters_give_the_vectors_of_torch(framed, cuts, padded):
    session, embedder = framed
    found = session.run([EMBEDDING], padded(cuts))[0]
    assert np.allclose(found, embedder.embed(cuts), atol=1e-5)


def test_starts_are_those_of_the_frame(framed, cuts, padded, frame_rows):
    session, _ = framed
    starts, scores = session.run([START, SCORE], padded(cuts))
    assert starts.tolist() == BarcodeFrame(frame_rows).find_starts(cuts)
    assert (scores > 20).all()


def test_unknown_letters_are_read_as_torch_reads_them(framed, relatives, padded):
    session, embedder = framed
    text = relatives[0]
    odd = [text[:40] + "N" * 9 + text[49:], "NN" + text[2:], text[:-4] + "NNNN", text[:-1] + "R",
           text[:50] + "RYK" + text[53:]]  # fmt: skip
    found = session.run([EMBEDDING], padded(odd))[0]
    assert np.allclose(found, embedder.embed(odd), atol=1e-5)


def test_neither_padding_nor_neighbours_change_a_vector(framed, cuts, padded):
    session, _ = framed
    together = session.run([EMBEDDING], padded(cuts, columns=700))[0]
    for row, text in enumerate(cuts):
        alone = session.run([EMBEDDING], padded([text]))[0]
        assert np.allclose(alone[0], together[row], atol=1e-6)


def test_a_piece_that_fits_nowhere_is_read_from_its_first_letter(framed, padded):
    session, embedder = framed
    text = "ACGT" * 6
    found, start = session.run([EMBEDDING, START], padded([text]))
    assert start.tolist() == [0]
    assert np.allclose(found, embedder.embed([text]), atol=1e-5)


def test_a_row_without_a_kmer_has_no_vector(framed, padded):
    session, _ = framed
    assert np.isnan(session.run([EMBEDDING], padded(["NN", "ACNGTN"]))[0]).all()


def test_a_model_without_a_frame_reads_from_the_first_letter(tiny_folder, barcodes, padded):
    session = open_session(build_graph(read_encoder(tiny_folder, "tiny")).model)
    assert [output.name for output in session.get_outputs()] == [EMBEDDING]
    texts = [*barcodes, "NNNNACGTAC", barcodes[0] + "NN"]
    vectors = load_embedder(tiny_folder, device="cpu").embed(texts)
    assert np.allclose(session.run(None, padded(texts))[0], vectors, atol=1e-5)


def test_the_readout_is_in_the_graph(tiny_folder, tmp_path, barcodes, padded):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(5, 32)).astype(np.float32)
    save_readout(folder, Dense(weight, np.ones(5, np.float32)))
    session = open_session(build_graph(read_encoder(folder, "tiny")).model)
    found = session.run(None, padded(barcodes))[0]
    assert found.shape == (8, 5)
    assert np.allclose(found, load_embedder(folder, device="cpu").embed(barcodes), atol=1e-4)


def test_products_of_8_bits_are_near_and_do_not_depend_on_neighbours(framed, cuts, padded):
    encoder = read_encoder(framed[1].folder, "tiny")
    ranges = dict.fromkeys(build_graph(encoder).inputs, Range(-4.0, 4.0))
    session = open_session(build_graph(encoder, ranges=ranges).model)
    found = session.run([EMBEDDING], padded(cuts))[0]
    exact = framed[0].run([EMBEDDING], padded(cuts))[0]
    cosine = (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert 0.99 < cosine.min() < 1 - 1e-7
    alone = np.concatenate([session.run([EMBEDDING], padded([text]))[0] for text in cuts])
    assert np.allclose(alone, found, atol=1e-5)


def test_the_graph_says_what_it_is(framed):
    notes = framed[0].get_modelmeta().custom_metadata_map
    assert notes["weights"] == framed[1].fingerprint
    assert notes["dtype"] == "float32"
    assert notes["letters"].startswith("A 0, C 1, G 2, T 3")
