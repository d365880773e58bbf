"""`vmap`: a function of one example, called for all examples of a batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.autograd.passes import TRANSFORMED
from devtensor.func import _random as _random  # what draws ask while a vmap runs
from devtensor.func._device import depth
from devtensor.func._levels import LEVELS, Level, dropped, enter, leave, share, unwritten
from devtensor.func._tree import broadcast, flatten, unflatten
from devtensor.tensor import Tensor, wrap

__all__ = ["debug_unwrap", "functionalize", "vmap"]

Function = Callable[..., Any]
RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """Turn a function of one example into one of a batch of examples (``torch.vmap``).

    Operations run once for all examples. It can be nested, and combined with the other transforms
    in any order; gradients pass through it.

    Parameters
    ----------
    func : callable
        Takes Tensors, also in nested tuples, lists and dicts, and returns Tensors.
    in_dims : int or nested tuple
        For each positional argument the dimension of the examples, None for what they share. It
        may stand for a whole container, or be nested as the arguments are. Keyword arguments are
        shared.
    out_dims : int or nested tuple
        For each result, where its dimension of the examples shall be; None for a result that has
        none.
    randomness : {"error", "different", "same"}
        Whether random numbers are refused, drawn for each example, or the same for all.
    chunk_size : int, optional
        How many examples are computed at a time, where memory is short; all by default.

    Returns
    -------
    callable
        Takes the arguments of `func` with the further dimension, and returns its results with one.

    Raises
    ------
    ValueError
        If `in_dims` or `out_dims` do not fit the arguments or results, the numbers of examples
        differ, something that is no Tensor is mapped over or returned, or `chunk_size` is not
        positive.
    RuntimeError
        If `func` asks for the value of a single example (`item`, `if`), for a result whose shape
        would depend on it (`nonzero`, masks as indices), writes a value for each example into a
        shared tensor, or draws random numbers while `randomness` is ``"error"``.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.vmap(dt.dot)(dt.ones(2, 3), dt.ones(2, 3))
    tensor([3., 3.])
    """
    check_randomness(randomness)
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, shape, size = inputs(func, in_dims, args)

        def call(leaves: list[Any], size: int) -> Any:
            return run(func, leaves, dims, shape, size, kwargs, out_dims, randomness)

        if chunk_size is None or size <= chunk_size:
            outs, nesting, _ = call(leaves, size)
            return unflatten(outs, nesting)
        parts = []
        state = dt.get_rng_state()
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            if randomness == "same":
                dt.set_rng_state(state)
            cut = [x if d is None else x.narrow(d, start, count)
                   for x, d in zip(leaves, dims, strict=True)]  # fmt: skip
            parts.append(call(cut, count))
        outs = [
            column[0] if dim is None else dt.cat(list(column), dim)
            for column, dim in zip(zip(*[p[0] for p in parts], strict=True), parts[0][2],
                                   strict=True)
        ]  # fmt: skip
        return unflatten(outs, parts[0][1])

    return wrapped


def check_randomness(randomness: str) -> None:
    """Raise RuntimeError for a word that says nothing of random numbers."""
    if randomness not in RANDOMNESS:
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )


def named(func: Any) -> str:
    """What messages call a function."""
    return getattr(func, "__name__", None) or repr(func)


def inputs(
    func: Any, in_dims: Any, args: tuple[Any, ...]
) -> tuple[list[Any], list[int | None], Any, int]:
    """The leaves of the arguments, the dimension of the examples of each, and their number.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    told = f"vmap({named(func)}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{told}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({named(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
            "are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, shape = flatten(args)
    given = broadcast(in_dims, shape)
    if given is None:
        raise ValueError(
            f"{told}: in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {flatten(in_dims)[1]} but inputs has structure {shape}."
        )
    dims: list[int | None] = []
    sizes = []
    for x, dim in zip(leaves, given, strict=True):
        if dim is None:
            dims.append(None)
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{told}: Got in_dim={dim} for an input but in_dim must be either an integer "
                "dimension or None."
            )
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{told}: Got in_dim={dim} for an input but the input is of type {type(x)}. We "
                "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(
                f"{told}: Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {x.ndim} so expected in_dim to satisfy -{x.ndim} <= in_dim < "
                f"{x.ndim}."
            )
        dims.append(dim % x.ndim)
        sizes.append(x.shape[dim])
    if not sizes:
        raise ValueError(
            f"{told}: at least one input must have a dimension to map over, but all of in_dims "
            "are None"
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return leaves, dims, shape, sizes[0]


def run(
    func: Function,
    leaves: list[Any],
    dims: list[int | None],
    shape: Any,
    size: int,
    kwargs: dict[str, Any],
    out_dims: Any,
    randomness: str,
) -> tuple[list[Any], Any, list[int | None]]:
    """Call `func` within; returns the leaves of its results, their nesting and dimensions."""
    outer = LEVELS.get()
    level = len(outer)
    token, flag = LEVELS.set((*outer, Level(size, randomness))), TRANSFORMED.set(True)
    try:
        inside = [
            x if dim is None else enter(share(inside_of(x, level), level), 0, dim)
            for x, dim in zip(leaves, dims, strict=True)
        ]
        leaves = [x for x, dim in zip(leaves, dims, strict=True) if dim is not None]
        with unwritten(
            [x for x in leaves if dt.is_grad_enabled() and x.requires_grad and x.is_leaf]
        ):
            result = func(*unflatten(inside, shape), **kwargs)
        return outputs(func, result, out_dims, level, size)
    finally:
        LEVELS.reset(token)
        TRANSFORMED.reset(flag)


def inside_of(x: Tensor, level: int) -> Tensor:
    """`x`, if it belongs here.

    Raises
    ------
    RuntimeError
        If it was made within a `vmap` that is over.
    """
    if depth(x._device) > level:
        raise RuntimeError(
            f"vmap: a Tensor of shape {list(x.shape)} has escaped from inside a function that was "
            "vmapped: it was kept in a list or an attribute, and used when that vmap was over. "
            "Return it from the function instead"
        )
    return x


def outputs(
    func: Any, result: Any, out_dims: Any, level: int, size: int
) -> tuple[list[Any], Any, list[int | None]]:
    """The results outside, each with the examples where `out_dims` wants them.

    Raises
    ------
    ValueError
        If `out_dims` does not fit, or a result is no Tensor.
    """
    leaves, shape = flatten(result)
    told = f"vmap({named(func)}, ..., out_dims={out_dims})"
    if not all(isinstance(d, int) or d is None for d in flatten(out_dims)[0]):
        raise ValueError(
            f"{told}: `out_dims` must be an int, None or a python collection of ints representing "
            "where in the outputs the vmapped dimension should appear."
        )
    if shape.kind is None and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    dims = broadcast(out_dims, shape)
    if dims is None:
        raise ValueError(
            f"{told}(<inputs>): out_dims is not compatible with the structure of `outputs`. "
            f"out_dims has structure {flatten(out_dims)[1]} but outputs has structure {shape}."
        )
    outs: list[Any] = []
    places: list[int | None] = []
    for x, dim in zip(leaves, dims, strict=True):
        if not isinstance(x, Tensor):
            if dim is None:
                outs.append(x)
                places.append(None)
                continue
            raise ValueError(
                f"vmap({named(func)}, ...): `{named(func)}` must only return Tensors, got type "
                f"{type(x)}. Did you mean to set out_dims= to None for output?"
            )
        within = depth(x._device) > level
        if dim is None:
            if within and x._array.many:
                raise ValueError(
                    f"vmap({named(func)}, ...): `{named(func)}` can not return a BatchedTensor "
                    "when out_dim is None"
                )
            outs.append(wrap(x._array.value, dropped(x._device)) if within else x)
            places.append(None)
            continue
        ndim = x.ndim + 1
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but "
                f"got {dim})"
            )
        places.append(dim % ndim)
        outs.append(leave(share(x, level + 1), 0, dim % ndim, size))
    return outs, shape, places


def functionalize(func: Function, *, remove: str = "mutations") -> Function:
    """`func` as it is: operations run at once here, so there is no graph to keep free of writes.

    Parameters
    ----------
    func : callable
    remove : {"mutations", "mutations_and_views"}
        What ``torch.func.functionalize`` would replace in the graphs that it is made for.

    Raises
    ------
    RuntimeError
        If `remove` is something else.
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove={remove!r}): received invalid argument for remove={remove}. "
            "Valid options are: remove='mutations' or remove='mutations_and_views'"
        )

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapped


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """What a tensor within `vmap` holds: the values of all examples, to be looked at.

    Parameters
    ----------
    tensor : Tensor
    recurse : bool
        Whether to leave all levels, or the innermost alone.

    Returns
    -------
    Tensor
        With a first dimension for the examples of each level, outside of the graph.
    """
    while depth(tensor._device):
        tensor = wrap(tensor._array.value, tensor._device.inner)
        if not recurse:
            break
    return tensor
