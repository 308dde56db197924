#!/usr/bin/env python3
"""Writes a bidirectional encoder of BERT's shape with random weights, as .mlir beside a safetensors file and as ONNX.

Post-norm layers with erf-gelu, as in BERT (arXiv:1810.04805), from hidden states to hidden states [1, S, width]. The two
hold the same numbers. `compare.py` measures them; numpy, and onnx for --onnx, are needed.

usage: encoder.py FOLDER [--layers 12] [--width 768] [--heads 12] [--inner 3072] [--precision f32|bf16] [--onnx]
"""

import argparse
import json
import pathlib
import struct

import numpy as np


class Encoder:
    """The shape and the weights, by name."""

    def __init__(self, layers, width, heads, inner, seed=1):
        self.layers, self.width, self.heads, self.inner = layers, width, heads, inner
        random = np.random.default_rng(seed)

        def matrix(rows, columns):
            return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

        def vector(size, around):
            return (around + 0.1 * random.standard_normal(size)).astype(np.float32)

        self.weights = {}
        for i in range(layers):
            for name, rows, columns in (("q", width, width), ("k", width, width), ("v", width, width),
                                        ("o", width, width), ("up", inner, width), ("down", width, inner)):  # fmt: skip
                self.weights[f"{i}.{name}"] = matrix(rows, columns)
                self.weights[f"{i}.{name}_bias"] = vector(rows, 0)
            for norm in ("norm1", "norm2"):
                self.weights[f"{i}.{norm}"] = vector(width, 1)
                self.weights[f"{i}.{norm}_bias"] = vector(width, 0)


def write_safetensors(path, weights, is_bf16):
    """Matrices in bf16 where asked, vectors in f32."""
    header, data, offset = {}, [], 0
    for name, value in weights.items():
        narrow = is_bf16 and value.ndim == 2
        bits = value.view(np.uint32)
        # Rounds to the nearest, ties to even.
        raw = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes() if narrow else value.tobytes()
        header[name] = {"dtype": "BF16" if narrow else "F32", "shape": list(value.shape),
                        "data_offsets": [offset, offset + len(raw)]}  # fmt: skip
        data.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def mlir_of(model, precision):
    """The module's text."""
    width, heads, inner = model.width, model.heads, model.inner
    size = width // heads
    hidden, narrow = f"tensor<1x?x{width}xf32>", f"tensor<1x?x{width}x{precision}>"
    wide_inner, narrow_inner = f"tensor<1x?x{inner}xf32>", f"tensor<1x?x{inner}x{precision}>"
    split, narrow_split = f"tensor<1x?x{heads}x{size}xf32>", f"tensor<1x?x{heads}x{size}x{precision}>"
    is_bf16 = precision == "bf16"
    lines, count = [], 0

    def types(name):
        shape = model.weights[name].shape
        return "tensor<" + "x".join(map(str, shape)) + ("xbf16>" if is_bf16 and len(shape) == 2 else "xf32>")

    def emit(text):
        nonlocal count
        count += 1
        lines.append(f"  %{count} = {text}")
        return f"%{count}"

    def use(name):
        return emit(f'transformer.use @"{name}" : {types(name)}')

    def round_to(value, wide, type):
        return emit(f"arith.truncf {value} : {wide} to {type}") if is_bf16 else value

    def linear(value, name, source, target):
        w, bias = use(name), use(f"{name}_bias")
        return emit(f"transformer.linear {value}, {w} bias {bias} : {source}, {types(name)}, {types(name + '_bias')} -> {target}")

    def norm(value, name):
        w, bias = use(name), use(f"{name}_bias")
        return emit(f"transformer.layer_norm {value}, {w} bias {bias} epsilon 1.0e-12 : {hidden}, {types(name)}, "
                    f"{types(name + '_bias')} -> {hidden}")  # fmt: skip

    h = "%x"
    for i in range(model.layers):
        x = round_to(h, hidden, narrow)
        parts = []
        for name in "qkv":
            y = linear(x, f"{i}.{name}", narrow, hidden)
            y = emit(f"tensor.expand_shape {y} [[0], [1], [2, 3]] output_shape [1, %s, {heads}, {size}] : {hidden} into {split}")
            parts.append(round_to(y, split, narrow_split))
        q, k, v = parts
        y = emit(f"transformer.attention {q}, {k}, {v} scale {1 / np.sqrt(size):.17g} mask <none> : "
                 f"{narrow_split}, {narrow_split}, {narrow_split} -> {narrow_split}")  # fmt: skip
        y = emit(f"tensor.collapse_shape {y} [[0], [1], [2, 3]] : {narrow_split} into {narrow}")
        y = linear(y, f"{i}.o", narrow, hidden)
        h = norm(emit(f"arith.addf {h}, {y} : {hidden}"), f"{i}.norm1")
        y = linear(round_to(h, hidden, narrow), f"{i}.up", narrow, wide_inner)
        y = emit(f"transformer.activation gelu_erf {y} : {wide_inner} -> {narrow_inner}")
        y = linear(y, f"{i}.down", narrow_inner, hidden)
        h = norm(emit(f"arith.addf {h}, {y} : {hidden}"), f"{i}.norm2")
    named = '{transformer.name = "NAME", transformer.dims = ["", "S", ""]}'
    head = "".join(f'transformer.weight @"{name}" : {types(name)} from "model.safetensors"\n' for name in model.weights)
    return (head + f"func.func @encode(%x: {hidden} {named.replace('NAME', 'x')}) -> ({hidden} {named.replace('NAME', 'y')}) {{\n"
            f"  %c1 = arith.constant 1 : index\n  %s = tensor.dim %x, %c1 : {hidden}\n" + "\n".join(lines)
            + f"\n  return {h} : {hidden}\n}}\n")  # fmt: skip


