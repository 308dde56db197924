#!/usr/bin/env python3
"""Writes whole models as exporters of other compilers decompose them, and the same models in the transformer dialect.

usage: decomposed_models.py MODEL SPELLING FOLDER [--seed N] [--mutate N] [--layers N] [--dynamic]

MODEL     llama    grouped heads, rotary positions, rms_norm, SwiGLU, causal
          bert     learned positions, layer_norm behind the sums, gelu by erf, bidirectional
          gpt2     learned positions, layer_norm, gelu by tanh, causal, matrices stored [in, out]
SPELLING  dialect  ops of the transformer dialect, as importers write them
          flat     rows and heads flattened, named ops of linalg, one op a step, masks added, softmax written out
          einsum   contractions over all dimensions, fused generics, masks selected, linalg.softmax
          slices   einsum's, with the heads of an attention as slices that are concatenated

FOLDER gets model.mlir, model.safetensors and tokens.npy. With --seed, values are renamed, ops are shuffled as far as
their operands allow, and sums and products are commuted and re-associated, within bodies of generic ops too. With
--mutate, one op is changed into another: a comparison, a sign, a constant, a dimension, an order; the model is then
another one. --dynamic leaves the length open. The standard library alone; the same bytes on every machine.
"""

import argparse
import hashlib
import math
import pathlib
import random
import re
import struct

import npy

VOCAB, HIDDEN, HEADS, HEAD_DIM, INNER, POSITIONS = 48, 32, 4, 8, 48, 16
EPSILON = "1.0e-5"


class Value:
    """A value of the program: `shape` of numbers and "S", the length that is known at run time only."""

    def __init__(self, name, shape, element="f32"):
        self.name, self.shape, self.element = name, tuple(shape), element

    @property
    def type(self):
        return tensor(self.shape, self.element)


class Op:
    """One op. `text` has {0}, {1}, … where its operands' names stand; `law` is "add" or "mul" where it is commutative."""

    def __init__(self, text, operands, result, law=None):
        self.text, self.operands, self.result, self.law = text, list(operands), result, law


def tensor(shape, element="f32"):
    return "tensor<" + "".join(("?" if dim == "S" else str(dim)) + "x" for dim in shape) + element + ">"


def literal(value):
    """A number as IR spells it."""
    return f"{float(value):.17e}"


def product(dims):
    """The product of dimensions, of which one may be "S" if the others are 1."""
    known = math.prod(dim for dim in dims if dim != "S")
    assert "S" not in dims or known == 1
    return "S" if "S" in dims else known


