"""llama.cpp: its library from one wheel, its server inside another, or its program llama-bench given by path.

The checkpoint is written as GGUF with the package of that name; its vocabulary is made up, token ids are all that is used.
f32 keeps its cache in f32 and does without flash attention, which rounds to f16 on the way; bf16 and int8 (Q8_0,
activations in 8 bits too) keep it in f16, as the library does by default.
`llama-bench` measures itself, in turn with the others, and gives no logits to compare.
"""

import importlib
import importlib.metadata
import json
import pathlib
import re
import subprocess

import numpy as np

from .base import Engine

FILE_TYPES = {"f32": "F32", "bf16": "BF16", "int8": "Q8_0"}


def write_gguf(path, model, dtype):
    """The model in GGUF: matrices in `dtype`, vectors in f32, rotated pairs side by side as llama.cpp wants them."""
    import gguf

    c, weights = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(model.name)
    writer.add_vocab_size(c["vocab_size"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"w{i}" for i in range(c["vocab_size"])])
    writer.add_token_scores([0.0] * c["vocab_size"])
    writer.add_token_types([gguf.TokenType.UNKNOWN] + [gguf.TokenType.NORMAL] * (c["vocab_size"] - 1))
    kind = getattr(gguf.GGMLQuantizationType, FILE_TYPES[dtype])
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
             "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}  # fmt: skip
    tensors = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    tensors.update({f"blk.{i}.{to}": f"model.layers.{i}.{of}" for i in range(layers) for of, to in names.items()})
    for name, of in tensors.items():
        value = weights.pop(f"{of}.weight", None)
        if value is None:  # an output matrix that is the embedding
            continue
        if name.endswith(("attn_q", "attn_k")):
            rows = value.shape[0] // size
            value = value.reshape(rows, 2, size // 2, -1).swapaxes(1, 2).reshape(value.shape)
        if value.ndim == 2 and dtype != "f32":
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(np.ascontiguousarray(value), kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def features_of(info):
    """From "CPU : AVX2 = 1 | FMA = 1 |" to "AVX2 FMA"."""
    return " ".join(part.split("=")[0].strip() for part in info.partition(":")[2].split("|") if "=" in part)


class Cffi:
    """The library's functions and types in llama-cpp-py-sync."""

    package = "llama_cpp_py_sync"

    def __init__(self):
        bindings = importlib.import_module("llama_cpp_py_sync._cffi_bindings")
        try:
            self.lib, self.ffi = bindings.get_lib(), bindings.get_ffi()
        except RuntimeError as error:
            needs = re.search("version `[^']*' not found", str(error))
            raise ImportError(f"llama-cpp-py-sync does not load: {needs.group() if needs else error}") from error
        self.quiet = self.ffi.callback("ggml_log_callback", lambda level, text, user: None)
        self.null = self.ffi.NULL

    def ids(self, tokens):
        return self.ffi.new("int32_t[]", tokens)

    def floats(self, pointer, count):
        return np.frombuffer(self.ffi.buffer(pointer, 4 * count), np.float32)

    def text(self, pointer):
        return self.ffi.string(pointer).decode()


class Ctypes:
    """The same in llama-cpp-python."""

    package = "llama_cpp"

    def __init__(self):
        self.lib = importlib.import_module("llama_cpp")
        self.quiet = self.lib.llama_log_callback(lambda level, text, user: None)
        self.null = None

    def ids(self, tokens):
        return (self.lib.llama_token * len(tokens))(*tokens)

    def floats(self, pointer, count):
        return np.ctypeslib.as_array(pointer, (count,))

    def text(self, pointer):
        return pointer.decode()


class LlamaCpp(Engine):
    name = "llama.cpp"
    packages = ("gguf",)
    dtypes = ("f32", "bf16", "int8")

    def binding(self):
        """Whichever is installed."""
        reasons = []
        for kind in (Ctypes, Cffi):
            try:
                return kind()
            except ModuleNotFoundError:
                reasons.append(f"{kind.package} is not installed")
            except ImportError as error:
                reasons.append(str(error))
        raise ImportError(", ".join(reasons))

    def available(self, kind, dtype):
        reason = super().available(kind, dtype)
        try:
            return reason or (self.binding() and None)
        except (ImportError, OSError, RuntimeError) as error:
            return str(error)

    def version(self):
        """With what its build can use of the CPU, which decides how fast it is."""
        api = self.binding()
        name = {"llama_cpp": "llama-cpp-python"}.get(api.package, api.package.replace("_", "-"))
        return f"{name} {importlib.metadata.version(name)}, built with {features_of(api.text(api.lib.llama_print_system_info()))}"

    def prepare(self, model, dtype, folder):
        self.model = model
        path = f"{folder}/model.gguf"
        write_gguf(path, model, dtype)
        self.api = api = self.binding()
        lib = api.lib
        lib.llama_log_set(api.quiet, api.null)
        lib.llama_backend_init()
        loading = lib.llama_model_default_params()
        self.loaded = lib.llama_model_load_from_file(path.encode(), loading)
        if not self.loaded:
            raise RuntimeError("llama_model_load_from_file refused the file")
        chosen = lib.llama_context_default_params()
        chosen.n_ctx = self.options.capacity
        chosen.n_batch = chosen.n_ubatch = min(512, self.options.capacity)
        chosen.n_threads = chosen.n_threads_batch = self.options.threads
        if dtype == "f32":
            chosen.type_k = chosen.type_v = chosen.flash_attn_type = 0  # GGML_TYPE_F32, disabled
        self.context = lib.llama_init_from_model(self.loaded, chosen)
        if not self.context:
            raise RuntimeError("llama_init_from_model failed")

    def reset(self):
        self.api.lib.llama_memory_clear(self.api.lib.llama_get_memory(self.context), False)

    def forward(self, inputs):
        lib, step = self.api.lib, min(512, self.options.capacity)
        for i in range(0, len(inputs), step):
            ids = self.api.ids(inputs[i : i + step])
            if lib.llama_decode(self.context, lib.llama_batch_get_one(ids, len(inputs[i : i + step]))):
                raise RuntimeError("llama_decode failed")
        # Without this the call may return before the results are there.
        return self.api.floats(lib.llama_get_logits_ith(self.context, -1), self.model.config["vocab_size"])


class LlamaServer(Engine):
    """The server in the package xllamacpp, without a network; times are the server's own. Its steps choose the likeliest
    token, which is in their time. The wheels are built for AVX2 at most: on a CPU with more this is not what llama.cpp can
    do there."""

    name = "llama.cpp server"
    packages = ("xllamacpp", "gguf")
    dtypes = ("f32", "bf16", "int8")

    def version(self):
        import xllamacpp

        return f"{super().version()}, built with {features_of(xllamacpp.get_system_info())}"

    def prepare(self, model, dtype, folder):
        import xllamacpp

        self.model = model
        write_gguf(f"{folder}/model.gguf", model, dtype)
        chosen = xllamacpp.CommonParams()
        chosen.model.path = f"{folder}/model.gguf"
        chosen.n_ctx = self.options.capacity
        chosen.n_parallel, chosen.cache_prompt, chosen.cache_ram_mib, chosen.verbosity = 1, False, 0, 0
        for threads in (chosen.cpuparams, chosen.cpuparams_batch):
            threads.n_threads = self.options.threads
        if dtype == "f32":
            chosen.cache_type_k = chosen.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
            chosen.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.server = xllamacpp.Server(chosen)

    def complete(self, tokens, count, **more):
        request = {"prompt": tokens, "n_predict": count, "cache_prompt": False, "ignore_eos": True, "temperature": 0,
                   "samplers": ["top_k"], "top_k": 1, **more}  # fmt: skip
        return self.server.handle_completions(request)

    def check(self):
        """Logarithms of probabilities: logits less a constant."""
        tokens, size = self.model.tokens(18), self.model.config["vocab_size"]
        rows = np.zeros((3, size), np.float32)
        for row, n in zip(rows, (16, 17, 18)):
            made = self.complete(tokens[:n], 1, n_probs=size, ignore_eos=False)
            for entry in made["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                row[entry["id"]] = entry["logprob"]
        return rows

    def prefill(self, n):
        return self.complete(self.model.tokens(n), 1)["timings"]["prompt_ms"] * 1e-3

    def decode(self, n, depth):
        # The first token comes of the prompt, and the clock starts at it.
        return self.complete(self.model.tokens(depth), n + 1)["timings"]["predicted_ms"] * 1e-3


class LlamaBench(Engine):
    """The program: each request runs it once, which loads the model again; that is not in its figures. Its caches are of
    f16 for all types: newer versions refuse f32."""

    name = "llama-bench"
    packages = ("gguf",)
    dtypes = ("f32", "bf16", "int8")

    def available(self, kind, dtype):
        program = self.options.llama_bench
        if not program:
            return "no --llama-bench PROGRAM"
        return super().available(kind, dtype) if pathlib.Path(program).exists() else f"{program} does not exist"

    def version(self):
        return self.options.llama_bench

    def prepare(self, model, dtype, folder):
        self.model, self.path = model, f"{folder}/model.gguf"
        write_gguf(self.path, model, dtype)

    def check(self):
        return None

    def run(self, *flags):
        """Seconds of one repetition, after one that is not measured."""
        command = [self.options.llama_bench, "-m", self.path, "-t", str(self.options.threads), "-r", "1", "-o", "json"]
        made = subprocess.run([*command, *flags], capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError((made.stderr.strip().splitlines() or ["failed"])[-1])
        return json.loads(made.stdout)[0]["avg_ns"] * 1e-9

    def prefill(self, n):
        return self.run("-p", str(n), "-n", "0")

    def decode(self, n, depth):
        return self.run("-p", "0", "-n", str(n), "-d", str(depth))
