#!/usr/bin/env python3
"""Writes UnicodeTables.inc from Python's unicodedata: python3 make_unicode_tables.py > UnicodeTables.inc

Held: canonical decompositions by one step, canonical combining classes, and simple lower case. Hangul syllables are
computed, not listed. NFKC and NFKD are not held (see README.md)."""
import sys
import unicodedata


def rows(cells, width=106):
    line = " "
    for cell in cells:
        if len(line) + 1 + len(cell) > width:
            print(line)
            line = " "
        line += " " + cell
    print(line)


def decompositions():
    for code in range(0x110000):
        fields = unicodedata.decomposition(chr(code)).split()
        if not fields or fields[0].startswith("<"):
            continue
        first, second = int(fields[0], 16), int(fields[1], 16) if len(fields) > 1 else 0
        composes = second != 0 and unicodedata.normalize("NFC", chr(code)) == chr(code)
        yield f"{{0x{code:X}, 0x{first:X}, 0x{second:X}, {int(composes)}}},"


def ranges(value):
    """Ranges of code points of equal non-zero value; a range steps by 1 or by 2."""
    found = []
    for code in range(0x110000):
        v = value(code)
        if v == 0:
            continue
        if found:
            first, last, step, held = found[-1]
            if held == v and code - last == (step or code - last) and code - last <= 2:
                found[-1] = (first, code, code - last, v)
                continue
        found.append((code, code, 0, v))
    for first, last, step, v in found:
        yield f"{{0x{first:X}, 0x{last:X}, {step or 1}, {v}}},"


def lower(code):
    text = chr(code).lower()
    return ord(text) - code if len(text) == 1 else 0


print(f"// Made by make_unicode_tables.py from Unicode {unicodedata.unidata_version}; do not edit.")
print("// {code point, first, second or 0, composes}")
print("static constexpr Decomposition decompositions[] = {")
rows(decompositions())
print("};")
print("// {first, last, step, canonical combining class}")
print("static constexpr Range combiningClasses[] = {")
rows(ranges(lambda code: unicodedata.combining(chr(code))))
print("};")
print("// {first, last, step, distance to the lower case letter}")
print("static constexpr Range lowerCases[] = {")
rows(ranges(lower))
print("};")
if unicodedata.unidata_version < "14":
    sys.exit("wanted Unicode 14 or later")
