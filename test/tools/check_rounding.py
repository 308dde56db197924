#!/usr/bin/env python3
"""Compares conversions of f16 and roundings to integers of an artifact with Python's, bit by bit.

usage: check_rounding.py ARTIFACT FOLDER

The artifact has the entry points widen, narrow, floor, ceil, trunc and roundeven, of a vector x each.
"""

import array
import math
import os
import struct
import subprocess
import sys

import npy


def bits_to_float(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def float_to_bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def write(path, dtype, data, count):
    npy.write(path, dtype, "0", [])
    with open(path, "rb") as file:
        header = file.read().replace(b"(0,)", b"(%d,)" % count)
    # The header keeps its length: the padding gives what the number takes.
    header = header.replace(b" " * (len(str(count)) - 1) + b"\n", b"\n")
    with open(path, "wb") as file:
        file.write(header + data)


def run(artifact, folder, entry, dtype, data, count, result):
    source, target = os.path.join(folder, "x.npy"), os.path.join(folder, "y.npy")
    write(source, dtype, data, count)
    subprocess.run(
        ["tfrun", artifact, f"--entry={entry}", "--input", f"x={source}", "--output", f"y={target}"], check=True
    )
    with open(target, "rb") as file:
        return array.array(result, file.read()[-count * array.array(result).itemsize :])


def interesting():
    """Bits of f32: around every power of two, every f16 and the middle between two, and what is no number."""
    found = {0, 1, 0x7F800000, 0x7FC00000, 0x7F7FFFFF}
    for half in range(0x7C01):
        middle = 0x47800000 if half == 0x7C00 else float_to_bits(struct.unpack("<e", struct.pack("<H", half))[0])
        following = 0x47800000 if half >= 0x7BFF else float_to_bits(struct.unpack("<e", struct.pack("<H", half + 1))[0])
        # Beside the value, and beside the tie with the next one.
        tie = float_to_bits((bits_to_float(middle) + bits_to_float(following)) / 2)
        found |= {max(0, base + step) for base in (middle, tie) for step in (-1, 0, 1)}
    for exponent in range(255):
        found |= {max(0, (exponent << 23) + step) for step in range(-2, 3)}
    for tens in range(200):
        found |= {float_to_bits(tens / 2), float_to_bits(tens / 4)}
    return sorted(found | {bits | 0x80000000 for bits in found})


def narrowed(value):
    try:
        return struct.unpack("<H", struct.pack("<e", value))[0]
    except OverflowError:
        return 0xFC00 if value < 0 else 0x7C00


def rounded(function, value):
    if not math.isfinite(value):
        return value
    return math.copysign(float(function(value)), value)


def report(name, got, expected, is_nan):
    wrong = [i for i, (g, e) in enumerate(zip(got, expected, strict=True)) if g != e and not (is_nan(g) and is_nan(e))]
    print(f"{name}: {len(expected)} values, {len(wrong)} wrong")
    for i in wrong[:3]:
        print(f"  value {i}: {got[i]:#x} instead of {expected[i]:#x}")
    return bool(wrong)


def main():
    artifact, folder = sys.argv[1:]
    is_nan32 = lambda bits: bits & 0x7FFFFFFF > 0x7F800000
    is_nan16 = lambda bits: bits & 0x7FFF > 0x7C00
    halves = array.array("H", range(65536))
    got = run(artifact, folder, "widen", "f2", halves.tobytes(), len(halves), "I")
    expected = [float_to_bits(value) for value in struct.unpack("<65536e", halves.tobytes())]
    failed = report("widen", got, expected, is_nan32)
    singles = array.array("I", interesting())
    values = struct.unpack(f"<{len(singles)}f", singles.tobytes())
    got = run(artifact, folder, "narrow", "f4", singles.tobytes(), len(singles), "H")
    failed |= report("narrow", got, [narrowed(value) for value in values], is_nan16)
    for name, function in (("floor", math.floor), ("ceil", math.ceil), ("trunc", math.trunc), ("roundeven", round)):
        got = run(artifact, folder, name, "f4", singles.tobytes(), len(singles), "I")
        failed |= report(name, got, [float_to_bits(rounded(function, value)) for value in values], is_nan32)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
