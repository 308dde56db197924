"""The models of a comparison: random weights of the shapes of known models, written to a folder."""

import json
import pathlib
import subprocess
import sys

import encoder
from engines.base import Model

DECODERS = ("stories15m", "smollm-135m", "tinyllama-1.1b")
ENCODERS = {"bert-base": {"layers": 12, "width": 768, "heads": 12, "inner": 3072}}
MAKE_CHECKPOINT = pathlib.Path(__file__).parent.parent / "tools" / "make_checkpoint.py"


def make_decoder(name, dtype, folder, layers=None):
    """A preset of make_checkpoint.py with weights in f32 or bf16; or a checkpoint that is there already."""
    if pathlib.Path(name, "config.json").exists():
        folder, name = name, pathlib.Path(name).name
    else:
        command = [sys.executable, str(MAKE_CHECKPOINT), "--preset", name, folder, "--dtype", dtype]
        command += ["--layers", str(layers)] if layers else []
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{name}: could not be made (the lines above say why); expected a preset or a folder with a config.json")
    config = json.loads(pathlib.Path(folder, "config.json").read_text())
    if config.get("model_type") != "llama" or config.get("rope_scaling"):
        raise SystemExit(f"{name}: expected a llama without scaled positions, which the graphs here are for")
    return Model(name, "decoder", folder, config)


def make_encoder(name, dtype, folder, layers=None):
    """As .mlir beside its weights, and in f32 as ONNX where the package is there."""
    config = dict(ENCODERS[name])
    config["layers"] = layers or config["layers"]
    made = encoder.Encoder(config["layers"], config["width"], config["heads"], config["inner"])
    encoder.write(folder, made, dtype)
    try:
        encoder.write_onnx(f"{folder}/encoder.onnx", made)
    except ImportError:
        pass  # the engines that read it name what is missing
    return Model(name, "encoder", folder, config)


def make(name, dtype, folder, layers=None):
    """Writes model `name` for products in `dtype`; 8-bit weights are made from f32 by each engine."""
    stored = "bf16" if dtype == "bf16" else "f32"
    return (make_encoder if name in ENCODERS else make_decoder)(name, stored, folder, layers)


def weight_bytes(model):
    """Bytes of the model's weights on disk."""
    return sum(p.stat().st_size for p in pathlib.Path(model.folder).glob("*.safetensors"))


def operations(model, length):
    """Floating-point operations of an encoder over `length` positions: products and attention."""
    c = model.config
    products = c["layers"] * (4 * c["width"] ** 2 + 2 * c["width"] * c["inner"])
    return 2 * products * length + c["layers"] * 4 * length * length * c["width"]
