#!/usr/bin/env python3
"""Checks that decomposed models are raised to what importers write.

usage: check_raising.py FOLDER [--models A,B] [--spellings A,B] [--seeds N] [--dynamic] [--compile] [--mutations N]

Each model of decomposed_models.py, in each spelling, as it is and with each seed, must come to as many launches as the
model in the transformer dialect, with logits within 1e-5 of those of the decomposed model in the interpreter; with
--compile, also those of the compiled one. With --mutations, models with one op changed are raised as far as they still
are what they seem to be: their logits must be those of the changed model. Prints a line per model and spelling.
"""

import argparse
import math
import pathlib
import subprocess
import sys

import npy

TOLERANCE = 1e-5
GENERATOR = pathlib.Path(__file__).with_name("decomposed_models.py")


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return result.stdout


def write(folder, model, spelling, dynamic, *more):
    run(sys.executable, GENERATOR, model, spelling, folder, *(["--dynamic"] if dynamic else []), *more)


def launches(folder):
    return run("tfopt", "compile", folder / "model.mlir", "--stop-at=dispatch").count("transformer.launch")


def interpret(folder, file):
    run("tf-interpret", file, "--weights", folder, "--entry=score", "--input", f"tokens={folder / 'tokens.npy'}",
        "--output", f"logits={folder / 'logits.npy'}")
    return npy.read(folder / "logits.npy")[2]


def optimized(folder):
    run("tfopt", "compile", folder / "model.mlir", "--stop-at=optimized", "-o", folder / "optimized.mlir")
    return interpret(folder, folder / "optimized.mlir")


def compiled(folder):
    artifact = folder.with_suffix(".tfa")
    run("tfopt", folder / "model.mlir", "-o", artifact, "-q")
    run("tfrun", artifact, "--entry=score", "--input", f"tokens={folder / 'tokens.npy'}", "--output",
        f"logits={folder / 'logits.npy'}")
    return npy.read(folder / "logits.npy")[2]


def error(expected, got):
    """Relative to the largest value; infinite where a number is expected and none is there. Where NaN is expected there
    may be a number: a written-out mask adds to hidden scores that are NaN, an attention does not read them."""
    size = max((abs(x) for x in expected if math.isfinite(x)), default=1) or 1
    pairs = [(x, y) for x, y in zip(expected, got) if math.isfinite(x)]
    return max((abs(x - y) / size if math.isfinite(y) else math.inf for x, y in pairs), default=0)


def check_model(model, spelling, options):
    """Problems of a model in a spelling, after a line that says how it did."""
    folder = options.folder / f"{model}-{spelling}"
    reference = options.folder / f"{model}-dialect"
    write(reference, model, "dialect", options.dynamic)
    expected = launches(reference)
    problems, worst = [], 0
    for seed in [None, *range(1, options.seeds + 1)]:
        write(folder, model, spelling, options.dynamic, *([] if seed is None else ["--seed", seed]))
        logits = interpret(folder, folder / "model.mlir")
        errors = [error(logits, optimized(folder))]
        if options.compile:
            errors.append(error(logits, compiled(folder)))
        worst = max(worst, *errors)
        if max(errors) > TOLERANCE:
            problems.append(f"{model} {spelling} seed {seed}: logits differ by {max(errors):.1e}")
        count = launches(folder)
        if count != expected:
            problems.append(f"{model} {spelling} seed {seed}: {count} launches, not {expected}")
    print(f"{model} {spelling}: {expected} launches, seeds {options.seeds}, error {worst:.1e}")
    return problems


def check_mutations(model, spelling, options):
    """Problems of the model with one op changed, and how often the change showed in its logits."""
    folder = options.folder / f"{model}-{spelling}-mutated"
    write(folder, model, spelling, options.dynamic)
    original = interpret(folder, folder / "model.mlir")
    problems, different, worst = [], 0, 0
    for mutation in range(options.mutations):
        write(folder, model, spelling, options.dynamic, "--mutate", mutation)
        logits = interpret(folder, folder / "model.mlir")
        different += error(original, logits) > TOLERANCE
        apart = error(logits, optimized(folder))
        worst = max(worst, apart)
        if apart > TOLERANCE:
            problems.append(f"{model} {spelling} mutation {mutation}: logits differ by {apart:.1e}")
    print(f"{model} {spelling}: {options.mutations} mutations, {different} other models, error {worst:.1e}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", default="llama,bert,gpt2")
    parser.add_argument("--spellings", default="flat,einsum,slices")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    problems = []
    for model in options.models.split(","):
        for spelling in options.spellings.split(","):
            check = check_mutations if options.mutations else check_model
            problems += check(model, spelling, options)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
