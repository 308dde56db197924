#!/usr/bin/env python3
"""Writes a checkpoint of TinyLlama-1.1B's shape without its 2.2 GB: a sparse file of zeros, for `tfopt --no-weights`.

usage: shapes.py OUT_DIR
XFM_SMALL=1 writes a small model with the same parts.
"""

import json
import math
import os
import struct
import sys

SMALL = os.environ.get("XFM_SMALL", "") not in ("", "0")
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "bos_token_id": 1,
    "eos_token_id": 2, "vocab_size": 512 if SMALL else 32000, "hidden_size": 64 if SMALL else 2048,
    "intermediate_size": 172 if SMALL else 5632, "num_hidden_layers": 2 if SMALL else 22,
    "num_attention_heads": 8 if SMALL else 32, "num_key_value_heads": 4, "max_position_embeddings": 2048,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16"}  # fmt: skip


def tensors(config):
    """(name, shape) of a Llama."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or hidden // heads
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{layer}.{norm}.weight", (hidden,)
        for part, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
            yield f"{layer}.self_attn.{part}_proj.weight", (count * size, hidden)
        yield f"{layer}.self_attn.o_proj.weight", (hidden, heads * size)
        for part in ("gate", "up"):
            yield f"{layer}.mlp.{part}_proj.weight", (inner, hidden)
        yield f"{layer}.mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (config["vocab_size"], hidden)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: shapes.py OUT_DIR")
    os.makedirs(sys.argv[1], exist_ok=True)
    with open(os.path.join(sys.argv[1], "config.json"), "w", encoding="utf-8") as file:
        json.dump(CONFIG, file, indent=1)
    header, end = {}, 0
    for name, shape in tensors(CONFIG):
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(sys.argv[1], "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


if __name__ == "__main__":
    main()
