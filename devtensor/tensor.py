"""The tensor: an array, its device, its place in the graph, and what it shares with others."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE
from devtensor.size import Size

if TYPE_CHECKING:
    from devtensor._members import Members  # what other files put on it, a stub alone
    from devtensor.device import device as Device
else:
    Members = object


class Rest:
    """What few tensors have: a gradient, hooks."""

    __slots__ = ("grad", "post_hooks", "retains")

    def __init__(self) -> None:
        self.grad: Any = None
        self.post_hooks: dict[int, Any] | None = None
        self.retains = False


class Tensor(Members):
    """A multi-dimensional array on a device, with a place in the graph of derivatives.

    Make one with :func:`devtensor.tensor`, :func:`devtensor.as_tensor` or a factory such as
    :func:`devtensor.zeros`. Its operations are the catalogue's (``python -m devtensor.ops``).

    Attributes
    ----------
    array : array
        The native array of the device's library, over the same memory.
    """

    # _array   the native array
    # _device  the device on which it lives
    # _node    what made it, a Leaf if gradients are wanted for it, INFERENCE, or None
    # _alias   the Memory or View that it shares with other tensors, None if it never did
    # _rest    a Rest, None until it is needed
    __slots__ = ("__dict__", "__weakref__", "_alias", "_array", "_device", "_node", "_rest")
    _array: Any
    _device: Device
    _node: Any
    _alias: Any
    _rest: Rest | None

    def __new__(cls, *data: Any, device: Any = None) -> Any:
        made = makers[0](data, None, device)
        return made if cls is Tensor else cls._make_subclass(cls, made)

    # ---- what it is

    @property
    def array(self) -> Any:
        """The native array (NumPy's, CuPy's or dpnp's) over the same memory."""
        return self._array

    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return tuple.__new__(Size, self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        ndim: int = self._array.ndim
        return ndim

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.OF[self._array.dtype]

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self._device

    def is_inference(self) -> bool:
        """Whether it was made in inference mode (``torch.is_inference``)."""
        node = self._node
        return node is INFERENCE or (node is not None and node.inference)


_lock = Lock()
new = partial(object.__new__, Tensor)
"""An empty Tensor object; its maker sets every slot."""


def wrap(array: Any, device: Device, node: Any = None) -> Tensor:
    """A tensor around an array that is the library's own class."""
    tensor = new()
    tensor._array = array
    tensor._device = device
    tensor._node = node
    tensor._alias = tensor._rest = None
    return tensor


class Constant(Tensor):
    """A Python number among the operands of a launch, as a 0-d tensor that users never see."""

    __slots__ = ()


def constant(array: Any, device: Device) -> Constant:
    """A number's array as an operand."""
    tensor: Constant = object.__new__(Constant)
    tensor._array, tensor._device = array, device
    tensor._node = tensor._alias = tensor._rest = None
    return tensor


makers: list[Any] = []
"""Makes a tensor of sizes or data; `devtensor.host` puts it here."""


def rest_of(tensor: Tensor) -> Rest:
    """The rarely used part of a tensor, made if it is not there."""
    rest = tensor._rest
    if rest is None:
        with _lock:  # two threads must not make two
            rest = tensor._rest
            if rest is None:
                rest = tensor._rest = Rest()
    return rest


MEMBERS: set[str] = set()
"""The names of members of `Tensor` that are no operations."""


def on_tensor(part: type) -> type:
    """Put the members of a class on `Tensor`: a file's worth of what tensors can do."""
    for name, member in vars(part).items():
        if name not in ("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__"):
            setattr(Tensor, name, member)
            MEMBERS.add(name)
    return part
