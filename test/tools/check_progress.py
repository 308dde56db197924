#!/usr/bin/env python3
"""Runs a compile whose stderr is a terminal and checks the progress line that it shows there.

usage: check_progress.py OUT.tfa COMMAND…

The line must count up to 100 % of the bytes of the artifact's weights, never back, say a rate above zero, and be gone at the
end. With --none before OUT.tfa there must be no such line.
"""

import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys

LINE = re.compile(r"weights +(\d+)% of ([0-9.]+) MB, (\d+) MB/s, (\d+) s left  (\S*)")


def run_on_terminal(command):
    """The exit status and all that a command writes to a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        text += part
    return process.wait(), text.decode()


def weight_bytes(artifact):
    with open(artifact / "weights.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(entry["data_offsets"][1] - entry["data_offsets"][0]
               for name, entry in header.items() if not name.startswith("__"))


def problems(artifact, text):
    shown = [(int(p), total, int(rate)) for p, total, rate, _, _ in LINE.findall(text)]
    if not shown:
        yield f"expected a progress line, but got {text!r}"
        return
    percents = [percent for percent, _, _ in shown]
    if percents != sorted(percents) or percents[-1] != 100:
        yield f"expected percents that rise to 100, but got {percents}"
    expected = f"{weight_bytes(artifact) / 1e6:.1f}"
    if {total for _, total, _ in shown} != {expected}:
        yield f"expected a total of {expected} MB, but got {sorted({total for _, total, _ in shown})}"
    if shown[-1][2] <= 0:
        yield "expected a rate above zero at the end"
    # What a person sees after the last carriage return that cleared the line.
    if LINE.search(text.rsplit("\r\x1b[K", 1)[-1]):
        yield "the line is still there at the end"


def main():
    arguments = sys.argv[1:]
    is_none = arguments[:1] == ["--none"]
    artifact, command = pathlib.Path(arguments[is_none]), arguments[is_none + 1 :]
    status, text = run_on_terminal(command)
    if status != 0:
        sys.exit(f"check_progress: {command[0]} failed with {status}: {text}")
    found = list(problems(artifact, text)) if not is_none else [f"expected no line, but got {text!r}"] * bool(LINE.search(text))
    for problem in found:
        print(f"check_progress: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
