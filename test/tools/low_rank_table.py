#!/usr/bin/env python3
"""Writes a safetensors file with tables of positions, for tests. Standard library only.

usage: low_rank_table.py FILE

"smooth": 64 positions of 32 waves of two frequencies, so of rank 4. "rough": the same with noise of a tenth.
"""

import hashlib
import json
import math
import pathlib
import struct
import sys

ROWS, WIDTH = 64, 32


def smooth(p, d):
    return math.cos(0.11 * p + 0.7 * d) + 0.5 * math.sin(0.31 * p - 0.4 * d)


def noise(p, d):
    return int.from_bytes(hashlib.sha256(f"{p},{d}".encode()).digest()[:4], "little") / 2**31 - 1


def main():
    places = [(p, d) for p in range(ROWS) for d in range(WIDTH)]
    tables = {"smooth": [smooth(p, d) for p, d in places], "rough": [smooth(p, d) + 0.1 * noise(p, d) for p, d in places]}
    header, data = {}, b""
    for name, values in tables.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": [ROWS, WIDTH], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    pathlib.Path(sys.argv[1]).write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
