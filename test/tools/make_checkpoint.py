#!/usr/bin/env python3
"""Writes checkpoints of random weights in the Hugging Face layout.

  make_checkpoint.py --preset tiny OUT_DIR
  make_checkpoint.py --config some/config.json OUT_DIR --layers 2 --dtype bf16 --shard-size 2GB

The folder gets config.json, generation_config.json and model.safetensors or shards with their index. Weights are
N(0, std), norm weights 1 + N(0, 0.05), projections into the residual stream are divided by sqrt(2 * layers). The values
of a tensor depend on --seed and its name alone (the projections also on the depth, unless --residual-layers fixes it):
fewer layers or other shards give the same tensors. Values are made and written block by block: memory stays under
100 MB whatever the model's size. Needs numpy.
"""
import argparse
import json
import math
import pathlib
import struct
import zlib

import numpy as np

BLOCK = 4 << 20  # values
ITEM_SIZE = {"F32": 4, "F16": 2, "BF16": 2}
TORCH_NAME = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

# Kinds of tensors: how their values are spread.
WEIGHT, RESIDUAL, NORM, NORM_LESS_ONE = "weight", "residual", "norm", "norm less one"


def llama_config(**changes):
    config = dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", rms_norm_eps=1e-5,
        rope_theta=10000.0, rope_scaling=None, attention_bias=False, mlp_bias=False, bos_token_id=1, eos_token_id=2)
    return {**config, **changes}


PRESETS = {
    "tiny": llama_config(
        vocab_size=512, hidden_size=64, intermediate_size=172, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True, torch_dtype="float32"),
    "stories15m": llama_config(
        vocab_size=32000, hidden_size=288, intermediate_size=768, num_hidden_layers=6, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=256, tie_word_embeddings=True, torch_dtype="float32"),
    "smollm-135m": llama_config(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=2048, tie_word_embeddings=True, torch_dtype="bfloat16",
        bos_token_id=0, eos_token_id=0),
    "tinyllama-1.1b": llama_config(
        vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=False, torch_dtype="bfloat16"),
    "llama-3.2-1b": llama_config(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, head_dim=64, max_position_embeddings=131072, tie_word_embeddings=True,
        torch_dtype="bfloat16", rope_theta=500000.0, bos_token_id=128000, eos_token_id=128001,
        rope_scaling=dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=8192)),
    "gpt2-124m": dict(
        architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=50257, n_positions=1024, n_ctx=1024,
        n_embd=768, n_layer=12, n_head=12, activation_function="gelu_new", layer_norm_epsilon=1e-5,
        torch_dtype="float32", bos_token_id=50256, eos_token_id=50256),
    "bert-base": dict(
        architectures=["BertForMaskedLM"], model_type="bert", vocab_size=30522, hidden_size=768,
        intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, max_position_embeddings=512,
        type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0,
        position_embedding_type="absolute", torch_dtype="float32"),
    "vit-b16": dict(
        architectures=["ViTForImageClassification"], model_type="vit", image_size=224, patch_size=16, num_channels=3,
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="gelu",
        layer_norm_eps=1e-12, qkv_bias=True, torch_dtype="float32",
        id2label={str(i): f"LABEL_{i}" for i in range(1000)}),
}

# ---- the tensors of a family: (name, shape, kind)


def linear(name, rows, columns, bias=True, kind=WEIGHT):
    yield f"{name}.weight", (rows, columns), kind
    if bias:
        yield f"{name}.bias", (rows,), WEIGHT


def layer_norm(name, size):
    yield f"{name}.weight", (size,), NORM
    yield f"{name}.bias", (size,), WEIGHT


