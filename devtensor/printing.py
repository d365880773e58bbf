"""How a tensor looks as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import device as devices
from . import dtype as dtypes


class Options:
    """What `set_printoptions` sets."""

    __slots__ = ("edgeitems", "linewidth", "precision", "sci_mode", "threshold")
    precision: int
    threshold: float
    edgeitems: int
    linewidth: int
    sci_mode: bool | None

    def __init__(self) -> None:
        self.linewidth, self.sci_mode = 80, None
        self.profile("default")

    def profile(self, name: str) -> None:
        """Set the group of values called `name`."""
        self.precision, self.threshold, self.edgeitems = PROFILES[name]
        self.linewidth = 80


PROFILES: dict[str, tuple[int, float, int]] = {
    "default": (4, 1000, 3),
    "short": (2, 1000, 2),
    "full": (4, math.inf, 3),
}
options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed.

    Parameters
    ----------
    precision : int, optional
        Digits after the point; 4 at first.
    threshold : float, optional
        Tensors with more elements are shown by their corners; 1000 at first.
    edgeitems : int, optional
        How many items a shortened dimension shows at each end; 3 at first.
    linewidth : int, optional
        Characters in a line; 80 at first.
    profile : {"default", "short", "full"}, optional
        A group of these values, set before the others.
    sci_mode : bool, optional
        Whether floats are written as ``1.5000e+00``; None, also when left out, decides for each
        tensor.

    Raises
    ------
    ValueError
        If `profile` is no such name.
    """
    if profile is not None:
        if profile not in PROFILES:
            known = ", ".join(map(repr, PROFILES))
            raise ValueError(f"profile must be one of {known}, got {profile!r}")
        options.profile(profile)
    if precision is not None:
        options.precision = precision
    if threshold is not None:
        options.threshold = threshold
    if edgeitems is not None:
        options.edgeitems = edgeitems
    if linewidth is not None:
        options.linewidth = linewidth
    options.sci_mode = sci_mode


def tensor_repr(tensor: Any) -> str:
    """The text of `tensor`: its values, and what of dtype, device and history is not plain."""
    if hasattr(tensor._device, "shown"):  # within `vmap`
        text: str = tensor._device.shown(tensor)
        return text
    kind = type(tensor).__name__
    opening = "tensor(" if kind in ("Tensor", "Parameter", "Buffer") else f"{kind}("
    data = tensor._device.backend.data
    inner = values(tensor.detach(), len(opening)) if data and tensor.numel() else "[]"
    text = opening + (inner if data else "...")
    return with_suffixes(text, suffixes(tensor), len(opening))


def with_suffixes(text: str, said: list[str], indent: int, apart: bool = False) -> str:
    """A tensor's text to its end: a suffix goes on the last line, if it fits.

    With `apart` the first one begins a new line.
    """
    room = -1 if apart else options.linewidth - (len(text) - text.rfind("\n") + 1)
    for suffix in said:
        if len(suffix) + 2 > room:
            text += ",\n" + " " * indent + suffix
            room = options.linewidth - indent - len(suffix)
        else:
            text += ", " + suffix
            room -= len(suffix) + 2
    return text + ")"


def format_tensor(tensor: Any, spec: str) -> str:
    """What ``format(tensor, spec)`` gives: a 0-d tensor is formatted as its number.

    Raises
    ------
    TypeError
        If `spec` is not empty and `tensor` has dimensions.
    """
    if tensor.ndim == 0 and not tensor.is_meta:
        return format(tensor.item(), spec)
    if spec:
        raise TypeError(
            f"unsupported format string passed to {type(tensor).__name__}.__format__: {spec!r} "
            f"needs a number, and the tensor has shape {tuple(tensor.shape)}; format its items"
        )
    return str(tensor)


