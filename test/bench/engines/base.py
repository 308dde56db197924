"""What every engine of a comparison offers, and the model it is given."""

import dataclasses
import importlib
import importlib.metadata
import json
import pathlib
import struct
import time

import numpy as np


@dataclasses.dataclass
class Options:
    """What all engines of a run share."""

    build: str  # the build folder of this project
    threads: int
    capacity: int  # positions that a decoder's cache holds
    llama_bench: str = ""  # path of the program
    int8_options: str = ""  # what tfopt needs for 8-bit weights
    huge_pages: bool = False  # tfopt's weights in huge pages are measured too


@dataclasses.dataclass
class Model:
    """A model on disk: a Hugging Face folder of the Llama family, or what encoder.py writes."""

    name: str
    kind: str  # "decoder" or "encoder"
    folder: str
    config: dict

    def weights(self):
        """{name: float32 array}, by the names in the checkpoint; matrices are [out, in]."""
        made = {}
        for path in sorted(pathlib.Path(self.folder).glob("*.safetensors")):
            made.update(read_safetensors(path))
        return made

    def tokens(self, count):
        """`count` token ids, the same in every process."""
        return [int(t) for t in np.random.default_rng(3).integers(3, self.config["vocab_size"], count)]

    def hidden(self, length):
        """Hidden states [1, length, width] of an encoder, the same in every process."""
        size = (1, length, self.config["width"])
        return np.random.default_rng(7).standard_normal(size).astype(np.float32)

    def shape(self):
        """(layers, heads, key heads, head size) of a decoder."""
        c = self.config
        heads = c["num_attention_heads"]
        return (c["num_hidden_layers"], heads, c.get("num_key_value_heads") or heads,
                c.get("head_dim") or c["hidden_size"] // heads)  # fmt: skip


def read_safetensors(path):
    """The file's tensors as float32, one copy each."""
    raw = np.memmap(path, np.uint8, "r")
    size = struct.unpack("<Q", raw[:8].tobytes())[0]
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + size].tobytes()).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + o for o in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (raw[begin:end].view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = raw[begin:end].view({"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors


class Engine:
    """One way of running a model. Each runs in a process of its own (worker.py).

    An engine whose calls give results implements `reset` and `forward`; one that only measures itself overrides
    `check`, `prefill` and `decode`.
    """

    name = ""
    packages = ()  # what must be importable
    kinds = ("decoder",)
    dtypes = ("f32",)  # element types of the products: "f32", "bf16", "int8"
    copies = 1.5  # memory it takes, of the size of the checkpoint

    def __init__(self, options):
        self.options = options
        self.model = None

    def available(self, kind, dtype):
        """None, or why this cannot be measured here."""
        for package in self.packages:
            try:
                importlib.import_module(package)
            except Exception as error:  # a wheel for another system fails in its own ways
                return f"{package}: {error}" if not isinstance(error, ImportError) else f"{package} is not installed"
        if kind not in self.kinds:
            return f"runs no {kind}s here"
        if dtype not in self.dtypes:
            return f"has no {dtype} here"
        return None

    def version(self):
        """E.g. "onnxruntime 1.32.0"."""
        names = [p.partition(".")[0] for p in self.packages[:1]]
        return " ".join(f"{n} {importlib.metadata.version(n)}" for n in names)

    def label(self, dtype):
        """Its name in a table of results in `dtype`."""
        return self.name

    def prepare(self, model, dtype, folder):
        """Loads or compiles the model; `folder` is this engine's own, for files."""
        raise NotImplementedError

    def reset(self):
        """Forgets every cached position."""

    def forward(self, inputs):
        """Decoder: appends token ids to the cache, returns the last one's logits [V], float32. Encoder: hidden
        states [1, S, W] to the same."""
        raise NotImplementedError

    def warm(self, prompts, depth):
        """Does what is done once per length of a prompt: static shapes are compiled here."""

    def check(self):
        """Results to compare with other engines': logits after a prompt of 16 tokens and after two steps more
        [3, V], or hidden states of 16 positions. None where the engine gives none."""
        if self.model.kind == "encoder":
            return np.array(self.forward(self.model.hidden(16)))
        tokens = self.model.tokens(18)
        self.reset()
        return np.stack([np.array(self.forward(t), np.float32).reshape(-1) for t in (tokens[:16], tokens[16:17], tokens[17:])])

    def prefill(self, n):
        """Seconds from n tokens, nothing cached, to the logits of the last; of an encoder to n hidden states."""
        inputs = self.model.hidden(n) if self.model.kind == "encoder" else self.model.tokens(n)
        self.reset()
        begin = time.perf_counter()
        self.forward(inputs)
        return time.perf_counter() - begin

    def decode(self, n, depth):
        """Seconds of n steps of one token each, after `depth` tokens that are not timed."""
        tokens = self.model.tokens(depth + n)
        self.reset()
        self.forward(tokens[:depth])
        begin = time.perf_counter()
        for token in tokens[depth:]:
            self.forward([token])
        return time.perf_counter() - begin
