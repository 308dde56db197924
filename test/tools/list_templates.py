#!/usr/bin/env python3
"""Lists which template makes what, from the IR after the phase `strategy`: a line for each combination of template,
types and class of rows, with the number of dispatches. Fails where a product is not made by the template for it.

usage: list_templates.py FILE.mlir
"""

import collections
import re
import sys

DISPATCH = re.compile(r'func\.func private @([\w.$"]+)\((.*?)\) -> .*?template = "(\w+)"')
TENSOR = re.compile(r"tensor<((?:[\d?]+x)*)(\w+)(, #transformer\.packed[^>]*>)?>")


def rows_of(dims):
    """The class of rows of a tensor whose last dimension is a row."""
    outer = dims[:-1]
    if "?" in outer:
        return "any rows"
    return "one row" if all(dim == "1" for dim in outer) else "few rows"


def describe(template, arguments):
    tensors = [(match[1].split("x")[:-1], match[2], bool(match[3])) for match in TENSOR.finditer(arguments)]
    if template == "attention":
        # Keys are an argument or a cache.
        element = re.search(r"kv_cache<[^,]* x (\w+)", arguments)
        # An argument block may lead with others: the query is the first of rank 4.
        dims, kind, _ = next(tensor for tensor in tensors if len(tensor[0]) == 4)
        keys = element[1] if element else kind
        return f"{kind} x {keys}, {'one position' if dims[1] == '1' else 'any positions'}"
    if template in ("contraction", "tiles"):
        packed = [kind for _, kind, is_packed in tensors if is_packed]
        dims, result, _ = tensors[-1]
        return f"{tensors[0][1]} x {packed[0] if packed else '?'} -> {result}, {rows_of(dims)}"
    return "any"


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        found = collections.Counter()
        for line in stream:
            match = DISPATCH.search(line)
            if match:
                found[f"{match[3]}: {describe(match[3], match[2])}"] += 1
    for line, count in sorted(found.items()):
        print(f"{line} ({count})")
    fallbacks = sum(count for line, count in found.items() if line.startswith("tiles"))
    print(f"{sum(found.values())} dispatches, {fallbacks} products without their template")
    return 1 if fallbacks or not found else 0


sys.exit(main())
