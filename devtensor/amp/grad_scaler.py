"""Keeps small gradients of half precision from vanishing (``torch.amp.GradScaler``)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

import devtensor as dt
from devtensor.accelerator import BY_KIND
from devtensor.tensor import Tensor

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer has come since the last update."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def fresh() -> dict[str, Any]:
    """The state of an optimizer that has not been met yet."""
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Scales the loss, takes the scale out of the gradients, leaves out steps that overflow.

    The scale grows after some steps without infinite gradients, and shrinks after one.

    Parameters
    ----------
    device : str
        The kind of device that trains; where that is CUDA and there is none, nothing is scaled.
    init_scale : float
    growth_factor, backoff_factor : float
        The scale's factors after `growth_interval` good steps, and after a bad one.
    growth_interval : int
    enabled : bool

    Raises
    ------
    AssertionError
        If a factor does not grow, or does not shrink.

    Examples
    --------
    >>> import devtensor as dt
        >>> weight = dt.nn.Parameter(dt.ones(2))
    >>> optimizer = dt.optim.SGD([weight], lr=0.5)
    >>> scaler = dt.amp.GradScaler("cpu", init_scale=1024.0)
    >>> scaler.scale((weight * 2).sum()).backward()
    >>> weight.grad
    tensor([2048., 2048.])
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> weight.tolist(), scaler.get_scale()
    ([0.0, 0.0], 1024.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        if enabled and device == "cuda" and not BY_KIND["cuda"].is_available():
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        if not enabled:
            return
        assert growth_factor > 1.0, "The growth factor must be > 1.0."
        assert backoff_factor < 1.0, "The backoff factor must be < 1.0."
        self._init_scale = init_scale
        self._scale: Tensor | None = None
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(fresh)

    def _started(self, name: str) -> Tensor:
        """The scale.

        Raises
        ------
        AssertionError
            If no loss was scaled before.
        """
        assert self._scale is not None, (
            f"Attempted {name} but _scale is None.  This may indicate your script did not use "
            "scaler.scale(loss or outputs) earlier in the iteration."
        )
        return self._scale

    def scale(self, outputs: Any) -> Any:
        """The loss times the scale.

        Parameters
        ----------
        outputs : Tensor or iterable of them
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = dt.full((), self._init_scale, device=outputs.device)
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale.

        Raises
        ------
        RuntimeError
            If that has been done since the last update.
        ValueError
            If a gradient is float16, as in a network that was converted to it.
        """
        if not self._enabled:
            return
        scale = self._started("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        state["found_inf_per_device"] = self._unscale(optimizer, scale, False)
        state["stage"] = OptState.UNSCALED

    def _unscale(self, optimizer: Any, scale: Tensor, allow_fp16: bool) -> dict[Any, Tensor]:
        """Divide by the scale; for each device, 1 if something was infinite, else 0."""
        factor = scale.double().reciprocal().float()
        found: dict[Any, Tensor] = {}
        with dt.no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if p.grad.dtype is dt.float16 and not allow_fp16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    here = p.grad.device
                    if p.grad.is_sparse:  # sums may overflow where their parts do not
                        p.grad = p.grad.coalesce()
                    seen = p.grad.values() if p.grad.is_sparse else p.grad
                    bad = (~seen.isfinite().all()).float()
                    found[here] = dt.maximum(found[here], bad) if here in found else bad
                    p.grad.mul_(factor.to(here))
        return found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Step the optimizer, unless a gradient is infinite or NaN.

        What `optimizer.step` is given and returns goes through.

        Raises
        ------
        RuntimeError
            If it was stepped since the last update, or a closure is given.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._started("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        assert len(state["found_inf_per_device"]) > 0, (
            "No inf checks were recorded for this optimizer."
        )
        result = None
        if not any(bad.item() for bad in state["found_inf_per_device"].values()):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Set the scale for the next iteration.

        Parameters
        ----------
        new_scale : float or Tensor, optional
            The scale; by default it follows from what was found.
        """
        if not self._enabled:
            return
        scale = self._started("update")
        if new_scale is not None:
            with dt.no_grad():
                if isinstance(new_scale, Tensor):
                    scale.copy_(new_scale)
                else:
                    scale.fill_(float(new_scale))
        else:
            found = [
                bad
                for state in self._per_optimizer_states.values()
                for bad in state["found_inf_per_device"].values()
            ]
            assert len(found) > 0, "No inf checks were recorded prior to update."
            self._adapt(scale, any(bad.item() for bad in found))
        self._per_optimizer_states = defaultdict(fresh)

    def _adapt(self, scale: Tensor, overflow: bool) -> None:
        if overflow:
            scale.mul_(self._backoff_factor)
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            grown = scale * self._growth_factor
            if grown.isfinite():
                scale.copy_(grown)
            self._growth_tracker = 0

    def get_scale(self) -> float:
        """The scale; 1 if the scaler does nothing."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale if self._scale is None else self._scale.item())

    def get_growth_factor(self) -> float:
        """The factor by which the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The factor by which the scale shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The number of good steps after which the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the number of good steps after which the scale grows."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint; empty if the scaler does nothing."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        RuntimeError
            If it is that of a scaler that did nothing.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale = float(state_dict["scale"])
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self._enabled:
            assert len(self._per_optimizer_states) == 0, (
                "A GradScaler instance may only be pickled at the beginning of an iteration, or at "
                "the end after scaler.update()."
            )
            state["_init_scale"] = self.get_scale()
            state["_scale"] = None
        return state
