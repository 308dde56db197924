#!/usr/bin/env python3
"""Compares encoders compiled by tfopt with other engines: the same weights, one process, interleaved.

Every engine computes once per round, in turn, so that what else the machine does meets all of them; figures are medians
over the rounds, and only ratios of one run mean anything. Results are compared first. Engines that are not installed
(onnxruntime, openvino, iree from wheels) are named as missing.

usage: compare.py BUILD [--lengths 128 512] [--threads 2] [--rounds 15] [--layers 12] [--engines NAME...]
"""

import argparse
import ctypes
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import encoder


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_int32),
                ("dims", ctypes.c_int64 * 8)]  # fmt: skip


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("threads", ctypes.c_int32), ("batch", ctypes.c_int64),
                ("context", ctypes.c_int64), ("affinity", ctypes.c_int32)]  # fmt: skip


class Xfm:
    """An artifact through the runtime's C API."""

    def __init__(self, build, folder, threads, options):
        artifact = f"{folder}/encoder.tfa"
        subprocess.run([f"{build}/bin/tfopt", f"{folder}/encoder.mlir", "-o", artifact, "-q", *options], check=True)
        library = next(pathlib.Path(build).glob("**/libxfm.so"))
        self.api = ctypes.CDLL(str(library))
        self.api.xfm_last_error.restype = ctypes.c_char_p
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.api.xfm_model_open(artifact.encode(), None, ctypes.byref(model)))
        chosen = SessionOptions(ctypes.sizeof(SessionOptions), threads, 1, 0, 0)
        self.check(self.api.xfm_session_create(model, ctypes.byref(chosen), ctypes.byref(self.session)))

    def check(self, status):
        if status:
            raise RuntimeError(self.api.xfm_last_error().decode())

    def __call__(self, x):
        given, made = Tensor(x.ctypes.data, 0, 3, (ctypes.c_int64 * 8)(*x.shape)), Tensor()
        self.check(self.api.xfm_session_call(self.session, b"encode", ctypes.byref(given), 1))
        self.check(self.api.xfm_session_output(self.session, 0, ctypes.byref(made)))
        floats = ctypes.cast(made.data, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, x.shape)


def onnx_runtime(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def open_vino(path, threads, precision):
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda x: request.infer({"x": x})["y"]


def make_engines(build, folder, model, threads, wanted):
    """{name: function}, and the names of those that are missing with the reason."""
    makers = {
        "xfm f32": lambda: Xfm(build, f"{folder}/f32", threads, []),
        "xfm bf16": lambda: Xfm(build, f"{folder}/bf16", threads, []),
        "onnxruntime f32": lambda: onnx_runtime(f"{folder}/f32/encoder.onnx", threads),
        "openvino f32": lambda: open_vino(f"{folder}/f32/encoder.onnx", threads, "f32"),
        "openvino bf16": lambda: open_vino(f"{folder}/f32/encoder.onnx", threads, "bf16"),
    }
    engines, missing = {}, {}
    for name, make in makers.items():
        if wanted and not any(name.startswith(w) for w in wanted):
            continue
        try:
            engines[name] = make()
        except ImportError as error:
            missing[name] = str(error)
    return engines, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--engines", nargs="*")
    a = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    model = encoder.Encoder(a.layers, 768, 12, 3072)
    with tempfile.TemporaryDirectory() as folder:
        encoder.write(f"{folder}/f32", model, "f32", onnx=True)
        encoder.write(f"{folder}/bf16", model, "bf16")
        engines, missing = make_engines(a.build, folder, model, a.threads, a.engines)
        for name, reason in missing.items():
            print(f"missing: {name} ({reason})")
        first = next(iter(engines))
        print(f"BERT-base shape, {a.layers} layers, {a.threads} threads, medians of {a.rounds} interleaved rounds")
        print(f"| length | engine | ms | GFLOP/s | of {first} | difference |\n|---|---|---|---|---|---|")
        for length in a.lengths:
            measure(engines, model, length, a.rounds, first)


def measure(engines, model, length, rounds, first):
    x = np.random.default_rng(7).standard_normal((1, length, model.width)).astype(np.float32)
    reference = np.array(engines[first](x))
    differences = {name: float(np.abs(run(x) - reference).max() / np.abs(reference).max()) for name, run in engines.items()}
    times = {name: [] for name in engines}
    for _ in range(rounds):
        for name, run in engines.items():
            start = time.perf_counter()
            run(x)
            times[name].append(time.perf_counter() - start)
    weights = sum(w.size for w in model.weights.values() if w.ndim == 2)
    work = 2 * weights * length + model.layers * 4 * length * length * model.width
    base = statistics.median(times[first])
    for name, list in times.items():
        middle = statistics.median(list)
        print(f"| {length} | {name} | {middle * 1e3:.1f} | {work / middle / 1e9:.0f} | {middle / base:.2f} | {differences[name]:.1e} |")


if __name__ == "__main__":
    main()
