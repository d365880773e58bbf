"""The generator of random numbers, its seed and its state.

Every random number is made from the bits of Philox4x32-10 (Salmon et al., "Parallel random numbers:
as easy as 1, 2, 3", 2011), a function of a key and a counter. The key is the seed; the generator
itself only counts. So the bits depend on the seed and on how much was drawn before, not on the
device, and one default generator serves all devices: :func:`manual_seed` is all that a program
needs to draw the same bits everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import index
from threading import Lock
from typing import Any

from devtensor.device import device as Device
from devtensor.dtype import uint8
from devtensor.ops.create import tensor_of
from devtensor.tensor import Tensor

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

SPAN = 2**64
STATE = 16
"""Bytes of a state: seed and offset."""


class Generator:
    """A source of random numbers; threads may share one.

    Parameters
    ----------
    device : device, optional
        Kept for :attr:`device` alone: the same generator can be used on every device.
    """

    __slots__ = ("__weakref__", "_device", "_lock", "_offset", "_seed")

    def __init__(self, device: Any = "cpu") -> None:
        # the host is looked up late: the default generator is made before any backend is found
        self._device = device if device == "cpu" else Device(device)
        self._lock = Lock()
        self._seed = 67280421310721  # PyTorch's
        self._offset = 0

    @property
    def device(self) -> Device:
        """The device that was named when it was made."""
        return Device(self._device)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`, which is taken modulo 2**64; returns the generator.

        Raises
        ------
        RuntimeError
            If `seed` is no integer.
        ValueError
            If it is below -2**63, or not below 2**64.
        """
        if isinstance(seed, (bool, Tensor)) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = index(seed)
        if not -SPAN // 2 <= seed < SPAN:
            raise ValueError(
                f"Overflow when unpacking long long: a seed lies between -2**63 and 2**64, "
                f"got {seed}"
            )
        self._set(seed % SPAN, 0)
        return self

    def seed(self) -> int:
        """Start anew from a seed of the operating system's making, and return it."""
        seed = int.from_bytes(os.urandom(8), "little")
        self._set(seed, 0)
        return seed

    def initial_seed(self) -> int:
        """The seed that it started from."""
        return self._seed

    def get_offset(self) -> int:
        """How many counters, of 128 bits each, have been used."""
        return self._offset

    def set_offset(self, offset: int) -> None:
        """Go on from the counter `offset`.

        Raises
        ------
        RuntimeError
            If it is negative, or not below 2**64.
        """
        if not 0 <= offset < SPAN:
            raise RuntimeError(f"offset must be between 0 and 2**64, got {offset}")
        self._set(self._seed, index(offset))

    def get_state(self) -> Tensor:
        """The state, which :meth:`set_state` takes: bytes of the seed, then of the offset."""
        seed, offset = self._both()
        state: Tensor = tensor_of([*(seed + offset * SPAN).to_bytes(STATE, "little")], "cpu", uint8)
        return state

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on as the generator did whose state this is; returns the generator.

        Raises
        ------
        TypeError
            If it is no uint8 tensor.
        RuntimeError
            If it has another size than states have.
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, got {new_state.dtype!r}")
        if tuple(new_state.shape) != (STATE,):
            raise RuntimeError(
                f"Expected a state of size {STATE} but found the input RNG state size to be "
                f"{' x '.join(map(str, new_state.shape))}"
            )
        state = int.from_bytes(bytes(new_state.tolist()), "little")
        self._set(state % SPAN, state // SPAN)
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        made = Generator(self._device)
        made._set(*self._both())
        return made

    def drawn(self, count: int, run: Callable[[int, int], Any]) -> Any:
        """What `run` makes of the seed and the first of the next `count` counters.

        Where it fails, they are given back.
        """
        with self._lock:
            seed, offset = self._seed, self._offset
            self._offset = (offset + count) % SPAN
        try:
            return run(seed, offset)
        except BaseException:
            self.release(seed, offset, count)
            raise

    def release(self, seed: int, offset: int, count: int) -> None:
        """Give counters back that were not used, unless others were taken since."""
        with self._lock:
            if self._seed == seed and self._offset == (offset + count) % SPAN:
                self._offset = offset

    def _both(self) -> tuple[int, int]:
        with self._lock:
            return self._seed, self._offset

    def _set(self, seed: int, offset: int) -> None:
        with self._lock:
            self._seed, self._offset = seed, offset

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self._device), *self._both())


def _restored(device: str, seed: int, offset: int) -> Generator:
    generator = Generator(device)
    generator._set(seed, offset)
    return generator


default_generator = Generator()
"""The generator of all draws that name no other, on every device."""
default_generator.seed()


def manual_seed(seed: Any) -> Generator:
    """Start the default generator anew from `seed`, for all devices; returns the generator.

    Parameters
    ----------
    seed : int
        Between -2**63 and 2**64; negative ones are taken modulo 2**64.
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Start the default generator anew from a seed of the operating system's making."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the default generator to one that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "fork_rng",
    _devices_kw: str = "devices", device_type: str | None = None,
) -> Iterator[None]:  # fmt: skip
    """In a `with` block, draw without consequence: the default generator is put back at its end.

    Parameters
    ----------
    devices, device_type
        Accepted, without effect: all devices share the generator.
    enabled : bool, optional
        False makes the block do nothing.
    """
    if not enabled:
        yield
        return
    state = default_generator.clone_state()
    try:
        yield
    finally:
        default_generator._set(*state._both())
