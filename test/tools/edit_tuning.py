#!/usr/bin/env python3
"""Checks or changes a file that `tfopt --tune` wrote, for tests.

--set MEMBER=JSON changes a member of the entry named --name; COLUMNS stands for the
columns of its tile.
"""

import argparse
import json


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--check", action="store_true", help="print what the file holds")
    parser.add_argument("--name", help="the dispatch whose entry changes")
    parser.add_argument("--set", action="append", default=[], metavar="MEMBER=JSON")
    parser.add_argument("--cpu", help="the CPU to name instead")
    parser.add_argument("-o", dest="output")
    options = parser.parse_args()

    with open(options.file) as file:
        tuning = json.load(file)
    if options.check:
        for signature, entry in tuning["dispatches"].items():
            assert len(signature) == 32 and int(signature, 16) >= 0, signature
            assert entry["template"] in ("contraction", "attention"), entry
        print(f"{len(tuning['dispatches'])} dispatches of {tuning['cpu']}")
    if options.cpu:
        tuning["cpu"] = options.cpu
    if options.name:
        (entry,) = [e for e in tuning["dispatches"].values() if e["name"] == options.name]
        columns = str(entry["tile"][1])
        for change in options.set:
            member, value = change.split("=", 1)
            entry[member] = json.loads(value.replace("COLUMNS", columns))
    if options.output:
        with open(options.output, "w") as file:
            json.dump(tuning, file, indent=2)


if __name__ == "__main__":
    main()
