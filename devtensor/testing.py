"""Comparing tensors in tests (``torch.testing``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    check_device, check_dtype, check_stride : bool
        What else must be the same.
    msg : str or callable, optional
        What the error says instead, or a function of the text.

    Notes
    -----
    PyTorch's ``torch.testing.assert_close``.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            f"rtol and atol must both be specified or both be left out, got {rtol} and {atol}"
        )
    how: dict[str, Any] = {
        "rtol": rtol, "atol": atol, "equal_nan": equal_nan, "check_device": check_device,
        "check_dtype": check_dtype, "check_stride": check_stride, "msg": msg,
    }  # fmt: skip

    def fail(text: str) -> None:
        raise AssertionError(msg(text) if callable(msg) else msg or text)

    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if actual.keys() != expected.keys():
            fail(f"The keys of the mappings do not match: {list(actual)} and {list(expected)}")
        for key in expected:
            assert_close(actual[key], expected[key], **how)
        return
    if isinstance(expected, Sequence) and isinstance(actual, Sequence):
        if len(actual) != len(expected):
            fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for one, two in zip(actual, expected, strict=True):
            assert_close(one, two, **how)
        return
    if not isinstance(actual, Tensor) and not isinstance(expected, Tensor):
        check_dtype = False
    one, two = dt.as_tensor(actual).detach(), dt.as_tensor(expected).detach()
    if one.shape != two.shape:
        fail(f"The values for attribute 'shape' do not match: {one.shape} != {two.shape}.")
    if check_dtype and one.dtype is not two.dtype:
        fail(f"The values for attribute 'dtype' do not match: {one.dtype} != {two.dtype}.")
    if check_device and one.device != two.device:
        fail(f"The values for attribute 'device' do not match: {one.device} != {two.device}.")
    if check_stride and one.stride() != two.stride():
        fail(f"The values for attribute 'stride()' do not match: {one.stride()} != {two.stride()}.")
    two = two.to(one.device)
    if rtol is None or atol is None:
        pairs = [TOLERANCES.get(x.dtype.name, (0.0, 0.0)) for x in (one, two)]
        rtol, atol = max(p[0] for p in pairs), max(p[1] for p in pairs)
    common = promote_types(one.dtype, two.dtype)
    one, two = one.to(common), two.to(common)
    same = dt.isclose(one, two, rtol=rtol, atol=atol, equal_nan=equal_nan)
    wrong = int((~same).sum())
    if not wrong:
        return
    if common.kind == "bool":
        fail(f"Tensor-likes are not equal!\n\nMismatched elements: {wrong} / {one.numel()}")
    difference = (one - two).abs().double()
    place = int(difference.flatten().nan_to_num(0.0).argmax())
    index = tuple(int(i) for i in dt.unravel_index(dt.tensor(place), tuple(one.shape) or (1,)))
    fail(
        "Tensor-likes are not close!\n\n"
        f"Mismatched elements: {wrong} / {one.numel()} ({100 * wrong / one.numel():.1f}%)\n"
        f"Greatest absolute difference: {float(difference.max())} at index {index} "
        f"(up to {atol} allowed, and a relative difference up to {rtol})"
    )


assert_allclose = assert_close


def make_tensor(
    *shape: Any,
    dtype: Dtype,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of random numbers between `low` and `high` (-9 and 9 by default)."""
    size = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if dtype.kind == "bool":
        return dt.randint(0, 2, size, device=device).bool()
    low, high = -9 if low is None else low, 9 if high is None else high
    if dtype.kind == "int":
        low = max(low, 0) if not dtype.is_signed else low
        return dt.randint(int(low), int(high), size, dtype=dtype, device=device)
    values = dt.rand(size, dtype=dt.float64, device=device) * (high - low) + low
    if dtype.kind == "complex":
        values = dt.complex(values, dt.rand(size, dtype=dt.float64, device=device))
    made: Tensor = values.to(dtype)
    return made.requires_grad_() if requires_grad else made
