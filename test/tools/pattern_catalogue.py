#!/usr/bin/env python3
"""The catalogue of patterns in passes/README.md, made from the lines `/// Pattern: before -> after` of the sources.

usage: pattern_catalogue.py [--root FOLDER]           checks that the catalogue is what the sources say
       pattern_catalogue.py [--root FOLDER] --write   writes it
"""

import argparse
import pathlib
import re
import sys

PATTERN = re.compile(r"^\s*/// Pattern: (.*)$", re.MULTILINE)
FLAG = re.compile(r'^#define DEBUG_TYPE "transformer-([^"]*)"', re.MULTILINE)
BEGIN, END = "<!-- patterns: test/tools/pattern_catalogue.py writes what follows -->\n", "<!-- end of patterns -->\n"


def catalogue(root):
    """The lines of the table, and how many patterns they hold."""
    lines, count = ["| pass | pattern |\n", "|---|---|\n"], 0
    for source in sorted((root / "passes").glob("*/*.cpp")):
        text = source.read_text()
        patterns, flag = PATTERN.findall(text), FLAG.search(text)
        if not patterns or not flag:
            continue
        name = f"[`{flag[1]}`]({source.relative_to(root / 'passes')})"
        for pattern in patterns:
            escaped = pattern.replace("|", "\\|")
            lines.append(f"| {name} | `{escaped}` |\n")
            name = ""
        count += len(patterns)
    return "".join(lines), count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    readme = options.root / "passes/README.md"
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{readme} has no place for the catalogue")
    table, count = catalogue(options.root)
    before, rest = text.split(BEGIN)
    current = before + BEGIN + table + END + rest.split(END)[1]
    if options.write:
        readme.write_text(current)
    elif current != text:
        sys.exit(f"{readme}: the catalogue is old; run test/tools/pattern_catalogue.py --write")
    print(f"{count} patterns")


if __name__ == "__main__":
    main()
