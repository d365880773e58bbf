"""What a tensor says of its place in the graph, and what can be hung there."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

from devtensor.autograd import passes
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.node import Leaf, Part, extra_of, shown
from devtensor.autograd.view import Owner, View, edge_of, memory_of, requires_grad
from devtensor.hooks import HookDict, RemovableHandle
from devtensor.ops.convert import alias, detach
from devtensor.settings import strided
from devtensor.tensor import Tensor, on_tensor, rest_of, wrap

LEAVES = "you can only change requires_grad flags of leaf variables."
DETACH = (
    " If you want to use a computed variable in a subgraph that doesn't require differentiation "
    "use var_no_grad = var.detach()."
)


def want_grad(tensor: Tensor, wanted: bool, more: str = "") -> None:
    """Set whether gradients are computed for a leaf."""
    if tensor.dtype.kind not in ("float", "complex"):
        if wanted:
            raise RuntimeError(
                f"only Tensors of floating point{more} dtype can require gradients, got "
                f"{tensor.dtype!r}; convert it with .float() first"
            )
        return
    if tensor.is_inference() and not current().inference and wanted:
        raise RuntimeError(
            "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed. "
            "Make a normal tensor of it with .clone() first."
        )
    if wanted:
        if not isinstance(tensor._node, Leaf):
            tensor._node = Leaf(tensor, tensor._node is INFERENCE)
    else:
        tensor._node = INFERENCE if tensor.is_inference() else None


@on_tensor
class Graph:
    """Autograd on `Tensor`."""

    @property
    def requires_grad(self: Any) -> bool:
        """Whether gradients are computed for it; can be set on leaves."""
        return requires_grad(self)

    @requires_grad.setter
    def requires_grad(self: Any, wanted: bool) -> None:
        if not isinstance(wanted, (bool, int)):
            raise RuntimeError(f"requires_grad must be a bool, not {type(wanted).__name__}")
        if not self.is_leaf:
            raise RuntimeError(LEAVES + ("" if wanted else DETACH))
        want_grad(self, bool(wanted), " and complex")

    def requires_grad_(self: Any, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor (``torch.Tensor.requires_grad_``).

        Raises
        ------
        RuntimeError
            If it is no leaf and `requires_grad` is False, or its type is not floating.
        """
        if self.is_leaf:
            want_grad(self, bool(requires_grad))
        elif not requires_grad:
            raise RuntimeError(LEAVES + DETACH)
        return self

    @property
    def grad_fn(self: Any) -> Any:
        """The node that made it; None for a leaf."""
        return None if self.is_leaf else shown(self._node.node)

    @property
    def is_leaf(self: Any) -> bool:
        """Whether no recorded operation made it."""
        alias = self._alias
        if alias.__class__ is View and alias.stale:
            alias.replay(self)
        node = self._node
        return node is None or node is INFERENCE or isinstance(node, Leaf)

    @property
    def output_nr(self: Any) -> int:
        """Which output of its node it is."""
        return self._node.index if isinstance(self._node, Part) else 0

    @property
    def grad(self: Any) -> Tensor | None:
        """The gradient that `backward` has added up; None before."""
        rest = self._rest
        if rest is not None and rest.grad is not None:
            return rest.grad
        if self._node is not None and not self.is_leaf and not (rest and rest.retains):
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed want "
                "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return None

    @grad.setter
    def grad(self: Any, value: Any) -> None:
        if value is None:
            if self._rest is not None:
                self._rest.grad = None
            return
        if not isinstance(value, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype.name}' to a tensor with "
                f"grad_dtype '{self.dtype.name}'. The gradient must match the tensor's dtype; "
                "convert it with .to()."
            )
        if value._device is not self._device:
            raise RuntimeError(
                f"attempting to assign a gradient located on device with index {value._device} to "
                f"a tensor on {self._device}; move it with .to()"
            )
        if tuple(value._array.shape) != tuple(self._array.shape):
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of "
                f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor are "
                "the same size"
            )
        rest_of(self).grad = value

    @grad.deleter
    def grad(self: Any) -> None:
        if self._rest is not None:
            self._rest.grad = None

    def backward(
        self: Any,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Compute the gradients of the leaves it was made from (``torch.Tensor.backward``).

        Parameters
        ----------
        gradient : Tensor, optional
            The gradient of this tensor; 1 by default, if it is a single number.
        retain_graph, create_graph, inputs
            As for :func:`devtensor.autograd.backward`.
        """
        passes.backward((self,), (gradient,), retain_graph, create_graph, inputs=inputs)

    def detach(self: Any) -> Tensor:
        """The same memory outside the graph; see :func:`devtensor.detach`."""
        return detach(self)

    def detach_(self: Any) -> Tensor:
        """Take the tensor out of the graph, in place.

        Raises
        ------
        RuntimeError
            If it is a view.
        """
        if self._alias.__class__ is View:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
                "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
                "these gradients."
            )
        if not self.is_inference():
            self._node = None
        return self

    @property
    def data(self: Any) -> Tensor:
        """The same memory, with a version counter of its own; writes to it go unnoticed."""
        return wrap(self._array, self._device, INFERENCE if self.is_inference() else None)

    @data.setter
    def data(self: Any, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data must be a Tensor, not {type(value).__name__}")
        node = self._node
        tracked = node is not None and node is not INFERENCE
        if tracked and value.dtype.kind not in ("float", "complex"):
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point"
            )
        self._array, self._device = value._array, value._device
        if isinstance(node, Leaf):
            leaf = Leaf(self, node.inference)
            leaf.extra = node.extra
            self._node = leaf
        if self._alias.__class__ is not View:
            self._alias = None

    @property
    def _version(self: Any) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        alias = self._alias
        return 0 if alias is None else alias.memory.version

    def _is_view(self: Any) -> bool:
        return self._alias.__class__ is View

    @property
    def _base(self: Any) -> Tensor | None:
        return self._alias.base if self._alias.__class__ is View else None

    @property
    def retains_grad(self: Any) -> bool:
        """Whether `retain_grad` was called on it."""
        return self._rest is not None and self._rest.retains

    def retain_grad(self: Any) -> None:
        """Let ``.grad`` be filled although it is no leaf (``torch.Tensor.retain_grad``).

        Raises
        ------
        RuntimeError
            If it does not require gradients.
        """
        edge = edge_of(self)
        if edge is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if isinstance(edge, Leaf) or self.retains_grad:
            return
        rest_of(self).retains = True
        me = weakref.ref(self)

        def keep(g: Any) -> None:
            tensor = me()
            if tensor is not None:
                rest = rest_of(tensor)
                rest.grad = g if rest.grad is None else rest.grad + g

        extra_of(edge.node).outputs.setdefault(edge.index, HookDict())[-1] = keep

    def register_hook(self: Any, hook: Any) -> Any:
        """Call ``hook(gradient)`` when it is known; a tensor that it returns replaces it.

        Raises
        ------
        RuntimeError
            If the tensor does not require gradients.
        """
        edge = edge_of(self)
        if edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        hooks = extra_of(edge.node).outputs.setdefault(edge.index, HookDict())
        return RemovableHandle.add(hooks, hook)

    def register_post_accumulate_grad_hook(self: Any, hook: Any) -> Any:
        """Call ``hook(tensor)`` after its ``.grad`` has been added to.

        Raises
        ------
        RuntimeError
            If it is no leaf that requires gradients.
        """
        edge = edge_of(self)
        if edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not isinstance(edge, Leaf):
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        extra_of(edge)
        rest = rest_of(self)
        if rest.post_hooks is None:
            rest.post_hooks = HookDict()
        return RemovableHandle.add(rest.post_hooks, hook)

    def as_subclass(self: Any, cls: Any) -> Any:
        """The same memory, in the same place in the graph, as a tensor of the class `cls`."""
        if not (isinstance(cls, type) and issubclass(cls, Tensor)):
            raise TypeError(f"as_subclass(): cls must be a subclass of Tensor, got {cls!r}")
        made = alias(self)
        made.__class__ = cls
        return made

    @staticmethod
    def _make_subclass(cls: Any, data: Any, require_grad: bool = False) -> Any:
        """A tensor of another class over the memory of `data`."""
        if data.layout is not strided:
            raise NotImplementedError(
                f"{cls.__name__}: a sparse tensor has no memory of its own to look at; make one of "
                "its values, and the sparse tensor of that by torch.sparse_coo_tensor"
            )
        if require_grad and data.dtype.kind not in ("float", "complex"):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients, got "
                f"{data.dtype!r}; pass requires_grad=False"
            )
        inference = data.is_inference()
        if inference and not current().inference and require_grad:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed. Make a normal tensor of it with .clone() first."
            )
        made = object.__new__(cls)
        made._array, made._device = data._array, data._device
        made._rest = None
        made._alias = None if inference else Owner(memory_of(data))
        made._node = INFERENCE if inference or current().inference else None
        if made._node is INFERENCE:
            made._alias = None
        if require_grad:
            made._node = Leaf(made, made._node is INFERENCE)
        return made

    def __copy__(self: Any) -> Any:
        """Another tensor of the class over the same memory, outside the graph."""
        made = Tensor._make_subclass(type(self), self, self.requires_grad)
        vars(made).update(vars(self))
        return made

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        from devtensor.serialization import deepcopy_tensor  # serialization stands above tensors

        return deepcopy_tensor(self, memo)
