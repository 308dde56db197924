#!/usr/bin/env python3
"""Goldens of examples/bard: its forward pass in float64, written from the formulas and nothing else.

usage: make_bard.py [--model examples/bard] [--out test/e2e/goldens]

The model, for a sequence of ids (h: hidden size, d: head size, no biases):
  x = E[ids]
  per layer   a = norm(x; w1)                                  norm(x; w) = w * x / sqrt(mean(x^2) + eps)
              q, k, v = a Wq^T, a Wk^T, a Wv^T in heads of d;  Zhang and Sennrich, arXiv:1910.07467
              q, k rotated by position                         Su et al., arXiv:2104.09864
              x += softmax(q k^T / sqrt(d), j <= i) v Wo^T     a key/value head serves a group of query heads,
                                                               Ainslie et al., arXiv:2305.13245
              b = norm(x; w2)
              x += (silu(b Wg^T) * (b Wu^T)) Wd^T              Shazeer, arXiv:2002.05202
  logits = norm(x; wf) E^T

The rotation turns the pair (i, i + d/2) by the angle position * theta^(-2 i / d).

Written are tokens.npy [1, 48] i64, logits.npy [1, 48, vocabulary] f32 (rounded from f64: 6e-8 relative, far below the
tests' tolerance), greedy.txt (what `tfrun -p ROMEO: --temperature 0` prints) and greedy.json (ids, and the least
distance between the two largest logits: how much arithmetic may differ before the text may).
"""

import argparse
import json
import pathlib
import re
import struct

import numpy as np

TEXT = """First Citizen:
Before we proceed any further, hear me speak.

All:
Speak, speak.

MENENIUS:
What work's, my countrymen, in hand? where go you
With bats and clubs? The matter? speak, I pray you.
"""
POSITIONS = 48
PROMPT = "ROMEO:"
GENERATED = 120


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = data[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "BF16":  # the upper half of an f32
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]])
        tensors[name] = values.astype(np.float64).reshape(entry["shape"])
    return tensors


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")
        self.embedding = self.weights["model.embed_tokens.weight"]
        self.head = self.embedding if self.config["tie_word_embeddings"] else self.weights["lm_head.weight"]

    def norm(self, x, name):
        scale = 1.0 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.config["rms_norm_eps"])
        return self.weights[name] * x * scale

    def rotate(self, x):  # [heads, S, d]
        d = x.shape[-1]
        frequency = float(self.config["rope_theta"]) ** (-2.0 * np.arange(d // 2) / d)
        angle = np.arange(x.shape[1])[:, None] * frequency  # [S, d/2]
        cos, sin = np.cos(angle), np.sin(angle)
        first, second = x[..., : d // 2], x[..., d // 2 :]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    def attend(self, a, layer):  # [S, h]
        heads, kv_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        count, d = a.shape[0], self.config["head_dim"]

        def project(name, n):
            weight = self.weights[f"{layer}.self_attn.{name}_proj.weight"]
            return (a @ weight.T).reshape(count, n, d).transpose(1, 0, 2)  # [n, S, d]

        q = self.rotate(project("q", heads))
        k = np.repeat(self.rotate(project("k", kv_heads)), heads // kv_heads, axis=0)
        v = np.repeat(project("v", kv_heads), heads // kv_heads, axis=0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(d)  # [heads, S, S]
        scores = np.where(np.tril(np.ones((count, count), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        joined = (weights @ v).transpose(1, 0, 2).reshape(count, heads * d)
        return joined @ self.weights[f"{layer}.self_attn.o_proj.weight"].T

    def feed_forward(self, b, layer):
        gate = b @ self.weights[f"{layer}.mlp.gate_proj.weight"].T
        up = b @ self.weights[f"{layer}.mlp.up_proj.weight"].T
        return (gate / (1.0 + np.exp(-gate)) * up) @ self.weights[f"{layer}.mlp.down_proj.weight"].T

    def logits(self, ids):  # [S] -> [S, vocabulary]
        x = self.embedding[np.asarray(ids)]
        for i in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{i}"
            x = x + self.attend(self.norm(x, f"{layer}.input_layernorm.weight"), layer)
            x = x + self.feed_forward(self.norm(x, f"{layer}.post_attention_layernorm.weight"), layer)
        return self.norm(x, "model.norm.weight") @ self.head.T


def byte_alphabet():
    """The printable characters that stand for the 256 bytes in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


class Tokenizer:
    """Byte-level BPE of ASCII text."""

    SPLIT = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")

    def __init__(self, folder):
        model = json.loads((folder / "tokenizer.json").read_text())["model"]
        self.ids = model["vocab"]
        pairs = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self.alphabet = byte_alphabet()

    def encode(self, text):
        ids = []
        for word in self.SPLIT.findall(text):
            pieces = [self.alphabet[b] for b in word.encode("ascii")]
            while len(pieces) > 1:
                rank, at = min((self.ranks.get(pair, 1 << 30), i) for i, pair in enumerate(zip(pieces, pieces[1:])))
                if rank == 1 << 30:
                    break
                pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
            ids += [self.ids[piece] for piece in pieces]
        return ids

    def decode(self, ids):
        pieces = {i: piece for piece, i in self.ids.items()}
        bytes_of = {c: b for b, c in self.alphabet.items()}
        return bytes(bytes_of[c] for i in ids for c in pieces[i])


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, default=root / "examples/bard")
    parser.add_argument("--out", type=pathlib.Path, default=root / "test/e2e/goldens")
    arguments = parser.parse_args()
    model, tokenizer = Model(arguments.model), Tokenizer(arguments.model)
    arguments.out.mkdir(parents=True, exist_ok=True)

    ids = tokenizer.encode(TEXT)[:POSITIONS]
    assert len(ids) == POSITIONS and tokenizer.decode(ids) == TEXT.encode()[: len(tokenizer.decode(ids))]
    np.save(arguments.out / "bard.tokens.npy", np.array([ids], np.int64))
    np.save(arguments.out / "bard.logits.npy", model.logits(ids)[None].astype(np.float32))

    ids, gap = tokenizer.encode(PROMPT), np.inf
    for _ in range(GENERATED):
        last = model.logits(ids)[-1]
        second, first = np.argsort(last)[-2:]
        gap = min(gap, last[first] - last[second])
        assert first != model.config["eos_token_id"]
        ids.append(int(first))
    (arguments.out / "bard.greedy.txt").write_bytes(tokenizer.decode(ids) + b"\n")
    (arguments.out / "bard.greedy.json").write_text(
        json.dumps({"prompt": PROMPT, "generated": GENERATED, "least_gap": float(gap), "ids": ids}) + "\n")
    print(f"least gap between the two largest logits: {gap:.3g}")


if __name__ == "__main__":
    main()
