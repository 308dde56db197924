#!/usr/bin/env python3
"""Writes derive.source.safetensors and derive.expected.safetensors for derive.mlir.

  derive.py [OUT_DIR]                                   default: this script's folder

Every derived weight of derive.mlir is computed here a second time, in float64 with NumPy and, where there is a choice,
by another route than the compiler's: bf16 through the mantissa, yarn's bounds by bisection. Deterministic.
"""
import json
import math
import os
import struct
import sys

import numpy as np

NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int32": "I32"}


class BF16:
    """float64 values rounded to bf16: eight bits of mantissa, ties to even."""

    def __init__(self, values):
        mantissa, exponent = np.frexp(np.asarray(values, np.float64))
        self.values = np.ldexp(np.rint(mantissa * 256), exponent - 8).astype(np.float32)

    shape = property(lambda self: self.values.shape)

    def tobytes(self):
        return (self.values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def save(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        dtype = "BF16" if isinstance(tensor, BF16) else NAMES[tensor.dtype.name]
        raw = tensor.tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def table(frequencies, positions, part, factor=1.0):
    angles = np.outer(np.arange(positions), frequencies)
    return ((np.cos if part == "cos" else np.sin)(angles) * factor).astype(np.float32)


def plain(theta, dim):
    return np.array([1.0 / theta ** (2 * i / dim) for i in range(dim // 2)])


def llama3(f, factor, low, high, length):
    turns = length * f / (2 * math.pi)  # in `length` positions
    s = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - s) * f / factor + s * f


def yarn(theta, dim, factor, beta_fast, beta_slow, length):
    def dimension(turns):  # where theta^(-2d/dim) * length / 2 pi == turns; the left side falls with d
        low, high = -1000.0, 1000.0
        for _ in range(200):
            middle = (low + high) / 2
            if length / (2 * math.pi) * theta ** (-2 * middle / dim) > turns:
                low = middle
            else:
                high = middle
        return low

    first = max(math.floor(dimension(beta_fast)), 0)
    last = min(math.ceil(dimension(beta_slow)), dim - 1)
    f = plain(theta, dim)
    keep = 1 - np.clip((np.arange(dim // 2) - first) / (last - first), 0, 1)
    return f / factor * (1 - keep) + f * keep


def sinusoid(positions, dim, split):
    even = [[math.sin(p / 10000 ** (j / dim)) for j in range(0, dim, 2)] for p in range(positions)]
    odd = [[math.cos(p / 10000 ** ((j - 1) / dim)) for j in range(1, dim, 2)] for p in range(positions)]
    if split:
        return np.hstack([even, odd]).astype(np.float32)
    out = np.empty((positions, dim), np.float32)
    out[:, 0::2], out[:, 1::2] = even, odd
    return out


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    rng = np.random.Generator(np.random.PCG64(7))
    a = rng.standard_normal((6, 10)).astype(np.float32)
    a[0, :4] = [0.0, 65519.0, 1 + 2.0 ** -8, 1 + 3 * 2.0 ** -8]  # ties of bf16, the last finite f16
    wide = rng.standard_normal((5, 7)) * 10.0 ** rng.integers(-6, 5, (5, 7))
    half = rng.standard_normal((3, 4)).astype(np.float16)
    brain = BF16(rng.standard_normal((3, 4)))
    big = rng.standard_normal((70, 45)).astype(np.float32)
    ids = rng.integers(-100, 100, (4, 6)).astype(np.int32)
    row = rng.standard_normal(4).astype(np.float32)
    save(os.path.join(out, "derive.source.safetensors"),
         {"a": a, "wide": wide, "half": half, "brain": brain, "big": big, "ids": ids, "row": row})

    def low_rank(matrix, rank):
        left, values, right = np.linalg.svd(matrix.astype(np.float64))
        return ((left[:, :rank] * values[:rank]) @ right[:rank]).astype(np.float32)

    ext = [1.0, 1.25, 2.0, 4.5, 9.0, 40.0]
    expected = {
        "a.bf16": BF16(a.astype(np.float64)), "a.f16": a.astype(np.float16), "wide.f32": wide.astype(np.float32),
        "wide.bf16": BF16(wide), "half.f32": half.astype(np.float32), "brain.f32": brain.values,
        "half.bf16": BF16(half.astype(np.float64)), "brain.f16": brain.values.astype(np.float16),
        "ids.f32": ids.astype(np.float32),
        "big.t": np.ascontiguousarray(big.T), "half.t.f32": np.ascontiguousarray(half.T).astype(np.float32),
        "ids.t": np.ascontiguousarray(ids.T), "wide.t": np.ascontiguousarray(wide.T),
        "cat0": np.concatenate([half, half, half]), "cat1": np.concatenate([half, brain.values], 1).astype(np.float32),
        "plus1": (a.astype(np.float64) + 1.0).astype(np.float32),
        "plus1.bf16": BF16(brain.values.astype(np.float64) + 1.0),
        "scaled": (a.astype(np.float64) * 8.03118920210451).astype(np.float32),
        "rows": a[2:5], "columns": np.ascontiguousarray(a[:, 3:4]), "rows.bf16": BF16(a[2:5].astype(np.float64)),
        "chain": BF16(np.ascontiguousarray(big.T[10:20]).astype(np.float64)),
        "cos.linear": table(plain(1e4, 8) / 4.0, 20, "cos"),
        "cos.longrope": table(plain(1e4, 12) / ext, 16, "cos", 1.1902380714238083),
        "sin.longrope": table(plain(1e4, 12) / ext, 16, "sin", 1.1902380714238083),
        "sin.bf16": BF16(np.sin(np.outer(np.arange(9), plain(1e4, 8)))),
        "sinusoid.split": sinusoid(10, 6, True), "sinusoid.interleaved": sinusoid(10, 6, False),
        "sinusoid.odd": sinusoid(5, 5, True),
        "filled": BF16(np.full((3, 2), -0.3)),
        "scaled.columns": (half.astype(np.float64) * row.astype(np.float64)).astype(np.float32),
        "sum": (2 * half.astype(np.float64) + brain.values.astype(np.float64)).astype(np.float32),
        "product": (big.astype(np.float64) @ big.T.astype(np.float64)).astype(np.float32),
        "product.vector": (half.astype(np.float64) @ row.astype(np.float64)).astype(np.float32),
        "tall.low": low_rank(big, 3), "wide.low": low_rank(big.T, 3),
    }
    for part in ("cos", "sin"):
        expected[part + ".none"] = table(plain(1e4, 8), 300, part)
        expected[part + ".llama3"] = table(llama3(plain(5e5, 64), 32.0, 1.0, 4.0, 8192), 16, part)
        expected[part + ".yarn"] = table(yarn(1e6, 64, 4.0, 32.0, 1.0, 32768), 16, part, 1.138629436111989)
    save(os.path.join(out, "derive.expected.safetensors"), expected)


if __name__ == "__main__":
    main()
