"""Graphs as files: `onnx/model.onnx` and `onnx/model_int8.onnx` beside the weights of a model.

In: a model folder and barcodes to measure the ranges of int8 on. Out: both graphs and the ranges.
Guarded by tests/eval/embed/graph/test_exporting.py.
"""

from collections.abc import Sequence
from pathlib import Path

from barcodemae.errors import DataError
from barcodemae.eval.embed.graph.building import build_graph
from barcodemae.eval.embed.graph.graph_embedder import site_codes
from barcodemae.eval.embed.graph.ranges import measure_ranges, write_ranges
from barcodemae.eval.embed.graph.stored_encoder import read_encoder
from barcodemae.eval.embed.screening import find_unusable
from barcodemae.files import whole_file


GRAPH, GRAPH_INT8 = "onnx/model.onnx", "onnx/model_int8.onnx"
NUM_READ, NUM_MEASURED = 10_000, 256  # barcodes of a file, and those of them that are measured


def export_graphs(folder: Path, barcodes: Sequence[str], source: str) -> list[Path]:
    """Write the graphs of a model into its folder.

    Args:
        folder: Model folder.
        barcodes: Barcodes; the ranges of int8 are measured on `NUM_MEASURED` of those that can be
            read, evenly spaced.
        source: Where they come from, for messages.

    Returns:
        The files that were written.

    Raises:
        CheckpointError: It is no BERT encoder with a k-mer tokenizer, or is damaged.
        DataError: None of the barcodes can be read.
        SettingsError: ONNX Runtime is not installed.
    """
    encoder = read_encoder(folder, str(folder))
    reasons = find_unusable(barcodes, encoder.k, encoder.max_tokens)
    usable = [text for row, text in enumerate(barcodes) if row not in reasons]
    if not usable:
        raise DataError(source, "no record can be read, so no ranges can be measured")
    chosen = usable[:: -(-len(usable) // NUM_MEASURED)]
    ranges = measure_ranges(encoder, site_codes(encoder, chosen))
    write_ranges(folder, encoder, ranges)
    for name, wanted in ((GRAPH, None), (GRAPH_INT8, ranges)):
        built = build_graph(encoder, ranges=wanted)
        with whole_file(folder / name) as part:
            part.write_bytes(built.model.SerializeToString())
    return [folder / GRAPH, folder / GRAPH_INT8]
