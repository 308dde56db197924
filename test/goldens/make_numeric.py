#!/usr/bin/env python3
"""Writes test/numeric/<name>.safetensors, the inputs and expected outputs of every function there.

Expected outputs are computed in float64 from the stored inputs, with NumPy formulas written from the ops'
definitions and, where PyTorch has the op, with PyTorch too: the two must agree to 1e-13 and PyTorch's result is
stored. Nothing here calls the compiler. Needs numpy and torch (2.5 or later).

Names: <function>/<case>/in<i> and out<i>, where i counts tensors and skips caches; a case of a function with caches
is several calls, <function>/<case>/call<j>/in<i> and out<i>; inputs of static shape (weights) are the same in every
case and call and named <function>/in<i>.

usage: make_numeric.py [FOLDER]        (default: test/numeric)
"""

import json
import math
import pathlib
import re
import struct
import sys
import zlib

import numpy as np
import torch
import torch.nn.functional as F

# Sizes of the cases: every function sees 1, 2 and 17.
CASES = [{"B": 1, "S": 1}, {"B": 2, "S": 2}, {"B": 2, "S": 17}]
CHUNKS = [1, 2, 17]

REFERENCES = {}


def reference(*names, **options):
    """Registers the reference of functions of the .mlir files. It takes the inputs (float64 or int arrays) and
    returns the list of outputs."""

    def register(fn):
        for name in names:
            assert name not in REFERENCES, name
            REFERENCES[name] = (fn, options)
        return fn

    return register


def both(ours, torchs):
    """PyTorch's result, after it was seen to be ours."""
    theirs = torchs.numpy()
    scale = max(np.abs(theirs).max(), 1e-300) if theirs.size else 1
    assert ours.shape == theirs.shape and (np.abs(ours - theirs).max() if theirs.size else 0) <= 1e-13 * scale
    return theirs


def t(array):
    return torch.from_numpy(np.ascontiguousarray(array))


# ------------------------------------------------------------------------------------------------------------------
# Operations
# ------------------------------------------------------------------------------------------------------------------


@reference("embedding_f32", "embedding_bf16", "embedding_narrow", "embedding_ids_1d")
def embedding(ids, table):
    return [both(table[ids], F.embedding(t(ids.astype(np.int64)), t(table)))]


@reference(
    "linear_f32", "linear_bias", "linear_odd", "linear_one_column", "linear_bf16_weight", "linear_bf16",
    "linear_bf16_to_f32", "linear_rank2", "linear_rank1",
)
def linear(x, w, b=None):
    ours = np.einsum("...k,nk->...n", x, w) + (0 if b is None else b)
    return [both(ours, F.linear(t(x), t(w), None if b is None else t(b)))]


def layer_norm_with(epsilon):
    def layer_norm(x, scale, bias=None):
        centred = x - x.mean(-1, keepdims=True)
        ours = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale
        ours = ours + (0 if bias is None else bias)
        return [both(ours, F.layer_norm(t(x), x.shape[-1:], t(scale), None if bias is None else t(bias), epsilon))]

    return layer_norm


def rms_norm_with(epsilon):
    def rms_norm(x, scale):
        ours = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * scale
        return [both(ours, F.rms_norm(t(x), x.shape[-1:], t(scale), epsilon))]

    return rms_norm


reference("layer_norm_f32", "layer_norm_bf16", "layer_norm_one")(layer_norm_with(1e-5))
reference("layer_norm_no_bias")(layer_norm_with(1e-12))
reference("rms_norm_f32", "rms_norm_to_bf16", "rms_norm_bf16")(rms_norm_with(1e-6))
reference("rms_norm_odd")(rms_norm_with(1e-2))

erf = np.vectorize(math.erf, otypes=[np.float64])


def silu(x):
    return both(x / (1 + np.exp(-x)), F.silu(t(x)))


def gelu_erf(x):
    return both(0.5 * x * (1 + erf(x / math.sqrt(2))), F.gelu(t(x)))


def gelu_tanh(x):
    ours = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return both(ours, F.gelu(t(x), approximate="tanh"))