class Graph:
    """Builds the ops of one function."""

    def __init__(self, batch, length):
        self.batch, self.length = batch, length
        self.ops, self.weights, self.derived, self.count = [], {}, [], 0
        self.tokens = Value("tokens", (batch, length), "i32")
        self.constants = {}
        if length == "S":
            one = self.constant("1", "index")
            self.size = self.emit(f"tensor.dim {{0}}, {{1}} : {self.tokens.type}", [self.tokens, one], Value(None, (), "index"))

    def emit(self, text, operands, result, law=None):
        result.name = f"v{self.count}"
        self.count += 1
        self.ops.append(Op(text, operands, result, law))
        return result

    def constant(self, text, element="f32"):
        if (text, element) not in self.constants:
            self.constants[text, element] = self.emit(f"arith.constant {text} : {element}", [], Value(None, (), element))
        return self.constants[text, element]

    def number(self, value):
        if value == -math.inf:
            return self.constant("0xFF800000")
        return self.constant(literal(value))

    # Weights

    def weight(self, name, shape, kind="matrix"):
        self.weights[name] = (tuple(shape), kind)
        return self.emit(f"transformer.use @{name} : {tensor(shape)}", [], Value(None, shape))

    def transposed(self, name, shape):
        """The weight @name, stored `shape`, as an importer uses it."""
        self.weights[name] = (tuple(shape), "matrix")
        self.derived.append(f"transformer.derive @{name}.t = transpose(@{name}) : {tensor(shape[::-1])}")
        return self.emit(f"transformer.use @{name}.t : {tensor(shape[::-1])}", [], Value(None, shape[::-1]))

    # Tensors

    def sizes(self, shape):
        """Operands for the dynamic dimensions."""
        return [self.size for dim in shape if dim == "S"]

    def empty(self, shape, element="f32"):
        sizes = self.sizes(shape)
        names = ", ".join(f"{{{i}}}" for i in range(len(sizes)))
        return self.emit(f"tensor.empty({names}) : {tensor(shape, element)}", sizes, Value(None, shape, element))

    def fill(self, value, shape):
        init = self.empty(shape)
        return self.emit(f"linalg.fill ins({{0}} : f32) outs({{1}} : {init.type}) -> {init.type}",
                         [self.number(value), init], Value(None, shape))

    def splat(self, value, shape):
        sizes = self.sizes(shape)
        names = ", ".join(f"{{{i + 1}}}" for i in range(len(sizes)))
        dims = f"[{names}]" if sizes else ""
        return self.emit(f"tensor.splat {{0}}{dims} : {tensor(shape)}", [self.number(value), *sizes], Value(None, shape))

    def reshape(self, x, groups, shape):
        """Joins dimensions where `shape` has fewer, splits them where it has more."""
        grouping = "[" + ", ".join(str(list(group)) for group in groups) + "]"
        if len(shape) < len(x.shape):
            return self.emit(f"tensor.collapse_shape {{0}} {grouping} : {x.type} into {tensor(shape)}", [x], Value(None, shape))
        sizes = self.sizes(shape)
        dims, next_size = [], 1
        for dim in shape:
            dims.append(f"{{{next_size}}}" if dim == "S" else str(dim))
            next_size += dim == "S"
        return self.emit(f"tensor.expand_shape {{0}} {grouping} output_shape [{', '.join(dims)}] : {x.type} into "
                         f"{tensor(shape)}", [x, *sizes], Value(None, shape))

    def transpose(self, x, order):
        shape = [x.shape[i] for i in order]
        init = self.empty(shape)
        return self.emit(f"linalg.transpose ins({{0}} : {x.type}) outs({{1}} : {init.type}) permutation = {list(order)}",
                         [x, init], Value(None, shape))

    def broadcast(self, x, shape, added):
        init = self.empty(shape)
        return self.emit(f"linalg.broadcast ins({{0}} : {x.type}) outs({{1}} : {init.type}) dimensions = {list(added)}",
                         [x, init], Value(None, shape))

    def slice(self, x, dimension, begin, size):
        shape = list(x.shape)
        shape[dimension] = size
        offsets = ", ".join(str(begin if i == dimension else 0) for i in range(len(shape)))
        dims, next_size = [], 1
        for dim in shape:
            dims.append(f"{{{next_size}}}" if dim == "S" else str(dim))
            next_size += dim == "S"
        return self.emit(f"tensor.extract_slice {{0}}[{offsets}] [{', '.join(dims)}] [{', '.join('1' for _ in shape)}] : "
                         f"{x.type} to {tensor(shape)}", [x, *self.sizes(shape)], Value(None, shape))

    def rows(self, table, length):
        """The first `length` rows of a table."""
        return self.slice(table, 0, 0, length)

    def concat(self, parts, dimension):
        shape = list(parts[0].shape)
        shape[dimension] = sum(part.shape[dimension] for part in parts)
        names = ", ".join(f"{{{i}}}" for i in range(len(parts)))
        types = ", ".join(part.type for part in parts)
        return self.emit(f"tensor.concat dim({dimension}) {names} : ({types}) -> {tensor(shape)}", parts, Value(None, shape))

    # Arithmetic

    def binary(self, op, a, b):
        assert a.shape == b.shape, (op, a.shape, b.shape)
        law = {"addf": "add", "mulf": "mul"}.get(op)
        return self.emit(f"arith.{op} {{0}}, {{1}} : {a.type}", [a, b], Value(None, a.shape), law)

    def unary(self, op, a):
        return self.emit(f"{op} {{0}} : {a.type}", [a], Value(None, a.shape))

    def add(self, a, b):
        return self.binary("addf", a, b)

    def mul(self, a, b):
        return self.binary("mulf", a, b)

    def named(self, op, a, b):
        """A named op of linalg."""
        init = self.empty(a.shape)
        law = {"add": "add", "mul": "mul"}.get(op)
        return self.emit(f"linalg.{op} ins({{0}}, {{1}} : {a.type}, {b.type}) outs({{2}} : {init.type}) -> {init.type}",
                         [a, b, init], Value(None, a.shape), law)

    def generic(self, loops, inputs, maps, shape, out, body, reduce=None, table=None):
        """linalg.generic over `loops` ("b s r"; those in `reduce` are summed over, or maximised where `reduce` begins with
        "max"). `maps` are lists of loops; `body` has lines over %a0, %a1, …, %acc and TABLE and ends with what is yielded."""
        loops = loops.split()
        kind, _, reduced = (reduce or "").rpartition(" ")
        reduced = reduced.split(",") if reduced else []
        if reduce:
            init = self.fill(-math.inf if kind == "max" else 0, shape)
        else:
            init = self.empty(shape)
        def affine(names):
            return f"affine_map<({', '.join(loops)}) -> ({', '.join(names.split())})>"
        iterators = ", ".join('"reduction"' if loop in reduced else '"parallel"' for loop in loops)
        arguments = ", ".join([f"%a{i}: {x.element}" for i, x in enumerate(inputs)] + ["%acc: f32"])
        names = ", ".join(f"{{{i}}}" for i in range(len(inputs)))
        types = ", ".join(x.type for x in inputs)
        ins = f"ins({names} : {types}) " if inputs else ""
        body = body.replace("TABLE", f"{{{len(inputs) + 1}}}")
        *lines, last = [line.strip() for line in body.strip().splitlines()]
        text = (f"linalg.generic {{{{indexing_maps = [{', '.join(affine(m) for m in [*maps, out])}], iterator_types = [{iterators}]}}}} "
                f"{ins}outs({{{len(inputs)}}} : {init.type}) {{{{\n    ^bb0({arguments}):\n"
                + "".join(f"      {line}\n" for line in lines) + f"      linalg.yield {last} : f32\n    }}}} -> {init.type}")
        return self.emit(text, [*inputs, init] + ([table] if table else []), Value(None, shape))

    # Output

    def text(self, result, seed, mutation, entry="score"):
        ops, names = list(self.ops), {}
        if mutation is not None:
            mutate(ops, random.Random(mutation))
        if seed is not None:
            rng = random.Random(seed)
            reassociate(ops, rng)
            ops = shuffled(ops, rng)
            order = list(range(len(ops)))
            rng.shuffle(order)
            for op, i in zip(ops, order):
                names[op.result] = f"x{i}"
        name = lambda value: "%" + names.get(value, value.name)
        dims = lambda shape: "[" + ", ".join('"S"' if dim == "S" else '""' for dim in shape) + "]"
        lines = [f"transformer.weight @{w} : {tensor(shape)} from \"model.safetensors\"" for w, (shape, _) in self.weights.items()]
        lines += self.derived
        lines.append(f"func.func @{entry}(%tokens: {self.tokens.type} {{transformer.name = \"tokens\", transformer.dims = "
                     f"{dims(self.tokens.shape)}, transformer.range = [0, {VOCAB}]}}) -> ({result.type} {{transformer.name = "
                     f"\"logits\", transformer.dims = {dims(result.shape)}}}) {{")
        for op in ops:
            lines.append(f"  {name(op.result)} = " + op.text.format(*map(name, op.operands)))
        lines += [f"  return {name(result)} : {result.type}", "}", ""]
        return "\n".join(lines)


