#!/usr/bin/env python3
"""Writes a tiny Llama checkpoint, whole or damaged in one way. Standard library only.

usage: tiny_llama.py FOLDER [--layers N] [--dtype F32|F16|BF16] [--damage KIND] [--size KEY=N]... [--config KEY=JSON]... [--large]

--size changes the weights with the config, --config the config alone.
--large gives it a vocabulary of 4 million tokens, whose embedding of 256 MB in f32 is a hole in the file: a model that
takes a while to write and no room to read.
"""

import argparse
import json
import pathlib
import random
import struct
import sys

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def shapes(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    q = config["num_attention_heads"] * config["head_dim"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    result = {"model.embed_tokens.weight": [config["vocab_size"], hidden]}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        result |= {
            layer + "input_layernorm.weight": [hidden],
            layer + "self_attn.q_proj.weight": [q, hidden],
            layer + "self_attn.k_proj.weight": [kv, hidden],
            layer + "self_attn.v_proj.weight": [kv, hidden],
            layer + "self_attn.o_proj.weight": [hidden, q],
            layer + "post_attention_layernorm.weight": [hidden],
            layer + "mlp.gate_proj.weight": [inner, hidden],
            layer + "mlp.up_proj.weight": [inner, hidden],
            layer + "mlp.down_proj.weight": [hidden, inner],
        }
    return result | {"model.norm.weight": [hidden]}


def encode(dtype, values):
    if dtype == "BF16":  # the upper half of an f32
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{'f' if dtype == 'F32' else 'e'}", *values)


def tensors(config, dtype):
    """name -> [dtype, shape, bytes]; the values are the same every time."""
    draw = random.Random(1)
    result = {}
    for name, shape in shapes(config).items():
        count = 1
        for dim in shape:
            count *= dim
        values = [1.0] * count if "norm" in name else [draw.gauss(0, 0.2) for _ in range(count)]
        result[name] = [dtype, shape, encode(dtype, values)]
    return result


def header_of(entries):
    header, offset = {}, 0
    for name, (dtype, shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    return header


def pack(header, entries):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in entries.values())


EMBEDDING = "model.embed_tokens.weight"
UP = "model.layers.1.mlp.up_proj.weight"
V = "model.layers.0.self_attn.v_proj.weight"


def damage_file(kind, header, entries):
    """The bytes of a model.safetensors damaged below the level of tensors."""
    if kind == "header-longer-than-file":
        data = pack(header, entries)
        return struct.pack("<Q", len(data) * 2) + data[8:]
    if kind == "header-not-json":
        data = pack(header, entries)
        return data[:8] + b"[" + data[9:]
    if kind == "offsets-outside":
        begin, end = header[UP]["data_offsets"]
        header[UP]["data_offsets"] = [begin + (1 << 40), end + (1 << 40)]
    if kind == "offsets-overlap":
        begin = header[V]["data_offsets"][0]
        size = len(entries[UP][2])
        header[UP]["data_offsets"] = [begin, begin + size]
    if kind == "offsets-wrong-size":
        header[UP]["data_offsets"][1] -= 4
    data = pack(header, entries)
    return data[: len(data) // 2] if kind == "truncated" else data


FILE_KINDS = ["header-longer-than-file", "header-not-json", "offsets-outside", "offsets-overlap", "offsets-wrong-size",
              "truncated"]


def main():
    tensor_kinds = ["missing-tensor", "wrong-shape", "wrong-dtype", "unknown-dtype"]
    other_kinds = ["no-config", "no-weights", "config-not-json", "empty-weights"]
    kinds = FILE_KINDS + tensor_kinds + other_kinds
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=CONFIG["num_hidden_layers"])
    parser.add_argument("--dtype", choices=SIZES, default="F32")
    parser.add_argument("--damage", choices=kinds)
    parser.add_argument("--size", action="append", default=[], metavar="KEY=N")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=JSON")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    kind = arguments.damage

    config = dict(CONFIG, num_hidden_layers=arguments.layers)
    for change in arguments.size:
        key, _, value = change.partition("=")
        config[key] = int(value)
    entries = tensors(config, arguments.dtype)
    hole = 0
    if arguments.large:
        config["vocab_size"] = 4 << 20
        del entries[EMBEDDING]
        hole = config["vocab_size"] * config["hidden_size"] * SIZES[arguments.dtype]
    for change in arguments.config:
        key, _, value = change.partition("=")
        config[key] = json.loads(value)
    if kind == "missing-tensor":
        del entries[UP]
    if kind == "wrong-shape":
        entries[UP][1] = entries[UP][1][::-1]
    if kind == "wrong-dtype":
        count = len(entries[UP][2]) // SIZES[arguments.dtype]
        entries[UP] = ["I32", entries[UP][1], bytes(4 * count)]
    if kind == "unknown-dtype":
        entries[UP][0] = "Q7"

    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config)
    if kind != "no-config":
        (folder / "config.json").write_text(text[: len(text) // 2] if kind == "config-not-json" else text)
    if kind != "no-weights":
        header = header_of(entries)
        if hole:
            begin = sum(len(data) for _, _, data in entries.values())
            header[EMBEDDING] = {"dtype": arguments.dtype, "shape": [config["vocab_size"], config["hidden_size"]],
                                 "data_offsets": [begin, begin + hole]}
        data = b"" if kind == "empty-weights" else damage_file(kind, header, entries)
        with open(folder / "model.safetensors", "wb") as file:
            file.write(data)
            file.truncate(len(data) + hole)
    return 0


if __name__ == "__main__":
    sys.exit(main())
