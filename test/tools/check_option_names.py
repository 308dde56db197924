#!/usr/bin/env python3
"""Checks that two programs' options have different names.

usage: check_option_names.py OURS THEIRS: what `tfopt compile --help` and `mlir-opt --help-hidden` print

Only what stands where options stand counts: options of a pass, indented further, belong to the pass. `-o` is in both and
means the same: where the output goes.
"""

import re
import sys

OPTION = re.compile(r"^ {2}--?([A-Za-z0-9][\w-]*)(?:=<[^>]*>| <[^>]*>)?(?: +-|$)")
PASS = re.compile(r"^ {6}--([a-z0-9][\w-]*) +-")
# Every program of LLVM's command line library has these, and -o.
GENERIC = {"o", "help", "help-hidden", "help-list", "help-list-hidden", "version", "h", "print-options", "print-all-options"}


def names(path):
    result = set()
    for line in open(path, encoding="utf-8", errors="replace"):
        found = OPTION.match(line) or PASS.match(line)
        if found:
            result.add(found.group(1))
    return result - GENERIC


def main():
    ours, theirs = names(sys.argv[1]), names(sys.argv[2])
    for path, found in zip(sys.argv[1:], (ours, theirs)):
        if not found:
            print(f"{path} lists no options")
            return 1
    clashes = sorted(ours & theirs)
    for name in clashes:
        print(f"--{name} is an option of both")
    print(f"{len(ours)} options, {len(clashes)} clashes")
    return 1 if clashes else 0


if __name__ == "__main__":
    sys.exit(main())
