"""The modules of test/gpu/ that are measured. cases.py writes them.

Each has pairs of entry points of which one does `count` steps more than the other, so that launches, transfers and what stands around the
steps drop out of the difference. Inputs and results are small: what is large is a weight, plus a vector that is the
input, or it would be computed when compiling. XFM_SMALL=1 makes them as small as a CPU needs them, to try the scripts.
"""

import os

SMALL = os.environ.get("XFM_SMALL", "") not in ("", "0")


def tensor(shape, kind):
    return "tensor<" + "".join(f"{d}x" for d in shape) + kind + ">"


class Module:
    def __init__(self):
        self.weights, self.functions = {}, []

    def entry(self, name):
        return Entry(self, name)

    def text(self):
        weights = [f'transformer.weight @{name} : {kind} from "model.safetensors"' for name, kind in self.weights.items()]
        return "\n".join(weights + self.functions) + "\n"


class Entry:
    """A function of one vector of f32 `s`; values are (name, shape, type)."""

    def __init__(self, module, name):
        self.module, self.name, self.body, self.count = module, name, [], 0

    def value(self, text, shape, kind):
        self.count += 1
        self.body.append(f"%{self.count} = {text}")
        return f"%{self.count}", shape, kind

    def weight(self, name, shape, kind="bf16"):
        self.module.weights[name] = tensor(shape, kind)
        return self.value(f"transformer.use @{name} : {tensor(shape, kind)}", shape, kind)

    def fresh(self, weight, turn=0, after=None):
        """The weight plus the input, of as many dimensions, the last being the vector's; `turn` times the vector, so that
        no two are the same, and an element of `after`, so that what reads the one is no kernel with what makes the other."""
        name, shape, kind = weight
        rank, size = len(shape), shape[-1]
        dims = ", ".join(f"d{i}" for i in range(rank))
        maps = [f"affine_map<({dims}) -> ({d})>" for d in (dims, f"d{rank - 1}", dims)]
        loops = ", ".join(['"parallel"'] * rank)
        t = tensor(shape, kind)
        empty, *_ = self.value(f"tensor.empty() : {t}", shape, kind)
        last = ""
        if after:
            first = self.value("arith.constant 0 : index", [], "index")[0]
            last = f"""
    %late = tensor.extract {after[0]}[{', '.join([first] * len(after[1]))}] : {tensor(*after[1:])}
    %last = arith.addf %sum, %late : f32"""
        return self.value(f"""linalg.generic {{indexing_maps = [{', '.join(maps)}], iterator_types = [{loops}]}}
      ins({name}, %s : {t}, tensor<{size}xf32>) outs({empty} : {t}) {{
  ^bb0(%w: {kind}, %i: f32, %o: {kind}):
    %turn = arith.constant {turn + 1}.0 : f32
    %shift = arith.mulf %i, %turn : f32
    %wide = arith.extf %w : {kind} to f32
    %sum = arith.addf %wide, %shift : f32{last}
    %r = arith.truncf {"%last" if after else "%sum"} : f32 to {kind}
    linalg.yield %r : {kind}
  }} -> {t}""", shape, kind)

    def linear(self, x, w, result="bf16"):
        shape = [*x[1][:-1], w[1][0]]
        return self.value(f"transformer.linear {x[0]}, {w[0]} : {tensor(*x[1:])}, {tensor(*w[1:])} -> {tensor(shape, result)}",
                          shape, result)

    def attention(self, q, k, v, mask):
        t = tensor(*q[1:])
        return self.value(f"transformer.attention {q[0]}, {k[0]}, {v[0]} scale {q[1][-1] ** -0.5} mask <{mask}> : {t}, "
                          f"{tensor(*k[1:])}, {tensor(*v[1:])} -> {t}", *q[1:])

    def rms_norm(self, x, w):
        return self.value(f"transformer.rms_norm {x[0]}, {w[0]} epsilon 1.0e-5 : {tensor(*x[1:])}, {tensor(*w[1:])} -> "
                          f"{tensor(*x[1:])}", *x[1:])

    def add(self, x, y):
        return self.value(f"arith.addf {x[0]}, {y[0]} : {tensor(*x[1:])}", *x[1:])

    def done(self, y, size):
        t = tensor(*y[1:])
        self.module.functions.append(
            f'func.func @{self.name}(%s: tensor<{size}xf32> {{transformer.name = "s"}}) -> ({t} {{transformer.name = "y"}}) {{\n  '
            + "\n  ".join(self.body) + f"\n  return {y[0]} : {t}\n}}")


def gemm(size, count):
    module = Module()
    for name, steps in (("once", count), ("twice", 2 * count)):
        e = module.entry(name)
        x = e.fresh(e.weight("x", [1, size, size]))
        for _ in range(steps):
            x = e.linear(x, e.weight("w", [size, size]))
        e.done(e.linear(x, e.weight("last", [8, size]), "f32"), size)
    return module


def few_rows(rows, size, count):
    """Each matrix is used once, so that all of them go through the second-level cache."""
    module = Module()
    for name, first, steps in (("once", 0, count), ("twice", 0, 2 * count)):
        e = module.entry(name)
        x = e.fresh(e.weight("x", [1, rows, size]))
        for i in range(first, steps):
            x = e.linear(x, e.weight(f"w{i}", [size, size]))
        e.done(x, size)
    return module


