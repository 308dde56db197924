#!/usr/bin/env python3
"""Runs a command that must fail as the project's tools fail, and prints its error for FileCheck.

usage: expect_error.py [--unchanged FOLDER]... -- COMMAND…

Expected: exit status 1 (not a signal), nothing on stdout, one line on stderr that starts with the tool's name and
"error:", and the same files, sizes and times in FOLDER as before.
"""

import argparse
import os
import subprocess
import sys


def listing(folder):
    entries = {}
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            status = os.lstat(path)
            # A folder's time changes with files that come and go; those are seen by themselves.
            entries[path] = None if name in folders else (status.st_size, status.st_mtime_ns)
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--unchanged", action="append", default=[], metavar="FOLDER")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    before = [listing(folder) for folder in arguments.unchanged]
    run = subprocess.run(arguments.command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    error = run.stderr.decode("utf-8", "replace")
    sys.stdout.write(error)
    problems = []
    tool = os.path.basename(arguments.command[0])
    if run.returncode != 1:
        problems.append(f"expected exit status 1, but got {run.returncode}")
    if run.stdout:
        problems.append(f"expected nothing on stdout, but got {run.stdout[:200]!r}")
    if error.count("\n") != 1 or not error.endswith("\n"):
        problems.append(f"expected one line on stderr, but got {error.count(chr(10))}")
    if not error.startswith(f"{tool}: error: "):
        problems.append(f"expected the line to start with '{tool}: error: '")
    for folder, entries in zip(arguments.unchanged, before):
        after = listing(folder)
        for path in sorted(entries.keys() | after.keys()):
            if entries.get(path, "absent") != after.get(path, "absent"):
                problems.append(f"{path} was {'left behind' if path not in entries else 'changed or removed'}")
    for problem in problems:
        print(f"expect_error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
