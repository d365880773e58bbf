"""Schedules that let the rate, and with it the momentum, rise and fall."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from ._scheduler import (
    LRScheduler,
    check_optimizer,
    per_group,
    put,
    state_of,
)
from .optimizer import Optimizer

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class Cycle(LRScheduler):
    """What the schedules share that move the momentum against the rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _begin_momentum(self, base: Any, most: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
        """Look what the optimizer calls its momentum, set it to the largest; give its bounds."""
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in defaults
        lowest = per_group("base_momentum", self.optimizer, base)
        highest = per_group("max_momentum", self.optimizer, most)
        if last_epoch == -1:
            groups = self.optimizer.param_groups
            for group, low, high in zip(groups, lowest, highest, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return lowest, highest

    def _set_momentum(self, group: dict[str, Any], value: Any) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(Cycle):
    """The rate goes up and down evenly between two bounds; the momentum down and up.

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float or list of floats
        The bounds; a list has one for each group.
    step_size_up, step_size_down : int
        Steps on the way up, and on the way down (as many if not given).
    mode : str
        ``"triangular"``; ``"triangular2"``, where every cycle is half as high as the one before;
        ``"exp_range"``, where every step is `gamma` times as high.
    gamma : float
    scale_fn : callable, optional
        The height of a cycle, or of a step, in place of `mode`.
    scale_mode : str
        Whether `scale_fn` is given the ``"cycle"`` (from 1) or the number of ``"iterations"``.
    cycle_momentum : bool
        Whether the momentum moves, too.
    base_momentum, max_momentum : float or list of floats
        Its bounds.
    last_epoch : int

    Raises
    ------
    ValueError
        If there is no such mode, a list does not fit the groups, or there is no momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                put(group, "lr", lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._begin_momentum(
                base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self) -> None:
        if self._scale_fn_custom is not None:
            return
        self.scale_mode = "iterations" if self.mode == "exp_range" else "cycle"
        self._scale_fn_ref: Callable[[float], float]
        if self.mode == "triangular":
            self._scale_fn_ref = always
        elif self.mode == "triangular2":
            self._scale_fn_ref = halving
        else:
            self._scale_fn_ref = partial(pow, self.gamma)

    def scale_fn(self, x: float) -> float:
        """Give the height of cycle or step number `x`, as a part of the whole."""
        height: float = (self._scale_fn_custom or self._scale_fn_ref)(x)
        return height

    def get_lr(self) -> list[Any]:
        """Compute the rates of the step `last_epoch`, and set its momentum."""
        self._check_caller()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        up = x <= self.step_ratio
        share = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        share *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._set_momentum(group, high - (high - low) * share)
        return [
            low + (high - low) * share
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer; of a function only an object with attributes."""
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        function = state.pop("_scale_fn_custom")
        state["_scale_fn_custom"] = None if function is None else state_of(function)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` has returned."""
        state = dict(state_dict)
        attributes = state.pop("_scale_fn_custom")
        super().load_state_dict(state)
        if attributes is not None:
            self._scale_fn_custom.__dict__.update(attributes)
        self._init_scale_fn()


def always(cycle: float) -> float:
    """Every cycle is as high as the first."""
    return 1.0


def halving(cycle: float) -> float:
    """Every cycle is half as high as the one before."""
    return float(2.0 ** (1 - cycle))


class OneCycleLR(Cycle):
    """The rate rises once, and falls far below where it began; the momentum falls and rises.

    Call `step` after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float or list of floats
        The highest rate; a list has one for each group.
    total_steps : int, optional
        Steps of the cycle; or the product of the next two.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        The part of the steps on which the rate rises.
    anneal_strategy : str
        ``"cos"`` or ``"linear"``.
    cycle_momentum : bool
        Whether the momentum moves, too.
    base_momentum, max_momentum : float or list of floats
        Its bounds.
    div_factor : float
        The rate begins at `max_lr` divided by it.
    final_div_factor : float
        The rate ends at the first divided by it.
    three_phase : bool
        Whether the rate falls as it has risen, and then on to its end.
    last_epoch : int

    Raises
    ------
    ValueError
        If the number of steps is unknown, an option is out of its range, there is no momentum, or
        `step` is called once too often.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            self.total_steps = positive_count("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            positive_count("epochs", epochs)
            self.total_steps = epochs * positive_count("steps_per_epoch", steps_per_epoch)
        else:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        rise = float(pct_start * self.total_steps)
        stations = [
            (0.0, "initial_lr", "max_momentum"),
            (rise - 1, "max_lr", "base_momentum"),
            (self.total_steps - 1, "min_lr", "max_momentum"),
        ]
        if three_phase:
            stations.insert(2, (2 * rise - 2, "initial_lr", "max_momentum"))
        self._schedule_phases: list[dict[str, Any]] = [
            {
                "end_step": end[0],
                "start_lr": start[1],
                "end_lr": end[1],
                "start_momentum": start[2],
                "end_momentum": end[2],
            }
            for start, end in pairwise(stations)
        ]
        highest = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"] = lr / div_factor
                group["max_lr"] = lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: Any, end: Any, share: float) -> Any:
        """Where the way from `start` to `end` is after a part of it."""
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[Any]:
        """Compute the rates of the step `last_epoch`, and set its momentum."""
        self._check_caller()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start: float = 0.0
        phase: dict[str, Any] = self._schedule_phases[-1]
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        share = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                low, high = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(low, high, share))
        return rates


def positive_count(name: str, value: Any) -> int:
    """`value`, which must be a positive integer."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate follows half a wave of the cosine down, and jumps up again.

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        Epochs until the first jump.
    T_mult : int
        Every wave is so many times as long as the one before.
    eta_min : float
        The lowest rate.
    last_epoch : int

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        positive_count("T_0", T_0)
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Compute the rates of the epoch `last_epoch`."""
        self._check_caller()
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any, which may be broken, and set its rates."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        elif epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            waves = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            past = self.T_0 * (self.T_mult**waves - 1) / (self.T_mult - 1)
            self.T_cur = epoch - past
            self.T_i = self.T_0 * self.T_mult**waves
        self.last_epoch = math.floor(epoch)
        with self._computing():
            values = self.get_lr()
        self._set(values)
