#!/usr/bin/env python3
"""Runs small cases of every kernel template under compute-sanitizer.

usage: sanitize.py [--device cuda:0] [--sanitizer PATH] BUNDLE TFRUN

A line for each group of kernels and tool (memcheck, racecheck, synccheck). Where there is no compute-sanitizer it says so, and has
status 0; status 1 if something was found. Needs Python's standard library alone.
"""

import argparse
import array
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import machine

TOOLS = ("memcheck", "racecheck", "synccheck")


def find_sanitizer():
    folders = [os.path.join(os.environ[v], "bin") for v in ("CUDA_HOME", "CUDA_PATH") if v in os.environ]
    for path in (None, os.pathsep.join(folders), "/usr/local/cuda/bin"):
        if path != "" and (found := shutil.which("compute-sanitizer", path=path)):
            return found
    return None


def write_random(path, shape):
    """An .npy file of f32."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        array.array("f", (random.uniform(-1, 1) for _ in range(math.prod(shape)))).tofile(file)


def run(sanitizer, tool, arguments, artifact, spec):
    """Why a case does not pass, or None."""
    sizes = spec["calls"][min(1, len(spec["calls"]) - 1)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sanitizer, "--tool", tool, "--error-exitcode", "99"] + machine.command_of(
            arguments.tfrun, artifact, arguments.device,
            ["--entry=" + spec["entry"], "--output=y=" + os.path.join(folder, "y.npy")])  # fmt: skip
        if arguments.device != "cpu":
            command.append("--no-cuda-graph")
        for tensor in spec["inputs"]:
            path = os.path.join(folder, tensor["name"] + ".npy")
            write_random(path, [sizes.get(d, d) for d in tensor["shape"]])
            command.append(f"--input={tensor['name']}={path}")
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if result.returncode == 0:
        return None
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    shown = next((line for line in lines if "Error" in line or "error" in line or "hazard" in line), lines[-1] if lines else "no message")
    return f"{spec['entry']}: {shown.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("tfrun")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--sanitizer", help="its path (default: PATH, $CUDA_HOME/bin, /usr/local/cuda/bin)")
    arguments = parser.parse_args()
    sanitizer = arguments.sanitizer or find_sanitizer()
    if not sanitizer:
        print("sanitize.py: there is no compute-sanitizer in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin: kernels are not run under it")
        return 0
    failed = 0
    print(f"{'kernels':24} {'arch':7} {'tool':10} result")
    for name, specs in machine.read_cases(arguments.bundle)["check"].items():
        for arch, artifact in machine.artifacts(os.path.join(arguments.bundle, "check"), name, arguments.device):
            for tool in TOOLS:
                problems = [run(sanitizer, tool, arguments, artifact, spec) for spec in {s["entry"]: s for s in (specs[0], specs[-1])}.values()]
                problem = next((p for p in problems if p), None)
                print(f"{name:24} {arch:7} {tool:10} {'FAILED: ' + problem if problem else 'ok'}", flush=True)
                failed += problem is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