def write_onnx(path, model):
    """The same in ONNX's own ops, as exporters write it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size = model.width // model.heads
    nodes, constants = [], []

    def constant(name, value):
        if all(c.name != name for c in constants):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(op, *inputs, **attributes):
        output = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def linear(x, name):
        y = node("MatMul", x, constant(name, model.weights[name].T))
        return node("Add", y, constant(f"{name}_bias", model.weights[f"{name}_bias"]))

    def norm(x, name):
        return node("LayerNormalization", x, constant(name, model.weights[name]),
                    constant(f"{name}_bias", model.weights[f"{name}_bias"]), axis=-1, epsilon=1e-12)  # fmt: skip

    heads_shape = constant("heads_shape", np.array([0, 0, model.heads, size], np.int64))
    hidden_shape = constant("hidden_shape", np.array([0, 0, model.width], np.int64))
    scale = constant("scale", np.array(1 / np.sqrt(size), np.float32))
    h = "x"
    for i in range(model.layers):
        q, k, v = (node("Reshape", linear(h, f"{i}.{name}"), heads_shape) for name in "qkv")
        q, v = (node("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        k = node("Transpose", k, perm=[0, 2, 3, 1])
        weights = node("Softmax", node("Mul", node("MatMul", q, k), scale), axis=-1)
        y = node("Transpose", node("MatMul", weights, v), perm=[0, 2, 1, 3])
        y = linear(node("Reshape", y, hidden_shape), f"{i}.o")
        h = norm(node("Add", h, y), f"{i}.norm1")
        up = linear(h, f"{i}.up")
        half = node("Mul", up, constant("half", np.array(0.5, np.float32)))
        erf = node("Erf", node("Div", up, constant("root2", np.array(np.sqrt(2), np.float32))))
        y = node("Mul", half, node("Add", erf, constant("one", np.array(1, np.float32))))
        h = norm(node("Add", h, linear(y, f"{i}.down")), f"{i}.norm2")
    nodes.append(helper.make_node("Identity", [h], ["y"]))
    shape = [1, "S", model.width]
    graph = helper.make_graph(nodes, "encoder", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], constants)  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write(folder, model, precision, onnx=False):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", model.weights, precision == "bf16")
    (folder / "encoder.mlir").write_text(mlir_of(model, precision))
    if onnx:
        write_onnx(str(folder / "encoder.onnx"), model)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    for name, value in (("layers", 12), ("width", 768), ("heads", 12), ("inner", 3072)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--onnx", action="store_true")
    a = parser.parse_args()
    write(a.folder, Encoder(a.layers, a.width, a.heads, a.inner), a.precision, a.onnx)


if __name__ == "__main__":
    main()
