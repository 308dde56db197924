"""The engines of a comparison, one file each; base.py has their interface, worker.py their processes."""

from .ctranslate import CTranslate
from .iree_cpu import Iree
from .llama_cpp import LlamaBench, LlamaCpp, LlamaServer
from .onnx_runtime import OnnxRuntime
from .open_vino import OpenVino
from .pytorch import TorchCompiled, TorchEager
from .xfm import Xfm, XfmHugePages

# The first is what others are compared with.
ENGINES = [
    Xfm, XfmHugePages, OnnxRuntime, OpenVino, TorchEager, TorchCompiled, CTranslate, Iree, LlamaCpp, LlamaServer, LlamaBench
]  # fmt: skip
