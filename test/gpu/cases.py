#!/usr/bin/env python3
"""Writes the modules whose kernels are checked and measured on a GPU, and what to know about them.

usage: cases.py OUT_DIR             writes check/NAME.mlir, bench/NAME.mlir and cases.json
       cases.py --verify NAME ARCH  reads `tfrun --info --json` of a group of kernels from stdin and fails where its kernels
                                    for ARCH are not those of the templates it is named after

A group is a module whose kernels are all made by one template for each architecture (and by those that lead there); a case is
one of its entry points. Inputs and results of cases are f32, which .npy files have; narrower types are made of them at
the beginning. Needs Python's standard library alone.
"""

import json
import os
import sys

import bench_cases

ARCHS = ("sm_80", "sm_90a")


def tensor(shape, kind):
    """[B, 3] of f32 as tensor<?x3xf32>."""
    return "tensor<" + "".join(f"{'?' if isinstance(d, str) else d}x" for d in shape) + kind + ">"


def argument(name, shape, kind):
    dims = ", ".join(f'"{d if isinstance(d, str) else ""}"' for d in shape)
    return f'{tensor(shape, kind)} {{transformer.name = "{name}", transformer.dims = [{dims}]}}'


class Function:
    """An entry point: its inputs are f32 and rounded to the types asked for; `spec` is what reference.py computes."""

    def __init__(self, name, op, calls, tolerance, **spec):
        self.name, self.body, self.arguments, self.held = name, [], [], []
        self.spec = {"entry": name, "op": op, "inputs": [], "calls": calls, "tolerance": tolerance, **spec}

    def input(self, name, shape, kind="f32"):
        self.spec["inputs"].append({"name": name, "shape": shape, "type": kind})
        self.arguments.append(f"%{name}: {argument(name, shape, 'f32')}")
        if kind == "f32":
            return f"%{name}"
        self.body.append(f"%{name}_{kind} = arith.truncf %{name} : {tensor(shape, 'f32')} to {tensor(shape, kind)}")
        return f"%{name}_{kind}"

    def add(self, text):
        self.body.append(text)

    def text(self, shape, kind):
        results = [argument("y", shape, kind)] + [f'{cache} {{transformer.name = "{name}"}}' for name, cache in self.held]
        types = [tensor(shape, kind)] + [cache for _, cache in self.held]
        values = ["%y"] + [f"%longer_{name}" for name, _ in self.held]
        # Caches come first, as inputs of the function that are none of a call.
        arguments = [f'%{name}: {cache} {{transformer.name = "{name}"}}' for name, cache in self.held] + self.arguments
        body = "\n  ".join(self.body + [f"return {', '.join(values)} : {', '.join(types)}"])
        return f"func.func @{self.name}({', '.join(arguments)})\n    -> ({', '.join(results)}) {{\n  {body}\n}}\n", self.spec


def tolerance_of(kind):
    """Of the largest value of a result."""
    return {"f32": 1e-4, "f16": 4e-3, "bf16": 1e-2}[kind]


def linear(name, rows, n, k, kind, calls, weight=None, result="f32", finish=""):
    """finish: "" has a bias, "silu" a bias and an activation, "gated" a second product."""
    f = Function(name, "linear", calls, tolerance_of(result), result=result, finish=finish)
    weight = weight or kind
    y, w = tensor([*rows, n], result), tensor([n, k], weight)
    x, wide = f.input("x", [*rows, k], kind), tensor([*rows, k], kind)
    left = f.input("w", [n, k], weight)
    if finish == "gated":
        right = f.input("v", [n, k], weight)
        f.add(f"%g = transformer.linear {x}, {left} : {wide}, {w} -> {y}")
        f.add(f"%a = transformer.activation silu %g : {y} -> {y}")
        f.add(f"%u = transformer.linear {x}, {right} : {wide}, {w} -> {y}")
        f.add(f"%y = arith.mulf %a, %u : {y}")
    else:
        bias = f.input("b", [n])
        sums = "%s" if finish else "%y"
        f.add(f"{sums} = transformer.linear {x}, {left} bias {bias} : {wide}, {w}, tensor<{n}xf32> -> {y}")
        if finish:
            f.add(f"%y = transformer.activation {finish} %s : {y} -> {y}")
    return f.text([*rows, n], result)


