"""Several devices, for programs that are written for them (``torch.nn.parallel``)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributed import ONE
from devtensor.nn.module import Module
from devtensor.refusal import refused
from devtensor.tensor import Tensor

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]

DistributedDataParallel = refused("nn.parallel.DistributedDataParallel", ONE)


class DataParallel(Module):
    """Runs a module on the one device where it is; the state has its names under `module.`."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = device_ids or []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
    module_kwargs: Any = None,
) -> Any:  # fmt: skip
    """Run a module on the one device where it is."""
    listed = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*listed, **(module_kwargs or {}))


def place(device: Any) -> Any:
    """A device, also by its number."""
    return dt.device("cuda", device) if isinstance(device, int) else dt.device(device)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Part tensors among devices; what is no tensor goes to all.

    Parameters
    ----------
    inputs : Tensor, or tuple, list or dict of them
    target_gpus : sequence of device or int
    dim : int
        Along which tensors are parted.

    Returns
    -------
    list or tuple
        What each device gets.
    """
    if isinstance(inputs, Tensor):
        parts = inputs.chunk(len(target_gpus), dim)
        return tuple(part.to(place(d)) for part, d in zip(parts, target_gpus, strict=False))
    if isinstance(inputs, (tuple, list)) and inputs:
        columns = [scatter(one, target_gpus, dim) for one in inputs]
        return [type(inputs)(row) for row in zip(*columns, strict=False)]
    if isinstance(inputs, dict) and inputs:
        columns = [scatter(one, target_gpus, dim) for one in inputs.values()]
        return [dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=False)]
    return [inputs for _ in target_gpus]


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Put tensors of several devices together on one.

    Parameters
    ----------
    outputs : sequence of Tensor, or of tuples, lists or dicts of them
    target_device : device or int
    dim : int
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        here = [x.to(place(target_device)) for x in outputs]
        return dt.cat([x.reshape(1) for x in here] if not first.ndim else here, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((k, gather([o[k] for o in outputs], target_device, dim)) for k in first)
    columns = [gather(row, target_device, dim) for row in zip(*outputs, strict=True)]
    return type(first)(columns)


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """Copies of a module, one on each device."""
    return [copy.deepcopy(network).to(place(device)) for device in devices]


def parallel_apply(
    modules: Sequence[Module], inputs: Sequence[Any], kwargs_tup: Any = None, devices: Any = None
) -> list[Any]:
    """Call each module with its input, one after another."""
    given = kwargs_tup or [{}] * len(modules)
    return [
        module(*(one if isinstance(one, (tuple, list)) else (one,)), **named)
        for module, one, named in zip(modules, inputs, given, strict=True)
    ]
