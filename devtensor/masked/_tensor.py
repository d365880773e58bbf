"""Tensors with a mask: elements that are there, and do not count.

One has no memory of its own. Its place in the graph is that of its data, a tensor like any other,
so what is computed with that is on the tape. What an operation makes of it follows from its kind:
elementwise, a reduction, or one that only moves elements.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.masked import _reductions
from devtensor.op import catalogue
from devtensor.ops.arguments import over
from devtensor.route import Unrouted
from devtensor.settings import strided
from devtensor.tensor import Tensor

__all__ = ["MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]


def of_data(name: str) -> Any:
    """A slot of a tensor that is the one of the data."""
    return property(
        lambda self: getattr(self._data, name),
        lambda self, value: setattr(self._data, name, value),
    )


class MaskedTensor(Tensor):
    """A tensor of which some elements do not count (``torch.masked.MaskedTensor``).

    Operations on elements keep the mask, and the masks of two operands must be the same. Reductions
    leave out what does not count, and a result of nothing does not count either.

    Parameters
    ----------
    data : Tensor
    mask : Tensor of bool
        Of the same shape: which elements count.
    requires_grad : bool, optional

    Raises
    ------
    TypeError
        If `mask` is not of bools.
    ValueError
        If its shape is another one.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.masked import masked_tensor
    >>> x = masked_tensor(dt.tensor([1.0, 2.0, 4.0]), dt.tensor([True, False, True]))
    >>> x * 2
    MaskedTensor(
      [  2.0000,       --,   8.0000]
    )
    >>> x.mean()
    MaskedTensor(  2.5000, True)
    >>> x.to_tensor(0)
    tensor([1., 0., 4.])
    """

    __slots__ = ("_data", "_mask")
    _data: Tensor
    _mask: Tensor

    _node, _alias, _rest, _device, _array = map(
        of_data, ("_node", "_alias", "_rest", "_device", "_array")
    )

    def __new__(cls, data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
        for name, given in (("data", data), ("mask", mask)):
            if not isinstance(given, Tensor):
                raise TypeError(f"{name} must be a Tensor")
            if isinstance(given, MaskedTensor):
                raise TypeError(f"{name} must be a Tensor without a mask: use get_data()")
        if mask.dtype is not dt.bool:
            raise TypeError("mask must have dtype bool.")
        if data.ndim != mask.ndim:
            raise ValueError("data.dim() must equal mask.dim()")
        if data.shape != mask.shape:
            raise ValueError(
                f"data.size() must equal mask.size(), got {list(data.shape)} and {list(mask.shape)}"
            )
        if data.requires_grad:
            warnings.warn(
                "It is not recommended to create a MaskedTensor with a tensor that requires_grad. "
                "To avoid this, you can use data.detach().clone(), or as_masked_tensor()",
                UserWarning,
                stacklevel=2,
            )
        plain = [x if x.layout is strided else x.to_dense() for x in (data, mask)]
        made = with_mask(plain[0].detach(), plain[1])
        if requires_grad:
            made._data.requires_grad_()
        return made

    def __init__(self, data: Any, mask: Any, requires_grad: bool = False) -> None:
        pass

    def get_data(self) -> Tensor:
        """The elements, those that do not count among them."""
        return self._data

    def get_mask(self) -> Tensor:
        """Which elements count."""
        return self._mask

    def to_tensor(self, value: Any) -> Tensor:
        """The elements, with `value` for those that do not count."""
        return self._data.masked_fill(~self._mask, value)

    def is_sparse_coo(self) -> bool:
        """False: sparse ones become dense."""
        return False

    is_sparse_csr = is_sparse_coo  # type: ignore[assignment]  # as in PyTorch, a method

    @property
    def grad(self) -> Any:
        """The gradient, of elements that count."""
        found = self._data.grad
        return None if found is None else with_mask(found, self._mask)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._data.grad = value._data if isinstance(value, MaskedTensor) else value

    def __repr__(self, **_: Any) -> str:
        if not self._data.ndim:
            shown = lettered(self._data) if self._mask.item() else "--"
            return f"MaskedTensor({shown}, {self._mask.item()})"
        lines = lined(self._data.detach().cpu(), self._mask.cpu()).split("\n")
        return "\n".join(["MaskedTensor(", *[f"  {line}" for line in lines], ")"])

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        return format(repr(self), form)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what operations of this kind do."""
        member: Any = getattr(func, "__self__", None)
        name = getattr(member.fget if isinstance(member, property) else func, "__name__", "")
        given = dict(kwargs or {})
        if name in REDUCTIONS:
            return reduced(name, *args, **given)
        if name in SOFT:
            return softened(name, *args, **given)
        if name == "where":
            return selected(*args, **given)
        if name in MOVES:
            return moved(func, args, given)
        if name in CONVERSIONS:
            return converted(func, *args, **given)
        if name.strip("_") in LIKE or elementwise(name):
            return everywhere(func, args, given)
        if name in REFUSED:
            raise RuntimeError(
                f".{name}() is not supported for MaskedTensor: use .to_tensor(value)"
            )
        if name in KEPT or isinstance(member, property):
            with Unrouted():
                return func(*args, **given)
        return NotImplemented


