#!/usr/bin/env python3
"""Writes a tiny checkpoint of a decoder family. Standard library only; the same bytes on every machine.

usage: tiny_model.py FAMILY FOLDER [--config KEY=JSON]... [--drop TENSOR]... [--bare]

The configs are real ones with fewer and smaller layers: what a family has of its own (head sizes, caps, factors, fused
matrices) is kept, windows are 8 positions wide, and extended contexts start at 16. Values come from SHAKE-128 of the
tensor's name and are multiples of a power of two, so that no arithmetic rounds. `--config KEY=` removes a key; --bare
names the tensors of GPT-2 as the model without a head does; --bf16 stores the upper halves of the values.
"""

import argparse
import array
import hashlib
import json
import pathlib
import struct
import sys

VOCABULARY = 96
POSITIONS = 40  # of the goldens


def shared(model_type, hidden, heads, kv_heads, head_dim, **more):
    config = dict(model_type=model_type, vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=160,
                  num_hidden_layers=2, num_attention_heads=heads, num_key_value_heads=kv_heads,
                  max_position_embeddings=64, rms_norm_eps=1e-6, hidden_act="silu", rope_theta=10000.0,
                  bos_token_id=1, eos_token_id=2, torch_dtype="float32")
    if head_dim:
        config["head_dim"] = head_dim
    return {**config, **more}


GEMMA = dict(hidden_act="gelu", hidden_activation=None)
NEWER_GEMMA = dict(hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=256,
                   sliding_window=8)

FAMILIES = {
    # SmolLM-135M: a Llama of few heads
    "smollm": shared("llama", 192, 3, 1, None, tie_word_embeddings=True, rms_norm_eps=1e-5),
    # Mistral-7B-v0.1
    "mistral": shared("mistral", 64, 4, 1, 128, sliding_window=8, tie_word_embeddings=False, rms_norm_eps=1e-5),
    # Qwen2.5-0.5B
    "qwen2": shared("qwen2", 256, 4, 2, None, use_sliding_window=True, sliding_window=8, max_window_layers=1,
                    rope_theta=1000000.0, tie_word_embeddings=True),
    # Qwen3-1.7B
    "qwen3": shared("qwen3", 64, 4, 2, 128, use_sliding_window=True, sliding_window=8, max_window_layers=1,
                    rope_theta=1000000, attention_bias=False, tie_word_embeddings=True),
    # Phi-3-mini-4k
    "phi3": shared("phi3", 192, 2, 2, None, sliding_window=8, rope_scaling=None, rms_norm_eps=1e-5,
                   original_max_position_embeddings=64, tie_word_embeddings=False),
    # Phi-4-mini
    "phi3-longrope": shared("phi3", 256, 2, 1, None, sliding_window=262144, partial_rotary_factor=0.75,
                            original_max_position_embeddings=16, tie_word_embeddings=True, rms_norm_eps=1e-5,
                            rope_scaling=dict(type="longrope", short_factor=[1 + i / 64 for i in range(48)],
                                              long_factor=[1 + i * i / 32 for i in range(48)])),
    # Gemma 2B, 2 2B and 3 1B (the scaled rotation is that of the larger ones)
    "gemma": shared("gemma", 64, 4, 1, 256, **GEMMA),
    "gemma2": shared("gemma2", 64, 4, 2, 256, **NEWER_GEMMA, attn_logit_softcapping=50.0,
                     final_logit_softcapping=30.0),
    "gemma3": shared("gemma3_text", 64, 4, 1, 256, **NEWER_GEMMA, num_hidden_layers=3, sliding_window_pattern=2,
                     rope_theta=1000000, rope_local_base_freq=10000, rope_scaling=dict(factor=8.0, rope_type="linear"),
                     attn_logit_softcapping=None, final_logit_softcapping=None),
    # Granite 3.1 2B
    "granite": shared("granite", 256, 4, 2, None, embedding_multiplier=12.0, attention_multiplier=0.015625,
                      residual_multiplier=0.22, logits_scaling=8.0, attention_bias=False, rms_norm_eps=1e-5,
                      tie_word_embeddings=True),
    # GPT-2
    "gpt2": dict(model_type="gpt2", vocab_size=VOCABULARY, n_embd=128, n_layer=2, n_head=2, n_positions=64,
                 activation_function="gelu_new", layer_norm_epsilon=1e-5, bos_token_id=1, eos_token_id=2,
                 torch_dtype="float32"),
}