def attention(name, positions, heads, kind, calls, mask="causal", keys=None, bias=False, cap=None, cache=None):
    """heads: of queries, of keys, and their dimensions. cache: "full" or "ring, N": keys are appended to it."""
    query, key, size = heads
    keys, scale = keys or kind, 1.0 if size < 16 else 0.2
    f = Function(name, "attention", calls, max(tolerance_of(kind), tolerance_of(keys)), result=kind, mask=mask.split(", "),
                 softcap=cap, scale=scale)
    wide, narrow = ["B", positions, query, size], ["B", positions if cache else "K", key, size]
    q, k, v = f.input("q", wide, kind), f.input("k", narrow, keys), f.input("v", narrow, keys)
    y, kv = tensor(wide, kind), tensor(narrow, keys)
    rest = f"scale {scale} mask <{mask}>" + (f" softcap {cap}" if cap else "")
    if cache:
        held = f"!transformer.kv_cache<{key} x {size} x {keys}, {cache}>"
        f.held.append((f"c_{name}", held))
        f.add(f"%longer_c_{name} = transformer.cache_append %c_{name}, {k}, {v} : {held}, {kv}, {kv}")
        f.add(f"%y = transformer.attention {q} cache %longer_c_{name} {rest} : {y}, {held} -> {y}")
    elif bias:
        shape = ["B", query, positions, "K"]
        f.add(f"%y = transformer.attention {q}, {k}, {v} bias {f.input('bias', shape)} {rest} : {y}, {kv}, {kv}, "
              f"{tensor(shape, 'f32')} -> {y}")
    else:
        f.add(f"%y = transformer.attention {q}, {k}, {v} {rest} : {y}, {kv}, {kv} -> {y}")
    return f.text(wide, kind)


def rows(name, op, size, kind, calls):
    shape = ["B", "S", size]
    f = Function(name, op, calls, tolerance_of(kind), result=kind)
    x, t = f.input("x", shape, kind), tensor(shape, kind)
    if op in ("rms_norm", "layer_norm"):
        w = f.input("w", [size])
        b = f" bias {f.input('b', [size])}" if op == "layer_norm" else ""
        types = f"{t}, tensor<{size}xf32>" + (f", tensor<{size}xf32>" if b else "")
        f.add(f"%y = transformer.{op} {x}, {w}{b} epsilon 1.0e-5 : {types} -> {t}")
    elif op == "softmax":
        f.add(softmax(x, shape, kind))
    elif op == "add":
        z = f.input("z", shape, kind)
        f.add(f"%y = arith.addf {x}, {z} : {t}")
    else:
        f.add(f"%y = transformer.activation {op} {x} : {t} -> {t}")
    return f.text(shape, kind)


def softmax(x, shape, kind):
    """Of the last dimension, in f32."""
    t, s, wide = tensor(shape, kind), tensor(shape[:-1], "f32"), tensor(shape, "f32")
    same, row = "affine_map<(b, s, i) -> (b, s, i)>", "affine_map<(b, s, i) -> (b, s)>"
    across = 'iterator_types = ["parallel", "parallel", "reduction"]'
    along = 'iterator_types = ["parallel", "parallel", "parallel"]'
    extend = "" if kind == "f32" else f"%e = arith.extf %i : {kind} to f32\n    "
    i = "%i" if kind == "f32" else "%e"
    narrow = ("%q", "") if kind == "f32" else ("%n", f"%n = arith.truncf %q : f32 to {kind}\n    ")
    return f"""%c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim {x}, %c0 : {t}
  %columns = tensor.dim {x}, %c1 : {t}
  %es = tensor.empty(%rows, %columns) : {s}
  %ew = tensor.empty(%rows, %columns) : {wide}
  %ey = tensor.empty(%rows, %columns) : {t}
  %lows = linalg.fill ins(%low : f32) outs(%es : {s}) -> {s}
  %zeros = linalg.fill ins(%zero : f32) outs(%es : {s}) -> {s}
  %most = linalg.generic {{indexing_maps = [{same}, {row}], {across}}} ins({x} : {t}) outs(%lows : {s}) {{
  ^bb0(%i: {kind}, %m: f32):
    {extend}%r = arith.maximumf %m, {i} : f32
    linalg.yield %r : f32
  }} -> {s}
  %exp = linalg.generic {{indexing_maps = [{same}, {row}, {same}], {along}}} ins({x}, %most : {t}, {s}) outs(%ew : {wide}) {{
  ^bb0(%i: {kind}, %m: f32, %o: f32):
    {extend}%d = arith.subf {i}, %m : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  }} -> {wide}
  %sum = linalg.generic {{indexing_maps = [{same}, {row}], {across}}} ins(%exp : {wide}) outs(%zeros : {s}) {{
  ^bb0(%i: f32, %m: f32):
    %r = arith.addf %m, %i : f32
    linalg.yield %r : f32
  }} -> {s}
  %y = linalg.generic {{indexing_maps = [{same}, {row}, {same}], {along}}} ins(%exp, %sum : {wide}, {s}) outs(%ey : {t}) {{
  ^bb0(%i: f32, %m: f32, %o: {kind}):
    %q = arith.divf %i, %m : f32
    {narrow[1]}linalg.yield {narrow[0]} : {kind}
  }} -> {t}"""


