#!/usr/bin/env python3
"""Compares a tiny model of a decoder family with its goldens, interpreted and compiled.

usage: check_family.py FAMILY FOLDER [--config KEY=JSON]... [--bare] [--chunk N] [--levels 0,1,3]
       check_family.py FAMILY FOLDER --differs --config KEY=JSON...
       check_family.py FAMILY FOLDER --missing

Logits of `score` may differ by 1e-5 of a position's largest; the continuation of the first half of the ids, by prefill
and decode, must be the golden's, at every optimisation level given. No pass may change what an entry point computes, in
f32 and in bf16, which tfopt --verify-numerics tells. Prints the largest difference of both; exits with 1 where one is too large. --differs
expects the change of the config to show: interpreted logits beyond the tolerance. --missing leaves out one tensor after
the other and expects tfopt to name it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import npy
import tiny_model

TOLERANCE = 1e-5
PROMPT = 20
GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "e2e/families/goldens"


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def difference(path, golden):
    """The largest of max|a - b| / max|b| over the positions."""
    (shape, a), (expected, b) = npy.read(path)[1:], npy.read(golden)[1:]
    if shape != expected:
        sys.exit(f"{path}: shape {shape}, expected {expected}")
    width, worst = shape[-1], 0.0
    for at in range(0, len(a), width):
        row, correct = a[at : at + width], b[at : at + width]
        distance = max(abs(x - y) if x == x else float("inf") for x, y in zip(row, correct))
        worst = max(worst, distance / max(map(abs, correct)))
    return worst


def compare(family, folder, chunk, levels, must_differ):
    ids, golden = tiny_model.tokens(), GOLDENS / f"{family}.npy"
    tokens, logits, artifact = folder / "tokens.npy", folder / "logits.npy", folder / "model.tfa"
    npy.write(tokens, "i4", f"1,{len(ids)}", ids)
    call = ["--entry=score", "--input", f"tokens={tokens}", "--output", f"logits={logits}"]
    run("tf-interpret", folder, *call)
    interpreted = difference(logits, golden)
    if must_differ:
        print(f"{family}: interpreted {interpreted:.1e}")
        return None if interpreted > TOLERANCE else "expected other logits"
    if interpreted > TOLERANCE:
        return f"interpreted: differs by more than {TOLERANCE}"
    for precision in ("f32", "bf16"):
        run("tfopt", folder, "--stop-at=optimized", "--verify-numerics", f"--precision={precision}", "-o", os.devnull)
    for level in levels.split(","):
        if problem := compare_compiled(family, folder, [f"-O{level}", *([f"--chunk={chunk}"] if chunk else [])], interpreted):
            return problem
    return None


def compare_compiled(family, folder, options, interpreted):
    ids, golden = tiny_model.tokens(), GOLDENS / f"{family}.npy"
    tokens, logits, artifact = folder / "tokens.npy", folder / "logits.npy", folder / "model.tfa"
    run("tfopt", folder, "-o", artifact, "--precision=f32", "-q", *options)
    run("tfrun", artifact, "--entry=score", "--input", f"tokens={tokens}", "--output", f"logits={logits}", "-q")
    compiled = difference(logits, golden)
    print(f"{family}: interpreted {interpreted:.1e}, compiled with {' '.join(options)} {compiled:.1e}")
    if compiled > TOLERANCE:
        return f"differs by more than {TOLERANCE}"

    prompt = ",".join(map(str, ids[:PROMPT]))
    expected = json.loads((GOLDENS / "greedy.json").read_text())[family]
    printed = run("tfrun", artifact, "--tokens", prompt, "-n", len(expected), "--temperature", "0", "--ignore-eos", "-q")
    found = [int(word) for word in printed.replace(",", " ").split()][-len(expected) :]
    return None if found == expected else f"continues with {found}, expected {expected}"


def check_missing(family, folder):
    names, problems = tiny_model.write_model(folder, family), []
    for name in names:
        if ".1." in name:
            continue  # layers are alike
        tiny_model.write_model(folder, family, dropped=[name])
        result = subprocess.run(["tfopt", folder, "-o", folder / "model.tfa"], capture_output=True, text=True)
        if result.returncode != 1 or name not in result.stderr or result.stderr.count("\n") != 1:
            problems.append(f"{name}: status {result.returncode}: {result.stderr}")
    print(f"{family}: {len(names)} tensors, {len(problems)} problems")
    return "\n".join(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("family", choices=sorted(tiny_model.FAMILIES))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--config", action="append", default=[], metavar="KEY=JSON")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--chunk", type=int)
    parser.add_argument("--levels", default="3")
    parser.add_argument("--differs", action="store_true")
    parser.add_argument("--missing", action="store_true")
    arguments = parser.parse_args()
    if arguments.missing:
        return check_missing(arguments.family, arguments.folder)
    tiny_model.write_model(arguments.folder, arguments.family, arguments.config, bare=arguments.bare)
    return compare(arguments.family, arguments.folder, arguments.chunk, arguments.levels, arguments.differs)


if __name__ == "__main__":
    sys.exit(main() or 0)
