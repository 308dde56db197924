"""IREE from its wheels, for the CPU it runs on: standard ONNX ops of static shapes, imported and compiled at -O3.

Static, because that is what it is good at: one module per length of a prompt, and one for a step over a cache of the
capacity, which attends to all of it under a mask and writes its position through a select. Caches stay on the device. Each
module keeps weights of its own, in the layout it chose.
"""

import subprocess
import sys

import numpy as np

from .base import Engine
from .onnx_runtime import Graph

FLAGS = ["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"]


class Iree(Engine):
    name = "iree"
    packages = ("iree.compiler", "iree.runtime", "onnx")
    kinds = ("decoder", "encoder")
    dtypes = ("f32",)  # bf16: its ONNX path would also sum in bf16
    copies = 5

    def version(self):
        import importlib.metadata

        return f"iree-base-compiler {importlib.metadata.version('iree-base-compiler')}"

    def prepare(self, model, dtype, folder):
        import iree.runtime

        iree.runtime.flags.parse_flags(f"--task_topology_group_count={self.options.threads}")
        self.model, self.folder, self.runtime = model, folder, iree.runtime
        self.device = iree.runtime.get_device("local-task")
        self.modules = {}

    def module(self, length, is_step=False):
        """The function for inputs of `length` positions, compiled when it is first asked for."""
        key = (length, is_step)
        if key not in self.modules:
            path = f"{self.folder}/{'step' if is_step else length}"
            if self.model.kind == "encoder":
                write_fixed_encoder(f"{path}.onnx", f"{self.model.folder}/encoder.onnx", length)
            else:
                write_static_decoder(f"{path}.onnx", self.model, length, self.options.capacity, is_step)
            self.modules[key] = self.load(path)
        return self.modules[key]

    def load(self, path):
        import iree.compiler.tools

        runtime = self.runtime
        importer = [sys.executable, "-m", "iree.compiler.tools.import_onnx", f"{path}.onnx", "-o", f"{path}.mlir",
                    "--externalize-params", "--save-params-to", f"{path}.irpa"]  # fmt: skip
        made = subprocess.run(importer, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError("import_onnx: " + (made.stderr.strip().splitlines() or ["failed"])[-1])
        iree.compiler.tools.compile_file(
            f"{path}.mlir", input_type="onnx", target_backends=["llvm-cpu"], extra_args=FLAGS, output_file=f"{path}.vmfb")
        config = runtime.Config(device=self.device)
        index = runtime.ParameterIndex()
        index.load(f"{path}.irpa")
        parameters = runtime.create_io_parameters_module(config.vm_instance, index.create_provider(scope="model"))
        code = runtime.VmModule.mmap(config.vm_instance, f"{path}.vmfb")
        context = runtime.SystemContext(config=config)
        context.add_vm_module(parameters)
        context.add_vm_module(code)
        return context.modules[code.name]["main_graph"]

    def warm(self, prompts, depth):
        """All modules that the run will need."""
        for n in prompts if self.model.kind == "encoder" else [*prompts, depth]:
            self.prefill(n)

    def reset(self):
        self.length = 0

    def forward(self, inputs):
        if self.model.kind == "encoder":
            return self.module(inputs.shape[1])(inputs).to_host()
        ids = np.array([inputs], np.int64)
        if self.length == 0:
            logits, *self.caches = self.module(len(inputs))(ids)
        else:
            logits, *self.caches = self.module(1, True)(ids, np.array([self.length], np.int64), *self.caches)
        self.length += len(inputs)
        return logits.to_host()[0]


def write_fixed_encoder(path, source, length):
    """encoder.py's graph for one length."""
    import onnx

    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = length
    model.graph.name = "main_graph"
    onnx.save(model, path)


def write_static_decoder(path, model, length, capacity, is_step):
    """ids [1, S] (, position [1], caches [1, kv, C, size]) -> logits [1, V], caches."""
    import onnx
    from onnx import TensorProto, helper

    config, weights = model.config, model.weights()
    layers, heads, kv, size = model.shape()
    group, total = heads // kv, capacity if is_step else length
    g = Graph(False)

    def numbers(name, values, kind=np.int64):
        return g.constant(name, np.array(values, kind))

    def norm(x, name):
        mean = g.node("ReduceMean", [g.node("Mul", [x, x])], axes=[-1], keepdims=1)
        scale = g.node("Sqrt", [g.node("Add", [mean, "epsilon"])])
        return g.node("Mul", [g.node("Div", [x, scale]), g.constant(name, weights[name])])

    def linear(x, name):
        return g.linear(x, name, weights[name])

    numbers("epsilon", config["rms_norm_eps"], np.float32)
    frequency = config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = np.tile(np.arange(capacity)[:, None] * frequency, 2)
    cos, sin = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
    if is_step:
        cos, sin = (g.node("Gather", [g.constant(n, t), "position"]) for n, t in (("cos", cos), ("sin", sin)))
        places = numbers("places", np.arange(capacity))
        here = g.node("Reshape", [g.node("Equal", [places, "position"]), numbers("column", [1, 1, capacity, 1])])
        seen = g.node("LessOrEqual", [places, "position"])
        mask = g.node("Where", [seen, numbers("zero", 0, np.float32), numbers("lowest", -1e30, np.float32)])
    else:
        cos, sin = g.constant("cos", cos[:length]), g.constant("sin", sin[:length])
        mask = g.constant("mask", np.triu(np.full((length, length), -1e30, np.float32), 1))
        padding = g.constant("padding", np.zeros((1, kv, capacity - length, size), np.float32))
    numbers("split", [size // 2, size // 2])
    numbers("scale", size**-0.5, np.float32)
    shapes = {n: numbers(f"shape_{n}", s) for n, s in {
        "q": [1, length, kv, group, size], "k": [1, length, kv, size], "rows": [1, kv, group * length, size],
        "scores": [1, kv, group, length, total], "flat": [1, kv, group * length, total],
        "heads": [1, kv, group, length, size], "hidden": [1, length, heads * size]}.items()}  # fmt: skip

    def rotate(x):
        first, second = g.node("Split", [x, "split"], [f"{x}_a", f"{x}_b"], axis=-1)
        half = g.node("Concat", [g.node("Neg", [second]), first], axis=-1)
        return g.node("Add", [g.node("Mul", [x, cos]), g.node("Mul", [half, sin])])

    outputs = []

    def cached(x, name):
        """What is attended to; the cache that results is an output."""
        made = g.node("Where", [here, x, f"{name}_in"], [name]) if is_step else g.node("Concat", [x, padding], [name], axis=2)
        outputs.append(made)
        return made if is_step else x

    h = g.node("Gather", [g.constant("embed", weights["model.embed_tokens.weight"]), "ids"])
    for i in range(layers):
        p = f"model.layers.{i}."
        x = norm(h, p + "input_layernorm.weight")
        q, k, v = (linear(x, p + f"self_attn.{n}_proj.weight") for n in "qkv")
        q = rotate(g.node("Transpose", [g.node("Reshape", [q, shapes["q"]])], perm=[0, 2, 3, 1, 4]))
        k, v = (g.node("Transpose", [g.node("Reshape", [part, shapes["k"]])], perm=[0, 2, 1, 3]) for part in (k, v))
        k, v = cached(rotate(k), f"k{i}"), cached(v, f"v{i}")
        q = g.node("Reshape", [g.node("Mul", [q, "scale"]), shapes["rows"]])
        scores = g.node("MatMul", [q, g.node("Transpose", [k], perm=[0, 1, 3, 2])])
        scores = g.node("Softmax", [g.node("Add", [g.node("Reshape", [scores, shapes["scores"]]), mask])], axis=-1)
        y = g.node("MatMul", [g.node("Reshape", [scores, shapes["flat"]]), v])
        y = g.node("Transpose", [g.node("Reshape", [y, shapes["heads"]])], perm=[0, 3, 1, 2, 4])
        h = g.node("Add", [h, linear(g.node("Reshape", [y, shapes["hidden"]]), p + "self_attn.o_proj.weight")])
        x = norm(h, p + "post_attention_layernorm.weight")
        gate, up = (linear(x, p + f"mlp.{n}_proj.weight") for n in ("gate", "up"))
        gated = g.node("Mul", [g.node("Mul", [gate, g.node("Sigmoid", [gate])]), up])
        h = g.node("Add", [h, linear(gated, p + "mlp.down_proj.weight")])
    last = g.node("Gather", [h, numbers("last", length - 1)], axis=1)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    g.linear(norm(last, "model.norm.weight"), "head", head, ["logits"])

    def value(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    cache, i64 = [1, kv, capacity, size], TensorProto.INT64
    inputs = [value("ids", [1, length], i64)]
    if is_step:
        inputs += [value("position", [1], i64), *(value(f"{n}_in", cache) for n in outputs)]
    results = [value("logits", [1, config["vocab_size"]]), *(value(n, cache) for n in outputs)]
    graph = helper.make_graph(g.nodes, "main_graph", inputs, results, g.constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path, save_as_external_data=True, location=path.rpartition("/")[2] + ".data")
