"""Write a Llama as an ONNX graph that keeps its keys and values, its matrices in INT8; used by training.export_gguf.

Inputs: `ids` int64 (1, length), and `past` float32 (2 * layers, heads of keys, positions, size of a head), with no
positions at the start. Outputs: `logits` (vocabulary) after the last of the ids, and `present`, the next `past`.
A causal model takes a prompt at once or token by token; a prefix LM takes the prompt at once and then single tokens.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from training.llama_folder import LlamaFolder, Shape
from training.stage import whole
from wtname.search import CONTEXT

OPSET = 17
HIDDEN = -1e9


class Graph:
    """Nodes and constants under way to a model; a method for what comes up more than once."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        """The name of a small constant."""
        array = np.array(value, dtype)
        name = f"{array.dtype}_{'_'.join(map(str, array.ravel()))}_{array.ndim}"
        self.constants[name] = array
        return name

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """The name of the output of a new node."""
        from onnx import helper

        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, **attributes))
        return out

    def matrix(self, x: str, name: str, weight: np.ndarray) -> str:
        """x times the transpose of a projection's weight (out, in)."""
        self.constants[name] = np.ascontiguousarray(weight.T)
        return self.add("MatMul", x, name)

    def heads(self, x: str, count: int, size: int) -> str:
        """(1, length, count * size) as (1, count, length, size)."""
        split = self.add("Reshape", x, self.constant([1, -1, count, size]))
        return self.add("Transpose", split, perm=[0, 2, 1, 3])

    def norm(self, x: str, name: str, weight: np.ndarray, eps: float) -> str:
        """Root mean square norm (Zhang and Sennrich 2019)."""
        self.constants[name] = weight
        square = self.add("ReduceMean", self.add("Mul", x, x), axes=[-1])
        root = self.add("Sqrt", self.add("Add", square, self.constant(eps, np.float32)))
        return self.add("Mul", self.add("Div", x, root), name)

    def rotate(self, x: str, cos: str, sin: str, half: int) -> str:
        """Rotary embedding (Su et al. 2021) of (1, heads, length, 2 * half) by tables (length, half)."""
        axis = self.constant([3])
        a = self.add("Slice", x, self.constant([0]), self.constant([half]), axis)
        b = self.add("Slice", x, self.constant([half]), self.constant([2 * half]), axis)
        first = self.add("Sub", self.add("Mul", a, cos), self.add("Mul", b, sin))
        return self.add("Concat", first, self.add("Add", self.add("Mul", b, cos), self.add("Mul", a, sin)), axis=3)


