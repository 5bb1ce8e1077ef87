"""Cutting .tflite graphs, on one that is built here: c = a + a, d = c * c, e = d + c."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mitds.annotators.pose.tflite import Graph, cut


def operator(code: int, inputs: list[int], output: int) -> schema.OperatorT:
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = code, inputs, [output]
    is_add = code == 0
    node.builtinOptionsType = schema.BuiltinOptions.AddOptions if is_add else schema.BuiltinOptions.MulOptions
    node.builtinOptions = schema.AddOptionsT() if is_add else schema.MulOptionsT()
    return node


def model() -> bytes:
    tree, graph = schema.ModelT(), schema.SubGraphT()
    tree.version, tree.subgraphs, tree.buffers = 3, [graph], [schema.BufferT()]
    tree.operatorCodes = [schema.OperatorCodeT(), schema.OperatorCodeT()]
    for code, builtin in zip(
        tree.operatorCodes, (schema.BuiltinOperator.ADD, schema.BuiltinOperator.MUL), strict=True
    ):
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
    graph.tensors = []
    for name in "acde":
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), [1, 2], 0, 0
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs = [0], [3]
    graph.operators = [operator(0, [0, 0], 1), operator(1, [1, 1], 2), operator(0, [2, 1], 3)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("inputs", "outputs", "fed", "wanted"),
    [
        (["a"], ["e"], [[1.0, 2.0]], {"e": [[6.0, 20.0]]}),
        (["a"], ["c", "d"], [[1.0, 2.0]], {"c": [[2.0, 4.0]], "d": [[4.0, 16.0]]}),
        (["d", "c"], ["e"], [[1.0, 2.0], [10.0, 20.0]], {"e": [[11.0, 22.0]]}),
    ],
)
def test_a_part_computes_what_it_is_asked(
    tmp_path: Path,
    inputs: list[str],
    outputs: list[str],
    fed: list[list[float]],
    wanted: dict[str, list[list[float]]],
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model())
    got = Graph(path, inputs, outputs)(*(np.array([row]) for row in fed))
    assert {name: value.tolist() for name, value in got.items()} == wanted


def test_operators_outside_the_part_are_gone() -> None:
    part = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(cut(model(), ["c"], ["d"]), 0))
    assert len(part.subgraphs[0].operators) == 1