def suffixes(tensor: Any) -> list[str]:
    """What is said behind the values."""
    said = []
    default = dtypes.get_default_dtype()
    if tensor.device != devices.get_default_device().resolve():
        said.append(f"device='{tensor.device}'")
    if not tensor._device.backend.data:
        plain, shape_shows = {default}, False
    elif tensor.numel():
        wide = default is dtypes.float64
        plain = {default, dtypes.int64, dtypes.bool_}
        plain.add(dtypes.complex128 if wide else dtypes.complex64)
        shape_shows = bool(options.edgeitems)
    else:
        plain = {default}
        shape_shows = tensor.ndim == 1
    if not shape_shows:
        said.append(f"size={tuple(tensor.shape)}")
    if tensor.dtype not in plain:
        said.append(f"dtype={tensor.dtype}")
    try:
        node = tensor.grad_fn
    except RuntimeError:  # a view whose base was written behind its back
        said.append("grad_fn=<Invalid>")
    else:
        if node is not None:
            said.append(f"grad_fn=<{node.name().rpartition('::')[2]}>")
        elif tensor.requires_grad:
            said.append("requires_grad=True")
    return said


def values(tensor: Any, indent: int) -> str:
    """The elements in nested brackets, every line after the first indented by `indent`."""
    shape = tuple(tensor.shape)
    edge = options.edgeitems
    short = [tensor.numel() > options.threshold and n > 2 * edge for n in shape]
    if any(short) and not edge:
        return "[...]"
    for dim in range(len(shape)):
        if short[dim]:  # two windows of `edge` items, one at each end
            ends = tensor.unfold(dim, edge, shape[dim] - edge)
            tensor = ends.movedim(-1, dim + 1).flatten(dim, dim + 1)
    items = tensor.tolist()
    form, width = former(flat(items, len(shape)), tensor.dtype.kind)
    return nested(items, short, form, width, indent)


def nested(
    items: Any, short: list[bool], form: Callable[[Any], str], width: int, indent: int
) -> str:
    """`items`, a nest as deep as `short` is long, between brackets."""
    if not short:
        return form(items)
    edge = options.edgeitems
    if len(short) == 1:
        cells = [form(item) for item in items]
        if short[0]:
            cells.insert(edge, " ...")
        count = max(1, (options.linewidth - indent) // (width + 2))
        lines = [", ".join(cells[at : at + count]) for at in range(0, len(cells), count)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [nested(item, short[1:], form, width, indent + 1) for item in items]
    if short[0]:
        parts.insert(edge, "...")
    return "[" + ("," + "\n" * (len(short) - 1) + " " * (indent + 1)).join(parts) + "]"


def flat(items: Any, depth: int) -> list[Any]:
    """The numbers in `items`, lists nested to `depth`."""
    if not depth:
        return [items]
    for _ in range(depth - 1):
        items = [item for row in items for item in row]
    return list(items)


def former(numbers: list[Any], kind: str) -> tuple[Callable[[Any], str], int]:
    """How to write each of `numbers` so that they stand in columns, and how wide that is."""
    if kind == "float":
        return float_former(numbers)
    if kind == "complex":
        real, real_width = float_former([z.real for z in numbers])
        imag, imag_width = float_former([z.imag for z in numbers])

        def form(z: complex) -> str:
            part = imag(z.imag).lstrip()
            return f"{real(z.real)}{'' if part[0] in '+-' else '+'}{part}j"

        return form, real_width + imag_width + 1
    width = max(len(str(number)) for number in numbers)
    return lambda number: str(number).rjust(width), width


def float_former(numbers: list[float]) -> tuple[Callable[[float], str], int]:
    """Plain, whole or scientific notation, whichever suits the nonzero finite ones of `numbers`."""
    precision = options.precision
    counted = [x for x in numbers if x and math.isfinite(x)]
    if not counted:
        return lambda x: f"{x:.0f}." if math.isfinite(x) else str(x), 1
    whole = all(x == math.ceil(x) for x in counted)
    scientific = options.sci_mode
    if scientific is None:
        sizes = [abs(x) for x in counted]
        least, most = min(sizes), max(sizes)
        scientific = most / least > 1000 or most > 1e8 or least < 1e-4

    def form(x: float) -> str:
        if scientific:
            return f"{x:.{precision}e}"
        if whole:
            return f"{x:.0f}." if math.isfinite(x) else str(x)
        return f"{x:.{precision}f}"

    width = max(len(form(x)) for x in counted)
    return lambda x: form(x).rjust(width), width