def write_int8(model: LlamaFolder, out: Path) -> None:
    """The model as ONNX, its matrices and its embedding in INT8 by ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = build(model)
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing that makes no difference here
    with whole(out) as temp, tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        f32 = Path(scratch, "f32.onnx")
        _save(graph, f32)
        quantize_dynamic(f32, temp, per_channel=True, weight_type=QuantType.QUInt8)


def _save(proto: Any, path: Path) -> None:
    import onnx

    if proto.ByteSize() > 2**31 - 1:
        raise click.ClickException("the model is larger than the 2 GB that an ONNX file holds; use --format gguf")
    onnx.save(proto, path)


def build(model: LlamaFolder) -> Any:
    """The model as an onnx.ModelProto in float32."""
    from onnx import TensorProto, helper, numpy_helper

    shape, g = model.shape, Graph()
    weights = {name.removeprefix("model."): tensor for name, tensor in model.tensors()}
    positions, mask = _positions(g, shape)
    cos, sin = (g.add("Gather", name, positions) for name in _rotary(g, shape))
    g.constants["embed"] = weights["embed_tokens.weight"]
    x = g.add("Gather", "embed", "ids")
    present: list[str] = []
    for layer in range(shape.layers):
        own = {n.removeprefix(f"layers.{layer}."): w for n, w in weights.items() if n.startswith(f"layers.{layer}.")}
        x = _block(g, shape, x, own, layer, (cos, sin, mask), present)
    last = g.add("Slice", x, g.constant([-1]), g.constant([2**31]), g.constant([1]))
    last = g.add("Reshape", last, g.constant([1, shape.hidden]))
    last = g.norm(last, "norm", weights["norm.weight"], shape.eps)
    head = weights["embed_tokens.weight" if shape.tied else "lm_head.weight"]
    g.add("Reshape", g.matrix(last, "head", head), g.constant([shape.vocab]), out="logits")
    g.add("Concat", *present, out="present", axis=0)

    def kept(name: str, positions: str) -> Any:
        sizes = [2 * shape.layers, shape.keys, positions, shape.size]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape.vocab])
    constants = [numpy_helper.from_array(array, name) for name, array in g.constants.items()]
    body = helper.make_graph(
        g.nodes, "namer", [ids, kept("past", "read")], [logits, kept("present", "total")], constants
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=opset, ir_version=8, producer_name="wtname")


def _positions(g: Graph, shape: Shape) -> tuple[str, str | None]:
    """The positions of the ids, and what is added to the scores of (length, total) positions to hide later ones."""
    zero, one = g.constant(0), g.constant(1)
    length = g.add("Gather", g.add("Shape", "ids"), one)
    read = g.add("Gather", g.add("Shape", "past"), g.constant(2))
    total = g.add("Add", read, length)
    positions = g.add("Range", read, total, one)
    if shape.prefix:
        return positions, None
    columns = g.add("Range", zero, total, one)
    later = g.add("Greater", columns, g.add("Unsqueeze", positions, g.constant([1])))
    return positions, g.add("Where", later, g.constant(HIDDEN, np.float32), g.constant(0, np.float32))


def _rotary(g: Graph, shape: Shape) -> tuple[str, str]:
    """Tables (positions, half a head's size) of cosines and sines."""
    inverse = 1.0 / shape.theta ** (np.arange(0, shape.size, 2) / shape.size)
    angle = np.outer(np.arange(CONTEXT), inverse)
    g.constants["cos"], g.constants["sin"] = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return "cos", "sin"


def _block(
    g: Graph, shape: Shape, x: str, own: dict[str, np.ndarray], layer: int,
    tables: tuple[str, str, str | None], present: list[str],
) -> str:  # fmt: skip
    """One layer's output; its keys and values join `present`."""
    cos, sin, mask = tables

    def part(x: str, name: str) -> str:
        return g.matrix(x, f"{layer}.{name}", own[f"{name}.weight"])

    y = g.norm(x, f"{layer}.norm1", own["input_layernorm.weight"], shape.eps)
    q = g.heads(part(y, "self_attn.q_proj"), shape.heads, shape.size)
    k = g.heads(part(y, "self_attn.k_proj"), shape.keys, shape.size)
    v = g.heads(part(y, "self_attn.v_proj"), shape.keys, shape.size)
    half = shape.size // 2
    q, k = g.rotate(q, cos, sin, half), g.rotate(k, cos, sin, half)
    old = [g.add("Gather", "past", g.constant([2 * layer + i]), axis=0) for i in (0, 1)]
    k, v = (g.add("Concat", before, new, axis=2) for before, new in zip(old, (k, v)))
    present += [k, v]
    # The queries that share a head of keys lie side by side (Ainslie et al. 2023).
    shared = shape.heads // shape.keys
    q = g.add("Reshape", q, g.constant([shape.keys, shared, -1, shape.size]))
    k, v = (g.add("Transpose", t, perm=[1, 0, 2, 3]) for t in (k, v))
    scores = g.add("MatMul", q, g.add("Transpose", k, perm=[0, 1, 3, 2]))
    scores = g.add("Mul", scores, g.constant(shape.size**-0.5, np.float32))
    if mask:
        scores = g.add("Add", scores, mask)
    y = g.add("MatMul", g.add("Softmax", scores, axis=-1), v)
    y = g.add("Reshape", y, g.constant([1, shape.heads, -1, shape.size]))
    y = g.add("Reshape", g.add("Transpose", y, perm=[0, 2, 1, 3]), g.constant([1, -1, shape.heads * shape.size]))
    x = g.add("Add", x, part(y, "self_attn.o_proj"))
    y = g.norm(x, f"{layer}.norm2", own["post_attention_layernorm.weight"], shape.eps)
    gate = part(y, "mlp.gate_proj")
    gate = g.add("Mul", gate, g.add("Sigmoid", gate))
    return g.add("Add", x, part(g.add("Mul", gate, part(y, "mlp.up_proj")), "mlp.down_proj"))
