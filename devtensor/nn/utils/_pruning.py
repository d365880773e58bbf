"""The ways to prune: which entries are chosen, and the hook that applies the mask."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import devtensor as dt
from devtensor.nn.utils._hooked import hooks
from devtensor.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
]


class BasePruningMethod(ABC):
    """A way to choose entries, and the hook that applies its mask before each call.

    Attributes
    ----------
    PRUNING_TYPE : {"unstructured", "structured", "global"}
        Whether single entries or whole slices are chosen.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor: `default_mask` with zeros for the entries that are chosen."""

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Any) -> Any:
        """The parameter times its mask."""
        name = self._tensor_name
        mask, original = getattr(module, f"{name}_mask"), getattr(module, f"{name}_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> Any:
        """Prune `name` of a module; what is pruned already stays so.

        Parameters
        ----------
        module : Module
        name : str
            Its parameter becomes `name_orig`, its mask the buffer `name_mask`.
        importance_scores : Tensor, optional
            Of its shape; by these entries are chosen, by the parameter itself if not given.
        *args, **kwargs
            What the method is made with.
        """
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        found = hooks(module, BasePruningMethod, name)
        if len(found) > 1:
            raise AssertionError(
                f"Avoid adding multiple pruning hooks to the same tensor {name} of module "
                f"{module}. Use a PruningContainer."
            )
        original = getattr(module, f"{name}_orig") if found else getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        before = getattr(module, f"{name}_mask") if found else dt.ones_like(original)
        container = method
        if found:
            container = PruningContainer()
            container._tensor_name = name
            hook = found[0][1]
            for one in (*(hook if isinstance(hook, PruningContainer) else (hook,)), method):
                container.add_pruning_method(one)
        mask = container.compute_mask(scores.detach(), default_mask=before.detach())
        if found:
            del module._forward_pre_hooks[found[0][0]]
        else:
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
        module.register_buffer(f"{name}_mask", mask.to(dtype=original.dtype))
        setattr(module, name, container.apply_mask(module))
        module.register_forward_pre_hook(container)
        return container

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Any = None
    ) -> Tensor:
        """A pruned tensor, by itself."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        mask = dt.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module: Any) -> None:
        """Make the pruned parameter an ordinary one; its zeros stay."""
        name = self._tensor_name
        if not hasattr(module, f"{name}_orig"):
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        original.data = weight.detach()
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods one after another, on one parameter."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
        for method in methods:
            self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method for the same parameter.

        Raises
        ------
        TypeError, ValueError
            If it is none, or one for another parameter.
        """
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, which chooses among the entries that are left."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "structured":
            dim = method.dim % t.ndim
            others = [i for i in range(t.ndim) if i != dim]
            kept = mask.sum(dim=others) != 0 if others else mask != 0
            places: Any = (slice(None),) * dim + (kept,)
        else:
            places = mask == 1 if method.PRUNING_TYPE == "unstructured" else ...
        out = mask.clone()
        out[places] = method.compute_mask(t[places], default_mask=mask[places]).to(mask.dtype)
        return out


def checked(amount: Any) -> Any:
    """An amount, if it can be one.

    Raises
    ------
    TypeError, ValueError
        If it is no number, negative, or a fraction above 1.
    """
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, numbers.Integral) and amount < 0) or (
        not isinstance(amount, numbers.Integral) and not 0.0 <= float(amount) <= 1.0
    ):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
            "integer"
        )
    return amount


def count_of(amount: Any, size: int) -> int:
    """How many of `size` an amount means.

    Raises
    ------
    ValueError
        If it is a number greater than that.
    """
    if isinstance(amount, numbers.Integral):
        if int(amount) > size:
            raise ValueError(
                f"amount={amount} should be smaller than the number of parameters to prune={size}"
            )
        return int(amount)
    return round(amount * size)


class Identity(BasePruningMethod):
    """Chooses nothing, and makes the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask as it is."""
        return default_mask


class Chosen(BasePruningMethod):
    """Chooses the entries with the smallest scores.

    Parameters
    ----------
    amount : int or float
        Their number, or their share.
    """

    def __init__(self, amount: Any) -> None:
        self.amount = checked(amount)

    def scores(self, t: Tensor) -> Tensor:
        """A score to each entry."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with zeros for the entries that are chosen."""
        count = count_of(self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            lowest = dt.topk(self.scores(t).reshape(-1), count, largest=False).indices
            mask.view(-1)[lowest] = 0
        return mask


class RandomUnstructured(Chosen):
    """Chooses entries at random."""

    def scores(self, t: Tensor) -> Tensor:
        return dt.rand_like(t)


class L1Unstructured(Chosen):
    """Chooses the entries that are nearest to zero."""

    def scores(self, t: Tensor) -> Tensor:
        return t.abs()


class Slices(BasePruningMethod):
    """Chooses the slices along a dimension with the smallest scores.

    Parameters
    ----------
    amount : int or float
        Their number, or their share.
    dim : int
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        self.amount, self.dim = checked(amount), dim

    def scores(self, t: Tensor) -> Tensor:
        """A score to each slice."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with zeros for the slices that are chosen.

        Raises
        ------
        ValueError, IndexError
            If the tensor has one dimension, or not the one that is asked for.
        """
        if t.ndim <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.ndim} dims"
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = count_of(self.amount, size)
        lowest = dt.topk(self.scores(t), count, largest=False).indices
        kept = dt.ones(size, dtype=default_mask.dtype, device=t.device)
        kept[lowest] = 0
        shape = [1] * t.ndim
        shape[self.dim] = -1
        return default_mask * kept.reshape(shape)


class RandomStructured(Slices):
    """Chooses slices at random."""

    def scores(self, t: Tensor) -> Tensor:
        return dt.rand(t.shape[self.dim], device=t.device)


class LnStructured(Slices):
    """Chooses the slices of the smallest norm.

    Parameters
    ----------
    amount : int or float
    n : float or {"fro", "nuc"}
        Which norm.
    dim : int
    """

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Tensor) -> Tensor:
        others = [i for i in range(t.ndim) if i != self.dim % t.ndim]
        return dt.norm(t, p=self.n, dim=others)


class CustomFromMask(BasePruningMethod):
    """Chooses what a given mask has as zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Both masks in one."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape "
                f"{self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)
