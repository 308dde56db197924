#!/usr/bin/env python3
"""Damages a file: usage: damage_file.py FILE flip|cut|grow (a bit in the middle, the last byte, one byte more)."""

import pathlib
import sys


def main():
    path, how = pathlib.Path(sys.argv[1]), sys.argv[2]
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 1
    elif how == "cut":
        del data[-1]
    elif how == "grow":
        data.append(0)
    else:
        sys.exit(__doc__)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