MUTATIONS = [
    (r"arith\.addf", "arith.subf"), (r"arith\.subf", "arith.addf"), (r"arith\.divf", "arith.mulf"),
    (r"arith\.mulf", "arith.addf"), (r"linalg\.add ", "linalg.sub "), (r"math\.rsqrt", "math.sqrt"),
    (r"math\.sqrt", "math.rsqrt"), (r"math\.erf", "math.tanh"), (r"math\.tanh", "math.erf"), (r"arith\.negf", "math.absf"),
    (r"cmpi sgt", "cmpi sge"), (r"cmpi sgt", "cmpi slt"), (r"cmpi ule", "cmpi ult"), (r"cmpi ule", "cmpi uge"),
    (r"dimension\((\d)\)", lambda m: f"dimension({int(m[1]) - 1})"),
    (r"concat dim\((\d)\) \{0\}, \{1\}", lambda m: f"concat dim({m[1]}) {{1}}, {{0}}"),
    (r"constant (-?\d[\d.e+-]*) : f32", lambda m: f"constant {literal(float(m[1]) * 1.25 + 0.01)} : f32"),
    (r"constant (-1\.0e9|0xFF800000) : f32", "constant -1.0 : f32"),
    (r"(%\w+ = arith.(?:subf|divf)) (%\w+), (%\w+)", r"\1 \3, \2"),
    (r"0, 0, 0, 4\]", "0, 0, 0, 0]"), (r"0, 0, 8\]", "0, 0, 0]"),
]


def mutate(ops, rng):
    """Changes one thing about one op."""
    places = [(op, match, change) for op in ops for pattern, change in MUTATIONS for match in re.finditer(pattern, op.text)]
    op, match, change = rng.choice(places)
    op.text = op.text[:match.start()] + (change(match) if callable(change) else match.expand(change)) + op.text[match.end():]


def reassociate(ops, rng):
    """a + (b + c) for (a + b) + c, and b + a for a + b, by chance, also for products."""
    for op in ops:
        op.text = re.sub(r"(= arith\.(?:addf|mulf)) (%\w+), (%\w+)",
                         lambda m: f"{m[1]} {m[3]}, {m[2]}" if rng.random() < 0.5 else m[0], op.text)
    makers = {op.result: op for op in ops}
    readers = {}
    for op in ops:
        for operand in op.operands:
            readers.setdefault(operand, []).append(op)
    for op in ops:
        if not op.law:
            continue
        if rng.random() < 0.5:
            op.operands[0], op.operands[1] = op.operands[1], op.operands[0]
        inner = makers.get(op.operands[0])
        if inner and inner.law == op.law and inner.text == op.text and len(readers[inner.result]) == 1 and rng.random() < 0.5:
            # (a + b) + c: the inner op becomes b + c, behind c.
            a, b, c = inner.operands[0], inner.operands[1], op.operands[1]
            inner.operands[0], inner.operands[1] = b, c
            op.operands[0], op.operands[1] = a, inner.result


def shuffled(ops, rng):
    """The ops in another order in which operands come first."""
    makers = {op.result: op for op in ops}
    waiting = {op: sum(operand in makers for operand in op.operands) for op in ops}
    readers = {}
    for op in ops:
        for operand in op.operands:
            readers.setdefault(operand, []).append(op)
    ready = [op for op in ops if not waiting[op]]
    order = []
    while ready:
        op = ready.pop(rng.randrange(len(ready)))
        order.append(op)
        for reader in readers.get(op.result, []):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return order