def elements(name, calls):
    """A product of two inputs, which no other template is for."""
    f = Function(name, "batch_matmul", calls, 1e-4, result="f32")
    a, b = f.input("a", ["B", 9, 17]), f.input("b", ["B", 17, 5])
    y = "tensor<?x9x5xf32>"
    f.add(f"""%c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim {a}, %c0 : tensor<?x9x17xf32>
  %empty = tensor.empty(%batch) : {y}
  %init = linalg.fill ins(%zero : f32) outs(%empty : {y}) -> {y}
  %y = linalg.batch_matmul ins({a}, {b} : tensor<?x9x17xf32>, tensor<?x17x5xf32>) outs(%init : {y}) -> {y}""")
    return f.text(["B", 9, 5], "f32")


def sizes(*pairs, names="BS"):
    return [dict(zip(names, pair)) for pair in pairs]


def groups():
    """name: (templates of sm_80, templates of sm_90a, cases)."""
    any_rows = sizes((1, 1), (2, 63), (1, 64), (3, 65), (1, 130), (1, 300))
    lengths = sizes((1, 1, 1), (2, 33, 33), (1, 64, 65), (2, 129, 129), (1, 40, 300), (1, 150, 257), names="BSK")
    decoded = sizes((1, 1), (2, 17), (1, 256), (3, 530), (1, 1025), names="BK")
    found = {}
    found["rows"] = {"rows"}, {"rows"}, [
        rows(f"{op}_{kind}_{size}", op, size, kind, sizes((1, 1), (2, 33), (1, 130)))
        for turn, op in enumerate(("rms_norm", "layer_norm", "softmax", "add", "silu", "gelu_erf", "gelu_tanh"))
        for kind, size in (("f32", (100, 2048)[turn % 2]), ("bf16", (4096, 7, 520)[turn % 3]), ("f16", (64, 1001)[turn % 2]))]
    found["gemv"] = {"rows", "gemv"}, {"rows", "gemv"}, [
        linear(f"gemv_{n}_{k}_{kind}", (1, 1), n, k, kind, [{}], finish=finish)
        for (n, k), finish in (((1000, 512), ""), ((7, 1000), "silu"), ((4100, 264), "gated")) for kind in ("f32", "bf16", "f16")
    ] + [linear("gemv_rows_f32", ("B", 1), 100, 1024, "f32", sizes((1,), (3,), (9,)))]
    found["skinny_gemm"] = {"rows", "skinny_gemm"}, {"rows", "skinny_gemm"}, [
        linear(f"skinny_{n}_{k}_{kind}", ("B", 1), n, k, kind, sizes((1,), (2,), (8,), (9,), (16,), (17,), (33,)), finish=finish)
        for (n, k), finish in (((1000, 512), ""), ((7, 1024), "silu"), ((100, 520), "gated"), ((8200, 40), ""))
        for kind in ("bf16", "f16")]
    shapes = (((8, 8), ""), ((128, 64), "silu"), ((129, 72), "gated"), ((200, 512), ""), ((1030, 40), "silu"), ((100, 50), ""))
    found["gemm"] = {"rows", "mma_gemm"}, {"rows", "wgmma_gemm"}, [
        linear(f"gemm_{n}_{k}_{kind}", ("B", "S"), n, k, kind, any_rows, result=result, finish=finish)
        for (n, k), finish in shapes for kind, result in (("bf16", "bf16"), ("f16", "f32"))]
    found["simt_gemm"] = {"rows", "simt_gemm"}, {"rows", "simt_gemm"}, [
        linear(f"simt_gemm_{n}_{k}_{weight}", ("B", "S"), n, k, "f32", any_rows, weight=weight, finish=finish)
        for (n, k), finish in (((64, 16), ""), ((65, 100), "silu"), ((200, 37), "gated")) for weight in ("f32", "bf16")]
    heads = ((2, 2, 16), (4, 2, 32), (8, 1, 64), (2, 1, 128), (3, 3, 96), (4, 1, 80))
    masks = ("causal", "none", "window, 40", "window, 200")
    prefill = [attention(f"attention_{q}_{k}_{d}_{kind}", "S", (q, k, d), kind, lengths, mask=masks[turn % 4],
                         cap=2.5 if turn % 3 == 1 else None)
               for turn, (q, k, d) in enumerate(heads) for kind in ("bf16", "f16")]
    found["attention"] = {"rows", "flash_attention"}, {"rows", "wgmma_attention"}, prefill
    found["flash_attention"] = {"rows", "flash_attention"}, {"rows", "flash_attention"}, [
        attention(f"flash_{q}_{k}_{d}", "S", (q, k, d), "bf16", lengths, bias=d < 200, mask=masks[turn % 4])
        for turn, (q, k, d) in enumerate(((2, 1, 64), (14, 2, 80), (4, 1, 256), (2, 2, 136), (3, 1, 8), (4, 2, 36))) if d < 200 or d == 256]
    cached = sizes((1, 1), (2, 40), (1, 130), (1, 600))
    # The lengths of a cache are advanced by a kernel of one thread, `tasks`.
    found["append"] = {"rows", "tasks", "append", "flash_attention"}, {"rows", "tasks", "append", "wgmma_attention"}, [
        attention(f"append_{q}_{k}_{d}", "S", (q, k, d), "bf16", cached, mask=mask, cache="full")
        for (q, k, d), mask in (((4, 2, 64), "causal"), ((2, 1, 128), "window, 50"))]
    found["append_ring"] = {"tasks", "append", "simt_attention"}, {"tasks", "append", "simt_attention"}, [
        attention("append_ring", "S", (4, 2, 20), "f32", cached, mask="window, 20", cache="ring, 20")]
    for name, cases in (("decode_attention", [((2, 2, 32), "bf16"), ((4, 1, 64), "f16"), ((8, 1, 128), "bf16"),
                                              ((14, 2, 80), "bf16"), ((2, 1, 256), "f16"), ((4, 2, 50), "bf16")]),
                        ("simt_decode_attention", [((4, 1, 64), "f32"), ((3, 3, 40), "f32"), ((2, 1, 33), "f32"),
                                                   ((8, 1, 256), "f32")])):
        templates = {"rows"} if name == "decode_attention" else set()
        found[name] = templates | {name, "attention_merge"}, templates | {name, "attention_merge"}, [
            attention(f"{name}_{q}_{k}_{d}", 1, (q, k, d), kind, decoded, mask=masks[turn % 4], bias=turn % 3 == 1,
                      cap=2.5 if turn == 2 else None) for turn, ((q, k, d), kind) in enumerate(cases)]
    for name, cases in (("simt_attention", ((2, 2, 32), (4, 1, 64), (10, 2, 36), (8, 1, 128))),
                        ("row_attention", ((2, 1, 129), (2, 2, 200), (1, 1, 300)))):
        found[name] = {name}, {name}, [
            attention(f"{name}_{q}_{k}_{d}", "S", (q, k, d), "f32", lengths, mask=masks[turn % 4], bias=turn % 3 == 1)
            for turn, (q, k, d) in enumerate(cases)]
    found["elements"] = {"elements"}, {"elements"}, [elements("batch_matmul", sizes((1,), (7,), names="B"))]
    return found