reference("silu_f32", "silu_bf16", "silu_rank1", spread=4.0)(lambda x: [silu(x)])
reference("gelu_erf_f32", spread=2.0)(lambda x: [gelu_erf(x)])
reference("gelu_tanh_f32", "gelu_tanh_bf16_to_f32", spread=2.0)(lambda x: [gelu_tanh(x)])
reference("relu_f32")(lambda x: [both(np.maximum(x, 0), F.relu(t(x)))])
reference("quick_gelu_f32", spread=3.0)(lambda x: [both(x / (1 + np.exp(-1.702 * x)), t(x) * torch.sigmoid(1.702 * t(x)))])


def gated_mlp_with(activation):
    def gated_mlp(x, gate, up, down):
        return linear(activation(linear(x, gate)[0]) * linear(x, up)[0], down)

    return gated_mlp


reference("swiglu_f32", "swiglu_bf16", "swiglu_bf16_to_f32", spread=2.0)(gated_mlp_with(silu))
reference("geglu_f32", spread=2.0)(gated_mlp_with(gelu_erf))
reference("geglu_tanh_f32", spread=2.0)(gated_mlp_with(gelu_tanh))


def rope_with(interleaved):
    """Each pair is a complex number times e^(i angle): tables hold any numbers here, so c + i s is used as given."""

    def rope(x, cos, sin, offsets):
        half = cos.shape[1]
        positions = offsets[:, None] + np.arange(x.shape[1])  # [B, S]
        turn = (cos + 1j * sin)[positions][:, :, None, :]  # [B, S, 1, half]
        first = x[..., 0 : 2 * half : 2] if interleaved else x[..., :half]
        second = x[..., 1 : 2 * half : 2] if interleaved else x[..., half : 2 * half]
        turned = (first + 1j * second) * turn
        y = x.copy()
        if interleaved:
            y[..., 0 : 2 * half : 2], y[..., 1 : 2 * half : 2] = turned.real, turned.imag
        else:
            y[..., :half], y[..., half : 2 * half] = turned.real, turned.imag
        return [y]

    return rope


reference("half_split_8", "half_split_64", "half_split_partial", "half_split_bf16")(rope_with(False))
reference("interleaved_8", "interleaved_partial", "interleaved_to_bf16")(rope_with(True))


def visible(queries, keys, mask, window=0):
    """[Sq, Sk], whether query i (at position keys - queries + i) sees key j."""
    i = np.arange(queries)[:, None] + keys - queries
    j = np.arange(keys)[None, :]
    seen = np.ones((queries, keys), bool)
    if mask != "none":
        seen &= j <= i
    if mask == "window":
        seen &= j > i - window
    return seen


def attention_with(scale, mask, window=0, softcap=None):
    def attention(q, k, v, bias=None):
        queries, keys, group = q.shape[1], k.shape[1], q.shape[2] // k.shape[2]
        seen = visible(queries, keys, mask, window)
        wide_k, wide_v = np.repeat(k, group, axis=2), np.repeat(v, group, axis=2)
        scores = scale * np.einsum("bqhd,bkhd->bhqk", q, wide_k)
        if softcap is not None:
            scores = softcap * np.tanh(scores / softcap)
        if bias is not None:
            scores = scores + bias
        scores = np.where(seen, scores, -np.inf)
        # A query that sees no key gives zeros.
        largest = np.where(seen.any(-1), scores.max(-1), 0.0)
        weights = np.exp(scores - largest[..., None])
        weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
        ours = np.einsum("bhqk,bkhd->bqhd", weights, wide_v)
        if softcap is not None:  # which PyTorch's attention lacks
            return [ours]
        added = torch.where(t(seen), 0.0, -math.inf).double()
        if bias is not None:
            added = added + t(bias)
        theirs = F.scaled_dot_product_attention(
            t(q).transpose(1, 2), t(k).transpose(1, 2), t(v).transpose(1, 2), attn_mask=added.expand(
                q.shape[0], q.shape[2], queries, keys), scale=scale, enable_gqa=True,
        ).transpose(1, 2)
        # PyTorch leaves rows without a key undefined or 0, depending on its version.
        theirs[:, ~t(seen).any(-1)] = 0.0
        return [both(ours, theirs)]

    return attention


