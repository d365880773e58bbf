"""Views that are copied at once: ``permute_copy`` and its kind, one to each view."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from devtensor.example import complexes
from devtensor.op import catalogue, composite
from devtensor.ops import convert
from devtensor.ops.arguments import axis
from devtensor.ops.results import placed, taking_out, tensors, with_out

VIEWS: dict[str, tuple[Any, ...]] = {
    "alias": (((2, 3),),),
    "as_strided": (((12,), [2, 3], [4, 1], 1),),
    "diagonal": (((3, 4),), ((3, 4), 1)),
    "expand": (((1, 3), [2, 3]),),
    "narrow": (((4, 3), 0, 1, 2),),
    "permute": (((2, 3, 4), [2, 0, 1]),),
    "select": (((3, 4), 1, 2),),
    "split": (((5, 2), 2),),
    "split_with_sizes": (((5, 2), [2, 3]),),
    "squeeze": (((1, 3, 1),), ((1, 3, 1), 0)),
    "t": (((2, 3),),),
    "transpose": (((2, 3, 4), 0, 2),),
    "unbind": (((2, 3),),),
    "unfold": (((7,), 0, 3, 2),),
    "unsqueeze": (((2, 3), 1),),
    "view": (((2, 6), [3, 4]),),
    "view_as_complex": (((3, 2),),),
    "view_as_real": ((complexes(3),),),
}
"""The views, and examples of each."""

SEVERAL = ("split", "split_with_sizes", "unbind")
"""Those that give several tensors."""


def own(x: Any) -> Any:
    """A contiguous copy."""
    return x.clone() if x.is_contiguous() else x.contiguous()


def with_several_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of any number of results take ``out=``; it gives nothing then."""
    name = function.__name__

    @wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if out is None:
            return result
        if len(out) != len(result):
            raise RuntimeError(
                f"{name}() expected an out= argument of size {len(result)}, got size {len(out)}: "
                "it takes one tensor to each result"
            )
        placed(name, result, out, tensors((*args, *kwargs.values())), casts=False)
        return None

    call.__signature__ = taking_out(function)  # type: ignore[attr-defined]
    return call


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """The view; what PyTorch's copying form says of dimensions is of another type."""
    if 0 < input.ndim <= dim:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false. "
            f"narrow_copy() got dim={dim} for shape {list(input.shape)}"
        )
    return catalogue["narrow"].function(input, dim, start, length)


def copied(
    name: str, view: Callable[..., Any], examples: tuple[Any, ...], oracle: Any = "same"
) -> None:
    """Put the copying form of a view into the catalogue."""

    def call(*args: Any, **kwargs: Any) -> Any:
        result = view(*args, **kwargs)
        if isinstance(result, (tuple, list)):
            return tuple([own(part) for part in result])
        return own(result)

    call.__name__ = call.__qualname__ = f"{name}_copy"
    call.__doc__ = f"The same as :func:`{name}`, but of memory of its own."
    call.__module__ = __name__
    call.__signature__ = inspect.signature(view)  # type: ignore[attr-defined]
    taking = with_several_out if name in SEVERAL else with_out()
    composite(examples=examples, oracle=oracle)(taking(call))


for _name, _examples in VIEWS.items():
    # PyTorch has no gradient of this one; its view does the same.
    copied(
        _name,
        narrow if _name == "narrow" else catalogue[_name].function,
        _examples,
        (lambda torch, x: torch.view_as_complex(x)) if _name == "view_as_complex" else "same",
    )
copied("detach", convert.detach, (((2, 3),),))


@composite(examples=[((3, 4),), ((3, 4), 1, 1, 3), ((6,), 0, None, None, 2), ((4,), 0, -3)])
@with_out()
def slice_copy(
    input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """The places from `start` to below `end` along `dim`, each `step`-th, as a copy.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
    start, end : int, optional
        They may be negative, or beyond the end; the first and one behind the last by default.
    step : int, optional

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If `step` is not positive, or `input` has no dimension.
    """
    if not input.ndim:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    if step < 1:
        raise RuntimeError(f"slice step must be positive, got {step}")
    dim = axis(dim, input.ndim)
    return own(input[(*(slice(None),) * dim, slice(start, end, step))])