def decoder_tensors(c):
    """Llama and the families that share its names: Mistral, Qwen, Phi-3, Gemma."""
    family, hidden, inner = c["model_type"], c["hidden_size"], c["intermediate_size"]
    heads = c["num_attention_heads"]
    kv_heads = c.get("num_key_value_heads") or heads
    head_dim = c.get("head_dim") or hidden // heads
    is_gemma, is_phi = family.startswith("gemma"), family == "phi3"
    norm = NORM_LESS_ONE if is_gemma else NORM
    qkv_bias = bool(family == "qwen2" or c.get("attention_bias") or c.get("qkv_bias"))
    mlp_bias = bool(c.get("mlp_bias"))
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden), WEIGHT
    for i in range(c["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        attention, mlp = f"{layer}.self_attn", f"{layer}.mlp"
        yield f"{layer}.input_layernorm.weight", (hidden,), norm
        if is_phi:
            yield f"{attention}.qkv_proj.weight", ((heads + 2 * kv_heads) * head_dim, hidden), WEIGHT
        else:
            for part, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
                yield from linear(f"{attention}.{part}_proj", count * head_dim, hidden, qkv_bias)
        if family in ("qwen3", "gemma3", "gemma3_text"):
            yield f"{attention}.q_norm.weight", (head_dim,), norm
            yield f"{attention}.k_norm.weight", (head_dim,), norm
        yield from linear(f"{attention}.o_proj", hidden, heads * head_dim, qkv_bias and family != "qwen2", RESIDUAL)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,), norm
        if family in ("gemma2", "gemma3", "gemma3_text"):
            yield f"{layer}.pre_feedforward_layernorm.weight", (hidden,), norm
            yield f"{layer}.post_feedforward_layernorm.weight", (hidden,), norm
        if is_phi:
            yield f"{mlp}.gate_up_proj.weight", (2 * inner, hidden), WEIGHT
        else:
            yield from linear(f"{mlp}.gate_proj", inner, hidden, mlp_bias)
            yield from linear(f"{mlp}.up_proj", inner, hidden, mlp_bias)
        yield from linear(f"{mlp}.down_proj", hidden, inner, mlp_bias, RESIDUAL)
    yield "model.norm.weight", (hidden,), norm
    if not c.get("tie_word_embeddings", is_gemma):
        yield "lm_head.weight", (c["vocab_size"], hidden), WEIGHT


def gpt2_tensors(c):
    """Matrices are stored [in, out]."""
    hidden = c["n_embd"]
    inner = c.get("n_inner") or 4 * hidden
    yield "transformer.wte.weight", (c["vocab_size"], hidden), WEIGHT
    yield "transformer.wpe.weight", (c["n_positions"], hidden), WEIGHT
    for i in range(c["n_layer"]):
        layer = f"transformer.h.{i}"
        blocks = {"ln_1": [("attn.c_attn", hidden, 3 * hidden, WEIGHT), ("attn.c_proj", hidden, hidden, RESIDUAL)],
                  "ln_2": [("mlp.c_fc", hidden, inner, WEIGHT), ("mlp.c_proj", inner, hidden, RESIDUAL)]}
        for norm, matrices in blocks.items():
            yield from layer_norm(f"{layer}.{norm}", hidden)
            for name, rows, columns, kind in matrices:
                yield f"{layer}.{name}.weight", (rows, columns), kind
                yield f"{layer}.{name}.bias", (columns,), WEIGHT
    yield from layer_norm("transformer.ln_f", hidden)
    if not c.get("tie_word_embeddings", True):
        yield "lm_head.weight", (c["vocab_size"], hidden), WEIGHT


def gpt_neox_tensors(c):
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    yield "gpt_neox.embed_in.weight", (c["vocab_size"], hidden), WEIGHT
    for i in range(c["num_hidden_layers"]):
        layer = f"gpt_neox.layers.{i}"
        yield from layer_norm(f"{layer}.input_layernorm", hidden)
        yield from layer_norm(f"{layer}.post_attention_layernorm", hidden)
        yield from linear(f"{layer}.attention.query_key_value", 3 * hidden, hidden)
        yield from linear(f"{layer}.attention.dense", hidden, hidden, kind=RESIDUAL)
        yield from linear(f"{layer}.mlp.dense_h_to_4h", inner, hidden)
        yield from linear(f"{layer}.mlp.dense_4h_to_h", hidden, inner, kind=RESIDUAL)
    yield from layer_norm("gpt_neox.final_layer_norm", hidden)
    yield "embed_out.weight", (c["vocab_size"], hidden), WEIGHT


def bert_tensors(c):
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    head = (c.get("architectures") or ["BertModel"])[0]
    root = "" if head == "BertModel" else "bert."
    for name, rows in (("word", c["vocab_size"]), ("position", c["max_position_embeddings"]),
                       ("token_type", c["type_vocab_size"])):
        yield f"{root}embeddings.{name}_embeddings.weight", (rows, hidden), WEIGHT
    yield from layer_norm(f"{root}embeddings.LayerNorm", hidden)
    for i in range(c["num_hidden_layers"]):
        layer = f"{root}encoder.layer.{i}"
        for part in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{part}", hidden, hidden)
        yield from linear(f"{layer}.attention.output.dense", hidden, hidden)
        yield from layer_norm(f"{layer}.attention.output.LayerNorm", hidden)
        yield from linear(f"{layer}.intermediate.dense", inner, hidden)
        yield from linear(f"{layer}.output.dense", hidden, inner)
        yield from layer_norm(f"{layer}.output.LayerNorm", hidden)
    if head in ("BertModel", "BertForSequenceClassification"):
        yield from linear(f"{root}pooler.dense", hidden, hidden)
    if head == "BertForMaskedLM":
        yield from linear("cls.predictions.transform.dense", hidden, hidden)
        yield from layer_norm("cls.predictions.transform.LayerNorm", hidden)
        yield "cls.predictions.bias", (c["vocab_size"],), WEIGHT
    elif head != "BertModel":
        yield from linear("classifier", len(c.get("id2label") or "01"), hidden)


def vit_tensors(c):
    hidden, inner, patch = c["hidden_size"], c["intermediate_size"], c["patch_size"]
    positions = (c["image_size"] // patch) ** 2 + 1
    yield "vit.embeddings.cls_token", (1, 1, hidden), WEIGHT
    yield "vit.embeddings.position_embeddings", (1, positions, hidden), WEIGHT
    yield "vit.embeddings.patch_embeddings.projection.weight", (hidden, c["num_channels"], patch, patch), WEIGHT
    yield "vit.embeddings.patch_embeddings.projection.bias", (hidden,), WEIGHT
    for i in range(c["num_hidden_layers"]):
        layer = f"vit.encoder.layer.{i}"
        yield from layer_norm(f"{layer}.layernorm_before", hidden)
        for part in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.attention.{part}", hidden, hidden, c.get("qkv_bias", True))
        yield from linear(f"{layer}.attention.output.dense", hidden, hidden, kind=RESIDUAL)
        yield from layer_norm(f"{layer}.layernorm_after", hidden)
        yield from linear(f"{layer}.intermediate.dense", inner, hidden)
        yield from linear(f"{layer}.output.dense", hidden, inner, kind=RESIDUAL)
    yield from layer_norm("vit.layernorm", hidden)
    yield from linear("classifier", len(c.get("id2label") or "01"), hidden)


def marian_tensors(c):
    hidden = c["d_model"]
    yield "model.shared.weight", (c["vocab_size"], hidden), WEIGHT
    for side, attentions in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        for i in range(c[f"{side}_layers"]):
            layer = f"model.{side}.layers.{i}"
            for attention in attentions:
                for part in ("q", "k", "v", "out"):
                    yield from linear(f"{layer}.{attention}.{part}_proj", hidden, hidden)
                yield from layer_norm(f"{layer}.{attention}_layer_norm", hidden)
            yield from linear(f"{layer}.fc1", c[f"{side}_ffn_dim"], hidden)
            yield from linear(f"{layer}.fc2", hidden, c[f"{side}_ffn_dim"])
            yield from layer_norm(f"{layer}.final_layer_norm", hidden)
        if c.get("add_final_layer_norm"):
            yield from layer_norm(f"model.{side}.layer_norm", hidden)
    yield "final_logits_bias", (1, c["vocab_size"]), WEIGHT


DECODERS = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3", "gemma3_text")
FAMILIES = {**dict.fromkeys(DECODERS, decoder_tensors), "gpt2": gpt2_tensors, "gpt_neox": gpt_neox_tensors,
            "bert": bert_tensors, "vit": vit_tensors, "marian": marian_tensors}

# ---- values and files


def to_bf16(values):
    """float32 -> the bits of bf16, to nearest, ties to even; no value is NaN here."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


ENCODE = {"F32": lambda v: v, "F16": lambda v: v.astype(np.float16), "BF16": to_bf16}


class Writer:
    def __init__(self, dtype, seed, std, layers):
        self.dtype, self.seed, self.std, self.layers = dtype, seed, std, layers

    def size(self, tensor):
        return math.prod(tensor[1]) * ITEM_SIZE[self.dtype]

    def blocks(self, name, shape, kind):
        rng = np.random.Generator(np.random.SFC64([self.seed, zlib.crc32(name.encode())]))
        spread = {WEIGHT: self.std, RESIDUAL: self.std / math.sqrt(2 * self.layers)}.get(kind, 0.05)
        left = math.prod(shape)
        while left > 0:
            values = rng.standard_normal(min(left, BLOCK), dtype=np.float32) * np.float32(spread)
            yield values + np.float32(1) if kind == NORM else values
            left -= values.size

    def write(self, path, tensors):
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for tensor in tensors:
            begin, end = end, end + self.size(tensor)
            header[tensor[0]] = {"dtype": self.dtype, "shape": tensor[1], "data_offsets": [begin, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors:
                for values in self.blocks(*tensor):
                    ENCODE[self.dtype](values).tofile(file)


def split(tensors, writer, limit):
    """Shards of at most `limit` bytes, or of one tensor."""
    shards, used = [[]], 0
    for tensor in tensors:
        size = writer.size(tensor)
        if limit and shards[-1] and used + size > limit:
            shards.append([])
            used = 0
        shards[-1].append(tensor)
        used += size
    return shards


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(folder, tensors, writer, limit):
    shards = split(tensors, writer, limit)
    if len(shards) == 1:
        writer.write(folder / "model.safetensors", tensors)
        return 1
    weight_map = {}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        writer.write(folder / name, shard)
        weight_map.update((tensor[0], name) for tensor in shard)
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": sum(map(writer.size, tensors))}, "weight_map": weight_map})
    return len(shards)

# ---- the command


def byte_count(text):
    for suffix, factor in (("GB", 10 ** 9), ("MB", 10 ** 6), ("KB", 10 ** 3)):
        if text.upper().endswith(suffix):
            return int(float(text[:-2]) * factor)
    return int(text)


def shrink(config, layers, vocab):
    """Fewer layers, fewer tokens; what refers to the ones that went goes too."""
    if layers:
        for key in ("num_hidden_layers", "n_layer", "encoder_layers", "decoder_layers"):
            if key in config:
                config[key] = min(config[key], layers)
        if isinstance(config.get("layer_types"), list):
            config["layer_types"] = config["layer_types"][:layers]
    if vocab:
        config["vocab_size"] = vocab
        for key in [key for key in config if key.endswith("_token_id")]:
            ids = config[key] if isinstance(config[key], list) else [config[key]]
            ids = [i for i in ids if isinstance(i, int) and i < vocab]
            config[key] = (ids if isinstance(config[key], list) else ids[0]) if ids else None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=pathlib.Path, help="a config.json")
    source.add_argument("--preset", choices=sorted(PRESETS))
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, help="at most this many layers")
    parser.add_argument("--vocab", type=int, help="another size of the vocabulary")
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), help="default: the config's torch_dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--std", type=float, default=0.02, help="spread of the weights; larger gives peaked logits")
    parser.add_argument("--shard-size", type=byte_count, help="e.g. 2GB; default: one file")
    parser.add_argument("--residual-layers", type=int, help="depth that scales the residual projections")
    return parser.parse_args()


def main():
    args = parse_arguments()
    config = json.loads(args.config.read_text(encoding="utf-8")) if args.config else dict(PRESETS[args.preset])
    family = config.get("model_type")
    if family not in FAMILIES:
        raise SystemExit(f"model_type {family!r} is not known; known are {', '.join(sorted(FAMILIES))}")
    depth = next((config[k] for k in ("num_hidden_layers", "n_layer", "encoder_layers") if k in config), 1)
    shrink(config, args.layers, args.vocab)
    torch_dtype = config.get("torch_dtype") or config.get("dtype") or "float32"
    dtype = args.dtype.upper() if args.dtype else next(k for k, v in TORCH_NAME.items() if v == torch_dtype)
    config["torch_dtype"] = TORCH_NAME[dtype]

    args.out.mkdir(parents=True, exist_ok=True)
    writer = Writer(dtype, args.seed, args.std, args.residual_layers or depth)
    tensors = list(FAMILIES[family](config))
    files = write_tensors(args.out, tensors, writer, args.shard_size)
    write_json(args.out / "config.json", config)
    tokens = {k: v for k, v in config.items() if k.endswith("_token_id") and v is not None}
    if tokens and family not in ("bert", "vit"):
        write_json(args.out / "generation_config.json", tokens)
    print(f"{family}: {len(tensors)} tensors, {sum(math.prod(t[1]) for t in tensors):,} values, {dtype}, "
          f"{files} file(s), {sum(map(writer.size, tensors)):,} bytes")


if __name__ == "__main__":
    main()