def verify(name, arch):
    info = json.load(sys.stdin)
    tables = [kernels for kernels in info.get("kernels", []) if kernels["arch"] == arch]
    if not tables:
        sys.exit(f"cases.py: error: '{name}' has no kernels for {arch}")
    found = {kernel["template"] for kernel in tables[0]["kernels"]}
    expected = (bench_cases.TEMPLATES.get(name) or groups()[name])[ARCHS.index(arch)]
    if found != set(expected):
        sys.exit(f"cases.py: error: expected the kernels of '{name}' for {arch} to be made by {', '.join(sorted(expected))}, "
                 f"but got {', '.join(sorted(found))}")
    problem = bench_cases.launches_missing(name, info["entry_points"]) if name in bench_cases.CASES else None
    if problem:
        sys.exit(f"cases.py: error: {problem}")


def write(folder):
    described = {"check": {}, "bench": bench_cases.describe(), "small": bench_cases.SMALL}
    for kind in ("check", "bench"):
        os.makedirs(os.path.join(folder, kind), exist_ok=True)
    for name, (*_, cases) in groups().items():
        with open(os.path.join(folder, "check", name + ".mlir"), "w", encoding="utf-8") as file:
            file.write("\n".join(text for text, _ in cases))
        described["check"][name] = [spec for _, spec in cases]
    bench_cases.write(os.path.join(folder, "bench"))
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as file:
        json.dump(described, file, indent=1)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--verify":
        if sys.argv[2] not in groups() and sys.argv[2] not in bench_cases.TEMPLATES or sys.argv[3] not in ARCHS:
            sys.exit(f"cases.py: error: there is no group '{sys.argv[2]}' for '{sys.argv[3]}'")
        verify(*sys.argv[2:])
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        write(sys.argv[1])
    else:
        sys.exit("usage: cases.py OUT_DIR, or cases.py --verify NAME ARCH < INFO.json")


if __name__ == "__main__":
    main()
