#!/usr/bin/env python3
"""Runs a command and prints its time, the peak of its anonymous memory, and what it read and wrote.

usage: measure_memory.py [--limit MB] COMMAND…

Anonymous memory is what a process cannot give back: mapped files are not in it. It is sampled every two milliseconds
from /proc, so that a shorter peak is missed; the kernel keeps a high-water mark of the resident set alone. With --limit
the status is 1 where the peak was higher.
"""

import argparse
import resource
import subprocess
import sys
import time


def read_fields(path):
    with open(path) as file:
        return {key: value.split() for key, _, value in (line.partition(":") for line in file)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=int, metavar="MB")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    begin = time.monotonic()
    process = subprocess.Popen(options.command)
    anonymous = resident = 0
    transfer = {}
    while process.poll() is None:
        try:
            status = read_fields(f"/proc/{process.pid}/status")
            anonymous = max(anonymous, int(status["RssAnon"][0]))
            resident = max(resident, int(status["VmHWM"][0]))
            transfer = read_fields(f"/proc/{process.pid}/io")
        except (OSError, KeyError):  # it has just ended
            pass
        time.sleep(0.002)
    seconds = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    written = int(transfer.get("wchar", ["0"])[0])
    print(f"status {process.returncode}, {seconds:.2f} s (user {usage.ru_utime:.2f}, system {usage.ru_stime:.2f}), "
          f"anonymous memory {anonymous / 1024:.0f} MB, resident set {resident / 1024:.0f} MB, "
          f"written {written / 1e6:.0f} MB")
    if options.limit and anonymous > options.limit * 1024:
        print(f"expected at most {options.limit} MB of anonymous memory")
        return 1
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
