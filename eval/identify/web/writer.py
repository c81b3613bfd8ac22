"""A reference library as a folder of static files, which the page of `space/static/` reads.

    DIR/web.json             description: model, frame, taxa, calibration, hashes of the other files
    DIR/model.onnx           graph of the encoder, placed letters in, vector out
    DIR/search.onnx          graph of the products that a search needs
    DIR/vectors.f32          embeddings of unit length, little-endian, (R, D)
    DIR/lineages.i32         codes of the taxa, -1 where not known, (R, T)
    DIR/sites.i32            site of the first letter of each reference, (R,)
    DIR/bins.i32             number of the BIN of each reference, -1 without, (R,)
    DIR/ids.json.gz          ids of the references
    DIR/barcodes.json.gz     placed letters of the references

In: an opened library, and its model as a graph. Out: this folder, which the caller stages. Vectors
keep 32 bits: references that are nearly alike would change their order otherwise, and names with
it. Guarded by tests/eval/identify/web/test_writer.py, read by tests/browser/test_static_page.py.

Shapes: R = references, D = embedding width, T = ranks.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from barcodemae import BarcodeFrame, __version__
from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.graph.building import build_graph
from barcodemae.eval.embed.graph.graph_embedder import GraphEmbedder
from barcodemae.eval.embed.graph.nodes import GraphWriter
from barcodemae.eval.identify.findings import DEFAULT_THRESHOLDS
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.files import write_json


DESCRIPTION = "web.json"
FORMAT_VERSION = 1
PACKED = ".gz"


def write_web_library(library: ReferenceLibrary, embedder: GraphEmbedder, folder: Path) -> None:
    """Write a library as static files.

    Args:
        library: Opened library.
        embedder: Its model, as a graph.
        folder: Empty folder to write into.

    Raises:
        SettingsError: The library is of another model, or of a kind that the page cannot read:
            without a frame, or with several reading offsets.
    """
    if library.letters is None or not embedder.encoder.frame:
        raise SettingsError(f"{library.folder} has no frame, and the web page reads only such")
    if library.description["offsets"] != 1:
        raise SettingsError(
            f"{library.folder} averages over {library.description['offsets']} reading offsets, "
            "which the web page does not; make it again with --offsets 1"
        )
    library.check_model(embedder)
    rows = range(len(library))
    texts = {
        "ids.json.gz": [library.ids[row] for row in rows],
        "barcodes.json.gz": [library.barcodes[row] for row in rows],
    }
    arrays: dict[str, Any] = {
        "lineages.i32": library.codes.astype("<i4"),
        "sites.i32": np.array(library.sites.to_pylist(), "<i4"),
        "bins.i32": library.bins.of.astype("<i4"),
        "vectors.f32": np.asarray(library.vectors, "<f4"),
    }
    graph = build_graph(embedder.encoder, ranges=embedder.ranges, is_placed=True)
    contents = {name: packed(values) for name, values in texts.items()}
    contents |= {name: values.tobytes() for name, values in arrays.items()}
    contents["model.onnx"] = graph.model.SerializeToString()
    contents["search.onnx"] = search_graph()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: hashes_of(name, content) for name, content in contents.items()}
    write_json(folder / DESCRIPTION, describe(library, embedder) | {"files": files})


def packed(values: list[str]) -> bytes:
    """Pack a list of texts; the same list gives the same bytes."""
    return gzip.compress(json.dumps(values).encode(), mtime=0)


def hashes_of(name: str, content: bytes) -> dict[str, Any]:
    """Return size and hash of a file, and of a packed one also its size when unpacked."""
    found = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return found | ({"unpacked": len(gzip.decompress(content))} if name.endswith(PACKED) else {})


def search_graph() -> bytes:
    """Return the graph that multiplies references (rows, D) with queries (D, Q)."""
    graph = GraphWriter()
    scores = graph.MatMul("references", "queries")
    inputs = {
        "references": ("float", ["rows", "width"]),
        "queries": ("float", ["width", "queries"]),
    }
    model = graph.model(inputs, {"scores": (scores, "float", ["rows", "queries"])}, {})
    content: bytes = model.SerializeToString()
    return content


def describe(library: ReferenceLibrary, embedder: GraphEmbedder) -> dict[str, Any]:
    """Return all of a library but what stands in files of its own."""
    encoder, sizes, agreement = embedder.encoder, library.sizes, library.bins.agreement
    return {
        "format_version": FORMAT_VERSION,
        "written_by": f"barcodemae {__version__}",
        "library": library.fingerprint(),
        "name": library.description["reference"]["name"],
        "model": library.description["model"] | {"dtype": embedder.dtype},
        "references": len(library),
        "dimensions": library.vectors.shape[1],
        "k": encoder.k,
        "max_tokens": encoder.max_tokens,
        "is_coding": library.description["is_coding"],
        "frame_scores": BarcodeFrame(encoder.frame).scores.astype(int).tolist(),
        "is_conserved": "".join("1" if is_slow else "0" for is_slow in library.is_conserved),
        "thresholds": DEFAULT_THRESHOLDS,
        "taxa": library.taxa,
        "sizes": [
            {
                "references": sizes.references[rank].tolist(),
                "children": sizes.children[rank].tolist(),
            }
            for rank in range(len(RANKS))
        ],
        "bins": {
            "names": library.bins.names,
            "agreement": [None if np.isnan(share) else share for share in agreement.tolist()],
        },
        "flagged": sorted(library.doubts),
        "calibration": library.read_calibration(),
    }
