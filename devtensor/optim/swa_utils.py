"""Averages of a model's parameters over a training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import devtensor as dt
from devtensor import nn
from devtensor.nn.batchnorm import BatchNorm
from devtensor.tensor import Tensor

from ._scheduler import LRScheduler, per_group, without
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

PARAM_LIST = tuple[Tensor, ...] | list[Tensor]


def check_decay(decay: float) -> None:
    """Raise ValueError unless `decay` is from 0 to 1."""
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def mixes(x: Tensor) -> bool:
    """Whether numbers of this type have means of the same type."""
    return bool(x.is_floating_point() or x.is_complex())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """Make a function that moves a list of averages towards parameters, exponentially.

    Parameters
    ----------
    decay : float
        How much of its old value an average keeps.
    """
    check_decay(decay)

    def ema_update(ema_param_list: PARAM_LIST, current_param_list: PARAM_LIST, _: Any) -> None:
        with dt.no_grad():
            for mean, value in zip(ema_param_list, current_param_list, strict=True):
                if mixes(mean):
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(mean * decay + value * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """Make a function that takes parameters into a list of plain averages."""

    def swa_update(
        averaged_param_list: PARAM_LIST, current_param_list: PARAM_LIST, num_averaged: Any
    ) -> None:
        with dt.no_grad():
            share = 1 / (int(num_averaged) + 1)
            for mean, value in zip(averaged_param_list, current_param_list, strict=True):
                if mixes(mean):
                    mean.lerp_(value, share)
                else:
                    mean.copy_(mean + (value - mean) * share)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """Make a function that gives the exponential average of an average and a parameter.

    Parameters
    ----------
    decay : float
        How much of its old value the average keeps.
    """
    check_decay(decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with dt.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """Make a function that gives the plain average with one more parameter in it."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with dt.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(nn.Module):
    """A copy of a model whose parameters are averages of the model's.

    Parameters
    ----------
    model : Module
    device : device, optional
        Where the averages live.
    avg_fn : callable, optional
        Gives the new average of an average, a parameter and the number of parameters in it; the
        plain average if not given.
    multi_avg_fn : callable, optional
        The same for lists, in place.
    use_buffers : bool
        Whether buffers are averaged, too, and not copied.

    Raises
    ------
    AssertionError
        If both functions are given.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: nn.Module,
        device: Any = None,
        avg_fn: Callable[..., Tensor] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", dt.tensor(0, dtype=dt.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def _averaged(self, model: nn.Module) -> list[Tensor]:
        """What is averaged of a model, without its history."""
        found: Iterable[Tensor] = model.parameters()
        if self.use_buffers:
            found = itertools.chain(found, model.buffers())
        return [x.detach() for x in found]

    def update_parameters(self, model: nn.Module) -> None:
        """Take the parameters of `model` into the averages."""
        means = self._averaged(self.module)
        values = [x.to(mean.device) for x, mean in zip(self._averaged(model), means, strict=True)]
        count = int(self.n_averaged)
        with dt.no_grad():
            if count == 0:
                for mean, value in zip(means, values, strict=True):
                    mean.copy_(value)
            elif self.avg_fn is not None:
                for mean, value in zip(means, values, strict=True):
                    mean.copy_(self.avg_fn(mean, value, self.n_averaged.to(mean.device)))
            else:
                update = self.multi_avg_fn or get_swa_multi_avg_fn()
                for some in alike(means):
                    update(
                        [means[i] for i in some],
                        [values[i] for i in some],
                        self.n_averaged.to(means[some[0]].device),
                    )
            if not self.use_buffers:
                pairs = zip(self.module.buffers(), model.buffers(), strict=True)
                for mine, value in pairs:
                    mine.detach().copy_(value.detach().to(mine.device))
        self.n_averaged += 1


def alike(tensors: list[Tensor]) -> list[list[int]]:
    """Places of tensors with the same device and dtype."""
    groups: dict[Any, list[int]] = {}
    for i, x in enumerate(tensors):
        groups.setdefault((x.device, x.dtype), []).append(i)
    return list(groups.values())


def update_bn(loader: Iterable[Any], model: nn.Module, device: Any = None) -> None:
    """Compute the running means of all batch normalisations anew, from one pass over the data.

    Parameters
    ----------
    loader : iterable
        Gives batches; of a list or tuple the first is the input.
    model : Module
    device : device, optional
        Where the input is brought.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    with dt.no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(training)


def as_it_is(share: float) -> float:
    """The way of the linear strategy."""
    return share


def by_cosine(share: float) -> float:
    """The way of the cosine strategy."""
    return (1 - math.cos(math.pi * share)) / 2


class SWALR(LRScheduler):
    """The rate goes to one value and stays there.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float or list of floats
        That value; a list has one for each group.
    anneal_epochs : int
        How many epochs it takes.
    anneal_strategy : str
        ``"cos"`` or ``"linear"``.
    last_epoch : int

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = by_cosine if anneal_strategy == "cos" else as_it_is

    def _way(self, step: int) -> float:
        """The part of the way that lies behind after `step` steps."""
        return self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[Any]:
        """Compute the rates of the next epoch."""
        self._check_caller()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._way(step - 1), self._way(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, as a dict."""
        return without(self.__dict__, "optimizer", "anneal_func")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` has returned."""
        self.__dict__.update(state_dict)
        self._set_anneal_func(self._anneal_strategy)
