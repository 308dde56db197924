"""PyTorch: a Llama and an encoder in plain torch, eager and through torch.compile.

Written for speed on CPUs as torch offers it: scaled_dot_product_attention over a cache that is written in place, one product
for Q, K and V and one for gate and up, no framework of models around it. torch.compile sees the whole model at once, with
weights frozen (packed for oneDNN), and needs a C++ compiler.
"""

import os
import shutil

import numpy as np

from .base import Engine


def build_decoder(torch, model, dtype, capacity):
    """A module: (ids [1, S], position of the first, is_prompt) -> logits [V] of the last, over its cache."""
    functional = torch.nn.functional
    c, weights = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    groups = {"enable_gqa": True} if heads != kv else {}

    def parameter(*names):
        value = np.concatenate([weights[n] for n in names]) if len(names) > 1 else weights[names[0]]
        return torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(value)).to(dtype), requires_grad=False)

    class Layer(torch.nn.Module):
        def __init__(self, i):
            super().__init__()
            p = f"model.layers.{i}."
            self.qkv = parameter(*(p + f"self_attn.{n}_proj.weight" for n in "qkv"))
            self.o = parameter(p + "self_attn.o_proj.weight")
            self.gate_up = parameter(p + "mlp.gate_proj.weight", p + "mlp.up_proj.weight")
            self.down = parameter(p + "mlp.down_proj.weight")
            self.norm1, self.norm2 = parameter(p + "input_layernorm.weight"), parameter(p + "post_attention_layernorm.weight")

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = parameter("model.embed_tokens.weight")
            self.head = parameter("lm_head.weight") if "lm_head.weight" in weights else self.embed
            self.norm = parameter("model.norm.weight")
            self.layers = torch.nn.ModuleList(Layer(i) for i in range(layers))

        def forward(self, ids, cos, sin, keys, values, start, is_prompt):
            length, end = ids.shape[1], start + ids.shape[1]
            cos, sin = cos[start:end], sin[start:end]  # [S, size], float32

            def rotate(x):  # [1, heads, S, size]
                half = torch.cat((-x[..., size // 2 :], x[..., : size // 2]), -1)
                return (x * cos + half * sin).to(dtype)

            def norm(x, weight):
                return functional.rms_norm(x, (x.shape[-1],), weight, c["rms_norm_eps"])

            h = functional.embedding(ids, self.embed)
            for i, layer in enumerate(self.layers):
                qkv = functional.linear(norm(h, layer.norm1), layer.qkv).view(1, length, heads + 2 * kv, size).transpose(1, 2)
                q, k, v = qkv.split((heads, kv, kv), 1)
                keys[i][:, :, start:end] = rotate(k)
                values[i][:, :, start:end] = v
                y = functional.scaled_dot_product_attention(
                    rotate(q), keys[i][:, :, :end], values[i][:, :, :end], is_causal=is_prompt, **groups)
                h = h + functional.linear(y.transpose(1, 2).reshape(1, length, heads * size), layer.o)
                gate, up = functional.linear(norm(h, layer.norm2), layer.gate_up).chunk(2, -1)
                h = h + functional.linear(functional.silu(gate) * up, layer.down)
            return functional.linear(norm(h[:, -1], self.norm), self.head)[0]

    frequency = c["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = np.tile(np.arange(capacity)[:, None] * frequency, 2)
    tables = [torch.from_numpy(f(angles).astype(np.float32)) for f in (np.cos, np.sin)]
    caches = [[torch.zeros(1, kv, capacity, size, dtype=dtype) for _ in range(layers)] for _ in range(2)]
    return Decoder().eval(), (*tables, *caches)


def build_encoder(torch, model, dtype):
    """A module: hidden states [1, S, W] to the same; post-norm layers with erf-gelu."""
    functional = torch.nn.functional
    weights, heads, width = model.weights(), model.config["heads"], model.config["width"]

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            made = {f"{i}.qkv{end}": np.concatenate([weights[f"{i}.{n}{end}"] for n in "qkv"])
                    for i in range(model.config["layers"]) for end in ("", "_bias")}  # fmt: skip
            for name, value in {**weights, **made}.items():
                value = torch.from_numpy(np.ascontiguousarray(value)).to(dtype)
                if name.partition(".")[2].removesuffix("_bias") not in ("q", "k", "v"):
                    self.register_parameter(name.replace(".", "_"), torch.nn.Parameter(value, requires_grad=False))

        def forward(self, h):
            length = h.shape[1]

            def both(i, name):
                return getattr(self, f"{i}_{name}"), getattr(self, f"{i}_{name}_bias")

            h = h.to(dtype)
            for i in range(model.config["layers"]):
                qkv = functional.linear(h, *both(i, "qkv")).view(1, length, 3 * heads, width // heads).transpose(1, 2)
                y = functional.scaled_dot_product_attention(*qkv.split(heads, 1))
                y = functional.linear(y.transpose(1, 2).reshape(1, length, width), *both(i, "o"))
                h = functional.layer_norm(h + y, (width,), *both(i, "norm1"), 1e-12)
                y = functional.gelu(functional.linear(h, *both(i, "up")))
                h = functional.layer_norm(h + functional.linear(y, *both(i, "down")), (width,), *both(i, "norm2"), 1e-12)
            return h.float()

    return Encoder().eval(), ()


class TorchEager(Engine):
    name = "torch eager"
    packages = ("torch",)
    kinds = ("decoder", "encoder")
    dtypes = ("f32", "bf16")

    def prepare(self, model, dtype, folder):
        import torch

        self.torch, self.model = torch, model
        torch.set_num_threads(self.options.threads)
        torch.set_grad_enabled(False)
        type_ = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
        build = (build_encoder(torch, model, type_) if model.kind == "encoder"
                 else build_decoder(torch, model, type_, self.options.capacity))  # fmt: skip
        self.module, self.state = build
        self.prompt = self.step = self.module

    def reset(self):
        self.length = 0

    def forward(self, inputs):
        torch = self.torch
        if self.model.kind == "encoder":
            return self.prompt(torch.from_numpy(inputs)).numpy()
        start, self.length = self.length, self.length + len(inputs)
        run = self.prompt if start == 0 else self.step
        return run(torch.tensor([inputs]), *self.state, start, start == 0).float().numpy()


class TorchCompiled(TorchEager):
    """Sizes are symbolic: one compile for prompts, one for steps, of every length."""

    name = "torch.compile"

    def available(self, kind, dtype):
        compiler = os.environ.get("CXX") or next(filter(shutil.which, ("g++", "clang++")), None)
        if not compiler:
            return "no C++ compiler, which torch.compile needs"
        return super().available(kind, dtype)

    def prepare(self, model, dtype, folder):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/inductor"
        super().prepare(model, dtype, folder)
        import torch._inductor.config

        torch._inductor.config.freezing = True
        self.prompt = self.torch.compile(self.module, dynamic=True)
        self.step = self.torch.compile(self.module, dynamic=True)

    def warm(self, prompts, depth):
        """Twice each: the first call of a size compiles."""
        for n in prompts:
            self.prefill(n)
            self.prefill(n)
        if self.model.kind == "decoder":
            self.decode(4, depth)
