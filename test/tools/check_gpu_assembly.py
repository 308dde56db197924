"""Every kernel template of the GPU, for every architecture of a list: its PTX asks for no library, and, where ptxas is
found, it assembles without spilled registers, within a bound of registers and without a warning of serialised wgmma.

usage: check_gpu_assembly.py TFOPT
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# Architectures, and which of their kernels.
TARGETS = [("sm_80", "stable"), ("sm_89", "stable"), ("sm_90a", "stable"), ("sm_90a", "newest"), ("sm_80", "tf32")]
# Templates of sm_90a, which has them in place of others.
NEWEST = {"wgmma_gemm": "mma_gemm", "wgmma_attention": "flash_attention"}
# What a thread may have with the blocks these templates mean to run beside each other.
REGISTERS = {"gemv": 128, "simt_gemm": 128, "mma_gemm": 255, "skinny_gemm": 128, "flash_attention": 255, "simt_attention": 168, "row_attention": 128, "decode_attention": 255,
             "simt_decode_attention": 255, "attention_merge": 64, "sample": 128, "rows": 64,
             "append": 64, "elements": 64, "tasks": 64, "wgmma_gemm": 168, "wgmma_attention": 168}


def linear(name, rows, n, k, type, input_type=None):
    x, y = f"tensor<{rows}x{k}x{input_type or type}>", f"tensor<{rows}x{n}xf32>"
    dims = '["B", "S", ""]' if rows == "?x?" else '["B", "", ""]'
    return f"""
transformer.weight @{name}.w : tensor<{n}x{k}x{type}> from "model.safetensors"
func.func @{name}(%x: {x} {{transformer.name = "x", transformer.dims = {dims}}}) -> ({y} {{transformer.name = "y", transformer.dims = {dims}}}) {{
  %w = transformer.use @{name}.w : tensor<{n}x{k}x{type}>
  %y = transformer.linear %x, %w : {x}, tensor<{n}x{k}x{type}> -> {y}
  return %y : {y}
}}
"""


def gated(name, rows, n, k, type):
    x, y, w = f"tensor<{rows}x{k}x{type}>", f"tensor<{rows}x{n}x{type}>", f"tensor<{n}x{k}x{type}>"
    dims = '["B", "S", ""]'
    return f"""
transformer.weight @{name}.g : {w} from "model.safetensors"
transformer.weight @{name}.u : {w} from "model.safetensors"
func.func @{name}(%x: {x} {{transformer.name = "x", transformer.dims = {dims}}}) -> ({y} {{transformer.name = "y", transformer.dims = {dims}}}) {{
  %g = transformer.use @{name}.g : {w}
  %u = transformer.use @{name}.u : {w}
  %0 = transformer.linear %x, %g : {x}, {w} -> {y}
  %1 = transformer.activation silu %0 : {y} -> {y}
  %2 = transformer.linear %x, %u : {x}, {w} -> {y}
  %y = arith.mulf %1, %2 : {y}
  return %y : {y}
}}
"""


def step_of_norm(name, kind, n, k, type, weights=1):
    """A step's product of rows that its kernel normalises."""
    x, h, y, w = f"tensor<?x1x{k}xf32>", f"tensor<?x1x{k}x{type}>", f"tensor<?x1x{n}xf32>", f"tensor<{n}x{k}x{type}>"
    dims, s = '["B", "", ""]', f"tensor<{k}xf32>"
    bias = " bias %s" if kind == "layer_norm" else ""
    text = f"""
transformer.weight @{name}.s : {s} from "model.safetensors"
transformer.weight @{name}.w : {w} from "model.safetensors"
transformer.weight @{name}.v : {w} from "model.safetensors"
func.func @{name}(%x: {x} {{transformer.name = "x", transformer.dims = {dims}}}) -> ({y} {{transformer.name = "y", transformer.dims = {dims}}}) {{
  %s = transformer.use @{name}.s : {s}
  %w = transformer.use @{name}.w : {w}
  %v = transformer.use @{name}.v : {w}
  %h = transformer.{kind} %x, %s{bias} epsilon 1.0e-5 : {x}, {s}{", " + s if bias else ""} -> {h}
  %g = transformer.linear %h, %w : {h}, {w} -> {y}
"""
    if weights == 1:
        return text + f"  return %g : {y}\n}}\n"
    return text + f"""  %a = transformer.activation silu %g : {y} -> {y}
  %u = transformer.linear %h, %v : {h}, {w} -> {y}
  %y = arith.mulf %a, %u : {y}
  return %y : {y}
}}
"""


