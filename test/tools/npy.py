#!/usr/bin/env python3
"""Writes and prints .npy files without NumPy, for lit tests.

usage: npy.py write FILE DTYPE SHAPE VALUES...     npy.py write x.npy i4 1,2 5 6
       npy.py show FILE                            prints the dtype, the shape and the values
"""

import ast
import struct
import sys

FORMATS = {"f2": "e", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


def write(path, dtype, shape, values):
    shape = tuple(int(dim) for dim in shape.split(",") if dim)
    header = f"{{'descr': '<{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    number = int if dtype.startswith("i") else float
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}{FORMATS[dtype]}", *map(number, values)))


def read(path):
    """The dtype, the shape and the values in C order."""
    with open(path, "rb") as file:
        assert file.read(8) == b"\x93NUMPY\x01\x00"
        (length,) = struct.unpack("<H", file.read(2))
        header = ast.literal_eval(file.read(length).decode())
        data = file.read()
    dtype = header["descr"][1:]
    count = len(data) // int(dtype[1:])
    return dtype, header["shape"], struct.unpack(f"<{count}{FORMATS[dtype]}", data)


def show(path):
    dtype, shape, values = read(path)
    print(dtype, shape, *values)


if __name__ == "__main__":
    {"write": lambda p, d, s, *v: write(p, d, s, v), "show": show}[sys.argv[1]](*sys.argv[2:])
