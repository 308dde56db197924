#!/usr/bin/env python3
"""Adds up what the test runners found: the last line of `./dev test`.

usage: sum_results.py [--check NAME=STATUS]... RESULTS.xml...

Reads JUnit files as CTest and lit write them. A file that is missing, cannot be read or holds no tests counts as
one failure: a runner that died must not look like one that had nothing to say.
"""

import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    """passed, failed or skipped, of one <testcase>."""
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
        return "skipped"
    return "passed"


def count(path, totals):
    name = os.path.basename(path)
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        cases, reason = [], str(error)
    else:
        reason = "it holds no tests"
    if not cases:
        print(f"FAILED: {name}: {reason}")
        totals["failed"] += 1
    for case in cases:
        result = outcome(case)
        totals[result] += 1
        label = f"{case.get('classname', '')}.{case.get('name', '')}" if name == "lit.xml" else case.get("name")
        if result == "failed":
            print(f"FAILED: {label}")
        if result == "skipped":
            print(f"skipped: {label}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="append", default=[], metavar="NAME=STATUS")
    parser.add_argument("results", nargs="+")
    arguments = parser.parse_args()
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for path in arguments.results:
        count(path, totals)
    for check in arguments.check:
        name, _, status = check.partition("=")
        totals["passed" if status == "0" else "failed"] += 1
        if status != "0":
            print(f"FAILED: check {name}")
    if totals["skipped"]:
        print(f"{totals['skipped']} skipped")
    print(f"{totals['passed']} passed, {totals['failed']} failed")
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