root8 = 1 / math.sqrt(8)
reference("attention_none", "attention_bias")(attention_with(root8, "none"))
reference("attention_causal")(attention_with(root8, "causal"))
reference("attention_cross", K=lambda s: s + 3)(attention_with(root8, "causal"))
reference("attention_few_keys", K=lambda s: max(1, s - 5))(attention_with(root8, "causal"))
reference("attention_cross_window", K=lambda s: s + 3)(attention_with(root8, "window", 3))
reference("attention_window")(attention_with(root8, "window", 5))
reference("attention_bf16_to_f32")(attention_with(root8, "window", 4))
reference("attention_window_1")(attention_with(0.5, "window", 1))
reference("attention_gqa", "attention_bf16")(attention_with(1 / math.sqrt(32), "causal"))
reference("attention_mqa")(attention_with(0.125, "causal"))
reference("attention_48")(attention_with(1 / math.sqrt(48), "none"))
reference("attention_softcap")(attention_with(1.0, "causal", softcap=2.5))
reference("attention_bias_shared")(attention_with(root8, "causal", softcap=5.0))

# ------------------------------------------------------------------------------------------------------------------
# Caches: the reference sees all positions at once, the function chunk after chunk
# ------------------------------------------------------------------------------------------------------------------


def cached(attention):
    """Attention of each chunk over everything up to it, and the lengths."""

    def calls(chunks):
        outputs, keys, values = [], [], []
        for q, k, v in chunks:
            keys.append(k)
            values.append(v)
            y = attention(q, np.concatenate(keys, 1), np.concatenate(values, 1))[0]
            outputs.append([y, np.full(q.shape[0], sum(x.shape[1] for x in keys), np.int32)])
        return outputs

    return calls


reference("append_attend", calls=CHUNKS)(cached(attention_with(root8, "causal")))
reference("append_attend_none", calls=CHUNKS)(cached(attention_with(root8, "none")))
reference("append_attend_window", calls=CHUNKS)(cached(attention_with(1 / math.sqrt(32), "window", 4)))
# A chunk longer than the ring, then one that wraps around.
reference("append_attend_ring", calls=CHUNKS + [2, 1])(cached(attention_with(root8, "window", 4)))
reference("append_attend_ring_decode", calls=[1] * 8)(cached(attention_with(root8, "window", 3)))
reference("append_attend_bf16", calls=CHUNKS)(cached(attention_with(root8, "causal", softcap=3.0)))


@reference("lengths", calls=CHUNKS)
def lengths(chunks):
    outputs, held = [], 0
    for (k,) in chunks:
        after = held + k.shape[1]
        outputs.append([np.full(k.shape[0], n, np.int32) for n in (held, after, 0)])
        held = after
    return outputs


@reference("llama_layer", calls=CHUNKS)
def llama_layer(chunks):
    """The whole sequence in one go, then cut: causal attention makes that the same."""
    norm, wq, wk, wv, wo, gate, up, down, cos, sin = chunks[0][1:]
    x = np.concatenate([chunk[0] for chunk in chunks], 1)
    batch, length, _ = x.shape
    rms, start = rms_norm_with(1e-5), np.zeros(batch, np.int32)
    n = rms(x, norm)[0]
    q, k, v = (linear(n, w)[0].reshape(batch, length, -1, 8) for w in (wq, wk, wv))
    rope = rope_with(False)
    a = attention_with(root8, "causal")(rope(q, cos, sin, start)[0], rope(k, cos, sin, start)[0], v)[0]
    h = x + linear(a.reshape(batch, length, -1), wo)[0]
    y = h + gated_mlp_with(silu)(rms(h, norm)[0], gate, up, down)[0]
    ends = np.cumsum([chunk[0].shape[1] for chunk in chunks])
    return [[part] for part in np.split(y, ends[:-1], 1)]


# ------------------------------------------------------------------------------------------------------------------
# Forms that passes leave
# ------------------------------------------------------------------------------------------------------------------


def heads_of(x, wqkv, bqkv=None):
    """Queries, keys and values of four and two heads, each by rows of its own of the merged matrix."""
    rows = (slice(0, 32), slice(32, 48), slice(48, 64))
    biases = [None if bqkv is None else bqkv[r] for r in rows]
    return [linear(x, wqkv[r], b)[0].reshape(*x.shape[:2], -1, 8) for r, b in zip(rows, biases)]


