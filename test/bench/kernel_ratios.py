#!/usr/bin/env python3
"""Runs kernel-bench interleaved and prints each kernel as a ratio of the machine's limit and of the libraries.

All benchmarks run in random order, again and again, so that what else the machine does meets all of them; ratios are
of medians of that one run.

usage: kernel_ratios.py BUILD/bin/kernel-bench [--filter REGEX] [--repetitions N] [--seconds S]
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile


def medians(path, arguments):
    """Median of the counter of each benchmark: {name: value}."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [path, f"--benchmark_out={out.name}", "--benchmark_out_format=json",
             "--benchmark_enable_random_interleaving=true", f"--benchmark_repetitions={arguments.repetitions}",
             f"--benchmark_min_time={arguments.seconds}", f"--benchmark_filter={arguments.filter}|^peak|^read"],
            check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        runs = json.load(open(out.name))["benchmarks"]
    values = {}
    for run in runs:
        if run.get("run_type") != "aggregate" and not run.get("error_occurred"):
            name = run["run_name"].split("/real_time")[0]
            values.setdefault(name, []).append(run.get("GFLOP/s", run.get("GB/s")))
    return {name: statistics.median(list) for name, list in values.items()}


def limit_of(name, values):
    """The limit that bounds a kernel: bandwidth where it streams memory, multiplications elsewhere."""
    threads = name.rsplit("/", 1)[1]
    if "gemv" in name or "decode_attention" in name:
        return max(values[f"read/{how}/{threads}"] for how in ("ahead", "streams"))
    kind = "i8" if "/i8/" in name or "/i4/" in name else "bf16" if "/bf16/" in name else "f32"
    # bf16 is widened where no instruction multiplies it.
    return values.get(f"peak/{kind}/{threads}") or (kind == "bf16" and values.get(f"peak/f32/{threads}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--filter", default=".")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.05)
    arguments = parser.parse_args()
    # A thread that spins for work takes a core from whoever is measured next.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    values = medians(arguments.bench, arguments)
    print("| kernel | median | of the limit | of oneDNN | of OpenBLAS |\n|---|---|---|---|---|")
    for name, value in values.items():
        is_read = name.startswith("read") or "gemv" in name or "decode_attention" in name
        unit = "GB/s" if is_read else "GFLOP/s"
        limit = None if name.startswith(("peak", "read")) else limit_of(name, values)
        cells = [name, f"{value:.1f} {unit}", f"{value / limit:.2f}" if limit else ""]
        for peer in ("onednn", "openblas"):
            other = values.get(name.replace("xfm/", f"{peer}/").replace("/static", "").replace("/dynamic", ""))
            cells.append(f"{value / other:.2f}" if other and name.startswith("xfm") else "")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
