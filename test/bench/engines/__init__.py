from .onnx_runtime import OnnxRuntime
from .pytorch import TorchCompiled, TorchEager
from .xfm import Xfm
ENGINES = [Xfm, OnnxRuntime, TorchEager, TorchCompiled]