def attention(batch, queries, keys, heads, mask, count):
    query, key, size = heads
    module = Module()
    for name, steps in (("once", count), ("twice", 2 * count)):
        e = module.entry(name)
        q = e.fresh(e.weight("q", [batch, queries, query, size]))
        k, v = (e.weight(n, [batch, keys, key, size]) for n in "kv")
        for _ in range(steps):
            q = e.attention(q, k, v, mask)
        shape = [batch, queries, query * size]
        joined = e.value(f"tensor.collapse_shape {q[0]} [[0], [1], [2, 3]] : {tensor(*q[1:])} into {tensor(shape, 'bf16')}",
                         shape, "bf16")
        e.done(e.linear(joined, e.weight("last", [8, query * size]), "f32"), size)
    return module


def streaming(rows, size, count, norm):
    """Elementwise results and norms one behind the other would be one kernel: each goes to a product of few columns, which is
    measured alone too."""
    module = Module()
    for kind in ("products", "both"):
        for name, steps in ((f"{kind}_once", count), (f"{kind}_twice", 2 * count)):
            e, sums = module.entry(name), None
            for i in range(steps):
                x, w = e.weight("x", [1, rows, size]), e.weight("w", [8, size])
                if kind == "products":
                    y = e.linear(x, e.fresh(w, i, sums), "f32")
                else:
                    fresh = e.fresh(x, i)
                    y = e.linear(e.rms_norm(fresh, e.weight("scale", [size], "f32")) if norm else fresh, w, "f32")
                sums = e.add(sums, y) if sums else y
            e.done(sums, size)
    return module


def cases():
    """name: (module, count, work of a step, peer, templates of sm_80, those of sm_90a)."""
    s = (lambda large, small: small) if SMALL else (lambda large, small: large)
    found = {}
    for size, count in ((4096, 8), (8192, 2)):
        n = s(size, size // 64)
        found[f"gemm_{size}"] = (gemm(n, count), count, {"flops": 2 * n**3}, {"op": "matmul", "rows": n, "size": n, "matrices": 1},
                                 {"rows", "mma_gemm"}, {"rows", "wgmma_gemm"})  # fmt: skip
    n = s(4096, 64)
    for rows in (1, 2, 8, 16):
        # What makes the first rows is in the first product, but for many large ones (codegen/GPU/README.md).
        template = {"gemv" if rows == 1 else "skinny_gemm"} | ({"rows"} if rows > 8 and not SMALL else set())
        found[f"rows_{rows}"] = (few_rows(rows, n, 8), 8, {"bytes": 2 * n * n}, {"op": "matmul", "rows": rows, "size": n, "matrices": 16},
                                 template, template)  # fmt: skip
    for length in (4096, 8192, 16384):
        for mask in ("causal", "none"):
            n, count = s(length, length // 64), 2 if length > 8192 else 4
            peer = {"op": "sdpa", "batch": 1, "queries": n, "keys": n, "heads": [32, 8, 128], "causal": mask == "causal"}
            found[f"attention_{length}_{mask}"] = (
                attention(1, n, n, (32, 8, 128), mask, count), count,
                {"flops": 4 * n * n * 32 * 128 // (2 if mask == "causal" else 1)}, peer,
                {"rows", "mma_gemm", "flash_attention"}, {"rows", "wgmma_gemm", "wgmma_attention"})  # fmt: skip
    for length, batch in ((4096, 16), (16384, 8)):
        n = s(length, length // 64)
        # Keys and values of all sequences are more than five times a second-level cache of 50 MB.
        found[f"decode_{length}"] = (
            attention(batch, 1, n, (32, 8, 128), "causal", 8), 8, {"bytes": 2 * 2 * batch * n * 8 * 128},
            {"op": "sdpa", "batch": batch, "queries": 1, "keys": n, "heads": [32, 8, 128], "causal": False},
            {"rows", "skinny_gemm", "decode_attention", "attention_merge"},
            {"rows", "skinny_gemm", "decode_attention", "attention_merge"})  # fmt: skip
    rows, size = s(131072, 64), s(4096, 256)
    moved = {"bytes": 2 * 2 * rows * size}
    for name in ("rms_norm", "elementwise"):
        found[name] = (streaming(rows, size, 4, name == "rms_norm"), 4, moved, {"op": name, "rows": rows, "size": size},
                       {"rows", "mma_gemm"}, {"rows", "wgmma_gemm"})  # fmt: skip
    return found


CASES = cases()
TEMPLATES = {name: case[4:] for name, case in CASES.items()}


def pairs_of(name):
    """(less, more, sign): the time of the steps is the sum of sign * (more - less)."""
    if name in ("rms_norm", "elementwise"):
        return [("both_once", "both_twice", 1), ("products_once", "products_twice", -1)]
    return [("once", "twice", 1)]


def describe():
    return {name: {"count": count, **work, "peer": peer, "pairs": pairs_of(name)}
            for name, (_, count, work, peer, *_) in CASES.items()}  # fmt: skip


def launches_missing(name, entries):
    """Why the steps of a case are not as many kernels as they should be: some became one; None if they are."""
    launches = {entry["name"]: sum(dispatch["count"] for dispatch in entry["dispatches"]) for entry in entries}
    _, count, *_ = CASES[name]
    for less, more, _ in pairs_of(name):
        # A merge of splits; what goes to a product, and the product.
        expected = count * (2 if name.startswith("decode") or less.endswith("_once") else 1)
        if launches[more] - launches[less] != expected:
            return f"expected '{more}' of '{name}' to have {expected} launches more than '{less}', but got {launches[more] - launches[less]}"
    return None


def write(folder):
    for name, (module, *_) in CASES.items():
        with open(os.path.join(folder, name + ".mlir"), "w", encoding="utf-8") as file:
            file.write(module.text())
