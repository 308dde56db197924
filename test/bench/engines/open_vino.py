"""OpenVINO from its wheel.

The decoder is built of its own ops in the form its exporters give a stateful model: caches are variables that grow by
concatenation, key heads are repeated in front of scaled_dot_product_attention, norms and rotations are spelled out, all of
which its CPU plugin fuses. The cache has the products' element type rather than the 8 bits that are its default.
"""

import numpy as np

from .base import Engine


class OpenVino(Engine):
    name = "openvino"
    packages = ("openvino",)
    kinds = ("decoder", "encoder")
    dtypes = ("f32", "bf16")

    def available(self, kind, dtype):
        reason = super().available(kind, dtype)
        if reason:
            return reason
        import openvino

        able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "has no bf16 on this CPU" if dtype == "bf16" and "BF16" not in able else None

    def prepare(self, model, dtype, folder):
        import openvino

        self.model = model
        source = f"{model.folder}/encoder.onnx" if model.kind == "encoder" else build_decoder(model, self.options.capacity)
        hints = {"INFERENCE_PRECISION_HINT": dtype, "INFERENCE_NUM_THREADS": self.options.threads, "PERFORMANCE_HINT": "LATENCY",
                 "KV_CACHE_PRECISION": dtype, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}  # fmt: skip
        self.request = openvino.Core().compile_model(source, "CPU", hints).create_infer_request()

    def reset(self):
        if self.model.kind == "decoder":
            self.request.reset_state()
            self.length = 0

    def forward(self, inputs):
        if self.model.kind == "encoder":
            return self.request.infer({"x": inputs})["y"]
        start, self.length = self.length, self.length + len(inputs)
        positions = np.arange(start, self.length, dtype=np.int64)
        feed = {"ids": np.array([inputs], np.int64), "positions": positions, "beams": np.zeros(1, np.int32)}
        return self.request.infer(feed)["logits"][0]


def build_decoder(model, capacity):
    """ids [1, S], positions [S] -> logits [1, V] of the last position, over variables for keys and values."""
    import openvino
    from openvino import opset13 as op

    config, weights = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    epsilon = np.float32(config["rms_norm_eps"])

    def number(value, kind=np.int64):
        return op.constant(np.array(value, kind))

    def linear(x, name):
        return op.matmul(x, op.constant(weights[name]), False, True)

    def norm(x, name):
        mean = op.reduce_mean(op.power(x, number(2, np.float32)), number([-1]), True)
        scaled = op.multiply(x, op.divide(number(1, np.float32), op.sqrt(op.add(mean, number(epsilon, np.float32)))))
        return op.multiply(scaled, op.constant(weights[name]))

    ids = op.parameter([-1, -1], np.int64, name="ids")
    positions = op.parameter([-1], np.int64, name="positions")
    beams = op.parameter([-1], np.int32, name="beams")
    ids.output(0).tensor.set_names({"ids"})
    positions.output(0).tensor.set_names({"positions"})
    beams.output(0).tensor.set_names({"beams"})

    frequency = config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = np.tile(np.arange(capacity)[:, None] * frequency, 2).astype(np.float64)
    cos, sin = (op.unsqueeze(op.gather(op.constant(f(angles).astype(np.float32)), positions, number(0)), number([0, 1]))
                for f in (np.cos, np.sin))  # [1, 1, S, size]  # fmt: skip

    def heads_of(x, count):  # [1, S, count * size] -> [1, count, S, size]
        return op.transpose(op.reshape(x, number([0, 0, count, size]), True), number([0, 2, 1, 3]))

    def rotate(x):
        first = op.slice(x, number([0]), number([size // 2]), number([1]), number([3]))
        second = op.slice(x, number([size // 2]), number([size]), number([1]), number([3]))
        half = op.concat([op.multiply(second, number(-1, np.float32)), first], -1)
        return op.add(op.multiply(x, cos), op.multiply(half, sin))

    batch = op.gather(op.shape_of(ids), number([0]), number(0))
    empty = op.broadcast(number(0, np.float32), op.concat([batch, number([kv]), number([0]), number([size])], 0))
    assigns = []

    def cached(x, name):
        past = op.read_value(empty, name, openvino.Type.f32, openvino.PartialShape([-1, kv, -1, size]))
        grown = op.concat([op.gather(past, beams, number(0)), x], 2)
        assigns.append(op.assign(grown, name))
        return grown

    def repeated(x):  # [1, kv, T, size] -> [1, heads, T, size]
        if heads == kv:
            return x
        shape = number([1, 1, heads // kv, 1, 1])
        wide = op.broadcast(op.unsqueeze(x, number([2])), shape, broadcast_spec="BIDIRECTIONAL")
        return op.reshape(wide, number([0, heads, -1, size]), True)

    # Row i of the mask [1, 1, S, T]: 0 for positions up to its own, minus infinity beyond.
    last = op.add(op.gather(positions, number(-1), number(0)), number(1))
    keys = op.range(number(0), last, number(1), "i64")
    seen = op.less_equal(op.unsqueeze(keys, number([0])), op.unsqueeze(positions, number([1])))
    mask = op.select(seen, number(0, np.float32), number(np.finfo(np.float32).min, np.float32))
    mask = op.unsqueeze(mask, number([0, 1]))

    embedding = op.constant(weights["model.embed_tokens.weight"])
    h = op.gather(embedding, ids, number(0))
    for i in range(layers):
        p = f"model.layers.{i}."
        x = norm(h, p + "input_layernorm.weight")
        q, k, v = (heads_of(linear(x, p + f"self_attn.{n}_proj.weight"), c) for n, c in zip("qkv", (heads, kv, kv)))
        k, v = cached(rotate(k), f"k{i}"), cached(v, f"v{i}")
        y = op.scaled_dot_product_attention(rotate(q), repeated(k), repeated(v), mask)
        y = op.reshape(op.transpose(y, number([0, 2, 1, 3])), number([0, 0, heads * size]), True)
        h = op.add(h, linear(y, p + "self_attn.o_proj.weight"))
        x = norm(h, p + "post_attention_layernorm.weight")
        gated = op.multiply(op.swish(linear(x, p + "mlp.gate_proj.weight")), linear(x, p + "mlp.up_proj.weight"))
        h = op.add(h, linear(gated, p + "mlp.down_proj.weight"))
    x = norm(op.gather(h, number(-1), number(1)), "model.norm.weight")
    head = op.constant(weights["lm_head.weight"]) if "lm_head.weight" in weights else embedding
    logits = op.matmul(x, head, False, True)
    logits.output(0).tensor.set_names({"logits"})
    return openvino.Model([op.result(logits)], assigns, [ids, positions, beams], "decoder")
