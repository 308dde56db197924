#!/usr/bin/env python3
"""Goldens of the decoder families: logits and greedy continuations of the models of test/tools/tiny_model.py.

usage: make_families.py --oracle ORACLE.py [--out test/e2e/families/goldens] [FAMILY]...

ORACLE.py is a float64 implementation that shares nothing with the compiler: a module with a class Model(folder) that
has logits(ids) -> [1, S, vocabulary] and greedy(ids, steps) -> ids. Granite is computed here, from its formulas:
Llama's with x = E[ids] * embedding_multiplier, scores q . k * attention_multiplier, x += residual_multiplier * branch
and logits / logits_scaling (arXiv:2405.04324).

Written are FAMILY.npy [1, 40, 96] f32 (rounded from f64: 6e-8 relative) and greedy.json, the continuation of the first
20 ids by 16. Of those the least distance between the two largest logits is printed: how much arithmetic may differ.
"""

import argparse
import importlib.util
import json
import pathlib
import struct
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/tools"))
import tiny_model  # noqa: E402

PROMPT, GENERATED = 20, 16


class Granite:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        data = (folder / "model.safetensors").read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        self.weights = {}
        for name, entry in json.loads(data[8 : 8 + length]).items():
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
            self.weights[name] = values.astype(np.float64).reshape(entry["shape"])

    def norm(self, x, name):
        return self.weights[name] * x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.config["rms_norm_eps"])

    def attend(self, a, layer):
        heads, kv_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        count, size = a.shape[0], self.config["hidden_size"] // heads
        angle = np.arange(count)[:, None] * self.config["rope_theta"] ** (-2.0 * np.arange(size // 2) / size)

        def project(name, n):
            return (a @ self.weights[f"{layer}.self_attn.{name}_proj.weight"].T).reshape(count, n, size).swapaxes(0, 1)

        def rotate(x):
            turned = (x[..., : size // 2] + 1j * x[..., size // 2 :]) * np.exp(1j * angle)
            return np.concatenate([turned.real, turned.imag], -1)

        q = rotate(project("q", heads)).reshape(kv_heads, heads // kv_heads, count, size)
        k, v = rotate(project("k", kv_heads)), project("v", kv_heads)
        scores = np.einsum("hgid,hjd->hgij", q, k) * self.config["attention_multiplier"]
        scores[..., np.triu(np.ones((count, count), bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        joined = np.einsum("hgij,hjd->ihgd", weights, v).reshape(count, heads * size)
        return joined @ self.weights[f"{layer}.self_attn.o_proj.weight"].T

    def feed_forward(self, b, layer):
        gate, up = (b @ self.weights[f"{layer}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{layer}.mlp.down_proj.weight"].T

    def logits(self, ids):
        embedding, factor = self.weights["model.embed_tokens.weight"], self.config["residual_multiplier"]
        x = embedding[np.asarray(ids)] * self.config["embedding_multiplier"]
        for i in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{i}"
            x = x + factor * self.attend(self.norm(x, f"{layer}.input_layernorm.weight"), layer)
            x = x + factor * self.feed_forward(self.norm(x, f"{layer}.post_attention_layernorm.weight"), layer)
        return (self.norm(x, "model.norm.weight") @ embedding.T / self.config["logits_scaling"])[None]


def load_oracle(path):
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model


def continuation(model, ids):
    gap = np.inf
    for _ in range(GENERATED):
        last = model.logits(ids)[0, -1]
        second, first = np.argsort(last)[-2:]
        gap = min(gap, last[first] - last[second])
        ids = [*ids, int(first)]
    return ids[PROMPT:], gap


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--oracle", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "test/e2e/families/goldens")
    parser.add_argument("families", nargs="*", default=sorted(tiny_model.FAMILIES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    oracle, ids = load_oracle(arguments.oracle.resolve()), tiny_model.tokens()
    greedy_file = arguments.out / "greedy.json"
    greedy = json.loads(greedy_file.read_text()) if greedy_file.exists() else {}
    for family in arguments.families:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            tiny_model.write_model(folder, family)
            model = Granite(folder) if family == "granite" else oracle(str(folder))
            np.save(arguments.out / f"{family}.npy", model.logits(ids).astype(np.float32))
            greedy[family], gap = continuation(model, ids[:PROMPT])
            print(f"{family}: least gap between the two largest logits {gap:.3g}")
    greedy_file.write_text("{\n" + ",\n".join(f'"{k}": {json.dumps(greedy[k])}' for k in sorted(greedy)) + "\n}\n")


if __name__ == "__main__":
    main()
