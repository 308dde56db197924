#!/usr/bin/env python3
"""Runs every ```mlir example of the documentation through tfopt.

An example stands in a description of a .td file or in a README. It must parse, verify and, printed, parse
again. A line that begins with `#` or `!` (an attribute or a type) is checked by itself.

usage: check_doc_examples.py --tfopt TFOPT [--root FOLDER]
"""

import argparse
import pathlib
import re
import subprocess
import sys
import textwrap

FOLDERS = ["dialect", "import", "passes", "codegen", "weights", "tools"]
BLOCK = re.compile(r"^([ \t]*)```mlir\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def documents(root):
    """Every file whose examples are checked."""
    yield from sorted(root.glob("*.md"))
    for folder in FOLDERS:
        for pattern in ("**/*.td", "**/*.md"):
            yield from sorted((root / folder).glob(pattern))


def examples(path):
    """Line number and text of each example of a file."""
    text = path.read_text()
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        yield line, textwrap.dedent(match[2])


def as_module(example):
    """The example with attributes and types on lines of their own turned into attributes of the module."""
    lines, attributes = [], []
    for line in example.splitlines():
        # `#name = ...` and `!name = ...` are aliases, which stand by themselves.
        if line[:1] in ("#", "!") and not re.match(r"[#!]\w+ *=", line):
            attributes.append(f"doc.example{len(attributes)} = {line}")
        else:
            lines.append(line)
    if attributes:
        lines.append("module attributes {" + ", ".join(attributes) + "} {}")
    return "\n".join(lines)


def run(tfopt, text):
    return subprocess.run([tfopt, "--split-input-file", "-"], input=text, capture_output=True, text=True)


def check(tfopt, example):
    """What is wrong with an example, or nothing."""
    printed = run(tfopt, as_module(example))
    if printed.returncode != 0:
        return printed.stderr
    again = run(tfopt, printed.stdout)
    if again.returncode != 0:
        return "printed form does not parse:\n" + again.stderr
    if again.stdout != printed.stdout:
        return "printed form changes when it is parsed and printed again"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tfopt", required=True)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    options = parser.parse_args()
    count = failures = 0
    for path in documents(options.root):
        for line, example in examples(path):
            count += 1
            problem = check(options.tfopt, example)
            if problem:
                failures += 1
                print(f"{path.relative_to(options.root)}:{line}: example fails\n{problem}", file=sys.stderr)
    if count == 0:
        print(f"no examples found under {options.root}", file=sys.stderr)
        return 1
    print(f"{count} examples, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
