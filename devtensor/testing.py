"""Comparing tensors in tests (``torch.testing``)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import devtensor as dt
from devtensor.dtype import dtype as Dtype
from devtensor.dtype import promote_types
from devtensor.tensor import Tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless two tensors, or containers of them, are nearly equal.

    Parameters
    ----------
    actual, expected : Tensor, number, or sequence or mapping of them
    rtol, atol : float, optional
        Both or neither; by default what the dtype allows.
    equal_nan : bool
        Whether NaN equals NaN.
    check_device, check_dtype, check_layout, check_stride : bool
        What else must be the same.
    msg : str or callable, optional
        What the error says instead, or a function of the text.

    Notes
    -----
    PyTorch's ``torch.testing.assert_close``.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout,
              "stride()": check_stride}  # fmt: skip

    def fail(text: str, place: tuple[Any, ...]) -> None:
        if place and not isinstance(msg, str):
            text += f"\n\nThe failure occurred for item {''.join(str([item]) for item in place)}"
        raise AssertionError(msg(text) if callable(msg) else msg or text)

    for one, two, place in [*pairs(actual, expected, (), allow_subclasses, fail)]:
        text: str | None = None
        if one is None or isinstance(one, bool):
            word = "None" if one is None else "Booleans"
            text = None if one is two else f"{word} mismatch: {one} is not {two}"
        elif isinstance(one, NUMBERS):
            if check_dtype and type(one) is not type(two):
                text = f"The (d)types do not match: {type(one)} != {type(two)}."
            else:
                allowed = allowance((type(one), type(two)), rtol, atol)
                text = None if near(one, two, *allowed, equal_nan) else scalars(one, two, *allowed)
        else:
            text = tensors(one, two, checks, rtol, atol, equal_nan)
        if text is not None:
            fail(text, place)


NUMBERS = (int, float, complex)


def pairs(
    actual: Any, expected: Any, place: tuple[Any, ...], subclasses: bool, fail: Any
) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    """What is compared with what, and where it stands in the containers.

    Raises
    ------
    TypeError
        If two things cannot be compared.
    """
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, more = (
            sorted(a.keys() - b.keys(), key=str)
            for a, b in ((expected, actual), (actual, expected))
        )
        if missing or more:
            fail(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing}\n"
                f"Additional keys in the actual mapping: {more}",
                place,
            )
        for key in expected:
            yield from pairs(actual[key], expected[key], (*place, key), subclasses, fail)
        return
    both = (actual, expected)
    if all(isinstance(x, Sequence) and not isinstance(x, (str, bytes)) for x in both):
        if len(actual) != len(expected):
            fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place)
        for i, (one, two) in enumerate(zip(actual, expected, strict=True)):
            yield from pairs(one, two, (*place, i), subclasses, fail)
        return
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    kinds = (
        lambda x: x is None or isinstance(x, NUMBERS),
        lambda x: isinstance(x, Tensor) or hasattr(x, "__array_interface__"),
    )
    known = any(all(map(kind, both)) for kind in kinds)
    if not known or (kinds[1](actual) and not related):
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(actual)} and "
            f"{type(expected)}."
        )
    if not subclasses and type(actual) is not type(expected):
        raise TypeError(f"{type(actual)} and {type(expected)} are not the same class")
    yield actual, expected, place


def allowance(types: Sequence[Any], rtol: float | None, atol: float | None) -> tuple[float, float]:
    """The tolerances for two types: those that are given, or the larger of their own."""
    if rtol is not None and atol is not None:
        return rtol, atol
    names = [
        {float: "float64", complex: "complex128"}.get(t, getattr(t, "name", "")) for t in types
    ]
    found = [TOLERANCES.get(name, (0.0, 0.0)) for name in names]
    return max(f[0] for f in found), max(f[1] for f in found)


def near(one: Any, two: Any, rtol: float, atol: float, equal_nan: bool) -> bool:
    """Whether two numbers are equal, or nearly."""
    if one == two or (equal_nan and one != one and two != two):
        return True
    difference = abs(one - two)
    return math.isfinite(difference) and difference <= atol + rtol * abs(two)


def told(
    what: str, extra: str, differences: Sequence[tuple[str, Any, Any, float]], equal: bool
) -> str:
    """What is said of two things that differ."""
    lines = [f"{what} are not {'equal' if equal else 'close'}!\n", extra]
    for kind, difference, index, allowed in differences:
        line = f"{kind.capitalize()} difference: {difference}"
        if index is not None:
            line = f"Greatest {kind} difference: {difference} at index {index}"
        lines.append(line if equal else f"{line} (up to {allowed} allowed)")
    return "\n".join(lines)


def scalars(one: Any, two: Any, rtol: float, atol: float) -> str:
    """What is said of two numbers that differ."""
    difference = abs(one - two)
    relative = math.inf if two == 0 else difference / abs(two)
    return told(
        "Scalars", f"Expected {two} but got {one}.",
        [("absolute", difference, None, atol), ("relative", relative, None, rtol)],
        rtol == atol == 0,
    )  # fmt: skip


def tensors(
    one: Any, two: Any, checks: dict[str, bool], rtol: float | None, atol: float | None,
    equal_nan: bool,
) -> str | None:  # fmt: skip
    """What is said of two tensors that differ; None if they do not."""
    one, two = dt.as_tensor(one).detach(), dt.as_tensor(two).detach()
    looks = [("shape", one.shape, two.shape)]
    names = ("device", "dtype", "layout")
    looks += [(name, *(getattr(x, name) for x in (one, two))) for name in names]
    looks.append(("stride()", one.stride(), two.stride()))
    for name, mine, other in looks:
        if checks.get(name, True) and mine != other:
            return f"The values for attribute '{name}' do not match: {mine} != {other}."
    if not {one.layout, two.layout} <= {dt.strided, dt.sparse_coo}:
        one, two = one.to_sparse_coo(), two.to_sparse_coo()
    if one.is_sparse and two.is_sparse:
        return sparse(one.coalesce(), two.coalesce(), checks, rtol, atol, equal_nan)
    one, two = one.to_dense(), two.to_dense()
    rtol, atol = allowance((one.dtype, two.dtype), rtol, atol)
    common = promote_types(one.dtype, two.dtype)
    one, two = one.to(common), two.to(one.device).to(common)
    same = dt.isclose(one, two, rtol=rtol, atol=atol, equal_nan=equal_nan)
    wrong, count = int((~same).sum()), one.numel()
    if not wrong:
        return None
    if not one.ndim:
        return scalars(one.item(), two.item(), rtol, atol)
    if common.kind in ("int", "bool"):
        one, two = one.to(dt.int64), two.to(dt.int64)
    difference = (one - two).abs().masked_fill(same, 0)
    relative = (difference / two.abs()).masked_fill(same, 0)
    rows = []
    for kind, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        greatest, place = values.flatten().max(0)
        index = tuple(int(i) for i in dt.unravel_index(place, tuple(one.shape)))
        rows.append((kind, greatest.item(), index, allowed))
    extra = f"Mismatched elements: {wrong} / {count} ({wrong / count:.1%})"
    return told("Tensor-likes", extra, rows, rtol == atol == 0)


def sparse(
    one: Any, two: Any, checks: dict[str, bool], rtol: float | None, atol: float | None,
    equal_nan: bool,
) -> str | None:  # fmt: skip
    """The same of two sparse tensors: their coordinates must be equal, their values nearly."""
    if one._nnz() != two._nnz():
        return (
            "The number of specified values in sparse COO tensors does not match: "
            f"{one._nnz()} != {two._nnz()}"
        )
    found = tensors(one.indices(), two.indices(), checks, 0, 0, False)
    if found is not None:
        return found.replace("Tensor-likes", "Sparse COO indices")
    found = tensors(one.values(), two.values(), checks, rtol, atol, equal_nan)
    return found and found.replace("Tensor-likes", "Sparse COO values")


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = True, msg: str = "",
) -> None:  # fmt: skip
    """The older form of :func:`assert_close`: NaN equals NaN, and types may differ.

    Raises
    ------
    AssertionError
        As there.
    """
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    if not isinstance(actual, Tensor):
        actual = dt.tensor(actual)
    if not isinstance(expected, Tensor):
        expected = dt.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        found = [OLDER.get(x.dtype.name, (0.0, 0.0)) for x in (actual, expected)]
        rtol, atol = (max(one) for one in zip(*found, strict=True))
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True,
        check_dtype=False, check_stride=False, msg=msg or None,
    )  # fmt: skip


OLDER = {"float16": (1e-3, 1e-3), "float32": (1e-4, 1e-5), "float64": (1e-5, 1e-8)}
"""The tolerances of :func:`assert_allclose`."""


def make_tensor(
    *shape: Any,
    dtype: Dtype,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random numbers, from `low` on and below `high`.

    Parameters
    ----------
    *shape : int or sequence of int
    dtype : dtype
    device : device or str, optional
    low, high : float, optional
        -9 and 9 for floats, -9 and 10 for integers with a sign, 0 and 10 for those without.
    requires_grad : bool
    noncontiguous : bool
        Every other element of a larger tensor.
    exclude_zero : bool
        Whether the smallest positive number, 1 of integers, stands where a zero would be.
    memory_format : memory_format, optional

    Raises
    ------
    TypeError
        If there are no random numbers of that type.
    ValueError
        If the limits or the options exclude each other.

    Notes
    -----
    PyTorch's ``torch.testing.make_tensor``.
    """
    if not isinstance(dtype, Dtype):
        raise TypeError(
            f"The requested dtype '{dtype}' is not supported by torch.testing.make_tensor()"
        )
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"{noncontiguous=} and {memory_format=}"
        )
    whole = dtype.kind in ("int", "bool")
    if requires_grad and whole:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"{dtype=}"
        )
    low, high = limits(dtype, low, high)
    size = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    made: Tensor
    if whole:
        made = dt.randint(math.floor(low), math.ceil(high), size, device=device).to(dtype)
    else:
        parts = [
            dt.rand(size, dtype=dt.float64, device=device) * (high - low) + low
            for _ in range(1 + (dtype.kind == "complex"))
        ]
        made = (parts[0] if len(parts) == 1 else dt.complex(*parts)).to(dtype)
    if noncontiguous and made.numel() > 1:
        made = made.repeat_interleave(2, -1)[..., ::2]
    elif memory_format is not None:
        made = made.clone(memory_format=memory_format)
    if exclude_zero:
        made[made == 0] = 1 if whole else dt.finfo(dtype).tiny
    return made.requires_grad_() if requires_grad else made


def limits(dtype: Dtype, low: float | None, high: float | None) -> tuple[float, float]:
    """Where the random numbers of a type begin and end.

    Raises
    ------
    ValueError
        If there are none between those that are given.
    """
    unsigned = dtype.kind == "bool" or not dtype.is_signed
    usual = (0 if unsigned else -9, {"bool": 2, "int": 10}.get(dtype.kind, 9))
    low, high = (own if given is None else given
                 for given, own in zip((low, high), usual, strict=True))  # fmt: skip
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low > high or (low == high and dtype.kind in ("int", "bool")):
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    least: float = 0
    end: float = 2
    if dtype.kind == "int":
        least, end = dt.iinfo(dtype).min, dt.iinfo(dtype).max + 1
        end = min(end, 2**63 - 1)
    elif dtype.kind != "bool":
        least, end = dt.finfo(dtype).min, dt.finfo(dtype).max
    if high < least or low >= end:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} "
            f"only supports [{least}, {end})"
        )
    return max(low, least), min(high, end)