def attention(name, positions, heads, kv_heads, size, type, mask):
    q, k = f"tensor<?x{positions}x{heads}x{size}x{type}>", f"tensor<?x?x{kv_heads}x{size}x{type}>"
    dims = '["B", "S", "", ""]' if positions == "?" else '["B", "", "", ""]'
    key = '["B", "K", "", ""]'
    return f"""
func.func @{name}(%q: {q} {{transformer.name = "q", transformer.dims = {dims}}}, %k: {k} {{transformer.name = "k", transformer.dims = {key}}},
    %v: {k} {{transformer.name = "v", transformer.dims = {key}}}) -> ({q} {{transformer.name = "y", transformer.dims = {dims}}}) {{
  %y = transformer.attention %q, %k, %v scale 0.1 mask <{mask}> : {q}, {k}, {k} -> {q}
  return %y : {q}
}}
"""


def norm(name, size, type):
    x = f"tensor<?x?x{size}x{type}>"
    dims = '["B", "S", ""]'
    return f"""
transformer.weight @{name}.w : tensor<{size}xf32> from "model.safetensors"
func.func @{name}(%x: {x} {{transformer.name = "x", transformer.dims = {dims}}}) -> ({x} {{transformer.name = "y", transformer.dims = {dims}}}) {{
  %w = transformer.use @{name}.w : tensor<{size}xf32>
  %y = transformer.rms_norm %x, %w epsilon 1.0e-5 : {x}, tensor<{size}xf32> -> {x}
  return %y : {x}
}}
"""


def program():
    text = ""
    for type in ["f32", "bf16"]:
        text += linear(f"gemv_{type}", "?x1", 1024, 1024, type)
        text += norm(f"rows_{type}", 2048, type)
        for kind in ["rms_norm", "layer_norm"]:
            for n, k, weights in [(1000, 1000, 1), (8192, 4096, 1), (4096, 4096, 2)]:
                text += step_of_norm(f"{kind}_{type}_{n}_{k}_{weights}", kind, n, k, type, weights)
    text += step_of_norm("rms_norm_odd", "rms_norm", 1024, 1001, "bf16")
    for size in [40, 64, 128, 256]:
        text += attention(f"simt_decode_attention_{size}", 1, 8, 1, size, "f32", "causal")
    for size in [33, 40, 64, 128]:
        text += attention(f"simt_attention_{size}", "?", 8, 2, size, "f32", "window, 512")
    for size in [160, 256]:
        text += attention(f"row_attention_{size}", "?", 8, 2, size, "f32", "causal")
    for size in [36, 48, 50, 64, 72, 128, 250, 256]:
        for heads in [2, 8, 16]:
            text += attention(f"decode_attention_{heads}_{size}", 1, heads, 1, size, "bf16", "window, 512")
    # Products of tf32 where they are asked for, but for those of two types.
    text += linear("simt_gemm_f32", "?x?", 1000, 1000, "f32")
    text += linear("simt_gemm_large_f32", "?x?", 8192, 1024, "f32")
    text += gated("simt_gemm_gated_f32", "?x?", 8192, 1024, "f32")
    text += linear("simt_gemm_odd_f32", "?x?", 1000, 1001, "f32")
    text += linear("simt_gemm_mixed", "?x?", 1000, 1001, "f32", "bf16")
    text += linear("gemv_odd", "?x1", 1024, 1001, "f32", "bf16")
    for type in ["bf16", "f16"]:
        text += linear(f"skinny_gemm_{type}", "?x1", 1000, 1000, type)
        text += linear(f"skinny_gemm_wide_{type}", "?x1", 8192, 1024, type)
        text += linear(f"skinny_gemm_odd_{type}", "?x1", 1000, 1001, type)
        text += linear(f"mma_gemm_small_{type}", "?x?", 1000, 1000, type)
        text += linear(f"mma_gemm_large_{type}", "?x?", 8192, 1024, type)
        # On sm_90a clusters of one, two and four blocks.
        text += linear(f"mma_gemm_shallow_{type}", "?x?", 1000, 64, type)
        text += gated(f"mma_gemm_gated_{type}", "?x?", 8192, 1024, type)
        text += gated(f"mma_gemm_deep_gated_{type}", "?x?", 1024, 1024, type)
    for size in [32, 36, 50, 64, 72, 80, 128, 192, 250, 256]:
        text += attention(f"flash_attention_{size}", "?", 8, 2, size, "bf16", "causal")
    text += attention("flash_attention_window", "?", 8, 8, 128, "bf16", "window, 512")
    text += attention("flash_attention_wide_window", "?", 8, 4, 256, "f16", "window, 512")
    return text + step() + rest()


