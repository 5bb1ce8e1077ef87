"""Running parts of a .tflite graph: some carry operators or outputs that we cannot or need not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mitds.manifests.records import Array


def cut(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return the part of a one-graph model between the named tensors.

    Args:
        model: A .tflite file.
        inputs: Names of the tensors that are fed from outside.
        outputs: Names of the tensors wanted.
    """
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    (graph,) = tree.subgraphs
    index = {tensor.name.decode(): i for i, tensor in enumerate(graph.tensors)}
    graph.inputs, graph.outputs = [index[n] for n in inputs], [index[n] for n in outputs]
    graph.operators = _ancestors(graph.operators, set(graph.inputs), set(graph.outputs))
    tree.signatureDefs = None
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _ancestors(
    operators: Sequence[schema.OperatorT], given: set[int], wanted: set[int]
) -> list[schema.OperatorT]:
    needed, kept = set(wanted), []
    for operator in reversed(operators):  # a .tflite lists its operators in order of execution
        if needed & (set(operator.outputs) - given):
            needed |= set(operator.inputs)
            kept.append(operator)
    return kept[::-1]


class Graph:
    """A named-tensor view of one part of a .tflite model, single-threaded.

    Args:
        path: The model file.
        inputs: Names of the tensors to feed, in the order of the arguments of a call.
        outputs: Names of the tensors to read.
    """

    def __init__(self, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._net = Interpreter(model_content=cut(path.read_bytes(), inputs, outputs), num_threads=1)
        self._net.allocate_tensors()
        by_name = {d["name"]: d["index"] for d in self._net.get_input_details()}
        self._inputs = [by_name[name] for name in inputs]
        self._outputs: Mapping[str, int] = {d["name"]: d["index"] for d in self._net.get_output_details()}

    def __call__(self, *values: Array) -> dict[str, Array]:
        """Run the part and return its outputs by name."""
        for index, value in zip(self._inputs, values, strict=True):
            self._net.set_tensor(index, np.ascontiguousarray(value, np.float32))
        self._net.invoke()
        return {name: self._net.get_tensor(index) for name, index in self._outputs.items()}
