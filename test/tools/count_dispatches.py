#!/usr/bin/env python3
"""Counts the dispatches of one layer of each entry point.

usage: count_dispatches.py TFOPT MODEL_OF_N_LAYERS MODEL_OF_N_PLUS_2_LAYERS [tfopt's options]

The launches of two layers more, halved: what stands before the first layer and behind the last does not count, nor what a
last layer does otherwise.
"""

import re
import subprocess
import sys

FUNCTION = re.compile(r"func\.func @(\w+)\(.*?^  }", re.MULTILINE | re.DOTALL)


def launches(tfopt, model, options):
    command = [tfopt, model, "--stop-at=dispatch", *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {match[1]: match[0].count("transformer.launch") for match in FUNCTION.finditer(text)}


def main():
    tfopt, few, more, *options = sys.argv[1:]
    fewer, total = launches(tfopt, few, options), launches(tfopt, more, options)
    if not fewer or fewer.keys() != total.keys():
        sys.exit("the models have no entry points, or different ones")
    for entry in fewer:
        print(f"{entry}: {(total[entry] - fewer[entry]) / 2:g} dispatches per layer")


if __name__ == "__main__":
    main()