def step():
    """A step from tokens to logits, from which a kernel draws."""
    return """
transformer.weight @decode.w : tensor<50257x64xf32> from "model.safetensors"
func.func @decode(%c: !transformer.kv_cache<2 x 32 x f32, full> {transformer.name = "kv"},
    %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""], transformer.range = array<i64: 0, 50257>})
    -> (tensor<?x50257xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 32 x f32, full> {transformer.name = "kv"}) {
  %w = transformer.use @decode.w : tensor<50257x64xf32>
  %zero = arith.constant 0 : index
  %rows = tensor.dim %t, %zero : tensor<?x1xi32>
  %x = transformer.embedding %t, %w : tensor<?x1xi32>, tensor<50257x64xf32> -> tensor<?x1x64xf32>
  %k = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [%rows, 1, 2, 32] : tensor<?x1x64xf32> into tensor<?x1x2x32xf32>
  %longer = transformer.cache_append %c, %k, %k : !transformer.kv_cache<2 x 32 x f32, full>, tensor<?x1x2x32xf32>, tensor<?x1x2x32xf32>
  %last = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x1x64xf32> into tensor<?x64xf32>
  %y = transformer.linear %last, %w : tensor<?x64xf32>, tensor<50257x64xf32> -> tensor<?x50257xf32>
  return %y, %longer : tensor<?x50257xf32>, !transformer.kv_cache<2 x 32 x f32, full>
}
"""


def rest():
    """A cache, whose append and whose advance are kernels, and a product of two inputs, which no template is for."""
    cache, kv = "!transformer.kv_cache<2 x 64 x bf16, full>", "tensor<?x?x2x64xbf16>"
    dims = '["B", "S", "", ""]'
    return f"""
func.func @append(%c: {cache} {{transformer.name = "c"}}, %k: {kv} {{transformer.name = "k", transformer.dims = {dims}}},
    %v: {kv} {{transformer.name = "v", transformer.dims = {dims}}}) -> ({cache} {{transformer.name = "c"}}) {{
  %0 = transformer.cache_append %c, %k, %v : {cache}, {kv}, {kv}
  return %0 : {cache}
}}
func.func @elements(%a: tensor<?x8x16xf32> {{transformer.name = "a", transformer.dims = ["B", "", ""]}},
    %b: tensor<?x16x8xf32> {{transformer.name = "b", transformer.dims = ["B", "", ""]}})
    -> (tensor<?x8x8xf32> {{transformer.name = "y", transformer.dims = ["B", "", ""]}}) {{
  %zero = arith.constant 0 : index
  %size = tensor.dim %a, %zero : tensor<?x8x16xf32>
  %none = arith.constant 0.0 : f32
  %empty = tensor.empty(%size) : tensor<?x8x8xf32>
  %init = linalg.fill ins(%none : f32) outs(%empty : tensor<?x8x8xf32>) -> tensor<?x8x8xf32>
  %0 = linalg.batch_matmul ins(%a, %b : tensor<?x8x16xf32>, tensor<?x16x8xf32>) outs(%init : tensor<?x8x8xf32>) -> tensor<?x8x8xf32>
  return %0 : tensor<?x8x8xf32>
}}
"""


