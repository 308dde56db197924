"""This project: compiled by tfopt, run through the runtime's C API."""

import ctypes
import pathlib
import shlex
import subprocess

import numpy as np

from .base import Engine

F32, I32 = 0, 3  # of xfm_dtype


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_int32),
                ("dims", ctypes.c_int64 * 8)]  # fmt: skip


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("threads", ctypes.c_int32), ("batch", ctypes.c_int64),
                ("context", ctypes.c_int64), ("affinity", ctypes.c_int32)]  # fmt: skip


class OpenOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("skip_weight_hash", ctypes.c_int32), ("profile", ctypes.c_int32),
                ("huge_pages", ctypes.c_int32)]  # fmt: skip


class Artifact:
    """A compiled model, open in a session of the runtime."""

    def __init__(self, build, artifact, threads, context=0, huge_pages=False):
        self.api = ctypes.CDLL(str(pathlib.Path(build) / "runtime" / "libxfm.so"))
        self.api.xfm_last_error.restype = ctypes.c_char_p
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        opening = OpenOptions(ctypes.sizeof(OpenOptions), 0, 0, huge_pages)
        self.check(self.api.xfm_model_open(str(artifact).encode(), ctypes.byref(opening), ctypes.byref(model)))
        chosen = SessionOptions(ctypes.sizeof(SessionOptions), threads, 1, context, 0)
        self.check(self.api.xfm_session_create(model, ctypes.byref(chosen), ctypes.byref(self.session)))

    def check(self, status):
        if status:
            raise RuntimeError(self.api.xfm_last_error().decode())

    def reset(self):
        self.api.xfm_session_reset(self.session)

    def call(self, entry, array, dtype):
        """The first output of an entry point that takes one tensor, as f32; valid until the next call."""
        given, made = Tensor(array.ctypes.data, dtype, array.ndim, (ctypes.c_int64 * 8)(*array.shape)), Tensor()
        self.check(self.api.xfm_session_call(self.session, entry, ctypes.byref(given), 1))
        self.check(self.api.xfm_session_output(self.session, 0, ctypes.byref(made)))
        floats = ctypes.cast(made.data, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, tuple(made.dims[: made.rank]))


class Xfm(Engine):
    name = "tfopt"
    kinds = ("decoder", "encoder")
    dtypes = ("f32", "bf16", "int8")
    huge_pages = False

    def available(self, kind, dtype):
        if not (pathlib.Path(self.options.build) / "bin" / "tfopt").exists():
            return f"no bin/tfopt in {self.options.build}"
        return super().available(kind, dtype)

    def version(self):
        return "this build"

    def label(self, dtype):
        """Other engines' 8 bits are measured beside f32 where no options ask for 8 bits here."""
        return self.name if dtype != "int8" or self.options.int8_options else f"{self.name} f32"

    def prepare(self, model, dtype, folder):
        self.model = model
        artifact = pathlib.Path(folder) / "model.tfa"
        if model.kind == "encoder":
            source, flags = f"{model.folder}/encoder.mlir", []
        else:
            precision = "bf16" if dtype == "bf16" else "f32"
            source, flags = model.folder, [f"--max-positions={self.options.capacity}", f"--precision={precision}"]
        if dtype == "int8":
            flags = [*flags, *shlex.split(self.options.int8_options)]
        if not artifact.exists():
            subprocess.run([f"{self.options.build}/bin/tfopt", source, "-o", artifact, "-q", *flags], check=True)
        context = 0 if model.kind == "encoder" else self.options.capacity
        self.artifact = Artifact(self.options.build, artifact, self.options.threads, context, self.huge_pages)

    def reset(self):
        if self.model.kind == "decoder":
            self.artifact.reset()

    def forward(self, inputs):
        if self.model.kind == "encoder":
            return self.artifact.call(b"encode", inputs, F32)
        entry = b"decode" if len(inputs) == 1 else b"prefill"
        return self.artifact.call(entry, np.array([inputs], np.int32), I32)[0]


class XfmHugePages(Xfm):
    """The same as `tfrun --huge-pages`: weights are copied to pages of 2 MiB when a model is opened."""

    name = "tfopt, huge pages"
    huge_pages = True

    def available(self, kind, dtype):
        return super().available(kind, dtype) if self.options.huge_pages else "no --huge-pages"
