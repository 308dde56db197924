#!/usr/bin/env python3
"""Compares decoders compiled by tfopt with ONNX Runtime: the same checkpoint in f32, one process, interleaved.

The graph for ONNX Runtime is what its own generators write: fused Q, K and V, GroupQueryAttention with its rotation,
SkipSimplifiedLayerNormalization; logits of the last position. Figures are medians of interleaved rounds.

usage: decoder.py BUILD CHECKPOINT [--threads 2] [--rounds 9] [--prompt 128 512] [--steps 64] [--precision f32|bf16]
"""

import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import struct
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from compare import SessionOptions, Tensor


def read_checkpoint(folder):
    """Config and tensors, as f32."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        raw = path.read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        for name, entry in json.loads(raw[8 : 8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + o for o in entry["data_offsets"])
            if entry["dtype"] == "BF16":
                values = (np.frombuffer(raw[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
            else:
                values = np.frombuffer(raw[begin:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
            tensors[name] = values.astype(np.float32).reshape(entry["shape"])
    return config, tensors


class OnnxDecoder:
    def __init__(self, config, tensors, folder, threads, capacity):
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        self.config = config
        heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        self.kv, self.size, self.layers = kv, size, config["num_hidden_layers"]
        nodes, constants = [], []

        def constant(name, value):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            return name

        def node(op, inputs, outputs=1, domain="", **attributes):
            names = [f"v{len(nodes)}_{i}" if isinstance(outputs, int) else outputs[i]
                     for i in range(outputs if isinstance(outputs, int) else len(outputs))]  # fmt: skip
            nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
            return names[0] if len(names) == 1 else names

        frequency = config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
        angles = np.arange(capacity)[:, None] * frequency
        cos, sin = constant("cos", np.cos(angles).astype(np.float32)), constant("sin", np.sin(angles).astype(np.float32))
        epsilon = config["rms_norm_eps"]
        ms = "com.microsoft"
        h = node("Gather", [constant("embed", tensors["model.embed_tokens.weight"]), "ids"])
        skip = None
        inputs, outputs = [], []

        def norm(h, skip, name):
            gamma = constant(name, tensors[name])
            if skip is None:
                return node("SimplifiedLayerNormalization", [h, gamma], epsilon=epsilon, axis=-1), h
            made = node("SkipSimplifiedLayerNormalization", [h, skip, gamma], [f"n_{name}", "", "", f"s_{name}"], ms, epsilon=epsilon)
            return made[0], made[3]

        for i in range(self.layers):
            p = f"model.layers.{i}."
            x, h = norm(h, skip, p + "input_layernorm.weight")
            qkv = np.concatenate([tensors[p + f"self_attn.{n}_proj.weight"] for n in "qkv"]).T
            qkv = node("MatMul", [x, constant(f"{i}.qkv", qkv)])
            past = [f"past_{i}_{n}" for n in "kv"]
            made = node("GroupQueryAttention", [qkv, "", "", *past, "seqlens", "total", cos, sin],
                        [f"att_{i}", f"present_{i}_k", f"present_{i}_v"], ms, num_heads=heads, kv_num_heads=kv, do_rotary=1)  # fmt: skip
            inputs += past
            outputs += made[1:]
            skip = node("MatMul", [made[0], constant(f"{i}.o", tensors[p + "self_attn.o_proj.weight"].T)])
            x, h = norm(h, skip, p + "post_attention_layernorm.weight")
            gate = node("MatMul", [x, constant(f"{i}.gate", tensors[p + "mlp.gate_proj.weight"].T)])
            up = node("MatMul", [x, constant(f"{i}.up", tensors[p + "mlp.up_proj.weight"].T)])
            y = node("Mul", [node("Mul", [gate, node("Sigmoid", [gate])]), up])
            skip = node("MatMul", [y, constant(f"{i}.down", tensors[p + "mlp.down_proj.weight"].T)])
        x, h = norm(h, skip, "model.norm.weight")
        last = node("Gather", [x, constant("minus_one", np.array(-1, np.int64))], axis=1)
        head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
        node("MatMul", [last, constant("head", head.T)], ["logits"])
        cache = ["B", kv, "P", size]
        graph = helper.make_graph(
            nodes, "decoder",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "S"]),
             helper.make_tensor_value_info("seqlens", TensorProto.INT32, ["B"]),
             helper.make_tensor_value_info("total", TensorProto.INT32, [])]
            + [helper.make_tensor_value_info(n, TensorProto.FLOAT, cache) for n in inputs],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", config["vocab_size"]])]
            + [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", kv, "T", size]) for n in outputs],
            constants)  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ms, 1)], ir_version=8)
        path = f"{folder}/decoder.onnx"
        onnx.save(model, path, save_as_external_data=True, location="decoder.data")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.past_names, self.reset = inputs, self.clear
        self.clear()

    def clear(self):
        empty = np.zeros((1, self.kv, 0, self.size), np.float32)
        self.past, self.length = [empty] * (2 * self.layers), 0

    def __call__(self, tokens):
        total = self.length + len(tokens)
        feed = {"ids": np.array([tokens], np.int64), "seqlens": np.array([total - 1], np.int32), "total": np.array(total, np.int32)}
        feed.update(zip(self.past_names, self.past))
        logits, *self.past = self.session.run(None, feed)
        self.length = total
        return logits[0]


class XfmDecoder:
    def __init__(self, build, checkpoint, folder, threads, precision):
        artifact = f"{folder}/model.tfa"
        subprocess.run([f"{build}/bin/tfopt", checkpoint, "-o", artifact, "-q", "--max-positions=2048", f"--precision={precision}"], check=True)
        self.api = ctypes.CDLL(str(next(pathlib.Path(build).glob("runtime/libxfm.so"))))
        self.api.xfm_last_error.restype = ctypes.c_char_p
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.api.xfm_model_open(artifact.encode(), None, ctypes.byref(model)))
        chosen = SessionOptions(ctypes.sizeof(SessionOptions), threads, 1, 0, 0)
        self.check(self.api.xfm_session_create(model, ctypes.byref(chosen), ctypes.byref(self.session)))

    def check(self, status):
        if status:
            raise RuntimeError(self.api.xfm_last_error().decode())

    def reset(self):
        self.api.xfm_session_reset(self.session)

    def __call__(self, tokens):
        ids = np.array([tokens], np.int32)
        entry = b"decode" if len(tokens) == 1 else b"prefill"
        given, made = Tensor(ids.ctypes.data, 3, 2, (ctypes.c_int64 * 8)(1, len(tokens))), Tensor()
        self.check(self.api.xfm_session_call(self.session, entry, ctypes.byref(given), 1))
        self.check(self.api.xfm_session_output(self.session, 0, ctypes.byref(made)))
        return np.ctypeslib.as_array(ctypes.cast(made.data, ctypes.POINTER(ctypes.c_float)), (made.dims[1],)).copy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("checkpoint")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompt", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--precision", default="f32")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config, tensors = read_checkpoint(a.checkpoint)
        engines = {"xfm " + a.precision: XfmDecoder(a.build, a.checkpoint, folder, a.threads, a.precision)}
        try:
            engines["onnxruntime f32"] = OnnxDecoder(config, tensors, folder, a.threads, 2048)
        except ImportError as error:
            print(f"missing: onnxruntime ({error})")
        tokens = [int(t) for t in np.random.default_rng(3).integers(3, config["vocab_size"], 600)]
        first = next(iter(engines))
        expected = None
        for name, run in engines.items():
            run.reset()
            logits = run(tokens[:16])
            expected = logits if expected is None else expected
            print(f"{name}: logits differ by {np.abs(logits - expected).max() / np.abs(expected).max():.1e} of the largest")
        print(f"{a.threads} threads, medians of {a.rounds} interleaved rounds")
        print(f"| test | engine | tokens/s | of {first} |\n|---|---|---|---|")
        tests = [(f"pp{n}", tokens[:n], 0) for n in a.prompt] + [(f"tg{a.steps}", tokens[:2], a.steps)]
        for test, prompt, steps in tests:
            rates = {name: [] for name in engines}
            for _ in range(a.rounds):
                for name, run in engines.items():
                    run.reset()
                    if steps:
                        run(prompt)
                    start = time.perf_counter()
                    for i in range(steps):
                        run([tokens[i]])
                    if not steps:
                        run(prompt)
                    rates[name].append((steps or len(prompt)) / (time.perf_counter() - start))
            base = statistics.median(rates[first])
            for name, list in rates.items():
                print(f"| {test} | {name} | {statistics.median(list):.1f} | {statistics.median(list) / base:.2f} |")


if __name__ == "__main__":
    main()
