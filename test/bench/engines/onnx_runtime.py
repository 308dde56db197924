"""ONNX Runtime from its wheel.

The decoder's graph is what its own generators write: fused Q, K and V, GroupQueryAttention with its rotation,
SkipSimplifiedLayerNormalization; logits of the last position. int8: MatMulNBits, blocks of 32, which rounds activations to
8 bits too.
"""

import numpy as np

from .base import Engine

MS = "com.microsoft"
BLOCK = 32


class OnnxRuntime(Engine):
    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    kinds = ("decoder", "encoder")
    dtypes = ("f32", "int8")

    def available(self, kind, dtype):
        if kind == "encoder":  # in f32 beside all types
            return super().available(kind, "f32")
        return super().available(kind, dtype)

    def label(self, dtype):
        is_f32 = self.model.kind == "encoder" and dtype != "f32"
        return f"{self.name} f32" if is_f32 else super().label(dtype)

    def prepare(self, model, dtype, folder):
        import onnxruntime

        self.model = model
        if model.kind == "encoder":
            path = f"{model.folder}/encoder.onnx"
        else:
            path = f"{folder}/decoder.onnx"
            self.past_names = write_decoder(path, model, self.options.capacity, dtype == "int8")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.options.threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def reset(self):
        if self.model.kind == "decoder":
            layers, _, kv, size = self.model.shape()
            self.past, self.length = [np.zeros((1, kv, 0, size), np.float32)] * (2 * layers), 0

    def forward(self, inputs):
        if self.model.kind == "encoder":
            return self.session.run(None, {"x": inputs})[0]
        self.length += len(inputs)
        feed = {"ids": np.array([inputs], np.int64), "seqlens": np.array([self.length - 1], np.int32),
                "total": np.array(self.length, np.int32)}  # fmt: skip
        logits, *self.past = self.session.run(None, {**feed, **dict(zip(self.past_names, self.past))})
        return logits[0]


def quantize(matrix):
    """[out, in] to 8-bit blocks with zero point 128: (uint8 [out, blocks, BLOCK], float32 scales [out * blocks])."""
    blocks = matrix.reshape(matrix.shape[0], -1, BLOCK)
    scale = np.maximum(np.abs(blocks).max(axis=2, keepdims=True) / 127, 1e-30)
    return (np.rint(blocks / scale) + 128).astype(np.uint8), scale.astype(np.float32).reshape(-1)


class Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, is_int8):
        self.nodes, self.constants, self.is_int8 = [], [], is_int8

    def constant(self, name, value):
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, op, inputs, outputs=1, domain="", **attributes):
        """A node's outputs, which are named where `outputs` lists names."""
        from onnx import helper

        names = [f"t{len(self.nodes)}"] if outputs == 1 else outputs
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def linear(self, x, name, matrix, outputs=1):
        """x · matrixᵀ."""
        if not self.is_int8:
            return self.node("MatMul", [x, self.constant(name, matrix.T)], outputs)
        values, scales = quantize(matrix)
        operands = [x, self.constant(name, values), self.constant(name + ".scale", scales)]
        rows, columns = matrix.shape
        return self.node("MatMulNBits", operands, outputs, MS, N=rows, K=columns, bits=8, block_size=BLOCK, accuracy_level=4)


def write_decoder(path, model, capacity, is_int8):
    """Writes the graph; returns the names of the inputs that hold the cache."""
    import onnx
    from onnx import TensorProto, helper

    config, weights = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    g = Graph(is_int8)
    frequency = config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = np.arange(capacity)[:, None] * frequency
    cos, sin = g.constant("cos", np.cos(angles).astype(np.float32)), g.constant("sin", np.sin(angles).astype(np.float32))
    embedding = weights["model.embed_tokens.weight"]
    h, skip = g.node("Gather", [g.constant("embed", embedding), "ids"]), None
    inputs, outputs = [], []

    def norm(h, skip, name):
        gamma, epsilon = g.constant(name, weights[name]), config["rms_norm_eps"]
        if skip is None:
            return g.node("SimplifiedLayerNormalization", [h, gamma], epsilon=epsilon, axis=-1), h
        made = g.node("SkipSimplifiedLayerNormalization", [h, skip, gamma], [f"n_{name}", "", "", f"s_{name}"], MS, epsilon=epsilon)
        return made[0], made[3]

    for i in range(layers):
        p = f"model.layers.{i}."
        x, h = norm(h, skip, p + "input_layernorm.weight")
        qkv = g.linear(x, f"{i}.qkv", np.concatenate([weights[p + f"self_attn.{n}_proj.weight"] for n in "qkv"]))
        past = [f"past_{i}_{n}" for n in "kv"]
        made = g.node("GroupQueryAttention", [qkv, "", "", *past, "seqlens", "total", cos, sin],
                      [f"att_{i}", f"present_{i}_k", f"present_{i}_v"], MS, num_heads=heads, kv_num_heads=kv, do_rotary=1)  # fmt: skip
        inputs += past
        outputs += made[1:]
        skip = g.linear(made[0], f"{i}.o", weights[p + "self_attn.o_proj.weight"])
        x, h = norm(h, skip, p + "post_attention_layernorm.weight")
        gate, up = (g.linear(x, f"{i}.{n}", weights[p + f"mlp.{n}_proj.weight"]) for n in ("gate", "up"))
        y = g.node("Mul", [g.node("Mul", [gate, g.node("Sigmoid", [gate])]), up])
        skip = g.linear(y, f"{i}.down", weights[p + "mlp.down_proj.weight"])
    x, h = norm(h, skip, "model.norm.weight")
    last = g.node("Gather", [x, g.constant("minus_one", np.array(-1, np.int64))], axis=1)
    g.linear(last, "head", weights.get("lm_head.weight", embedding), ["logits"])
    value, f32 = helper.make_tensor_value_info, TensorProto.FLOAT
    graph = helper.make_graph(
        g.nodes, "decoder",
        [value("ids", TensorProto.INT64, ["B", "S"]), value("seqlens", TensorProto.INT32, ["B"]),
         value("total", TensorProto.INT32, [])] + [value(n, f32, ["B", kv, "P", size]) for n in inputs],
        [value("logits", f32, ["B", config["vocab_size"]])] + [value(n, f32, ["B", kv, "T", size]) for n in outputs],
        g.constants)  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(made, path, save_as_external_data=True, location="decoder.data")
    return inputs
