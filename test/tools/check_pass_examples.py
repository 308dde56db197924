#!/usr/bin/env python3
"""Runs each pass on the example of its description and compares with what it says the IR becomes.

In a Passes.td a description may hold

    ```mlir
    (before)
    ```
    becomes
    ```mlir
    (after)
    ```

`tfopt --<flag>` of the first must print what `tfopt` prints of the second. Every pass of passes/ needs one.

usage: check_pass_examples.py --tfopt TFOPT [--root FOLDER]
"""

import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import textwrap

PASS = re.compile(r'^def\s+\w+\s*:\s*(?:Interface)?Pass<\s*"([^"]*)".*?^}', re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"```mlir\n(.*?)^[ \t]*```\s*becomes\s*```mlir\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def run(tfopt, text, *flags):
    result = subprocess.run([tfopt, "-", *flags], input=textwrap.dedent(text), capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else "error: " + result.stderr


def check(tfopt, flag, before, after):
    """What differs, or nothing."""
    expected, found = run(tfopt, after), run(tfopt, before, "--" + flag)
    if expected == found and not found.startswith("error: "):
        return None
    return "".join(difflib.unified_diff(expected.splitlines(True), found.splitlines(True), "description", flag))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tfopt", required=True)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    options = parser.parse_args()
    count = failures = 0
    for table in sorted((options.root / "passes").glob("**/Passes.td")):
        for definition in PASS.finditer(table.read_text()):
            count += 1
            example = EXAMPLE.search(definition[0])
            problem = check(options.tfopt, definition[1], *example.groups()) if example else "has no example\n"
            if problem:
                failures += 1
                print(f"{definition[1]}: {problem}", end="", file=sys.stderr)
    print(f"{count} passes, {failures} failures")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