class Dialect:
    """What importers write."""

    def __init__(self, graph):
        self.g = graph

    def embed(self, table):
        g = self.g
        shape = (g.batch, g.length, HIDDEN)
        return g.emit(f"transformer.embedding {{0}}, {{1}} : {g.tokens.type}, {table.type} -> {tensor(shape)}",
                      [g.tokens, table], Value(None, shape))

    def positions(self, x, table):
        g = self.g
        return g.add(x, g.broadcast(g.rows(table, g.length), x.shape, [0]))

    def linear(self, x, name, rows, bias=None, stored="out,in"):
        g = self.g
        columns = x.shape[-1]
        weight = (g.weight(name, (rows, columns)) if stored == "out,in" else g.transposed(name, (columns, rows)))
        shape = (*x.shape[:-1], rows)
        if bias:
            b = g.weight(bias, (rows,), "bias")
            return g.emit(f"transformer.linear {{0}}, {{1}} bias {{2}} : {x.type}, {weight.type}, {b.type} -> {tensor(shape)}",
                          [x, weight, b], Value(None, shape))
        return g.emit(f"transformer.linear {{0}}, {{1}} : {x.type}, {weight.type} -> {tensor(shape)}", [x, weight], Value(None, shape))

    def rms_norm(self, x, name):
        w = self.g.weight(name, (HIDDEN,), "norm")
        return self.g.emit(f"transformer.rms_norm {{0}}, {{1}} epsilon {EPSILON} : {x.type}, {w.type} -> {x.type}",
                           [x, w], Value(None, x.shape))

    def layer_norm(self, x, name):
        w, b = self.g.weight(name + ".weight", (HIDDEN,), "norm"), self.g.weight(name + ".bias", (HIDDEN,), "bias")
        return self.g.emit(f"transformer.layer_norm {{0}}, {{1}} bias {{2}} epsilon {EPSILON} : {x.type}, {w.type}, {b.type} "
                           f"-> {x.type}", [x, w, b], Value(None, x.shape))

    def activation(self, kind, x):
        return self.g.emit(f"transformer.activation {kind} {{0}} : {x.type} -> {x.type}", [x], Value(None, x.shape))

    def residual(self, x, y):
        return self.g.add(x, y)

    def gate(self, a, b):
        return self.g.mul(a, b)

    def heads(self, x, heads):
        return self.g.reshape(x, ((0,), (1,), (2, 3)), (*x.shape[:2], heads, HEAD_DIM))

    def attention(self, q, k, v, kv_heads, causal, rope=None):
        g = self.g
        q, k, v = self.heads(q, HEADS), self.heads(k, kv_heads), self.heads(v, kv_heads)
        if rope:
            zero = g.constant("0", "i32")
            at = g.emit(f"tensor.splat {{0}} : {tensor((g.batch,), 'i32')}", [zero], Value(None, (g.batch,), "i32"))
            def rotate(x):
                return g.emit(f"transformer.rope half_split {{0}}, {{1}}, {{2}} at {{3}} : {x.type}, {rope[0].type}, "
                              f"{rope[1].type}, {at.type} -> {x.type}", [x, *rope, at], Value(None, x.shape))
            q, k = rotate(q), rotate(k)
        mask = "causal" if causal else "none"
        y = g.emit(f"transformer.attention {{0}}, {{1}}, {{2}} scale {literal(HEAD_DIM ** -0.5)} mask <{mask}> : {q.type}, {k.type}, "
                   f"{v.type} -> {q.type}", [q, k, v], Value(None, q.shape))
        return g.reshape(y, ((0,), (1,), (2, 3)), (*q.shape[:2], HEADS * HEAD_DIM))


