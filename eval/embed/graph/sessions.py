"""ONNX Runtime: graphs that compute on the thread that calls them.

In: a graph. Out: a session. One thread each, because batches are computed side by side, in threads
or in forked processes; sums then do not depend on the number of threads.
Guarded by tests/eval/embed/graph/test_graph_embedder.py.
"""

from typing import Any

import onnx

from barcodemae.errors import CheckpointError, SettingsError, first_line


MISSING = "ONNX Runtime is not installed: pip install onnxruntime, or use --engine torch"


def open_session(model: onnx.ModelProto) -> Any:
    """Open a session of ONNX Runtime.

    Raises:
        SettingsError: ONNX Runtime is not installed.
        CheckpointError: It refuses the graph.
    """
    try:
        import onnxruntime  # some processors have no build of it
    except ImportError as error:
        raise SettingsError(MISSING) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has a dozen types of its own
        raise CheckpointError(f"ONNX Runtime refuses the graph: {first_line(error)}") from error
