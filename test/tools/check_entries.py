#!/usr/bin/env python3
"""Checks the entry functions of a model lowered to memory: they compute sizes, bind and launch, and nothing else; and
their arena is at most 1.1 times what the buffers alive at one time need.

usage: check_entries.py FILE.mlir
"""

import pathlib
import re
import sys

# Sizes are arith; views have no code.
ALLOWED = re.compile(
    r"arith\.|transformer\.(launch|binding|size)$|memref\.(view|expand_shape|collapse_shape|cast|reinterpret_cast)$|return$"
)
FUNCTION = re.compile(r"^  func\.func (?:private )?@([\w.]+)")
ARENA = re.compile(r"bound = (\d+) : i64, bytes = (\d+) : i64")
OPERATION = re.compile(r"^ +(?:%[\w:, %]+ = )?([a-z_]+(?:\.[a-z_]+)*)")


def main():
    function, entries, launches, problems = None, 0, 0, []
    for number, line in enumerate(pathlib.Path(sys.argv[1]).read_text().splitlines(), 1):
        if found := FUNCTION.match(line):
            function = found[1]
            entries += function.startswith("xfm_entry_")
            sections = ARENA.findall(line)
            if function.startswith("xfm_entry_") and not sections:
                problems.append(f"{number}: @{function} states no memory plan")
            for bound, planned in sections:
                if int(planned) > 1.1 * int(bound):
                    problems.append(f"{number}: @{function} plans {planned} bytes where {bound} are alive")
            continue
        if not function or not function.startswith("xfm_entry_"):
            continue
        if line == "  }":
            function = None
        elif not (found := OPERATION.match(line)) or not ALLOWED.match(found[1]):
            problems.append(f"{number}: @{function} holds {line.strip()}")
        else:
            launches += found[1] == "transformer.launch"
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{entries} entry functions, {launches} launches, {len(problems)} problems")
    return 1 if problems or not launches else 0


if __name__ == "__main__":
    sys.exit(main())