class Flat(Dialect):
    """Rows and heads flattened, one op a step."""

    def rows2(self, x):
        g = self.g
        return g.reshape(x, ((0, 1), (2,)), (product(x.shape[:2]), x.shape[2]))

    def rows3(self, x):
        g = self.g
        return g.reshape(x, ((0, 1), (2,)), (g.batch, g.length, x.shape[1]))

    def embed(self, table):
        g = self.g
        return g.generic("b s d", [g.tokens], ["b s"], (g.batch, g.length, HIDDEN), "b s d", f"""
            %row = arith.index_cast %a0 : i32 to index
            %column = linalg.index 2 : index
            %value = tensor.extract TABLE[%row, %column] : {table.type}
            %value""", table=table)

    def linear(self, x, name, rows, bias=None, stored="out,in"):
        g = self.g
        columns = x.shape[-1]
        flat = self.rows2(x)
        w = (g.transpose(g.weight(name, (rows, columns)), (1, 0)) if stored == "out,in"
             else g.weight(name, (columns, rows)))
        shape = (flat.shape[0], rows)
        init = g.fill(0, shape)
        y = g.emit(f"linalg.matmul ins({{0}}, {{1}} : {flat.type}, {w.type}) outs({{2}} : {init.type}) -> {init.type}",
                   [flat, w, init], Value(None, shape))
        if bias:
            y = g.named("add", y, g.broadcast(g.weight(bias, (rows,), "bias"), shape, [0]))
        return self.rows3(y)

    def mean(self, x):
        """[.., D] -> [.., D], the mean along the last dimension repeated."""
        g = self.g
        rank = len(x.shape)
        loops = "b s d"
        total = g.generic(loops, [x], [loops], x.shape[:2], "b s", """
            %sum = arith.addf %a0, %acc : f32
            %sum""", reduce="d")
        mean = g.binary("divf", total, g.splat(x.shape[-1], total.shape))
        return mean, rank - 1

    def rms_norm(self, x, name):
        g = self.g
        mean, last = self.mean(g.mul(x, x))
        root = g.unary("math.rsqrt", g.add(mean, g.splat(EPSILON, mean.shape)))
        normed = g.mul(x, g.broadcast(root, x.shape, [last]))
        return g.mul(normed, g.broadcast(g.weight(name, (HIDDEN,), "norm"), x.shape, [0, 1]))

    def layer_norm(self, x, name):
        g = self.g
        mean, last = self.mean(x)
        centred = g.binary("subf", x, g.broadcast(mean, x.shape, [last]))
        variance, last = self.mean(g.mul(centred, centred))
        root = g.unary("math.sqrt", g.add(variance, g.splat(EPSILON, variance.shape)))
        normed = g.binary("divf", centred, g.broadcast(root, x.shape, [last]))
        scaled = g.mul(normed, g.broadcast(g.weight(name + ".weight", (HIDDEN,), "norm"), x.shape, [0, 1]))
        return g.add(scaled, g.broadcast(g.weight(name + ".bias", (HIDDEN,), "bias"), x.shape, [0, 1]))

    def activation(self, kind, x):
        g = self.g
        number = lambda value: g.splat(value, x.shape)
        if kind == "silu":
            sigmoid = g.binary("divf", number(1), g.add(number(1), g.unary("math.exp", g.unary("arith.negf", x))))
            return g.mul(x, sigmoid)
        half = g.mul(x, number(0.5))
        if kind == "gelu_erf":
            t = g.unary("math.erf", g.binary("divf", x, number(math.sqrt(2))))
        else:
            cube = g.mul(g.mul(x, x), x)
            t = g.unary("math.tanh", g.mul(number(math.sqrt(2 / math.pi)), g.add(x, g.mul(number(0.044715), cube))))
        return g.mul(half, g.add(t, number(1)))

    def residual(self, x, y):
        return self.g.named("add", x, y)

    def rotate(self, x, rope):
        """x [B, H, S, D] with tables [S, D] that are their halves twice."""
        g = self.g
        cos, sin = (g.rows(g.concat([table, table], 1), g.length) for table in rope)
        half = HEAD_DIM // 2
        turned = g.concat([g.unary("arith.negf", g.slice(x, 3, half, half)), g.slice(x, 3, 0, half)], 3)
        return g.add(g.mul(x, g.broadcast(cos, x.shape, [0, 1])), g.mul(turned, g.broadcast(sin, x.shape, [0, 1])))

    def repeat(self, x, groups):
        """[B, KV, S, D] -> [B, KV * groups, S, D]"""
        if groups == 1:
            return x
        g = self.g
        b, kv, s, d = x.shape
        many = g.broadcast(x, (b, kv, groups, s, d), [2])
        return g.reshape(many, ((0,), (1, 2), (3,), (4,)), (b, kv * groups, s, d))

    def softmax(self, z):
        g = self.g
        loops, out, last = "h q k", "h q", 2
        top = g.generic(loops, [z], [loops], z.shape[:2], out, """
            %max = arith.maximumf %a0, %acc : f32
            %max""", reduce="max k")
        e = g.unary("math.exp", g.binary("subf", z, g.broadcast(top, z.shape, [last])))
        total = g.generic(loops, [e], [loops], z.shape[:2], out, """
            %sum = arith.addf %acc, %a0 : f32
            %sum""", reduce="k")
        return g.binary("divf", e, g.broadcast(total, z.shape, [last]))

    def mask(self):
        """[S, S]: 0 where the key is seen, otherwise a large negative number."""
        g = self.g
        s = g.length
        return g.generic("i j", [], [], (s, s), "i j", """
            %i = linalg.index 0 : index
            %j = linalg.index 1 : index
            %hidden = arith.cmpi sgt, %j, %i : index
            %zero = arith.constant 0.0 : f32
            %low = arith.constant -1.0e9 : f32
            %value = arith.select %hidden, %low, %zero : f32
            %value""")

    def attention(self, q, k, v, kv_heads, causal, rope=None):
        g = self.g
        q, k, v = (g.transpose(self.heads(x, n), (0, 2, 1, 3)) for x, n in ((q, HEADS), (k, kv_heads), (v, kv_heads)))
        if rope:
            q, k = self.rotate(q, rope), self.rotate(k, rope)
        k, v = self.repeat(k, HEADS // kv_heads), self.repeat(v, HEADS // kv_heads)
        flat = lambda x: g.reshape(x, ((0, 1), (2,), (3,)), (x.shape[0] * x.shape[1], *x.shape[2:]))
        q, k, v = flat(q), g.transpose(flat(k), (0, 2, 1)), flat(v)
        n, s, d = q.shape
        def matmul(a, b, shape):
            init = g.fill(0, shape)
            return g.emit(f"linalg.batch_matmul ins({{0}}, {{1}} : {a.type}, {b.type}) outs({{2}} : {init.type}) -> {init.type}",
                          [a, b, init], Value(None, shape))
        z = g.binary("divf", matmul(q, k, (n, s, s)), g.splat(math.sqrt(HEAD_DIM), (n, s, s)))
        if causal:
            z = g.add(z, g.broadcast(self.mask(), z.shape, [0]))
        y = matmul(self.softmax(z), v, (n, s, d))
        y = g.reshape(y, ((0, 1), (2,), (3,)), (g.batch, HEADS, s, d))
        return g.reshape(g.transpose(y, (0, 2, 1, 3)), ((0,), (1,), (2, 3)), (g.batch, s, HEADS * d))


class Einsum(Flat):
    """Contractions over all dimensions, fused bodies."""

    def embed(self, table):
        g = self.g
        return g.generic("b s d", [], [], (g.batch, g.length, HIDDEN), "b s d", f"""
            %i = linalg.index 0 : index
            %j = linalg.index 1 : index
            %column = linalg.index 2 : index
            %id = tensor.extract %tokens[%i, %j] : {g.tokens.type}
            %row = arith.index_cast %id : i32 to index
            %value = tensor.extract TABLE[%row, %column] : {table.type}
            %value""", table=table)

    def positions(self, x, table):
        return self.g.generic("b s d", [x, table], ["b s d", "s d"], x.shape, "b s d", """
            %sum = arith.addf %a0, %a1 : f32
            %sum""") if table.shape[0] == x.shape[1] else self.positions(x, self.g.rows(table, x.shape[1]))

    def contract(self, loops, x, y, maps, shape, out, reduced):
        return self.g.generic(loops, [x, y], maps, shape, out, """
            %product = arith.mulf %a0, %a1 : f32
            %sum = arith.addf %acc, %product : f32
            %sum""", reduce=reduced)

    def linear(self, x, name, rows, bias=None, stored="out,in"):
        g = self.g
        columns = x.shape[-1]
        w = g.weight(name, (rows, columns) if stored == "out,in" else (columns, rows))
        y = self.contract("b s n k", x, w, ["b s k", "n k" if stored == "out,in" else "k n"], (*x.shape[:-1], rows), "b s n", "k")
        if not bias:
            return y
        return g.generic("b s n", [y, g.weight(bias, (rows,), "bias")], ["b s n", "n"], y.shape, "b s n", """
            %sum = arith.addf %a1, %a0 : f32
            %sum""")

    def rms_norm(self, x, name):
        g = self.g
        total = g.generic("b s d", [x], ["b s d"], x.shape[:2], "b s", """
            %two = arith.constant 2.0 : f32
            %square = math.powf %a0, %two : f32
            %sum = arith.addf %square, %acc : f32
            %sum""", reduce="d")
        return g.generic("b s d", [x, total, g.weight(name, (HIDDEN,), "norm")], ["b s d", "b s", "d"], x.shape, "b s d", f"""
            %n = arith.constant {literal(1 / HIDDEN)} : f32
            %eps = arith.constant {EPSILON} : f32
            %mean = arith.mulf %a1, %n : f32
            %inside = arith.addf %eps, %mean : f32
            %root = math.sqrt %inside : f32
            %scaled = arith.mulf %a0, %a2 : f32
            %y = arith.divf %scaled, %root : f32
            %y""")

    def layer_norm(self, x, name):
        """With the variance as the mean of squares less the square of the mean."""
        g = self.g
        sums = [g.generic("b s d", [x], ["b s d"], x.shape[:2], "b s", body, reduce="d") for body in ("""
            %sum = arith.addf %a0, %acc : f32
            %sum""", """
            %square = arith.mulf %a0, %a0 : f32
            %sum = arith.addf %square, %acc : f32
            %sum""")]
        w, b = g.weight(name + ".weight", (HIDDEN,), "norm"), g.weight(name + ".bias", (HIDDEN,), "bias")
        return g.generic("b s d", [x, *sums, w, b], ["b s d", "b s", "b s", "d", "d"], x.shape, "b s d", f"""
            %n = arith.constant {literal(HIDDEN)} : f32
            %eps = arith.constant {EPSILON} : f32
            %one = arith.constant 1.0 : f32
            %mean = arith.divf %a1, %n : f32
            %squares = arith.divf %a2, %n : f32
            %square = arith.mulf %mean, %mean : f32
            %variance = arith.subf %squares, %square : f32
            %inside = arith.addf %variance, %eps : f32
            %root = math.sqrt %inside : f32
            %inverse = arith.divf %one, %root : f32
            %centred = arith.subf %a0, %mean : f32
            %factor = arith.mulf %inverse, %a3 : f32
            %scaled = arith.mulf %centred, %factor : f32
            %y = arith.addf %scaled, %a4 : f32
            %y""")

    def activation(self, kind, x):
        bodies = {"silu": """
            %minus = arith.constant -1.0 : f32
            %one = arith.constant 1.0 : f32
            %t = arith.mulf %a0, %minus : f32
            %e = math.exp %t : f32
            %d = arith.addf %e, %one : f32
            %y = arith.divf %a0, %d : f32
            %y""", "gelu_erf": f"""
            %c = arith.constant {literal(math.sqrt(0.5))} : f32
            %half = arith.constant 0.5 : f32
            %t = arith.mulf %a0, %c : f32
            %e = math.erf %t : f32
            %h = arith.mulf %e, %half : f32
            %p = arith.addf %h, %half : f32
            %y = arith.mulf %a0, %p : f32
            %y""", "gelu_tanh": f"""
            %c = arith.constant {literal(math.sqrt(2 / math.pi))} : f32
            %k = arith.constant 0.044715 : f32
            %three = arith.constant 3.0 : f32
            %half = arith.constant 0.5 : f32
            %one = arith.constant 1.0 : f32
            %cube = math.powf %a0, %three : f32
            %kc = arith.mulf %cube, %k : f32
            %i = arith.addf %a0, %kc : f32
            %t = arith.mulf %i, %c : f32
            %e = math.tanh %t : f32
            %p = arith.addf %one, %e : f32
            %h = arith.mulf %p, %half : f32
            %y = arith.mulf %a0, %h : f32
            %y"""}
        return self.g.generic("b s d", [x], ["b s d"], x.shape, "b s d", bodies[kind])

    def rotate(self, x, rope):
        """x [B, S, H, D] with tables [S, D/2]."""
        g = self.g
        half = HEAD_DIM // 2
        a, b = g.slice(x, 3, 0, half), g.slice(x, 3, half, half)
        cos, sin = (g.rows(table, g.length) for table in rope)
        def turn(p, q, op):
            return g.generic("b s h d", [p, q, cos, sin], ["b s h d", "b s h d", "s d", "s d"], p.shape, "b s h d", f"""
            %pc = arith.mulf %a0, %a2 : f32
            %qs = arith.mulf %a1, %a3 : f32
            %y = arith.{op} %pc, %qs : f32
            %y""")
        return g.concat([turn(a, b, "subf"), turn(b, a, "addf")], 3)

    def attend(self, q, k, v, loops, maps, causal):
        """softmax(q k) v with loops q, k and d named so, and `maps` for queries, keys, scores and result."""
        g = self.g
        size = dict(b=g.batch, q=g.length, k=g.length, d=HEAD_DIM, h=k.shape[2] if len(k.shape) == 4 else 1, g=0)
        if len(q.shape) == 5:
            size["g"] = q.shape[3]
        at = lambda names: tuple(size[name] for name in names.split())
        scores_at, result_at = maps["scores"], maps["result"]
        root = HEAD_DIM ** -0.25
        q, k = (g.mul(x, g.splat(root, x.shape)) for x in (q, k))
        z = self.contract(f"{loops} q k d", q, k, [maps["q"], maps["k"]], at(scores_at), scores_at, "d")
        if causal:
            position = scores_at.split().index
            z = g.generic(scores_at, [z], [scores_at], z.shape, scores_at, f"""
            %i = linalg.index {position("q")} : index
            %j = linalg.index {position("k")} : index
            %seen = arith.cmpi ule, %j, %i : index
            %low = arith.constant 0xFF800000 : f32
            %y = arith.select %seen, %a0, %low : f32
            %y""")
        init = g.empty(z.shape)
        p = g.emit(f"linalg.softmax dimension({len(z.shape) - 1}) ins({{0}} : {z.type}) outs({{1}} : {init.type}) -> {init.type}",
                   [z, init], Value(None, z.shape))
        return self.contract(f"{loops} q k d", p, v, [scores_at, maps["k"]], at(result_at), result_at, "k")

    def attention(self, q, k, v, kv_heads, causal, rope=None):
        g = self.g
        q, k, v = self.heads(q, HEADS), self.heads(k, kv_heads), self.heads(v, kv_heads)
        if rope:
            q, k = self.rotate(q, rope), self.rotate(k, rope)
        if kv_heads == HEADS:
            maps = dict(q="b q h d", k="b k h d", scores="b h q k", result="b q h d")
            y = self.attend(q, k, v, "b h", maps, causal)
            return g.reshape(y, ((0,), (1,), (2, 3)), (*q.shape[:2], HEADS * HEAD_DIM))
        q = g.reshape(q, ((0,), (1,), (2, 3), (4,)), (*q.shape[:2], kv_heads, HEADS // kv_heads, HEAD_DIM))
        maps = dict(q="b q h g d", k="b k h d", scores="b h g q k", result="b q h g d")
        y = self.attend(q, k, v, "b h g", maps, causal)
        return g.reshape(y, ((0,), (1,), (2, 3, 4)), (*q.shape[:2], HEADS * HEAD_DIM))


class Slices(Einsum):
    """An attention for each head, of slices of the projections."""

    def attention(self, q, k, v, kv_heads, causal, rope=None):
        g = self.g
        if rope:
            q, k = (g.reshape(self.rotate(self.heads(x, n), rope), ((0,), (1,), (2, 3)), x.shape)
                    for x, n in ((q, HEADS), (k, kv_heads)))
        maps = dict(q="b q d", k="b k d", scores="b q k", result="b q d")
        parts = []
        for head in range(HEADS):
            shared = head // (HEADS // kv_heads)
            part = [g.slice(x, 2, n * HEAD_DIM, HEAD_DIM) for x, n in ((q, head), (k, shared), (v, shared))]
            parts.append(self.attend(*part, "b", maps, causal))
        return g.concat(parts, 2)


def llama(g, s, layers):
    x = s.embed(g.weight("embed", (VOCAB, HIDDEN)))
    rope = [g.weight(f"rope.{part}", (POSITIONS, HEAD_DIM // 2), part) for part in ("cos", "sin")]
    for i in range(layers):
        n = s.rms_norm(x, f"l{i}.attn_norm")
        q, k, v = (s.linear(n, f"l{i}.{name}", heads * HEAD_DIM) for name, heads in (("q", HEADS), ("k", 2), ("v", 2)))
        x = s.residual(x, s.linear(s.attention(q, k, v, 2, True, rope), f"l{i}.o", HIDDEN))
        n = s.rms_norm(x, f"l{i}.ffn_norm")
        inner = s.gate(s.activation("silu", s.linear(n, f"l{i}.gate", INNER)), s.linear(n, f"l{i}.up", INNER))
        x = s.residual(x, s.linear(inner, f"l{i}.down", HIDDEN))
    return s.linear(s.rms_norm(x, "norm"), "head", VOCAB)


def learned(g, s, x):
    return s.positions(x, g.weight("positions", (POSITIONS, HIDDEN)))


def bert(g, s, layers):
    x = s.layer_norm(learned(g, s, s.embed(g.weight("embed", (VOCAB, HIDDEN)))), "embed_norm")
    for i in range(layers):
        q, k, v = (s.linear(x, f"l{i}.{name}", HIDDEN, f"l{i}.{name}.bias") for name in "qkv")
        y = s.linear(s.attention(q, k, v, HEADS, False), f"l{i}.o", HIDDEN, f"l{i}.o.bias")
        x = s.layer_norm(s.residual(x, y), f"l{i}.attn_norm")
        inner = s.activation("gelu_erf", s.linear(x, f"l{i}.up", INNER, f"l{i}.up.bias"))
        x = s.layer_norm(s.residual(x, s.linear(inner, f"l{i}.down", HIDDEN, f"l{i}.down.bias")), f"l{i}.ffn_norm")
    return s.linear(x, "head", VOCAB, "head.bias")


def gpt2(g, s, layers):
    x = learned(g, s, s.embed(g.weight("embed", (VOCAB, HIDDEN))))
    for i in range(layers):
        n = s.layer_norm(x, f"l{i}.ln_1")
        qkv = s.linear(n, f"l{i}.c_attn", 3 * HIDDEN, f"l{i}.c_attn.bias", stored="in,out")
        q, k, v = (g.slice(qkv, 2, j * HIDDEN, HIDDEN) for j in range(3))
        y = s.linear(s.attention(q, k, v, HEADS, True), f"l{i}.attn.c_proj", HIDDEN, f"l{i}.attn.c_proj.bias", stored="in,out")
        x = s.residual(x, y)
        n = s.layer_norm(x, f"l{i}.ln_2")
        inner = s.activation("gelu_tanh", s.linear(n, f"l{i}.c_fc", INNER, f"l{i}.c_fc.bias", stored="in,out"))
        x = s.residual(x, s.linear(inner, f"l{i}.mlp.c_proj", HIDDEN, f"l{i}.mlp.c_proj.bias", stored="in,out"))
    return s.linear(s.layer_norm(x, "ln_f"), "head", VOCAB)


def values(name, shape, kind):
    """Numbers that depend on the tensor's name alone, multiples of 2^-12."""
    if kind in ("cos", "sin"):
        f = math.cos if kind == "cos" else math.sin
        return [f(p * 10000.0 ** (-2 * i / HEAD_DIM)) for p in range(shape[0]) for i in range(shape[1])]
    count = math.prod(shape)
    bits = hashlib.shake_128(name.encode()).digest(2 * count)
    spread = {"matrix": 1.0, "bias": 0.25, "norm": 0.25}[kind]
    return [(kind == "norm") + spread * ((n >> 4) - 2048) / 4096 for n in struct.unpack(f"<{count}H", bits)]


def write_safetensors(path, weights):
    header, data = {}, b""
    for name, (shape, kind) in sorted(weights.items()):
        begin = len(data)
        data += struct.pack(f"<{math.prod(shape)}f", *values(name, shape, kind))
        header[name] = f'{{"dtype":"F32","shape":[{",".join(map(str, shape))}],"data_offsets":[{begin},{len(data)}]}}'
    text = "{" + ",".join(f'"{name}":{entry}' for name, entry in header.items()) + "}"
    text += " " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["llama", "bert", "gpt2"])
    parser.add_argument("spelling", choices=["dialect", "flat", "einsum", "slices"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--mutate", type=int)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dynamic", action="store_true")
    args = parser.parse_args()
    batch, length = (1, "S") if args.dynamic else (2, 6)
    graph = Graph(batch, length)
    spelling = {"dialect": Dialect, "flat": Flat, "einsum": Einsum, "slices": Slices}[args.spelling](graph)
    result = {"llama": llama, "bert": bert, "gpt2": gpt2}[args.model](graph, spelling, args.layers)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "model.mlir").write_text(graph.text(result, args.seed, args.mutate))
    write_safetensors(args.folder / "model.safetensors", graph.weights)
    tokens = [(7 * i + 3 * (i // 6)) % VOCAB for i in range(batch * 6)]
    npy.write(args.folder / "tokens.npy", "i4", f"{batch},6", tokens)


if __name__ == "__main__":
    main()