@reference("merged_layer", calls=CHUNKS)
def merged_layer(chunks):
    norm, wqkv, bqkv, wo, gate, up, down, cos, sin = chunks[0][1:]
    x = np.concatenate([chunk[0] for chunk in chunks], 1)
    batch, length, _ = x.shape
    rms, start, rope = rms_norm_with(1e-5), np.zeros(batch, np.int32), rope_with(False)
    q, k, v = heads_of(rms(x, np.ones(32))[0], wqkv, bqkv)
    a = attention_with(1.0, "causal")(rope(q, cos, sin, start)[0], rope(k, cos, sin, start)[0], v)[0]
    h = x + linear(a.reshape(batch, length, -1), wo)[0]
    y = h + gated_mlp_with(silu)(rms(h, norm)[0], gate, up, down)[0]
    ends = np.cumsum([chunk[0].shape[1] for chunk in chunks])
    return [[part] for part in np.split(y, ends[:-1], 1)]


@reference("narrowed_block")
def narrowed_block(x, norm, w):
    """Of all positions, then the last one."""
    return [(x + linear(rms_norm_with(1e-5)(x, norm)[0], w)[0])[:, -1]]


@reference("normed_heads")
def normed_heads(x, wqkv, norm):
    q, k, v = heads_of(x, wqkv)
    return attention_with(root8, "causal")(rms_norm_with(1e-5)(q, norm)[0], k, v)


# ------------------------------------------------------------------------------------------------------------------
# arith, math, linalg, tensor, scf
# ------------------------------------------------------------------------------------------------------------------

reference("add")(lambda a, b: [a + b])
reference("mul_truncf")(lambda a, b: [a * b])
reference("extf_sub_div", away_from_zero=True)(lambda a, b: [(a - b) / b])
reference("clamp_by_select")(lambda a, b: [np.maximum(a, b)])
reference("positions")(lambda ids: [ids * 3 - 3 + np.fmod(ids * 3 - 3, 3)])
reference("broadcast_add")(lambda a, b: [a + b])
reference("sum_of_squares")(lambda a: [np.einsum("bsk,bsk->bs", a, a)])
reference("add_position_rows")(lambda a, table: [a + table[: a.shape[1]]])
reference("softmax_last")(lambda a: [both(softmax(a, 2), torch.softmax(t(a), 2))])
reference("softmax_middle")(lambda a: [both(softmax(a, 1), torch.softmax(t(a), 1))])


