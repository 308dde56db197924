"""A plain Llama in torch with a cache of fixed size: what whole models are compared with, and what torch.compile makes fast."""

import json
import math
import os
import struct

import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu

TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def read_safetensors(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind, begin = TYPES[entry["dtype"]], 8 + length + entry["data_offsets"][0]
            count = math.prod(entry["shape"])
            tensors[name] = torch.frombuffer(data, dtype=kind, count=count, offset=begin).reshape(entry["shape"])
    return tensors


def read_checkpoint(folder):
    """The configuration and the weights."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    return config, read_safetensors(os.path.join(folder, "model.safetensors"))


def random_weights(shapes, kind, device):
    """Of the same spread as tfrun's: zeros are multiplied faster than others."""
    return {name: torch.rand(shape, dtype=torch.float32, device=device).mul_(2).sub_(1).mul_((3 / shape[-1]) ** 0.5).to(kind)
            if len(shape) > 1 else torch.ones(shape, dtype=kind, device=device) for name, shape in shapes}  # fmt: skip


class Llama:
    def __init__(self, config, weights, kind, device, context):
        self.config, self.context = config, context
        self.weights = {name: weight.to(device=device, dtype=kind) for name, weight in weights.items()}
        self.weights.setdefault("lm_head.weight", self.weights["model.embed_tokens.weight"])
        self.size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        angles = torch.arange(context, dtype=torch.float64, device=device)[:, None] * config["rope_theta"] ** (
            -torch.arange(0, self.size, 2, dtype=torch.float64, device=device) / self.size)  # fmt: skip
        self.cos, self.sin = (torch.cat([t, t], -1).to(kind) for t in (angles.cos(), angles.sin()))
        shape = [1, config["num_key_value_heads"], context, self.size]
        self.caches = [[torch.zeros(shape, dtype=kind, device=device) for _ in "kv"] for _ in range(config["num_hidden_layers"])]
        self.places = torch.arange(context, device=device)

    def norm(self, x, name):
        wide = x if x.dtype == torch.float64 else x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return wide.to(x.dtype) * self.weights[name + ".weight"]

    def rotate(self, x, cos, sin):
        half = self.size // 2
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

    def attend(self, x, layer, cache, positions, mask):
        count = x.shape[1]
        q, k, v = (linear(x, self.weights[f"{layer}.{part}_proj.weight"]).view(1, count, -1, self.size).transpose(1, 2)
                   for part in "qkv")  # fmt: skip
        cos, sin = self.cos[positions], self.sin[positions]
        cache[0].index_copy_(2, positions, self.rotate(k, cos, sin))
        cache[1].index_copy_(2, positions, v)
        y = scaled_dot_product_attention(self.rotate(q, cos, sin), *cache, attn_mask=mask, enable_gqa=True)
        return linear(y.transpose(1, 2).reshape(1, count, -1), self.weights[f"{layer}.o_proj.weight"])

    def forward(self, tokens, positions):
        """Logits [1, S, vocabulary] of tokens [1, S] at these positions; those before them are in the caches."""
        x = self.weights["model.embed_tokens.weight"][tokens]
        mask = self.places[None, :] <= positions[:, None]
        for i, cache in enumerate(self.caches):
            layer = f"model.layers.{i}"
            x = x + self.attend(self.norm(x, f"{layer}.input_layernorm"), f"{layer}.self_attn", cache, positions, mask)
            h = self.norm(x, f"{layer}.post_attention_layernorm")
            gate, up = (linear(h, self.weights[f"{layer}.mlp.{part}_proj.weight"]) for part in ("gate", "up"))
            x = x + linear(silu(gate) * up, self.weights[f"{layer}.mlp.down_proj.weight"])
        return linear(self.norm(x, "model.norm"), self.weights["lm_head.weight"])
