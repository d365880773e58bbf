"""Names of PyTorch that stand for what is not here: using one says why, and what to do instead."""

from __future__ import annotations

from typing import Any

__all__ = ["refused"]


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