def decoder_shapes(c):
    """name -> shape, for Llama and the families that share its names."""
    family, hidden, inner = c["model_type"], c["hidden_size"], c["intermediate_size"]
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    head_dim = c.get("head_dim") or hidden // heads
    result = {"model.embed_tokens.weight": [c["vocab_size"], hidden]}
    for i in range(c["num_hidden_layers"]):
        norms = ["input_layernorm", "post_attention_layernorm"]
        if family in ("gemma2", "gemma3_text"):
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        layer = {f"{norm}.weight": [hidden] for norm in norms}
        if family in ("qwen3", "gemma3_text"):
            layer |= {"self_attn.q_norm.weight": [head_dim], "self_attn.k_norm.weight": [head_dim]}
        rows = {"q": heads * head_dim, "k": kv_heads * head_dim, "v": kv_heads * head_dim}
        if family == "phi3":
            layer["self_attn.qkv_proj.weight"] = [sum(rows.values()), hidden]
            layer["mlp.gate_up_proj.weight"] = [2 * inner, hidden]
        else:
            for part, count in rows.items():
                layer[f"self_attn.{part}_proj.weight"] = [count, hidden]
                if family == "qwen2" or c.get("attention_bias"):
                    layer[f"self_attn.{part}_proj.bias"] = [count]
            layer |= {"mlp.gate_proj.weight": [inner, hidden], "mlp.up_proj.weight": [inner, hidden]}
        layer |= {"self_attn.o_proj.weight": [hidden, rows["q"]], "mlp.down_proj.weight": [hidden, inner]}
        if c.get("attention_bias"):
            layer["self_attn.o_proj.bias"] = [hidden]
        result |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    result["model.norm.weight"] = [hidden]
    if not c.get("tie_word_embeddings", family.startswith("gemma")):
        result["lm_head.weight"] = [c["vocab_size"], hidden]
    return result


def gpt2_shapes(c, root):
    """Matrices are stored [in, out]."""
    hidden = c["n_embd"]
    result = {f"{root}wte.weight": [c["vocab_size"], hidden], f"{root}wpe.weight": [c["n_positions"], hidden]}
    for i in range(c["n_layer"]):
        layer = f"{root}h.{i}"
        for name, rows, columns in (("attn.c_attn", hidden, 3 * hidden), ("attn.c_proj", hidden, hidden),
                                    ("mlp.c_fc", hidden, 4 * hidden), ("mlp.c_proj", 4 * hidden, hidden)):
            result |= {f"{layer}.{name}.weight": [rows, columns], f"{layer}.{name}.bias": [columns]}
        for norm in ("ln_1", "ln_2"):
            result |= {f"{layer}.{norm}.weight": [hidden], f"{layer}.{norm}.bias": [hidden]}
    return result | {f"{root}ln_f.weight": [hidden], f"{root}ln_f.bias": [hidden]}


def draw(name, count):
    """`count` integers in [-32768, 32768)."""
    values = array.array("h", hashlib.shake_128(name.encode()).digest(2 * count))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def values_of(name, shape, family):
    """Matrices keep the variance of what they multiply, roughly; norms lie around 1, as they are stored. Embeddings
    are small, also where the model scales them: a tied head would only repeat the last token otherwise."""
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    is_norm = "norm" in name or ".ln_" in name or name.startswith("ln_")
    if len(shape) == 1:
        is_one = is_norm and name.endswith("weight") and not family.startswith("gemma")
        bound, center = 0.25, 1.0 if is_one else 0.0
    elif "embed" in name or "wte" in name or "wpe" in name:
        bound, center = {"gemma": 1 / 32, "grani": 1 / 128}.get(family[:5], 1 / 8), 0.0
    else:
        bound, center = 1.0, 0.0
        while bound * bound * shape[1] > 4:
            bound /= 2
    scale = bound / 32768
    return struct.pack(f"<{count}f", *[center + value * scale for value in draw(name, count)])


def tokens():
    return [value % VOCABULARY for value in draw("tokens", POSITIONS)]


def write_model(folder, family, changes=(), dropped=(), bare=False, bf16=False):
    """Returns the names of all tensors, those that were left out among them."""
    config = dict(FAMILIES[family])
    for change in changes:
        key, _, value = change.partition("=")
        if value:
            config[key] = json.loads(value)
        else:
            config.pop(key, None)
    original = {**FAMILIES[family], **{k: config[k] for k in ("tie_word_embeddings", "attention_bias") if k in config}}
    is_gpt2 = original["model_type"] == "gpt2"
    shapes = gpt2_shapes(original, "" if bare else "transformer.") if is_gpt2 else decoder_shapes(original)
    header, data = {}, b""
    for name, shape in shapes.items():
        if name not in dropped:
            values = values_of(name.removeprefix("transformer."), shape, family)
            if bf16:
                halves = array.array("H", values)
                values = halves[1::2].tobytes() if sys.byteorder == "little" else halves[::2].tobytes()
            header[name] = {"dtype": "BF16" if bf16 else "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
            data += values
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return list(shapes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--config", action="append", default=[], metavar="KEY=JSON")
    parser.add_argument("--drop", action="append", default=[], metavar="TENSOR")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    write_model(arguments.folder, arguments.family, arguments.config, arguments.drop, arguments.bare,
                arguments.bf16)
    return 0


if __name__ == "__main__":
    sys.exit(main())