def find_ptxas():
    folders = [os.path.join(os.environ[v], "bin") for v in ("CUDA_HOME", "CUDA_PATH") if v in os.environ]
    for path in [os.pathsep.join(folders), None, "/usr/local/cuda/bin"]:
        if path != "" and (found := shutil.which("ptxas", path=path)):
            return found
    return None


def main(tfopt):
    ptxas, problems, seen, clusters, count = find_ptxas(), [], set(), set(), 0
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "kernels.mlir")
        with open(source, "w") as file:
            file.write(program())
        for target in TARGETS:
            arch, kernels = target
            choice = "--precision=tf32" if kernels == "tf32" else "--gpu-kernels=" + kernels
            options = ["--target=cuda", "--arch=" + arch, choice]
            artifact = os.path.join(folder, arch + ".tfa")
            # Without ptxas in its path, so that PTX is what it writes; weights are not needed for code.
            subprocess.run([tfopt, source, *options, "--emit=ptx", "-o", artifact + ".ptx"], check=True)
            text = open(artifact + ".ptx").read()
            outlined = subprocess.run([tfopt, source, *options, "--stop-at=outline"], check=True, capture_output=True, text=True).stdout
            templates = dict(re.findall(r'func\.func @([^(]+)\(.*xgpu\.config = #xgpu\.config<"?(\w+)', outlined))
            templates = {name.strip('"'): template for name, template in templates.items()}
            clusters.update(re.findall(r'"wgmma_gemm", tile = \[\d+, \d+, \d+, (\d+)\]', outlined))
            seen.update((target, template) for template in templates.values())
            for name in re.findall(r"__nv_\w+|\.extern \.func .*", text):
                problems.append(f"{arch}: PTX asks for {name}")
            count += len(re.findall(r"\.visible \.entry (\S+)\(", text))
            if not ptxas:
                continue
            run = subprocess.run([ptxas, "-arch=" + arch, "-O3", "-v", artifact + ".ptx", "-o", artifact + ".cubin"],
                                 capture_output=True, text=True)
            if run.returncode or "(C75" in run.stderr:
                problems.append(f"{arch}: {run.stderr.strip().splitlines()[0]}")
                continue
            for kernel, stores, registers in re.findall(
                    r"Function properties for (\S+)\n.*?(\d+) bytes spill stores.*?\n.*?Used (\d+) registers", run.stderr, re.S):
                template = templates.get(kernel, "tasks")
                if int(stores):
                    problems.append(f"{arch}: {kernel} ({template}) spills {stores} bytes")
                if int(registers) > REGISTERS[template]:
                    problems.append(f"{arch}: {kernel} ({template}) uses {registers} registers, more than {REGISTERS[template]}")
    for target in TARGETS:
        others = NEWEST.values() if target[1] == "newest" else NEWEST.keys()
        for template in set(REGISTERS) - {"tasks"} - set(others) - {t for seen_by, t in seen if seen_by == target}:
            problems.append(f"{target[0]}: no kernel is made by {template}")
    for blocks in {"1", "2", "4"} - clusters:
        problems.append(f"no product is made by clusters of {blocks}")
    for problem in problems:
        print(problem)
    where = "assembled" if ptxas else "translated to PTX alone: there is no ptxas"
    print(f"{count} kernels for {len(TARGETS)} targets {where}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
