"""The ranges of activations, measured on barcodes: what 8-bit products need to know beforehand.

In: an encoder and real barcodes. Out: smallest and largest input of each linear layer, with rare
extremes cut off, and the file that keeps them, `onnx/ranges.json` in the model folder. A range that
is fixed beforehand makes a vector independent of its batch and of the machine.
Guarded by tests/eval/embed/graph/test_ranges.py.
"""

from collections.abc import Mapping, Sequence
from math import floor, log2
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from barcodemae.errors import CheckpointError, DataError
from barcodemae.eval.embed.graph.building import LETTERS, build_graph
from barcodemae.eval.embed.graph.encoder_nodes import Range
from barcodemae.eval.embed.graph.sessions import open_session
from barcodemae.eval.embed.graph.stored_encoder import StoredEncoder
from barcodemae.files import write_json
from barcodemae.stored.json_objects import read_object


RARE = 1e-5  # share of the numbers beyond either end of a range
STEPS_PER_OCTAVE = 8  # a range is rounded up to one of these
BATCH = 16
RANGES = "onnx/ranges.json"


def measure_ranges(encoder: StoredEncoder, codes: NDArray[np.uint8]) -> dict[str, Range]:
    """Measure the range of the input of each linear layer.

    Args:
        encoder: The encoder.
        codes: Letter codes of barcodes that begin at the first site of the frame, (N, G).
    """
    built = build_graph(encoder, is_placed=True)
    session = open_session(with_outputs(built.model, built.inputs))
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in built.inputs}
    for first in range(0, len(codes), BATCH):
        batch = {LETTERS: codes[first : first + BATCH]}
        for name, values in zip(found, session.run(list(found), batch), strict=True):
            found[name].append(np.quantile(values, (RARE, 1 - RARE)))
    return {name: range_of(bounds) for name, bounds in found.items()}


def write_ranges(folder: Path, encoder: StoredEncoder, ranges: Mapping[str, Range]) -> None:
    """Keep ranges in a model folder."""
    by_layer = {name: [found.low, found.high] for name, found in ranges.items()}
    (folder / RANGES).parent.mkdir(exist_ok=True)
    write_json(folder / RANGES, {"weights": encoder.fingerprint, "ranges": by_layer})


def read_ranges(folder: Path, encoder: StoredEncoder) -> dict[str, Range]:
    """Read the ranges that a model folder keeps.

    Raises:
        CheckpointError: There are none, or they are of other weights.
    """
    hint = "`barcodemae export --onnx` measures them"
    if not (folder / RANGES).is_file():
        raise CheckpointError(f"{encoder.name}: no {RANGES} in it, which int8 needs; {hint}")
    try:
        content = read_object(folder / RANGES)
        if content["weights"] != encoder.fingerprint:
            raise CheckpointError(f"{folder / RANGES} is of other weights; {hint}")
        return {
            name: Range(float(low), float(high)) for name, (low, high) in content["ranges"].items()
        }
    except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / RANGES}: is damaged; {hint}") from error


def with_outputs(model: onnx.ModelProto, inputs: Mapping[str, str]) -> onnx.ModelProto:
    """Let a graph also give the values that its linear layers read, by the layers' places."""
    widened = onnx.ModelProto()
    widened.CopyFrom(model)
    for name, value in inputs.items():
        widened.graph.node.append(helper.make_node("Identity", [value], [name]))
        widened.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return widened


def range_of(bounds: Sequence[NDArray[np.float32]]) -> Range:
    """Return the range that holds what was measured in all batches, and zero."""
    low, high = (float(np.mean(side)) for side in zip(*bounds, strict=True))
    return Range(min(-rounded(-low), 0.0), max(rounded(high), 0.0))


def rounded(size: float) -> float:
    """Round a size up to a few digits; 0 stays 0."""
    if size <= 0:
        return 0.0
    step = 2.0 ** floor(log2(size)) / STEPS_PER_OCTAVE
    return float(np.ceil(size / step) * step)
