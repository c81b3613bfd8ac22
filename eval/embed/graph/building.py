"""A whole model as one ONNX graph: letters in, vector out, no tokenizer outside.

    letters    (batch, letters) uint8: A 0, C 1, G 2, T 3, unknown base or padding 4, any other
               letter 5; up to 700 letters and more, in whatever rectangle they fit
    embedding  (batch, D) float32: what `barcodemae embed` gives; NaN for a row without a k-mer
    start      (batch,) int64: site of the first letter; with a frame only
    score      (batch,) float32: log-odds of the placement, nats; with a frame only

The graph finds the start in the frame, numbers the k-mers by arithmetic, encodes, takes the mean
and applies the readout. It leaves out what only a few barcodes need: putting back gained and lost
bases, ends that are no part of the barcode, and the other strand. The embedder in `embedder.py`
does these things before it calls a graph without the search (`is_placed`); a caller elsewhere gives
the reverse complement as a second row and takes the one with the higher score.
Guarded by tests/eval/embed/graph/test_building.py, measured by benchmarks/engines.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from barcodemae import BarcodeFrame
from barcodemae.eval.embed.graph.encoder_nodes import EncoderNodes, Range
from barcodemae.eval.embed.graph.nodes import GraphWriter
from barcodemae.eval.embed.graph.placing_nodes import (
    SCORE_STEPS,
    find_start,
    has_kmer,
    tokenize,
)
from barcodemae.eval.embed.graph.stored_encoder import StoredEncoder


LETTERS, EMBEDDING, START, SCORE = "letters", "embedding", "start", "score"
CODES = "A 0, C 1, G 2, T 3, unknown or padding 4, any other letter 5"


@dataclass(frozen=True)
class Built:
    """A graph.

    Attributes:
        model: The graph with its weights.
        inputs: Name of the value that each linear layer reads, by the layer's place.
    """

    model: onnx.ModelProto
    inputs: dict[str, str]


def build_graph(
    encoder: StoredEncoder,
    *,
    ranges: Mapping[str, Range] | None = None,
    is_placed: bool = False,
) -> Built:
    """Build the graph of a model.

    Args:
        encoder: Weights, tokenizer and readout.
        ranges: Range of the input of each linear layer, for products of 8-bit numbers; None for
            float32.
        is_placed: Whether the letters begin at the first site of the frame, so that no start has
            to be found.
    """
    graph = GraphWriter()
    outputs = {}
    if encoder.frame and not is_placed:
        start = find_start(graph, LETTERS, BarcodeFrame(encoder.frame))
        # Without a k-mer at its place, a sequence is read from its first letter.
        found = has_kmer(graph, tokenize(graph, LETTERS, start.site, encoder))
        site = graph.Where(found, start.site, graph.numbers(0))
        nats = graph.Div(start.score, graph.keep(SCORE_STEPS, "float32"))
        outputs[START] = (graph.Squeeze(site, graph.numbers(1)), "int64", ["batch"])
        outputs[SCORE] = (graph.Squeeze(nats, graph.numbers(1)), "float", ["batch"])
    else:
        size = graph.Shape(LETTERS, end=1)
        site = graph.Expand(graph.numbers(0), graph.Concat(size, graph.numbers(1), axis=0))
    writer = EncoderNodes(graph, encoder, ranges)
    vectors = writer.vectors(tokenize(graph, LETTERS, site, encoder))
    outputs = {EMBEDDING: (vectors, "float", ["batch", "width"])} | outputs
    letters = {LETTERS: ("uint8", ["batch", "letters"])}
    return Built(graph.model(letters, outputs, notes_on(encoder, ranges)), writer.inputs)


def notes_on(encoder: StoredEncoder, ranges: Mapping[str, Range] | None) -> dict[str, str]:
    """Return the metadata of a graph."""
    return {
        "name": encoder.name,
        "weights": encoder.fingerprint,
        "dtype": "float32" if ranges is None else "int8",
        "letters": CODES,
        "k": str(encoder.k),
        "sites": str(len(encoder.frame[0]) if encoder.frame else 0),
    }
