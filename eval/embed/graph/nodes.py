"""A writer of ONNX graphs: operators are called like functions, and weights are kept once.

    graph = GraphWriter()
    scores = graph.MatMul(rows, graph.keep(weight))

In: names of values, and arrays. Out: names of values, and at last a model.
Guarded by tests/eval/embed/graph/test_building.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


OPSET, IR_VERSION = 17, 8  # of ONNX 1.12 (2022): what browsers and older runtimes read
KINDS = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float": TensorProto.FLOAT,
    "bool": TensorProto.BOOL,
}


class GraphWriter:
    """Collects nodes and constants; every operator of ONNX is a method.

    Args:
        parent: Writer of the graph around this one, a branch of which this is; it keeps the
            constants.
    """

    def __init__(self, parent: "GraphWriter | None" = None) -> None:
        self.nodes: list[Any] = []
        self.root: GraphWriter = self if parent is None else parent.root
        self.constants: dict[bytes, str] = {}
        self.tensors: list[Any] = []
        self.num_values = 0

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        """Return a function that adds an operator and returns the names of its outputs."""
        if not operator[:1].isupper():
            raise AttributeError(operator)

        def add(*inputs: str, outputs: int = 1, **attributes: Any) -> Any:
            names = [self.new_name(operator) for _ in range(outputs)]
            self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
            return names[0] if outputs == 1 else names

        return add

    def new_name(self, base: str) -> str:
        """Return a name that no value has."""
        self.root.num_values += 1
        return f"{base}_{self.root.num_values}"

    def keep(self, values: Any, kind: str = "") -> str:
        """Keep a constant.

        Args:
            values: An array, a list or a number.
            kind: Its type, as NumPy names it; that of the array by default.
        """
        array = np.ascontiguousarray(np.asarray(values, kind or None))
        array = array.reshape(np.shape(values))  # of a number too
        key = array.tobytes() + str((array.dtype, array.shape)).encode()
        if key not in self.root.constants:
            name = self.root.constants[key] = self.new_name("constant")
            self.root.tensors.append(numpy_helper.from_array(array, name))
        return self.root.constants[key]

    def cast(self, value: str, kind: str) -> str:
        """Convert a value to another type, one of `KINDS`."""
        return str(self.Cast(value, to=KINDS[kind]))

    def numbers(self, *values: int) -> str:
        """Keep whole numbers, as shapes, axes and bounds are given."""
        return self.keep(np.array(values, np.int64))

    def model(
        self, inputs: dict[str, Any], outputs: dict[str, Any], notes: dict[str, str]
    ) -> onnx.ModelProto:
        """Make a model of what was collected.

        Args:
            inputs: Name -> (type, shape) of each input.
            outputs: Name -> (value, type, shape) of each output.
            notes: Metadata.
        """
        for name, (value, _, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self.nodes,
            "barcodemae",
            [helper.make_tensor_value_info(n, KINDS[k], shape) for n, (k, shape) in inputs.items()],
            [
                helper.make_tensor_value_info(name, KINDS[kind], shape)
                for name, (_, kind, shape) in outputs.items()
            ],
            self.tensors,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        helper.set_model_props(model, notes)
        return model

    def branch(self, value: str, kind: str) -> Any:
        """Make the branch of an `If` of what was collected; its result is one value."""
        result = helper.make_tensor_value_info(value, KINDS[kind], None)
        return helper.make_graph(self.nodes, self.new_name("branch"), [], [result])
