#!/usr/bin/env python3
"""Runs each case of a bundle on fresh random inputs and compares it with torch in float64.

usage: reference.py [--device cuda:0] [--filter REGEX] BUNDLE TFRUN

A line for each case: the largest error of its calls as a share of the largest expected value, and what is allowed.
XFM_SEED is the seed of the inputs (default: a random one, printed). Status 1 if a case failed. Needs torch and NumPy: where they
are missing it says so, and has status 0.
"""

import argparse
import concurrent.futures
import os
import random
import re
import sys
import tempfile

import machine

try:
    import numpy
    import torch

    import llama
except ImportError as error:
    numpy = torch = None
    MISSING = error.name


def narrow(value, kind):
    """Rounded to what a kernel reads, as float64."""
    types = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    return value.to(types[kind]).to(torch.float64)


def activation(kind, x):
    functions = torch.nn.functional
    return {"silu": functions.silu, "gelu_erf": functions.gelu,
            "gelu_tanh": lambda v: functions.gelu(v, approximate="tanh")}[kind](x)  # fmt: skip


def linear(spec, x, w, **more):
    y = x @ w.T
    if spec["finish"] == "gated":
        return activation("silu", y) * (x @ more["v"].T)
    y = y + more["b"]
    return activation(spec["finish"], y) if spec["finish"] else y


def attention(spec, q, k, v, bias=None):
    """[B, S, H, D] and [B, K, KV, D]; query s is at position K - S + s."""
    group = q.shape[2] // k.shape[2]
    k, v = (t.repeat_interleave(group, dim=2) for t in (k, v))
    scores = spec["scale"] * torch.einsum("bshd,bkhd->bhsk", q, k)
    if spec["softcap"]:
        scores = spec["softcap"] * torch.tanh(scores / spec["softcap"])
    if bias is not None:
        scores = scores + bias
    i = torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
    j = torch.arange(k.shape[1])[None, :]
    visible = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool)
    if spec["mask"][0] != "none":
        visible = j <= i
    if spec["mask"][0] == "window":
        visible = visible & (j > i - int(spec["mask"][1]))
    return torch.einsum("bhsk,bkhd->bshd", torch.softmax(scores.masked_fill(~visible, -torch.inf), -1), v)


def norm(spec, x, w, b=None):
    if spec["op"] == "rms_norm":
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w
    return torch.nn.functional.layer_norm(x, x.shape[-1:], w, b, 1e-5)


def expected(spec, values):
    op = spec["op"]
    if op == "linear":
        return linear(spec, **values)
    if op == "attention":
        return attention(spec, **values)
    if op in ("rms_norm", "layer_norm"):
        return norm(spec, **values)
    if op == "softmax":
        return torch.softmax(values["x"], -1)
    if op == "add":
        return values["x"] + values["z"]
    if op == "batch_matmul":
        return values["a"] @ values["b"]
    return activation(op, values["x"])


def error_of(actual, value):
    """Of the largest expected value, and why that is no number where it is none."""
    if list(actual.shape) != list(value.shape):
        return None, f"shape {list(actual.shape)} instead of {list(value.shape)}"
    if not torch.isfinite(actual).all():
        return None, "not a number"
    largest = value.abs().max().item()
    return ((actual - value).abs().max().item() / (largest or 1)), None


def run_call(arguments, artifact, spec, sizes, seed):
    """(error, None) or (None, why) of one call."""
    generator = torch.Generator().manual_seed(seed)
    values, options = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for tensor in spec["inputs"]:
            shape = [sizes.get(d, d) for d in tensor["shape"]]
            value = torch.randn(shape, generator=generator)
            path = os.path.join(folder, tensor["name"] + ".npy")
            numpy.save(path, value.numpy())
            options.append(f"--input={tensor['name']}={path}")
            values[tensor["name"]] = narrow(value, tensor["type"])
        output = os.path.join(folder, "y.npy")
        _, message = machine.tfrun(arguments.tfrun, artifact, arguments.device,
                                   ["--entry=" + spec["entry"], *options, "--output=y=" + output])
        if message:
            return None, message
        return error_of(torch.from_numpy(numpy.load(output)).to(torch.float64), expected(spec, values))