def softmax(a, axis):
    e = np.exp(a - a.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@reference("math_functions")
def math_functions(a):
    fused = np.sqrt(np.exp(np.tanh(a))) * erf(a) + a
    return [1 / np.sqrt(np.exp2(np.abs(np.maximum(np.sin(fused), np.cos(a)))))]


@reference("named_ops")
def named_ops(a, b):
    sums = np.einsum("bsi,bsj->b", a, b)
    return [sums[:, None, None] * b, sums]


@reference("heads")
def heads(a):
    split = a.reshape(*a.shape[:2], 4, 8)
    return [split, split[..., :4].reshape(*a.shape[:2], 16)]


reference("last_position")(lambda a: [a[:, -1]])


@reference("insert_steps")
def insert_steps(a, b):
    y = a.copy()
    y[:, :, 1::2] = b
    return [y, b[0]]


@reference("concat_pad")
def concat_pad(a, b):
    joined = np.concatenate([a, b], 2)
    return [np.pad(joined, ((0, 0), (0, 0), (1, 1)), constant_values=-1.5)]


@reference("running_sum")
def running_sum(a):
    signs = np.where(np.arange(a.shape[1]) % 2 == 0, 1.0, -1.0)
    return [np.cumsum(a * signs[None, :, None], 1)]


# ------------------------------------------------------------------------------------------------------------------
# Inputs
# ------------------------------------------------------------------------------------------------------------------

ARGUMENT = re.compile(r"%(\w+): (tensor<([^>]*)>|!transformer\.kv_cache<[^>]*>) \{([^}]*)\}")


class Argument:
    """One argument of a function as its signature says."""

    def __init__(self, match):
        self.name, attributes = match[1], match[4]
        self.is_cache = match[3] is None
        if self.is_cache:
            return
        *dims, self.dtype = match[3].split("x")
        names = re.findall(r'"([^"]*)"', attributes.split("transformer.dims")[1].split("]")[0])
        assert len(names) == len(dims)
        self.dims = [name if dim == "?" else int(dim) for dim, name in zip(dims, names)]
        self.is_static = all(isinstance(dim, int) for dim in self.dims)
        limits = re.search(r"transformer\.range = \[(\d+), (\d+)\]", attributes)
        self.range = (int(limits[1]), int(limits[2])) if limits else None

    def make(self, rng, sizes, options):
        """Values that the argument's element type holds exactly."""
        shape = [dim if isinstance(dim, int) else sizes[dim] for dim in self.dims]
        if self.dtype == "i32":
            return rng.integers(*self.range, shape).astype(np.int32)
        values = rng.standard_normal(shape) * options.get("spread", 1.0)
        if len(shape) == 2 and self.is_static and self.name not in ("cos", "sin", "table"):
            values /= math.sqrt(shape[1])
        if options.get("away_from_zero"):
            values = np.sign(values) * (np.abs(values) + 0.5)
        return round_to(self.dtype, values)


def round_to(dtype, values):
    """float64 values, rounded to nearest even in float32 or bfloat16."""
    return torch.from_numpy(values).to({"f32": torch.float32, "bf16": torch.bfloat16}[dtype]).double().numpy()


def functions(path):
    """Name and arguments of each function of an .mlir file."""
    for match in re.finditer(r"func\.func @(\w+)\((.*?)\n  \) ->", path.read_text(), re.DOTALL):
        yield match[1], [Argument(m) for m in ARGUMENT.finditer(match[2])]


def make_function(name, arguments, store):
    """Adds every case of a function to `store`."""
    compute, options = REFERENCES.pop(name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arguments = [argument for argument in arguments if not argument.is_cache]
    shared = {a.name: a.make(rng, {}, options) for a in arguments if a.is_static}
    for i, argument in enumerate(arguments):
        if argument.is_static:
            store.add(f"{name}/in{i}", argument.dtype, shared[argument.name])

    def one_call(prefix, sizes):
        values = []
        for i, argument in enumerate(arguments):
            values.append(shared[argument.name] if argument.is_static else argument.make(rng, sizes, options))
            if not argument.is_static:
                store.add(f"{prefix}/in{i}", argument.dtype, values[-1])
        return values

    def add_outputs(prefix, outputs):
        for i, output in enumerate(outputs):
            store.add(f"{prefix}/out{i}", "i32" if output.dtype == np.int32 else "f64", output)

    if "calls" in options:
        for batch in (1, 2):
            case = f"{name}/b{batch}s" + "_".join(str(s) for s in options["calls"])
            chunks = [one_call(f"{case}/call{j}", {"B": batch, "S": s}) for j, s in enumerate(options["calls"])]
            for j, outputs in enumerate(compute(chunks)):
                add_outputs(f"{case}/call{j}", outputs)
        return
    used = {dim for a in arguments for dim in a.dims if isinstance(dim, str)}
    for sizes in CASES if used else [{}]:
        if "K" in options:
            sizes = {**sizes, "K": options["K"](sizes["S"])}
        case = "".join(f"{dim.lower()}{sizes[dim]}" for dim in sorted(used)) or "static"
        add_outputs(f"{name}/{case}", compute(*one_call(f"{name}/{case}", sizes)))


# ------------------------------------------------------------------------------------------------------------------
# safetensors
# ------------------------------------------------------------------------------------------------------------------


class Store:
    """Collects tensors and writes them as safetensors: a length, a JSON header, the bytes."""

    def __init__(self):
        self.tensors = {}

    def add(self, name, dtype, values):
        assert name not in self.tensors
        if dtype == "bf16":
            data = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy()
        else:
            data = values.astype({"f32": "<f4", "f64": "<f8", "i32": "<i4"}[dtype])
        self.tensors[name] = (dtype.upper(), list(values.shape), np.ascontiguousarray(data).tobytes())

    def write(self, path):
        header, offset = {}, 0
        # Wide elements first, so that every tensor is aligned.
        order = sorted(self.tensors, key=lambda n: (-int(re.sub(r"\D", "", self.tensors[n][0])), n))
        for name in order:
            dtype, shape, data = self.tensors[name]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
            offset += len(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                file.write(self.tensors[name][2])


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "numeric"
    total = 0
    for path in sorted(folder.glob("*.mlir")):
        store = Store()
        for name, arguments in functions(path):
            make_function(name, arguments, store)
        store.write(path.with_suffix(".safetensors"))
        total += path.with_suffix(".safetensors").stat().st_size
    assert not REFERENCES, f"no function for the references {sorted(REFERENCES)}"
    print(f"{total} bytes")


if __name__ == "__main__":
    main()
