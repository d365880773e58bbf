"""What einops must know to work on tensors: a backend of its kind."""

from __future__ import annotations

from typing import Any

import devtensor


def meet(backends: Any) -> None:
    """Give einops a backend; it finds them among the subclasses of its own class."""

    class Backend(backends.AbstractBackend):
        """Tensors, as einops sees them."""

        framework_name = "devtensor"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, devtensor.Tensor)

        def from_numpy(self, x: Any) -> Any:
            return devtensor.from_numpy(x)

        def to_numpy(self, x: Any) -> Any:
            return x.detach().cpu().numpy()

        def arange(self, start: int, stop: int) -> Any:
            return devtensor.arange(start, stop)

        def shape(self, x: Any) -> tuple[int, ...]:
            return tuple(x.shape)

        def transpose(self, x: Any, axes: Any) -> Any:
            return x.permute(axes)

        def reduce(self, x: Any, operation: str, axes: Any) -> Any:
            xp = x.__array_namespace__()
            return getattr(xp, operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
            return devtensor.stack(tensors)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return x.unsqueeze(new_position)

        def tile(self, x: Any, repeats: Any) -> Any:
            return x.repeat(repeats)

        def concat(self, tensors: Any, axis: int) -> Any:
            return devtensor.cat(list(tensors), axis)

        def is_float_type(self, x: Any) -> bool:
            return x.is_floating_point() or x.is_complex()

        def einsum(self, pattern: str, *x: Any) -> Any:
            return devtensor.einsum(pattern, *x)

    backends.devtensor_backend = Backend  # einops looks for subclasses, which are known weakly