def with_mask(data: Tensor, mask: Tensor) -> MaskedTensor:
    """A tensor with a mask, on the tape as `data` is."""
    made: MaskedTensor = object.__new__(MaskedTensor)
    made._data, made._mask = data, mask
    return made


def masked_tensor(data: Tensor, mask: Tensor, requires_grad: bool = False) -> MaskedTensor:
    """A copy of a tensor with a copy of a mask: a leaf; see :class:`MaskedTensor`."""
    if isinstance(data, Tensor) and isinstance(mask, Tensor):
        data, mask = data.detach().clone(), mask.clone()
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Tensor, mask: Tensor) -> MaskedTensor:
    """A tensor with a mask, whose gradient goes to `data`, 0 where an element does not count."""
    made = MaskedTensor(data.detach() if isinstance(data, Tensor) else data, mask)
    if isinstance(data, Tensor) and data.requires_grad:
        # What does not count is cut off, so that no NaN of its gradient arrives.
        made._data = dt.where(made._mask, data, made._data)
    return made


def is_masked_tensor(obj: Any) -> bool:
    """Whether an object is a tensor with a mask."""
    return isinstance(obj, MaskedTensor)


# ---- what operations do


def parts(value: Any, number: int) -> Any:
    """Some arguments with the data (0) or the masks (1) of those that have them."""
    if isinstance(value, MaskedTensor):
        return value._mask if number else value._data
    if isinstance(value, (list, tuple)) and not isinstance(value, dt.Size):
        return type(value)(parts(one, number) for one in value)
    return value


def masks(values: Any) -> list[Tensor]:
    """The masks among some arguments."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, MaskedTensor):
            found.append(value._mask)
        elif isinstance(value, (list, tuple)):
            found += masks(value)
    return found


def rewrapped(data: Any, mask: Any) -> Any:
    """Results with the masks that belong to them."""
    if isinstance(data, Tensor):
        return with_mask(data, mask)
    if isinstance(data, (list, tuple)):
        return type(data)(rewrapped(*pair) for pair in zip(data, mask, strict=True))
    return data


def elementwise(name: str) -> bool:
    """Whether an operation, or a method that is one, is done to each element."""
    bare = name.strip("_")
    for form in (bare, bare[1:] if name.startswith(("__r", "__i")) else bare):
        entry = catalogue.get(OPERATORS.get(form, form))
        if entry is not None and entry.op is not None and entry.op.elementwise:
            return True
    return bare in ALSO


def everywhere(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Do it to all elements; what counts stays the same."""
    first, *others = masks((*args, *given.values()))
    for mask in others:
        if mask is not first and not (mask.shape == first.shape and dt.equal(mask, first)):
            raise ValueError(
                "Input masks must match. If you need support for this, please give both the same "
                "mask: masked_tensor(x.get_data(), x.get_mask() & y.get_mask())"
            )
    data = func(*parts(args, 0), **{name: parts(one, 0) for name, one in given.items()})
    if args and isinstance(args[0], MaskedTensor) and data is args[0]._data:
        return args[0]  # it was written in place
    if isinstance(data, (list, tuple)):
        return type(data)(*[with_mask(one, first) for one in data])
    return with_mask(data, first.expand(data.shape))


