#!/usr/bin/env python3
"""Writes a model in the transformer dialect whose functions are one product or one attention each: every combination
of types, class of rows and width of which the kernels of a target are looked at.

usage: kernel_shapes.py > OUT.mlir
"""

# Types of the input, of the weight and of the result.
TYPES = [("f32", "f32", "f32"), ("f32", "bf16", "f32"), ("bf16", "bf16", "bf16"), ("f32", "f16", "f32")]
# Types of the weight where the input is i8 and the result i32.
INTEGERS = ["i8", "i4"]
# Batch and positions of the input: a decoding step, a few rows, any number.
ROWS = {"one": ("1", "1"), "few": ("1", "8"), "any": ("?", "?")}
# Rows and columns of the weight: whole register tiles, part of one, and odd.
SHAPES = [(256, 512), (48, 64), (33, 17)]
# A step of integers takes up to 8 columns: of 17 a loop would make one or two turns.
INTEGER_SHAPES = [(256, 512), (48, 64), (33, 67)]


def name(values):
    return "_".join(str(value) for value in values)


def argument(value, kind, dims):
    names = ", ".join(f'"{dim}"' for dim in dims)
    return f'%{value}: {kind} {{transformer.name = "{value}", transformer.dims = [{names}]}}'


def weights():
    kinds = dict.fromkeys(types[1] for types in TYPES)
    for kind, shapes in [(kind, SHAPES) for kind in kinds] + [(kind, INTEGER_SHAPES) for kind in INTEGERS]:
        for n, k in shapes:
            yield f'transformer.weight @w_{kind}_{n} : tensor<{n}x{k}x{kind}> from "model.safetensors"'


def linears():
    for x, w, y in TYPES:
        for rows, (batch, positions) in ROWS.items():
            for n, k in SHAPES:
                dims = ["B" if batch == "?" else "", "S" if positions == "?" else "", ""]
                source = f"tensor<{batch}x{positions}x{k}x{x}>"
                weight = f"tensor<{n}x{k}x{w}>"
                result = f"tensor<{batch}x{positions}x{n}x{y}>"
                yield f"""func.func @linear_{name([x, w, rows, n])}({argument("x", source, dims)})
    -> ({result} {{transformer.name = "y", transformer.dims = ["{dims[0]}", "{dims[1]}", ""]}}) {{
  %w = transformer.use @w_{w}_{n} : {weight}
  %y = transformer.linear %x, %w : {source}, {weight} -> {result}
  return %y : {result}
}}"""


def products():
    for w in INTEGERS:
        for rows, (batch, positions) in ROWS.items():
            for n, k in INTEGER_SHAPES:
                dims = ["B" if batch == "?" else "", "S" if positions == "?" else "", ""]
                source = f"tensor<{batch}x{positions}x{k}xi8>"
                weight = f"tensor<{n}x{k}x{w}>"
                result = f"tensor<{batch}x{positions}x{n}xi32>"
                sizes = "%b, %s" if batch == "?" else ""
                yield f"""func.func @product_{name([w, rows, n])}({argument("x", source, dims)})
    -> ({result} {{transformer.name = "y", transformer.dims = ["{dims[0]}", "{dims[1]}", ""]}}) {{
  %w = transformer.use @w_{w}_{n} : {weight}
  %zero = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : {source}
  %s = tensor.dim %x, %c1 : {source}
  %e = tensor.empty({sizes}) : {result}
  %f = linalg.fill ins(%zero : i32) outs(%e : {result}) -> {result}
  %y = linalg.generic {{
      indexing_maps = [affine_map<(b, s, n, k) -> (b, s, k)>, affine_map<(b, s, n, k) -> (n, k)>,
                       affine_map<(b, s, n, k) -> (b, s, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}}
      ins(%x, %w : {source}, {weight}) outs(%f : {result}) {{
  ^bb0(%i: i8, %j: {w}, %sum: i32):
    %l = arith.extsi %i : i8 to i32
    %r = arith.extsi %j : {w} to i32
    %p = arith.muli %l, %r : i32
    %next = arith.addi %sum, %p : i32
    linalg.yield %next : i32
  }} -> {result}
  return %y : {result}
}}"""


def attentions():
    for kind in ("f32", "bf16"):
        for rows, positions in (("one", "1"), ("any", "?")):
            for head in (64, 128):
                query = f"tensor<?x{positions}x8x{head}x{kind}>"
                keys = f"tensor<?x?x2x{head}x{kind}>"
                dims = ["B", "S" if positions == "?" else "", "", ""]
                arguments = [
                    argument("q", query, dims),
                    argument("k", keys, ["B", "T", "", ""]),
                    argument("v", keys, ["B", "T", "", ""]),
                ]
                yield f"""func.func @attention_{name([kind, rows, head])}({", ".join(arguments)})
    -> ({query} {{transformer.name = "y", transformer.dims = ["B", "{dims[1]}", "", ""]}}) {{
  %y = transformer.attention %q, %k, %v scale 0.125 mask <causal> : {query}, {keys}, {keys} -> {query}
  return %y : {query}
}}"""


print("\n".join([*weights(), *linears(), *products(), *attentions()]))
