"""Users' operations within `vmap`: the `vmap` method of a `Function`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.autograd import function
from devtensor.autograd.view import edge_of, memory_of
from devtensor.autograd.write import rebase
from devtensor.func._batch import Unbatchable
from devtensor.func._device import depth
from devtensor.func._levels import LEVELS, Level, dropped, enter, leave, share, within
from devtensor.func._tree import broadcast, flatten, unflatten
from devtensor.tensor import Tensor


class VmapInfo(NamedTuple):
    """What a `vmap` method is told of the batch."""

    batch_size: int
    randomness: str


def told(level: int, deepest: int) -> Level | None:
    """The level of a number, if it is open.

    On the way back, tensors may have the axes of levels that are over. These are the first ones.
    """
    levels = LEVELS.get()
    place = level - 1 - max(0, deepest - len(levels))
    return levels[place] if place >= 0 else None


def bared(x: Any) -> Any:
    """An argument without the levels in which all examples share it.

    One that is tracked stays: its gradient is another one for each example.
    """
    if isinstance(x, Tensor) and (edge_of(x) is None or not dt.is_grad_enabled()):
        while depth(x._device) and not x._array.many:
            x = within(x, x._array.value, dropped(x._device))
    return x


def of_one_level(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a `forward` that runs on batches: all on the same levels."""
    deepest = max([depth(x._device) for x in args if isinstance(x, Tensor)])
    return tuple([
        share(x, deepest) if isinstance(x, Tensor) and depth(x._device) < deepest else x
        for x in args
    ])  # fmt: skip


def called(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any] | None:
    """What a Function's `vmap` gives, in a tuple; None where there are no batches.

    Raises
    ------
    RuntimeError
        If the Function has two rules, or its `vmap` does not return outputs and their dimensions.
    NotImplementedError
        If keyword arguments are tensors.
    """
    given, shape = flatten(args)
    deepest = max([depth(x._device) for x in given if isinstance(x, Tensor)], default=0)
    if not (deepest or LEVELS.get()):
        return None
    name = cls.__name__
    if cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it has both generate_vmap_rule=True and an "
            "overridden vmap staticmethod. Please set generate_vmap_rule=False or delete the "
            "overridden vmap staticmethod to avoid ambiguity."
        )
    if any(isinstance(x, Tensor) for x in flatten(kwargs)[0]):
        raise NotImplementedError(
            f"Run vmap over autograd.Function with kwarg-only Tensor args. {name}.apply() got "
            "Tensors by keyword; please pass them as positional arguments"
        )
    bare = [bared(x) for x in given]
    level = max([depth(x._device) for x in bare if isinstance(x, Tensor)], default=0)
    if not level:
        if not deepest:
            return None
        return (outside(lambda: cls.apply(*unflatten(bare, shape), **kwargs), 0),)
    dims = [0 if isinstance(x, Tensor) and depth(x._device) == level else None for x in bare]
    known = told(level, deepest)
    batches = [x for x, dim in zip(bare, dims, strict=True) if dim == 0 and x._array.many]
    # On the way back the axes of levels that are over may be gone, and the numbers not match.
    size = batches[0]._array.value.shape[0] if batches else known.size if known else 1
    info = VmapInfo(size, known.randomness if known else "error")
    for x, dim in zip(bare, dims, strict=True):
        if dim == 0 and not x._array.many:
            with suppress(Unbatchable):  # what is seen outside can be read alone
                x._array.become_many(size)  # a rule may write it
    inside = [x if dim is None else leave(x, 0, 0, size) for x, dim in zip(bare, dims, strict=True)]
    stamps = [memory_of(x).stamp if isinstance(x, Tensor) else None for x in given]
    result = outside(
        lambda: cls.vmap(info, unflatten(dims, shape), *unflatten(inside, shape), **kwargs),
        level - 1 - max(0, deepest - len(LEVELS.get())),
    )
    if not (isinstance(result, tuple) and len(result) == 2):
        got = f"{len(result)} returns" if isinstance(result, tuple) else f"a {type(result)}"
        raise RuntimeError(
            "Expected the vmap staticmethod to have two returns, an output and out_dims with "
            f"pytree structure compatible with the output. Got {got} instead: {name}.vmap"
        )
    leaves, nesting = flatten(result[0])
    places = broadcast(result[1], nesting)
    if places is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
            f"tuple. Expected out_dims={result[1]} to be compatible with the structure of `output`."
            f" out_dims has structure {flatten(result[1])[1]} but output has structure {nesting}: "
            f"{name}.vmap"
        )
    outs: list[Any] = []
    for x, dim in zip(leaves, places, strict=True):
        place = next((i for i, y in enumerate(inside) if y is x and isinstance(x, Tensor)), None)
        if place is not None and dims[place] == dim:  # an argument comes out again
            outs.append(written(given[place], stamps[place], x))
        elif dim is None or not isinstance(x, Tensor):
            outs.append(x)
        else:
            x = share(x, level - 1)
            outs.append(enter(x, depth(x._device) - level + 1, dim % x.ndim))
    return (unflatten(outs, nesting),)


def outside(call: Any, level: int) -> Any:
    """Call where only the first levels are open."""
    token = LEVELS.set(LEVELS.get()[: max(0, level)])
    try:
        return call()
    finally:
        LEVELS.reset(token)


def written(x: Tensor, stamp: Any, value: Tensor) -> Tensor:
    """A batch through which its value was perhaps written, with the history of that."""
    if memory_of(x).stamp != stamp and dt.is_grad_enabled() and edge_of(value) is not None:
        rebase(x, edge_of(enter(value, 0, 0)), x._device)
    return x


function.batching.extend((called, of_one_level))