def check(arguments, name, arch, artifact, spec, seed):
    """The line of one case, and whether it is right."""
    worst, why = 0.0, None
    for turn, sizes in enumerate(spec["calls"]):
        error, why = run_call(arguments, artifact, spec, sizes, seed + turn)
        if why:
            why = ", ".join(f"{key} = {value}" for key, value in sizes.items()) + ": " + why
            break
        worst = max(worst, error)
    right = why is None and worst <= spec["tolerance"]
    result = "ok" if right else "FAILED" + (f": {why}" if why else "")
    shown = f"{worst:.2e}" if why is None else "-"
    return f"{spec['entry']:32} {name:22} {arch:7} {len(spec['calls']):5} {shown:>9} {spec['tolerance']:>9.0e}  {result}", right


def check_model(arguments, folder, seed):
    """The line of one whole model on random tokens, and whether it is right."""
    name = os.path.basename(folder)
    allowed = 1e-4 if name.endswith("f32") else 5e-2
    config, weights = llama.read_checkpoint(os.path.join(arguments.bundle, "models", name.rpartition("-")[0]))
    count = min(200, config["max_position_embeddings"])
    tokens = torch.randint(config["vocab_size"], (1, count), generator=torch.Generator().manual_seed(seed))
    model = llama.Llama(config, weights, torch.float64, "cpu", count)
    with tempfile.TemporaryDirectory() as temporary:
        paths = [os.path.join(temporary, file) for file in ("tokens.npy", "logits.npy")]
        numpy.save(paths[0], tokens.to(torch.int32).numpy())
        _, why = machine.tfrun(arguments.tfrun, os.path.join(folder, "model.tfa"), arguments.device,
                               ["--entry=score", "--input=tokens=" + paths[0], "--output=logits=" + paths[1]])
        error = None
        if not why:
            logits = torch.from_numpy(numpy.load(paths[1])).to(torch.float64)
            error, why = error_of(logits, model.forward(tokens, torch.arange(count)))
    right = why is None and error <= allowed
    result = "ok" if right else "FAILED" + (f": {why}" if why else "")
    shown = f"{error:.2e}" if why is None else "-"
    return f"{name:32} {'whole model':22} {'':7} {1:5} {shown:>9} {allowed:>9.0e}  {result}", right


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("tfrun")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--filter", default="", help="cases whose name or group matches")
    parser.add_argument("--jobs", type=int, default=4, help="cases at once")
    arguments = parser.parse_args()
    cases = machine.read_cases(arguments.bundle)["check"]
    if torch is None:
        print(f"reference.py: there is no {MISSING} here: kernels are not compared with torch, only with carried outputs")
        return 0
    torch.set_num_threads(1)
    try:
        seed = int(os.environ.get("XFM_SEED") or random.randrange(1 << 30))
    except ValueError:
        machine.fail(f"expected XFM_SEED to be a number, but got '{os.environ['XFM_SEED']}'")
    print(f"kernels beside torch {torch.__version__} in float64, XFM_SEED={seed}")
    print(f"{'case':32} {'kernels':22} {'arch':7} {'calls':>5} {'error':>9} {'allowed':>9}  result")
    work = []
    for name, specs in cases.items():
        for arch, artifact in machine.artifacts(os.path.join(arguments.bundle, "check"), name, arguments.device):
            work += [(name, arch, artifact, spec) for spec in specs
                     if re.search(arguments.filter, name) or re.search(arguments.filter, spec["entry"])]
    folders = [os.path.join(arguments.bundle, "cases", name) for name in sorted(os.listdir(os.path.join(arguments.bundle, "cases")))
               if re.search(arguments.filter, name)]  # fmt: skip
    if not work and not folders:
        machine.fail(f"no case for {arguments.device} matches '{arguments.filter}'")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for line, right in pool.map(lambda item: check(arguments, *item, seed), work):
            print(line, flush=True)
            failed += not right
    for folder in folders:
        line, right = check_model(arguments, folder, seed)
        print(line, flush=True)
        failed += not right
    print(f"{len(work) + len(folders)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
