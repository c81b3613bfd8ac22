"""A library as static files: everything is in them, as it was, and nothing can be read wrongly."""

import gzip
import hashlib
import json

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae import BarcodeFrame
from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.graph.graph_embedder import site_codes
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.web.writer import write_web_library
from barcodemae.eval.search.reference_search import unit_length


@pytest.fixture(scope="module")
def embedder(framed_folder):
    return load_embedder(framed_folder, device="cpu", engine="onnx")


@pytest.fixture(scope="module")
def data(relatives, tmp_path_factory):
    """Six genera of five species; the last barcode has no species, and the first two are alike."""
    barcodes = [relatives[1], *relatives[1:]]
    rows = [
        {
            "processid": f"R{row}",
            "phylum": "Arthropoda",
            "family": f"Family{row // 20}",
            "genus": f"Genus{row // 10}",
            "species": None if row == 59 else f"Genus{row // 10} {'abcde'[row % 10 // 2]}us",
            "dna_bin": f"BOLD:{row // 2}" if row < 40 else None,
            "dna_barcode": barcode,
            "split": "train",
        }
        for row, barcode in enumerate(barcodes)
    ]
    folder = tmp_path_factory.mktemp("data")
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    return folder


def make_library(data, folder, embedder, num_offsets=1):
    plan = LibraryPlan(held_out=(), max_fragments=20)
    build_library(data, folder, OffsetEmbedder(embedder, num_offsets), plan)
    return ReferenceLibrary(folder)


@pytest.fixture(scope="module")
def library(data, embedder, tmp_path_factory):
    return make_library(data, tmp_path_factory.mktemp("library"), embedder)


@pytest.fixture(scope="module")
def written(library, embedder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_web_library(library, embedder, folder)
    return folder


@pytest.fixture
def description(written):
    return json.loads((written / "web.json").read_text())


def test_every_file_is_described_by_its_size_and_hash(written, description):
    assert {path.name for path in written.iterdir()} == {"web.json", *description["files"]}
    for name, file in description["files"].items():
        content = (written / name).read_bytes()
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_references_are_those_of_the_library_in_its_order(written, library):
    def numbers(name, kind):
        return np.frombuffer((written / name).read_bytes(), kind)

    def texts(name):
        return json.loads(gzip.decompress((written / name).read_bytes()))

    rows = range(len(library))
    assert texts("ids.json.gz") == [library.ids[row] for row in rows]
    assert texts("barcodes.json.gz") == [library.barcodes[row] for row in rows]
    assert (numbers("sites.i32", "<i4") == [library.placed_reference(r).site for r in rows]).all()
    assert (numbers("lineages.i32", "<i4").reshape(-1, len(RANKS)) == library.codes).all()
    assert (numbers("bins.i32", "<i4") == library.bins.of).all()
    assert (numbers("vectors.f32", "<f4") == library.vectors.ravel()).all()


def test_what_python_computes_when_it_opens_a_library_is_written_down(description, library):
    assert description["taxa"] == library.taxa
    assert description["calibration"] == library.read_calibration()
    assert [bool(int(digit)) for digit in description["is_conserved"]] == (
        library.is_conserved.tolist()
    )
    for rank, sizes in enumerate(description["sizes"]):
        assert sizes["references"] == library.sizes.references[rank].tolist()
        assert sizes["children"] == library.sizes.children[rank].tolist()


def test_scores_of_the_frame_are_whole_numbers_as_in_python(description, frame_rows):
    assert description["frame_scores"] == BarcodeFrame(frame_rows).scores.tolist()


def test_the_graph_beside_a_library_gives_its_vectors(written, library, embedder):
    session = onnxruntime.InferenceSession(written / "model.onnx")
    codes = site_codes(embedder.encoder, [library.barcodes[3]])
    (vector,) = session.run(None, {"letters": codes})[0:1]
    assert np.allclose(unit_length(vector), library.vectors[3], atol=1e-5)


def test_the_graph_of_the_search_multiplies(written):
    session = onnxruntime.InferenceSession(written / "search.onnx")
    left, right = np.eye(3, 4, dtype=np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
    (scores,) = session.run(None, {"references": left, "queries": right})
    assert (scores == left @ right).all()


def test_the_same_library_gives_the_same_bytes(written, library, embedder, tmp_path):
    write_web_library(library, embedder, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (written / path.name).read_bytes(), path.name


def test_several_reading_offsets_are_refused(data, embedder, tmp_path):
    library = make_library(data, tmp_path, embedder, num_offsets=2)
    with pytest.raises(SettingsError, match="2 reading offsets"):
        write_web_library(library, embedder, tmp_path)


def test_a_library_without_a_frame_is_refused(data, embedder, tmp_path):
    library = make_library(data, tmp_path, KmerCounts(4))
    with pytest.raises(SettingsError, match="has no frame"):
        write_web_library(library, embedder, tmp_path)