def moved(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Move data and mask alike; what has none counts."""
    data, mask = (parts(args, number) for number in (0, 1))
    if func.__name__ in JOINING:
        mask = [
            dt.ones_like(one, dtype=dt.bool) if one.dtype is not dt.bool else one for one in mask[0]
        ], *mask[1:]  # fmt: skip
    return rewrapped(func(*data, **given), func(*mask, **given))


def reduced(name: str, input: MaskedTensor, *args: Any, **given: Any) -> MaskedTensor:
    """A reduction of what counts."""
    data, mask = input._data, input._mask
    names = ("ord", "dim", "keepdim") if name == "norm" else ("dim", "keepdim")
    given = dict(zip(names, args, strict=False)) | given
    if name == "norm":
        given["ord"] = given.pop("p", given.get("ord", 2.0))
    dim, keepdim = given.pop("dim", None), given.pop("keepdim", False)
    if "axis" in given:
        dim = given.pop("axis")
    if name in ("all", "any"):
        whole = data.bool() | ~mask if name == "all" else data.bool() & mask
        found = getattr(whole, name)(dim, keepdim) if dim is not None else getattr(whole, name)()
    else:
        found = getattr(_reductions, name)(data, dim=dim, keepdim=keepdim, mask=mask, **given)
    return with_mask(found, mask.any(over(dim, data.ndim), keepdim) if data.ndim else mask)


def softened(name: str, input: MaskedTensor, dim: int, dtype: Any = None, **_: Any) -> MaskedTensor:
    """A softmax of what counts."""
    soft: Callable[..., Tensor] = getattr(_reductions, name)
    found = soft(input._data, dim, dtype=dtype, mask=input._mask)
    return with_mask(dt.where(input._mask, found, dt.zeros_like(found)), input._mask)


def selected(condition: Any, input: Any, other: Any) -> MaskedTensor:
    """Elements, and whether they count, of one of two."""
    if isinstance(condition, MaskedTensor) and condition.dtype is not dt.bool:
        condition, input = input, condition  # the method
    condition = parts(condition, 0)
    one, two = parts([input, other], 0)
    counts = [x._mask if isinstance(x, MaskedTensor) else True for x in (input, other)]
    data: Any = dt.where(condition, one, two)
    mask: Any = dt.where(condition, *counts)
    return with_mask(data, mask.expand(data.shape))


def converted(func: Any, input: MaskedTensor, *args: Any, **given: Any) -> MaskedTensor:
    """Another type or device; the mask goes along."""
    data = func(input._data, *parts(args, 0), **given)
    return with_mask(data, input._mask.to(data.device))


# ---- how it is printed


def lettered(x: Tensor) -> str:
    """One element as text."""
    value = x.item()
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def lined(data: Tensor, mask: Tensor) -> str:
    """Rows of elements, with dashes for those that do not count."""
    if data.ndim == 1:
        shown, counts = [lettered(x) for x in data], mask.tolist()
        width = max([len(s) if c else 8 for s, c in zip(shown, counts, strict=True)], default=0)
        row = [s if c else "--".rjust(width) for s, c in zip(shown, counts, strict=True)]
        return f"[{', '.join(row)}]"
    inner = [lined(x, m) for x, m in zip(data, mask, strict=True)]
    shifted = ["\n".join([f"  {line}" for line in text.split("\n")]) for text in inner]
    return "[\n" + ",\n".join(shifted) + "\n]"


def named(text: str) -> frozenset[str]:
    """The names that a text lists."""
    return frozenset(text.split())


REDUCTIONS = named("all amax amin any argmax argmin mean norm prod std sum var")
SOFT = named("log_softmax softmax softmin")
JOINING = named("cat concat concatenate hstack stack vstack")
MOVES = JOINING | named("""
    __getitem__ adjoint broadcast_to chunk clone contiguous data detach diagonal expand expand_as
    flatten flip gather getitem index_select mT movedim moveaxis narrow numpy_T permute ravel repeat
    repeat_interleave reshape roll select split squeeze swapaxes swapdims t tensor_split tile
    to_dense transpose unbind unflatten unfold unsqueeze view
""")
CONVERSIONS = named("bool byte cast cpu cuda double float half int long short to type xpu")
LIKE = named("ones_like zeros_like full_like empty_like rand_like randn_like")
ALSO = named("""
    clamp clip copy dropout float_power gelu isfinite isinf isnan isneginf isposinf relu silu
""")
OPERATORS = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "and": "bitwise_and",
             "or": "bitwise_or", "xor": "bitwise_xor", "invert": "bitwise_not"}  # fmt: skip
REFUSED = named("__array__ numpy tolist")
KEPT = named("""
    __bool__ __complex__ __float__ __index__ __int__ __len__ backward dim element_size get_device
    is_complex is_contiguous is_floating_point is_nonzero is_same_size is_signed item ndimension
    nelement numel register_hook requires_grad_ retain_grad size stride
""")
