"""Names of PyTorch that stand for what is not here: using one says why, and what to do instead."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

__all__ = ["Absent", "absent", "refused"]


class Refused(type):
    """A class that cannot be made use of; asking whether something is one of it is fine."""

    refusal: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(cls.refusal)


def refused(name: str, why: str) -> Any:
    """What stands under a name of PyTorch and raises NotImplementedError when it is called.

    Parameters
    ----------
    name : str
        Such as ``"onnx.export"``.
    why : str
        The reason, and what to do.

    Examples
    --------
    >>> from devtensor.refusal import refused
    >>> refused("onnx.export", "nothing writes ONNX files here; save the state_dict")()
    Traceback (most recent call last):
    NotImplementedError: torch.onnx.export: nothing writes ONNX files here; save the state_dict
    """
    text = f"torch.{name}: {why}"
    return Refused(name.rpartition(".")[2], (), {"refusal": text, "__doc__": f"Refused: {why}."})


COMPILER = "nothing is compiled here: programs run as they are"
QUANTIZED = "there are no quantized types; compute in float16 or bfloat16"
ALONE = "devtensor trains in one process; start the program without torchrun"
ABSENT = {
    "_C._functorch": "torch.func has vmap, for functions of tensors",
    "_decomp": COMPILER,
    "_dynamo": COMPILER,
    "_export": COMPILER,
    "_functorch": COMPILER,
    "_higher_order_ops": COMPILER,
    "_inductor": COMPILER,
    "_prims": COMPILER,
    "_prims_common": COMPILER,
    "_refs": COMPILER,
    "_subclasses": COMPILER,
    "contrib": COMPILER,
    "cuda.gds": "read files by torch.load",
    "cuda.green_contexts": "use streams",
    "cuda.nccl": ALONE,
    "cuda.profiler": "use torch.profiler",
    "cuda.sparse": "sparse tensors are in torch.sparse",
    "cuda.tunable": "products are CuPy's, which chooses how they are computed",
    "monitor": "use torch.profiler or the ledger",
    "mps": "there are no devices of this kind here",
    "mtia": "there are no devices of this kind here",
    "ao": QUANTIZED,
    "distributed": ALONE,
    "export": "programs are not turned into graphs; save the state_dict",
    "fx": "graphs are of Python's calls, and no compiler works on them; use Graph and Interpreter",
    "nn.intrinsic": QUANTIZED,
    "nn.parallel": ALONE,
    "nn.qat": QUANTIZED,
    "nn.quantizable": QUANTIZED,
    "nn.quantized": QUANTIZED,
    "onnx": "nothing writes ONNX files here; save the state_dict and export it from PyTorch",
    "package": "save the state_dict by torch.save, and the code as a Python package",
    "quantization": QUANTIZED,
    "utils.cpp_extension": "what is compiled for PyTorch runs on its tensors alone",
    "utils.data.datapipes": "write a Dataset or an IterableDataset",
    "utils.mobile_optimizer": COMPILER,
}
"""Packages of PyTorch of which little or nothing is here, and why."""


def reason(name: str) -> str | None:
    """Why a module, or what would be in it, is not here; None if that is not known."""
    while name and name not in ABSENT:
        name = name.rpartition(".")[0]
    return ABSENT.get(name)


TYPES = """
complex32 float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu
qint32 qint8 quint2x4 quint4x2 quint8
"""
ABSENT |= dict.fromkeys(TYPES.split(), "no array library here has this type; use float16")


class Absent(ModuleType):
    """A module of PyTorch that is not here: it can be imported, and its names refuse when used.

    Questions whether something is so, by names such as ``is_fake``, are answered with no.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name.startswith("is_"):
            return lambda *_, **__: False
        full = f"{self.__name__}.{name}"
        found = refused(full, reason(full) or "")
        setattr(self, name, found)
        return found

    def __call__(self, *_: Any, **__: Any) -> Any:  # what looked like a module was a function
        raise NotImplementedError(f"torch.{self.__name__}: {reason(self.__name__)}")


@cache
def absent(name: str) -> Any:
    """What stands for a module of PyTorch that is not here, or for a type; None if not known.

    Parameters
    ----------
    name : str
        Such as ``"distributed.tensor"``.
    """
    why = reason(name)
    if why is None:
        return None
    return refused(name, why) if name in TYPES.split() else Absent(name)
