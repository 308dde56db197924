"""CTranslate2 from its wheel: its model written by hand, in float32; the library converts it as it loads.

Decoders are timed through generate_batch, which is how the library is used: a prompt is one batch, steps are counted by
its callback, and what it generates is what the weights say. An encoder begins with a table of embeddings there; hidden
states are given as rows of it.
"""

import time

import numpy as np

from .base import Engine

TYPES = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}
LENGTH = 1024  # rows of the encoder's table of hidden states: the longest sequence


class CTranslate(Engine):
    name = "ctranslate2"
    packages = ("ctranslate2",)
    kinds = ("decoder", "encoder")
    dtypes = ("f32", "bf16", "int8")

    def available(self, kind, dtype):
        reason = super().available(kind, dtype)
        if reason:
            return reason
        import ctranslate2

        has = ctranslate2.get_supported_compute_types("cpu")
        return None if TYPES[dtype] in has else f"has no {TYPES[dtype]} on this CPU, only {', '.join(sorted(has))}"

    def prepare(self, model, dtype, folder):
        import ctranslate2

        self.model = model
        spec = encoder_spec(model) if model.kind == "encoder" else decoder_spec(model)
        spec.validate()
        spec.optimize()
        spec.save(folder)
        del spec
        kind = ctranslate2.Encoder if model.kind == "encoder" else ctranslate2.Generator
        self.engine = kind(folder, device="cpu", compute_type=TYPES[dtype], intra_threads=self.options.threads, inter_threads=1)

    def forward(self, inputs):
        import ctranslate2

        ids = np.arange(inputs.shape[1], dtype=np.int32)[None]
        lengths = np.array([inputs.shape[1]], np.int32)
        made = self.engine.forward_batch(ctranslate2.StorageView.from_array(ids), ctranslate2.StorageView.from_array(lengths))
        return np.array(made.last_hidden_state)

    def generate(self, tokens, count, **options):
        """Seconds from the call to each of `count` generated tokens."""
        words = [[str(t) for t in tokens]]
        stamps = []

        def stamp(_):
            stamps.append(time.perf_counter())
            return False

        begin = time.perf_counter()
        self.result = self.engine.generate_batch(
            words, max_length=count, include_prompt_in_result=False, sampling_topk=1, callback=stamp, **options)
        return [s - begin for s in stamps]

    def check(self):
        if self.model.kind == "encoder":
            # Its table of embeddings is hidden(LENGTH), of which hidden(16) is the beginning.
            return super().check()
        tokens, rows = self.model.tokens(18), []
        for n in (16, 17, 18):
            # Without a minimum: that would change the logit of the end.
            self.generate(tokens[:n], 1, return_logits_vocab=True)
            rows.append(np.array(self.result[0].logits[0][0], np.float32).reshape(-1))
        return np.stack(rows)

    def prefill(self, n):
        if self.model.kind == "encoder":
            return super().prefill(n)
        return self.generate(self.model.tokens(n), 1)[0]

    def decode(self, n, depth):
        stamps = self.generate(self.model.tokens(depth), n + 1, min_length=n + 1)
        return stamps[n] - stamps[0]


def set_linear(spec, weight, bias=None):
    spec.weight = weight
    if bias is not None:
        spec.bias = bias


def decoder_spec(model):
    """Its specification of a Llama, with the weights."""
    from ctranslate2 import specs
    from ctranslate2.specs import common_spec

    c, w = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    spec = specs.TransformerDecoderModelSpec.from_config(
        layers, heads, activation=common_spec.Activation.SWISH, pre_norm=True, ffn_glu=True, rms_norm=True, rotary_dim=0,
        rotary_interleave=False, rotary_base=c["rope_theta"], num_heads_kv=None if kv == heads else kv, head_dim=size)  # fmt: skip
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = w["model.embed_tokens.weight"]
    decoder.layer_norm.gamma = w["model.norm.weight"]
    set_linear(decoder.projection, w.get("lm_head.weight", w["model.embed_tokens.weight"]))
    for i, layer in enumerate(decoder.layer):
        p = f"model.layers.{i}."
        layer.self_attention.layer_norm.gamma = w[p + "input_layernorm.weight"]
        layer.ffn.layer_norm.gamma = w[p + "post_attention_layernorm.weight"]
        qkv, o = layer.self_attention.linear
        set_linear(qkv, np.concatenate([w[p + f"self_attn.{n}_proj.weight"] for n in "qkv"]))
        set_linear(o, w[p + "self_attn.o_proj.weight"])
        set_linear(layer.ffn.linear_0, w[p + "mlp.gate_proj.weight"])
        set_linear(layer.ffn.linear_0_noact, w[p + "mlp.up_proj.weight"])
        set_linear(layer.ffn.linear_1, w[p + "mlp.down_proj.weight"])
    spec.register_vocabulary([str(i) for i in range(c["vocab_size"])])
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "1", "2", "0"
    spec.config.layer_norm_epsilon = c["rms_norm_eps"]
    return spec


def encoder_spec(model):
    """Its specification of a post-norm encoder over rows of a table, with no positions added."""
    from ctranslate2 import specs
    from ctranslate2.specs import common_spec

    c, w = model.config, model.weights()
    encoder = specs.TransformerEncoderSpec(
        c["layers"], c["heads"], pre_norm=False, activation=common_spec.Activation.GELU, num_source_embeddings=1,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD)  # fmt: skip
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = model.hidden(LENGTH)[0]
    encoder.position_encodings.encodings = np.zeros((LENGTH, c["width"]), np.float32)
    for i, layer in enumerate(encoder.layer):
        def both(name):
            return w[f"{i}.{name}"], w[f"{i}.{name}_bias"]

        qkv, o = layer.self_attention.linear
        set_linear(qkv, *(np.concatenate([both(n)[part] for n in "qkv"]) for part in (0, 1)))
        set_linear(o, *both("o"))
        set_linear(layer.ffn.linear_0, *both("up"))
        set_linear(layer.ffn.linear_1, *both("down"))
        for norm, name in ((layer.self_attention.layer_norm, "norm1"), (layer.ffn.layer_norm, "norm2")):
            norm.gamma, norm.beta = both(name)
    spec = specs.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary([str(i) for i in range(LENGTH)])
    spec.config.unk_token = "0"
    spec.config.layer_norm_epsilon = 1e-12
    return spec
