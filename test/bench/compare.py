#!/usr/bin/env python3
"""Compares whole models compiled by tfopt with what is installed of other engines: one run, one machine, interleaved.

Every engine gets the same random weights, the same element type and the same number of threads, in a process of its own;
results are compared with tfopt's before anything is timed, and an engine that disagrees is not timed. Then the engines take
turns, round after round, so that what else the machine does meets all of them. Figures are medians over the rounds, and
only ratios of one run mean anything. Where all models together would not fit into memory, engines run in groups, with tfopt
in each. What is not installed is named, with why.

pp128 is a prompt of 128 tokens from an empty cache to the logits of the last, tg64 is 64 steps of one token after --depth
tokens, seq128 an encoder over 128 positions. A checkpoint is a folder of a Llama in Hugging Face's layout.

usage: compare.py BUILD [--models stories15m smollm-135m tinyllama-1.1b bert-base CHECKPOINT] [--dtypes f32 bf16 int8]
                  [--engines NAME...] [--llama-bench PROGRAM] [--huge-pages] [--threads N] [--rounds 9]
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models
from engines import ENGINES
from engines.base import Options
from engines.worker import Failed, Remote

# The largest difference from tfopt's result of the same element type, of the largest value. f32: sums in another order.
# bf16: engines round at other places, and errors grow with depth. int8: each has its own scales.
TOLERANCE = {"f32": 1e-4, "bf16": 5e-2, "int8": 2e-1}


def bytes_free():
    """Memory that processes can have, bytes."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


def note(text):
    print(text, file=sys.stderr, flush=True)


def choose(kind, dtype, options, wanted):
    """The engines to measure, {class: version}; prints those that are missing. tfopt is always one."""
    chosen = {}
    for engine in ENGINES:
        if wanted and not issubclass(engine, ENGINES[0]) and not any(engine.name.startswith(w) for w in wanted):
            continue
        remote = Remote(engine, options)
        try:
            reason = remote.call("available", kind, dtype)
            chosen.update({} if reason else {engine: remote.call("version")})
        except Failed as error:
            reason = str(error)
        remote.close()
        if reason:
            print(f"missing: {engine.name} ({reason})", flush=True)
    return chosen


def groups(engines, model, most):
    """Lists of engines that fit into memory together, tfopt first in each; of at most `most` others, if not 0."""
    first, *others = engines
    room, size = 0.7 * bytes_free(), models.weight_bytes(model)
    made = [[first]]
    for engine in others:
        used = sum(e.copies for e in made[-1]) * size
        if len(made[-1]) > 1 and (used + engine.copies * size > room or len(made[-1]) == most + 1):
            made.append([first])
        made[-1].append(engine)
    return made


def difference(result, expected, kind):
    """Of the largest value; NaN counts as infinite. Logits are compared as softmax sees them: up to a constant."""
    if kind == "decoder":
        result, expected = (r - r.mean(axis=-1, keepdims=True) for r in (result, expected))
    worst = float(np.abs(result - expected).max() / np.abs(expected).max())
    return worst if worst == worst else float("inf")


def start(engines, model, dtype, options, a, folder):
    """Prepares and checks: {name: (remote, difference or None)}."""
    running, expected = {}, None
    for engine in engines:
        place = pathlib.Path(folder) / engine.__name__
        place.mkdir(parents=True, exist_ok=True)
        remote = Remote(engine, options)
        began = time.monotonic()
        try:
            remote.call("prepare", model, dtype, str(place))
            result = remote.call("check")
            off = None if result is None or expected is None else difference(result, expected, model.kind)
            if expected is None:
                expected, off = result, 0.0
            if off is not None and off > TOLERANCE[dtype]:
                raise Failed(f"its result differs by {off:.1e} of the largest value; allowed are {TOLERANCE[dtype]:.0e}")
            remote.call("warm", a.prompt, a.depth)
            running[remote.call("label", dtype)] = (remote, off)
            note(f"{model.name} {dtype}: {engine.name} is ready after {time.monotonic() - began:.0f} s")
        except Failed as error:
            print(f"not measured: {engine.name}, {model.name} in {dtype}: {error}", flush=True)
            remote.close()
            if engine is ENGINES[0]:
                break
    return running


