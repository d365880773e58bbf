"""A parametrization whose weights are orthogonal matrices, or unitary ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn.module import Module
from devtensor.nn.utils.parametrize import register_parametrization
from devtensor.tensor import Tensor

__all__ = ["orthogonal"]


def skew(x: Tensor) -> Tensor:
    """A square matrix that is minus its own adjoint, with the lower triangle of a tall one."""
    tall = x.shape[-2] - x.shape[-1]
    lower = F.pad(x.tril(), (0, tall)) if tall else x.tril()
    return lower - lower.mH


def exponential(x: Tensor) -> Tensor:
    """The first columns of the exponential of a skew matrix."""
    whole: Tensor = dt.matrix_exp(skew(x))
    return whole[..., : x.shape[-1]]


def cayley(x: Tensor) -> Tensor:
    """The first columns of `(1 - A/2)^-1 (1 + A/2)` of a skew matrix."""
    half = skew(x) / 2
    one = dt.eye(half.shape[-1], dtype=x.dtype, device=x.device)
    whole: Tensor = dt.linalg.solve(one - half, one + half)
    return whole[..., : x.shape[-1]]


def householder(x: Tensor) -> Tensor:
    """The reflections along the columns of the lower triangle, with the diagonal's signs."""
    along = x.tril(-1)
    product: Tensor = dt.linalg.householder_product(along, 2 / (1 + along.square().sum(-2)))
    signs = x.diagonal(dim1=-2, dim2=-1).int()  # which are no weights: nothing flows to them
    return product * signs.unsqueeze(-2)


MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "matrix_exp": exponential,
    "cayley": cayley,
    "householder": householder,
}


def orthonormal(x: Tensor) -> Tensor:
    """The factor Q of the decomposition QR for which the diagonal of R is positive."""
    q, r = dt.linalg.qr(x)
    made: Tensor = q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    return made


def is_orthonormal(x: Tensor) -> bool:
    """Whether the columns of a matrix are orthonormal but for rounding."""
    n, k = x.shape[-2:]
    one = dt.eye(k, dtype=x.dtype, device=x.device)
    return bool(dt.allclose(x.mH @ x, one, atol=10 * n * dt.finfo(x.dtype).eps))


class _Orthogonal(Module):
    """Makes a matrix with orthonormal columns, or rows if it is wide, of any matrix."""

    base: Any

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError(
                "The householder parametrization does not support complex tensors. Choose "
                "'matrix_exp' or 'cayley'"
            )
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, weight: Tensor) -> Tensor:
        wide = weight.shape[-2] < weight.shape[-1]
        made = MAPS[self.orthogonal_map](weight.mT if wide else weight)
        if hasattr(self, "base"):
            made = self.base @ made
        return made.mT if wide else made

    def right_inverse(self, value: Tensor) -> Tensor:
        """Give what is made into a matrix, whose columns are made orthonormal if they are not."""
        if value.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {value.shape}."
            )
        with dt.no_grad():
            wide = value.shape[-2] < value.shape[-1]
            tall = value.mT if wide else value
            if hasattr(self, "base"):
                self.base = whole(tall)
                start = -dt.eye(*value.shape[-2:], dtype=value.dtype, device=value.device)
                return start.expand(value.shape).clone()
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            reflections, factors = dt.geqrf(tall)
            signs = reflections.diagonal(dim1=-2, dim2=-1).sign()
            # No reflection was needed where the factor is 0, and `householder` makes one.
            signs = dt.where(factors == 0, -signs, signs)
            made = reflections.diagonal_scatter(signs, dim1=-2, dim2=-1)
            return made.mT if wide else made


def whole(tall: Tensor) -> Tensor:
    """A square matrix with orthonormal columns that begins with those of a tall one."""
    n, k = tall.shape[-2:]
    if n == k and is_orthonormal(tall):
        return tall.clone()
    more = dt.randn(*tall.shape[:-1], n - k, dtype=tall.dtype, device=tall.device)
    return orthonormal(dt.cat([tall, more], -1))


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """Keep the columns of a weight orthonormal, or its rows if it is wide.

    Parameters
    ----------
    module : Module
        Whose parameter `name`, a matrix or a batch of them, is replaced.
    name : str
        Which one.
    orthogonal_map : {"matrix_exp", "cayley", "householder"}, optional
        How a matrix becomes an orthogonal one: by default the exponential if it is square or
        complex, reflections if not.
    use_trivialization : bool
        Multiply by a matrix of its own, `base`, so that one learns around the present value.

    Raises
    ------
    ValueError
        If there is no such parameter, it is no matrix, or the map is none of these.

    Examples
    --------
    >>> from devtensor import allclose, eye, nn
    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 5))
    >>> allclose(layer.weight.T @ layer.weight, eye(3), atol=1e-6)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
