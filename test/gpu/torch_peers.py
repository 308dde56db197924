"""What torch does of the cases of test/gpu/bench_cases.py, timed by CUDA events, on a CPU by the clock."""

import statistics
import time

import torch
from torch.nn.functional import rms_norm, scaled_dot_product_attention

import llama
import shapes


def usable(device):
    if device == "cpu":
        torch.set_num_threads(1)
    return device == "cpu" or torch.cuda.is_available()


def versions():
    return f"torch {torch.__version__}" + (f", CUDA {torch.version.cuda}" if torch.cuda.is_available() else "")


def random(shape, device, depth):
    """bf16 of the spread that tfrun's random weights have."""
    return torch.rand(shape, device=device).mul_(2).sub_(1).mul_((3 / depth) ** 0.5).to(torch.bfloat16)


def timed(run, device):
    """Median milliseconds of `run`."""
    times = []
    for repetition in range(-2, 7):
        if device == "cpu":
            begin = time.perf_counter()
            run()
            elapsed = (time.perf_counter() - begin) * 1e3
        else:
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            events[0].record()
            run()
            events[1].record()
            events[1].synchronize()
            elapsed = events[0].elapsed_time(events[1])
        if repetition >= 0:
            times.append(elapsed)
    return statistics.median(times)


def graphed(step, steps, device):
    """A function that gives milliseconds of one of `steps` calls of step(i), which a CUDA graph launches."""

    def run():
        for i in range(steps):
            step(i)

    if device == "cpu":
        return lambda: timed(run, device) / steps
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()  # what is chosen or compiled on first use is not captured
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return lambda: timed(graph.replay, device) / steps


def matmul(spec, device):
    size, state = spec["size"], {}
    weights = [random((size, size), device, size) for _ in range(spec["matrices"])]
    start = random((spec["rows"], size), device, 3)

    def step(i):
        state["x"] = torch.matmul(start if i == 0 else state["x"], weights[i % len(weights)].T)

    return "cuBLAS" if device != "cpu" else "torch.matmul", graphed(step, max(4, len(weights)), device)


def sdpa(spec, device):
    query, key, size = spec["heads"]
    q = random((spec["batch"], spec["queries"], query, size), device, 3).transpose(1, 2)
    k, v = (random((spec["batch"], spec["keys"], key, size), device, 3).transpose(1, 2) for _ in "kv")

    def attend(_=0):
        return scaled_dot_product_attention(q, k, v, is_causal=spec["causal"], enable_gqa=True)

    if device == "cpu":
        return "SDPA", graphed(attend, 4, device)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    found = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):
        try:
            with sdpa_kernel(backend):
                measure = graphed(attend, 4, device)
            found[measure()] = ("SDPA " + backend.name.split("_")[0].lower(), measure)
        except RuntimeError:
            continue
    if not found:
        raise RuntimeError("no backend of SDPA takes these shapes")
    return found[min(found)]  # the fastest of those that do


def compiled(function):
    """torch.compile's, or the function where it cannot; and its name."""
    try:
        result = torch.compile(function)
        return result, "torch.compile"
    except (RuntimeError, ImportError):
        return function, "torch eager"


def streaming(spec, device):
    shape = (spec["rows"], spec["size"])
    x, scale = random(shape, device, 3), torch.rand(spec["size"], device=device)

    def norm(shift):
        return rms_norm((x + shift).float(), (spec["size"],), scale, 1e-5).to(torch.bfloat16)

    def add(shift):
        return (x + shift).to(torch.bfloat16)

    function, label = compiled(norm if spec["op"] == "rms_norm" else add)
    shifts = [torch.rand(spec["size"], device=device) for _ in range(4)]
    try:
        function(shifts[0])
    except Exception:  # noqa: BLE001: torch.compile fails in many ways, e.g. without a compiler
        function, label = (norm if spec["op"] == "rms_norm" else add), "torch eager"
    return label, graphed(lambda i: function(shifts[i]), 4, device)


def decoding(config, device):
    """A step of TinyLlama's shape behind 32 positions in a cache of 128, the next token read on the device."""
    kind = torch.bfloat16
    model = llama.Llama(config, llama.random_weights(shapes.tensors(config), kind, device), kind, device, 128)
    tokens = torch.ones((1, 1), dtype=torch.long, device=device)
    position = torch.full((1,), 32, device=device)
    step, label = compiled(lambda: model.forward(tokens, position))
    with torch.no_grad():
        try:
            step()
        except Exception:  # noqa: BLE001
            step, label = lambda: model.forward(tokens, position), "torch eager"
        return label + ", static cache of 128", graphed(lambda _: step(), 4, device)


@torch.no_grad()
def make(spec, device):
    """(label, a function that gives milliseconds of a step)."""
    op = spec["op"]
    if op == "llama":
        return decoding(spec["config"], device)
    return (matmul if op == "matmul" else sdpa if op == "sdpa" else streaming)(spec, device)


@torch.no_grad()
def ceilings(device, small):
    """Copying, counted as read and written, and the best of cuBLAS at three sizes."""
    count = 1 << 20 if small else 1 << 29
    source = random((count,), device, 3)
    target = torch.empty_like(source)
    milliseconds = timed(lambda: target.copy_(source), device)
    best = 0.0
    for size in (256,) if small else (4096, 8192, 16384):
        left, right = (random((size, size), device, size) for _ in range(2))
        best = max(best, 2 * size**3 / timed(lambda: torch.matmul(left, right), device) / 1e9)
    return {"GB/s": 2 * source.nbytes / milliseconds / 1e6, "TFLOP/s": best}