def measure(running, model, a):
    """{test: {name: seconds of each round}}; an engine that fails is named and taken out of `running`."""
    encodes = model.kind == "encoder"
    tests = {f"{'seq' if encodes else 'pp'}{n}": ("prefill", n) for n in a.prompt}
    if not encodes and a.steps:
        tests[f"tg{a.steps}"] = ("decode", a.steps, a.depth)
    seconds = {test: {name: [] for name in running} for test in tests}
    for test, request in tests.items():
        # One round more than asked for: the first is not counted.
        for i in range(a.rounds + 1):
            for name, (remote, _) in list(running.items()):
                try:
                    elapsed = remote.call(*request)
                    seconds[test][name] += [elapsed] if i else []
                except Failed as error:
                    print(f"not measured: {name}, {model.name} {test}: {error}", flush=True)
                    running.pop(name)[0].close()
    return {test: {name: by[name] for name in running} for test, by in seconds.items()}


def report(seconds, running, model, dtype):
    """Rows: model, type, test, engine, rate, spread, how many times as fast tfopt is, difference."""
    first = next(iter(running))
    for test, by_engine in seconds.items():
        count = int(test.lstrip("abcdefghijklmnopqrstuvwxyz"))
        work = models.operations(model, count) / 1e9 if model.kind == "encoder" else count
        base = statistics.median(by_engine[first])
        for name, times in by_engine.items():
            middle = statistics.median(times)
            off = running[name][1]
            cells = [model.name, dtype, test, name, f"{middle * 1e3:.2f}", f"{work / middle:.1f}",
                     f"{work / max(times):.1f} to {work / min(times):.1f}", f"{middle / base:.2f}",
                     "unchecked" if off is None else f"{off:.1e}"]  # fmt: skip
            print("| " + " | ".join(cells) + " |", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="the build folder, with bin/tfopt and runtime/libxfm.so")
    parser.add_argument("--models", nargs="+", default=[*models.DECODERS, *models.ENCODERS], help="names, or folders of checkpoints")
    parser.add_argument("--dtypes", nargs="+", default=["f32", "bf16"], choices=list(TOLERANCE))
    parser.add_argument("--engines", nargs="+", help="beginnings of names; tfopt is always measured")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompt", type=int, nargs="+", default=[128, 512], help="lengths, tokens")
    parser.add_argument("--steps", type=int, default=64, help="tokens generated one by one; 0: none")
    parser.add_argument("--depth", type=int, default=16, help="tokens in the cache before those steps; at least 2")
    parser.add_argument("--layers", type=int, help="at most this many, to try things")
    parser.add_argument("--group", type=int, default=0, help="engines beside tfopt at a time; 0: what fits into memory")
    parser.add_argument("--llama-bench", default="", metavar="PROGRAM", help="llama.cpp's program of that name")
    parser.add_argument("--huge-pages", action="store_true", help="measure tfopt with its weights in huge pages too")
    parser.add_argument("--int8-options", default="", help="tfopt's for 8-bit weights; without them its f32 stands beside the others' int8")
    a = parser.parse_args()
    if a.depth < 2 and a.steps:
        parser.error("expected --depth of at least 2")
    return a


def compare(name, dtype, options, a, folder):
    model = models.make(name, dtype, f"{folder}/model", a.layers)
    engines = choose(model.kind, dtype, options, a.engines)
    if ENGINES[0] not in engines:
        return
    print(f"{model.name} in {dtype}: " + ", ".join(f"{e.name} ({v})" for e, v in engines.items()), flush=True)
    unit = "GFLOP/s" if model.kind == "encoder" else "tokens/s"
    for group in groups(engines, model, a.group):
        running = start(group, model, dtype, options, a, folder)
        first = next(iter(running), None)
        seconds = measure(running, model, a)
        if first in running:
            print(f"\n| model | type | test | engine | ms | {unit} | slowest to fastest | times tfopt's time | difference |")
            print("|---|---|---|---|---|---|---|---|---|")
            report(seconds, running, model, dtype)
            print(flush=True)
        for remote, _ in running.values():
            remote.close()


def main():
    a = parse_arguments()
    # One position more than is needed, rounded up: a static graph's cache then has a rest in every case.
    capacity = (max(*a.prompt, a.depth + a.steps, 18) // 64 + 1) * 64
    options = Options(a.build, a.threads, capacity, a.llama_bench, a.int8_options, a.huge_pages)
    print(f"{a.threads} threads, medians of {a.rounds} interleaved rounds, load {os.getloadavg()[0]:.1f}; allowed differences of "
          f"the largest value: {', '.join(f'{t:.0e} {d}' for d, t in TOLERANCE.items() if d in a.dtypes)}")  # fmt: skip
    for name in a.models:
        for dtype in a.dtypes:
            with tempfile.TemporaryDirectory() as folder:
                compare(name, dtype, options, a, folder)


if __name__ == "__main__":
    main()
