"""Modes that are asked what launches do, the kernels of the way back among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from devtensor.autograd.modes import no_grad
from devtensor.calls import called
from devtensor.device import device as Device
from devtensor.op import Op
from devtensor.route import Unrouted
from devtensor.tensor import Tensor
from devtensor.watch import Beneath, Watch, servers

__all__ = ["BaseTorchDispatchMode", "TorchDispatchMode", "disabled", "popped"]


class TorchDispatchMode(Watch):
    """A block in which a method is asked what launches do, those of the way back among them.

    Subclass it, and define ``__torch_dispatch__(self, func, types, args=(), kwargs=None)``. It is
    beneath autograd: what it returns is recorded as the result of the launch, and what it calls is
    not recorded. Within that method the mode is off.

    Notes
    -----
    `func` is the operation of ``torch.ops.aten`` that the launch amounts to, or one of
    ``torch.ops.devtensor`` where none does. What writes in place is asked as the operation that
    gives what is written. Steps of optimizers and transfers between devices are not asked about.

    Examples
    --------
    >>> import devtensor as torch
    >>> from devtensor.utils._python_dispatch import TorchDispatchMode
    >>> class Log(TorchDispatchMode):
    ...     def __torch_dispatch__(self, func, types, args=(), kwargs=None):
    ...         print(func)
    ...         return func(*args, **(kwargs or {}))
    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> with Log():
    ...     y = torch.nn.functional.relu(x @ x.t())
    aten.t.default
    aten.mm.default
    aten.relu.default
    """

    kind = "dispatch"

    def __new__(cls, *_: Any, **__: Any) -> Any:
        made = super().__new__(cls)
        Watch.__init__(made)  # which a subclass's own need not call
        return made

    def __init__(self, _dispatch_key: Any = None) -> None:
        pass

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """What a launch gives."""
        raise NotImplementedError

    def serve(self, op: Op, inputs: list[Any], params: dict[str, Any], device: Device) -> Any:
        """The arrays of a launch's results; `devtensor.launch` asks.

        Raises
        ------
        TypeError
            If the method gives no tensors.
        """
        with Beneath(), no_grad(), Unrouted():
            func, call = called(op, inputs, params)
            if not op.inputs:
                call.kwargs["device"] = device
            made = self.__torch_dispatch__(func, (), call.args, call.kwargs)
            if call.shape is not None and isinstance(made, Tensor):
                made = made.reshape(call.shape)
            outs = (made,) if op.outputs is None and call.results is None else made
            some = op.outputs is not None and call.results is None  # of which None may be one
            if (
                not isinstance(outs, (tuple, list))
                or not all(isinstance(x, Tensor) or (x is None and some) for x in outs)
                or (call.results is not None and len(outs) != call.several)
            ):
                wanted = "tensors" if call.results is None else f"{call.several} tensors"
                raise TypeError(
                    f"{type(self).__name__}.__torch_dispatch__({func}) must return what the "
                    f"operation returns, {wanted}, but it returned {type(made).__name__}"
                )
            if call.results is not None:
                made = call.results(made)
                outs = (made,) if op.outputs is None else made
        arrays = [None if x is None else x._array for x in outs]
        return arrays[0] if op.outputs is None else arrays


class BaseTorchDispatchMode(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


@contextmanager
def popped(k: Any = None) -> Iterator[TorchDispatchMode]:
    """A block without the innermost mode, which it gives."""
    inner = servers()[-1]
    with Beneath():
        yield inner


@contextmanager
def disabled() -> Iterator[list[TorchDispatchMode]]:
    """A block without the modes, which it gives."""
    with ExitStack() as stack:
        modes = list(servers())
        for _ in modes:
            stack.enter_context(Beneath())
        yield modes
