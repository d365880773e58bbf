"""Products of vectors, matrices and batches of them, and the decompositions of linear algebra.

What PyTorch calls ``torch.linalg.solve`` is named `linalg_solve` here, as in PyTorch's own operator
list; the module `devtensor.linalg` gives these their short names.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from devtensor.dtype import int64, of
from devtensor.example import fixed, ints, spd
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import anywhere, axes, axis, over
from devtensor.ops.elementwise import half, scaled
from devtensor.ops.results import placed, with_out
from devtensor.return_types import as_shown

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


class LinAlgError(RuntimeError):
    """A decomposition or solution does not exist, as for a singular matrix."""


# ---- what several operations share ----


def kind_of(x: Any) -> Any:
    """The `devtensor.dtype` of an array or tensor."""
    return of(x.dtype)


def shape_text(*parts: Sequence[int]) -> str:
    """The shapes as PyTorch writes them in messages: ``2x3 and 4x5``."""
    return " and ".join("x".join(map(str, part)) for part in parts)


def require_same_dtype(text: str, *arrays: Any) -> None:
    """Raise RuntimeError with `text` and both dtypes unless all arrays have the first one's dtype.

    Matrix products never promote, as in PyTorch.
    """
    for other in arrays[1:]:
        if other.dtype != arrays[0].dtype:
            raise RuntimeError(
                f"{text}, but got: {kind_of(arrays[0]).name} != {kind_of(other).name}; "
                "convert one of them with .to(dtype)"
            )


def require_matrices(name: str, input: Any, square: bool = True) -> None:
    """Raise RuntimeError unless `input` holds (square) matrices of single or double precision."""
    if input.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions. Got shape "
            f"{list(input.shape)}"
        )
    rows, columns = input.shape[-2:]
    if square and rows != columns:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {rows} by {columns} "
            "matrices"
        )
    require_float(name, input)


UNASKED = ("linalg.eigh", "linalg.eigvalsh", "linalg.solve_triangular", "cholesky_inverse")
"""Functions that leave it to their kernel to refuse integers."""
ASKING = (
    "linalg.inv",
    "linalg.slogdet",
    "linalg.pinv",
    "torch.linalg.lstsq",
    "torch.linalg.matrix_rank",
)
"""Functions that do not leave it to their kernel to refuse half precision."""


def require_float(name: str, input: Any) -> None:
    """Raise RuntimeError or NotImplementedError unless `input` has single or double precision."""
    dtype = kind_of(input)
    inexact = dtype.kind in ("float", "complex")
    if not inexact and name not in UNASKED:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {dtype.legacy}; "
            "convert it with .float()"
        )
    if inexact and dtype.itemsize > 2:
        return
    if name in ASKING:
        raise RuntimeError(
            f"{name}: Low precision dtypes not supported. Got {dtype.legacy}; convert it with "
            ".float()"
        )
    raise NotImplementedError(
        f"\"{name.replace('.', '_')}_cpu\" not implemented for '{dtype.legacy}': convert with "
        ".float()"
    )


@contextmanager
def failing_with(message: str) -> Iterator[None]:
    """Turn the array library's own LinAlgError, whichever library it is, into ours."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "LinAlgError":
            raise
        raise LinAlgError(message) from error


def sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum the dimensions of `g` that broadcasting added to or stretched from `shape`."""
    if tuple(g.shape) == tuple(shape):
        return g
    extra = g.ndim - len(shape)
    stretched = tuple(
        i + extra for i, size in enumerate(shape) if size == 1 and g.shape[i + extra] != 1
    )
    g = xp.sum(g, axis=(*range(extra), *stretched), keepdims=True)
    return xp.reshape(g, tuple(shape))


def identity_like(xp: Any, values: Any) -> Any:
    """Identity matrices of the size of the last dimension of `values` (..., n), on their device."""
    return xp.diag_embed(xp.ones_like(values))


def rows_of(x: Any) -> int:
    """How many vectors along the last dimension `x` holds."""
    return math.prod(x.shape[:-1])


def swap(xp: Any, x: Any) -> Any:
    """Matrices of `x` transposed."""
    return xp.matrix_transpose(x)


def adjoint(xp: Any, x: Any) -> Any:
    """Matrices of `x` transposed and conjugated."""
    x = xp.matrix_transpose(x)
    return xp.conj(x) if kind_of(x).kind == "complex" else x


# ---- products ----


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "complex", "int"),
    numbers=(),
    operator="matmul",
    examples=[
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 4, 3), (3, 5)),
        ((4, 3), (2, 3, 5)),
        ((2, 1, 4, 3), (5, 3, 2)),
        ((2, 4, 3), (3,)),
        ((3,), (2, 3, 4)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ],
)
def matmul(xp, input, other, /):
    """Multiply matrices or vectors, batch by batch.

    Vectors (1-d) are taken as a row on the left and as a column on the right, and the added
    dimension is removed from the result. Dimensions before the last two are batches and broadcast.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., n, k)`` or ``(k,)``.
    other : Tensor
        Shape ``(..., k, m)`` or ``(k,)``, of the dtype of `input`: matrix products do not promote.

    Returns
    -------
    Tensor
        Shape ``(..., n, m)``.

    Raises
    ------
    RuntimeError
        If the shapes do not fit, either tensor is 0-d, or the dtypes differ.
    """
    require_product(input, other)
    return joint_product(xp, input, other)


def joint_product(xp: Any, input: Any, other: Any) -> Any:
    """Products that fit; one of all rows, which threads share, where `other` is a matrix."""
    if other.ndim == 2 and input.ndim > 2:
        flat = xp.reshape(input, (rows_of(input), input.shape[-1]))
        return xp.reshape(xp.matmul(flat, other), (*input.shape[:-1], other.shape[-1]))
    return xp.matmul(input, other)


def require_product(input: Any, other: Any) -> None:
    """Raise RuntimeError unless `matmul` is defined for the two arrays."""
    if input.ndim == 0 or other.ndim == 0:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, "
            f"but they are {input.ndim}D and {other.ndim}D"
        )
    if input.dtype != other.dtype:
        require_same_dtype(dtype_text(input.ndim, other.ndim), input, other)
    left, right = input.shape, other.shape
    if left[-1] != right[-2 if other.ndim > 1 else 0]:
        raise RuntimeError(product_text(tuple(left), tuple(right)))
    if input.ndim > 2 and other.ndim > 2:
        require_batches(left[:-2], right[:-2])


def dtype_text(left: int, right: int) -> str:
    """PyTorch's words for two dtypes that cannot be multiplied; they depend on the ranks."""
    if right == 1:
        return (
            "dot : expected both vectors to have same dtype"
            if left == 1
            else ("addmv input tensors must have the same dtype")
        )
    return "expected m1 and m2 to have the same dtype"


def product_text(left: tuple[int, ...], right: tuple[int, ...]) -> str:
    """PyTorch's words for two shapes that cannot be multiplied; they depend on the ranks."""
    if len(right) == 1:
        if len(left) == 1:
            return (
                f"inconsistent tensor size, expected tensor [{left[0]}] and src [{right[0]}] to "
                "have the same "
                f"number of elements, but got {left[0]} and {right[0]} elements respectively"
            )
        rows = math.prod(left[:-1])
        return f"size mismatch, got input ({rows}), mat ({rows}x{left[-1]}), vec ({right[0]})"
    if len(right) == 2:
        flat = (math.prod(left[:-1]), left[-1])
        return f"mat1 and mat2 shapes cannot be multiplied ({shape_text(flat, right)})"
    batch = math.prod(right[:-2])
    return (
        f"Expected size for first two dimensions of batch2 tensor to be: [{batch}, {left[-1]}] "
        f"but got: [{batch}, {right[-2]}]."
    )


def require_batches(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """The shape to which two shapes broadcast; RuntimeError if they do not."""
    rank = max(len(left), len(right))
    ours = (1,) * (rank - len(left)) + tuple(left)
    theirs = (1,) * (rank - len(right)) + tuple(right)
    for i in reversed(range(rank)):
        a, b = ours[i], theirs[i]
        if a != b and a != 1 and b != 1:
            raise RuntimeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) "
                f"at non-singleton dimension {i}"
            )
    return tuple([b if a == 1 else a for a, b in zip(ours, theirs, strict=True)])


def matmul_input(xp, g, other, input_shape):
    if other.ndim == 1:
        return g * other if len(input_shape) == 1 else xp.expand_dims(g, axis=-1) * other
    if len(input_shape) == 1:
        return sum_to(
            xp, xp.squeeze(xp.matmul(other, xp.expand_dims(g, axis=-1)), axis=-1), input_shape
        )
    return sum_to(xp, joint_product(xp, g, swap(xp, other)), input_shape)


def matmul_other(xp, g, input, other_shape):
    if len(other_shape) == 1:
        if input.ndim == 1:
            return g * input
        flat = xp.reshape(input, (rows_of(input), input.shape[-1]))
        return xp.matmul(flat.T, xp.reshape(g, (flat.shape[0],)))
    if len(other_shape) == 2:
        return xp.outer_sum(input, g)
    if input.ndim == 1:
        return sum_to(xp, xp.expand_dims(input, axis=-1) * xp.expand_dims(g, axis=-2), other_shape)
    return sum_to(xp, xp.matmul(swap(xp, input), g), other_shape)


derivative(matmul, input=matmul_input, other=matmul_other)


@op(public=False, promotes=None, examples=[((2, 3), (2, 4)), ((5, 2, 3), (5, 2, 4)), ((3,), (4,))])
def outer_sum(xp, left, right, /):
    """Sum of the outer products of all vectors along the last dimensions: a weight's gradient."""
    count = rows_of(left)
    left = left if left.ndim == 2 else xp.reshape(left, (count, left.shape[-1]))
    right = right if right.ndim == 2 else xp.reshape(right, (count, right.shape[-1]))
    return xp.matmul(left.T, right)


derivative(
    outer_sum,
    left=lambda xp, g, right: xp.matmul(right, swap(xp, g)),
    right=lambda xp, g, left: xp.matmul(left, g),
)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "complex", "int"),
    examples=[((2, 3), (3, 4)), ((0, 3), (3, 4))],
)
def mm(xp, input, mat2, /):
    """Multiply two matrices.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, k)``.
    mat2 : Tensor
        Shape ``(k, m)``, of the same dtype.

    Raises
    ------
    RuntimeError
        If either is not a matrix, or shapes or dtypes do not fit.
    """
    if input.ndim != 2:
        raise RuntimeError(f"self must be a matrix, got a tensor of shape {list(input.shape)}")
    if mat2.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix, got a tensor of shape {list(mat2.shape)}")
    require_product(input, mat2)
    return xp.matmul(input, mat2)


derivative(
    mm,
    input=lambda xp, g, mat2: xp.matmul(g, mat2.T),
    mat2=lambda xp, g, input: xp.outer_sum(input, g),
)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "complex", "int"),
    examples=[((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5))],
)
def bmm(xp, input, mat2, /):
    """Multiply two batches of matrices, without broadcasting.

    Parameters
    ----------
    input : Tensor
        Shape ``(b, n, k)``.
    mat2 : Tensor
        Shape ``(b, k, m)``, of the same dtype.

    Raises
    ------
    RuntimeError
        If either is not 3-d, or shapes or dtypes do not fit.
    """
    require_batched(input, mat2)
    return xp.matmul(input, mat2)


def require_batched(input: Any, mat2: Any) -> None:
    """Raise RuntimeError unless `bmm` is defined for the two arrays."""
    for place, x in (("batch1", input), ("batch2", mat2)):
        if x.ndim != 3:
            raise RuntimeError(f"{place} must be a 3D tensor, got shape {list(x.shape)}")
    require_same_dtype("expected m1 and m2 to have the same dtype", input, mat2)
    expected, got = [input.shape[0], input.shape[2]], list(mat2.shape[:2])
    if expected != got:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {expected} but got: "
            f"{got}."
        )


derivative(
    bmm,
    input=lambda xp, g, mat2: xp.matmul(g, swap(xp, mat2)),
    mat2=lambda xp, g, input: xp.matmul(swap(xp, input), g),
)


@op(exact_out=True, promotes=None, accepts=("float", "complex", "int"), examples=[((2, 3), (3,))])
def mv(xp, input, vec, /):
    """Multiply a matrix by a vector.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, k)``.
    vec : Tensor
        Shape ``(k,)``, of the same dtype.

    Raises
    ------
    RuntimeError
        If the ranks, shapes or dtypes do not fit.
    """
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim} dimensions"
        )
    require_product(input, vec)
    return xp.matmul(input, vec)


derivative(
    mv,
    input=lambda xp, g, vec: xp.expand_dims(g, axis=-1) * vec,
    vec=lambda xp, g, input: xp.matmul(input.T, g),
)


@op(
    exact_out=True,
    promotes=None,
    accepts=("float", "complex", "int"),
    examples=[((3,), (3,)), ((0,), (0,))],
)
def dot(xp, input, tensor, /):
    """Sum of the products of two vectors' elements.

    Parameters
    ----------
    input, tensor : Tensor
        Shape ``(n,)`` and the same dtype.

    Raises
    ------
    RuntimeError
        If they are not vectors of one length and dtype.
    """
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    require_product(input, tensor)
    return xp.matmul(input, tensor)


derivative(dot, input=lambda g, tensor: g * tensor, tensor=lambda g, input: g * input)


@composite(method=True, examples=[((3,), (3,))])
@with_out()
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Sum of the products of two vectors' elements, the first conjugated.

    See Also
    --------
    dot : The same without conjugation.
    """
    return dot(input.conj() if input.is_complex() else input, other)


@composite(method=True, aliases=("ger",), examples=[((3,), (4,)), ((0,), (2,))])
@with_out(casts=True, apart=True)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of an element of `input` with an element of `vec2`.

    Parameters
    ----------
    input : Tensor
        Shape ``(n,)``.
    vec2 : Tensor
        Shape ``(m,)``.

    Returns
    -------
    Tensor
        Shape ``(n, m)``.

    Raises
    ------
    RuntimeError
        If either is not a vector.
    """
    for name, x in (("self", input), ("vec2", vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.ndim}-D")
    return input.unsqueeze(-1) * vec2


@composite(method=True, examples=[((2, 3), (4, 3)), ((3,), (3,)), ((2, 3), ())])
@with_out(casts=lambda input, other: not (input.ndim and other.ndim))
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sum products over the last dimension of both.

    Returns
    -------
    Tensor
        Shape ``input.shape[:-1] + other.shape[:-1]``; the plain product if either is 0-d.

    Raises
    ------
    RuntimeError
        If the last dimensions differ.
    """
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


# ---- a product added to something ----


def require_addend(input: Any, shape: tuple[int, ...]) -> None:
    """Raise RuntimeError unless `input` broadcasts to `shape` without changing it."""
    if input.ndim > len(shape):
        raise RuntimeError(
            f"The expanded size of the tensor must have as many dimensions as the existing size: "
            f"Target sizes: {list(shape)}.  Tensor sizes: {list(input.shape)}"
        )
    for i in range(1, input.ndim + 1):
        if input.shape[-i] not in (1, shape[-i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[-i]}) must match the existing size "
                f"({input.shape[-i]}) at "
                f"non-singleton dimension {len(shape) - i}.  Target sizes: {list(shape)}.  "
                f"Tensor sizes: {list(input.shape)}"
            )


def combine(xp, input, product, beta, alpha):
    """``beta * input + alpha * product``; where `beta` is 0, NaNs in `input` do not matter."""
    require_addend(input, product.shape)
    if kind_of(product).kind == "int":
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (input if beta == 1 else input * beta)


@op(
    rounds="product",
    exact_out=True,
    promotes=None,
    inplace=True,
    accepts=("float", "complex", "int"),
    examples=[
        ((2, 4), (2, 3), (3, 4)),
        ((4,), (2, 3), (3, 4), {"beta": 0.5, "alpha": 2.0}),
        ((2, 1), (2, 3), (3, 4), {"beta": 0}),
    ],
)
def addmm(xp, input, mat1, mat2, /, *, beta=1, alpha=1):
    """``beta * input + alpha * (mat1 @ mat2)``.

    Parameters
    ----------
    input : Tensor
        Broadcasts to ``(n, m)``.
    mat1 : Tensor
        Shape ``(n, k)``.
    mat2 : Tensor
        Shape ``(k, m)``.
    beta, alpha : Number, optional
        Factors of `input` and of the product; with ``beta=0`` the values of `input` are not used.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    for name, x in (("mat1", mat1), ("mat2", mat2)):
        if x.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {x.ndim}-D tensor")
    require_same_dtype("self and mat2 must have the same dtype", mat2, input, mat1)
    require_product(mat1, mat2)
    require_addend(input, (mat1.shape[0], mat2.shape[1]))
    return combine(xp, input, xp.matmul(mat1, mat2), beta, alpha)


derivative(
    addmm,
    input=lambda xp, g, input_shape, beta: sum_to(xp, scaled(xp, g, beta), input_shape),
    mat1=lambda xp, g, mat2, alpha: scaled(xp, xp.matmul(g, mat2.T), alpha),
    mat2=lambda xp, g, mat1, alpha: scaled(xp, xp.outer_sum(mat1, g), alpha),
)


@op(
    rounds="product",
    exact_out=True,
    promotes=None,
    inplace=True,
    accepts=("float", "complex", "int"),
    examples=[((2,), (2, 3), (3,)), ((), (2, 3), (3,), {"beta": 0.5, "alpha": 2.0})],
)
def addmv(xp, input, mat, vec, /, *, beta=1, alpha=1):
    """``beta * input + alpha * (mat @ vec)``.

    Parameters
    ----------
    input : Tensor
        Broadcasts to ``(n,)``.
    mat : Tensor
        Shape ``(n, k)``.
    vec : Tensor
        Shape ``(k,)``.
    beta, alpha : Number, optional
        Factors of `input` and of the product.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    if mat.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim} "
            "dimensions"
        )
    require_same_dtype("addmv input tensors must have the same dtype", mat, vec, input)
    if (
        mat.shape[1] != vec.shape[0]
        or (input.ndim and input.shape[-1] not in (1, mat.shape[0]))
        or input.ndim > 1
    ):
        raise RuntimeError(
            f"size mismatch, got input ({shape_text(input.shape) or 1}), "
            f"mat ({shape_text(mat.shape)}), vec ({vec.shape[0]})"
        )
    return combine(xp, input, xp.matmul(mat, vec), beta, alpha)


derivative(
    addmv,
    input=lambda xp, g, input_shape, beta: sum_to(xp, scaled(xp, g, beta), input_shape),
    mat=lambda xp, g, vec, alpha: scaled(xp, xp.expand_dims(g, axis=-1) * vec, alpha),
    vec=lambda xp, g, mat, alpha: scaled(xp, xp.matmul(mat.T, g), alpha),
)


@op(
    rounds="product",
    exact_out=True,
    promotes=None,
    inplace=True,
    accepts=("float", "complex", "int"),
    examples=[
        ((2, 4), (5, 2, 3), (5, 3, 4)),
        ((5, 1, 4), (5, 2, 3), (5, 3, 4), {"beta": 0.5, "alpha": 2.0}),
    ],
)
def baddbmm(xp, input, batch1, batch2, /, *, beta=1, alpha=1):
    """``beta * input + alpha * bmm(batch1, batch2)``.

    Parameters
    ----------
    input : Tensor
        Broadcasts to ``(b, n, m)``.
    batch1 : Tensor
        Shape ``(b, n, k)``.
    batch2 : Tensor
        Shape ``(b, k, m)``.
    beta, alpha : Number, optional
        Factors of `input` and of the product; with ``beta=0`` the values of `input` are not used.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    require_batched(batch1, batch2)
    require_same_dtype("Input dtypes must be the same", batch1, input)
    require_addend(input, (batch1.shape[0], batch1.shape[1], batch2.shape[2]))
    return combine(xp, input, xp.matmul(batch1, batch2), beta, alpha)


derivative(
    baddbmm,
    input=lambda xp, g, input_shape, beta: sum_to(xp, scaled(xp, g, beta), input_shape),
    batch1=lambda xp, g, batch2, alpha: scaled(xp, xp.matmul(g, swap(xp, batch2)), alpha),
    batch2=lambda xp, g, batch1, alpha: scaled(xp, xp.matmul(swap(xp, batch1), g), alpha),
)


@op(
    rounds="product",
    exact_out=True,
    promotes=None,
    inplace=True,
    accepts=("float", "complex", "int"),
    examples=[
        ((2, 4), (5, 2, 3), (5, 3, 4)),
        ((4,), (5, 2, 3), (5, 3, 4), {"beta": 0.5, "alpha": 2.0}),
    ],
)
def addbmm(xp, input, batch1, batch2, /, *, beta=1, alpha=1):
    """``beta * input`` plus `alpha` times the sum of the batch's matrix products.

    Parameters
    ----------
    input : Tensor
        Broadcasts to ``(n, m)``.
    batch1 : Tensor
        Shape ``(b, n, k)``.
    batch2 : Tensor
        Shape ``(b, k, m)``.
    beta, alpha : Number, optional
        Factors of `input` and of the sum.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    if batch1.ndim == batch2.ndim == 3 and batch1.shape[0] != batch2.shape[0]:
        raise RuntimeError(
            "batch1 and batch2 must have same number of batches, "
            f"got {batch1.shape[0]} and {batch2.shape[0]}"
        )
    require_batched(batch1, batch2)
    require_same_dtype("Input dtypes must be the same", batch1, input)
    batch, n, k = batch1.shape
    m = batch2.shape[2]
    require_addend(input, (n, m))
    wide = xp.reshape(xp.permute_dims(batch1, (1, 0, 2)), (n, batch * k))
    return combine(xp, input, xp.matmul(wide, xp.reshape(batch2, (batch * k, m))), beta, alpha)


derivative(
    addbmm,
    input=lambda xp, g, input_shape, beta: sum_to(xp, scaled(xp, g, beta), input_shape),
    batch1=lambda xp, g, batch2, alpha: scaled(xp, xp.matmul(g, swap(xp, batch2)), alpha),
    batch2=lambda xp, g, batch1, alpha: scaled(xp, xp.matmul(swap(xp, batch1), g), alpha),
)


@op(inplace=True, examples=[((2, 3), (2,), (3,)), ((3,), (2,), (3,), {"beta": 0.5, "alpha": 2.0})])
def addr(xp, input, vec1, vec2, /, *, beta=1, alpha=1):
    """``beta * input + alpha * outer(vec1, vec2)``.

    Parameters
    ----------
    input : Tensor
        Broadcasts to ``(n, m)``.
    vec1 : Tensor
        Shape ``(n,)``.
    vec2 : Tensor
        Shape ``(m,)``.
    beta, alpha : Number, optional
        Factors of `input` and of the product.

    Raises
    ------
    RuntimeError
        If shapes do not fit, or `beta` or `alpha` is of a larger kind than the tensors.
    """
    for name, x in (("vec1", vec1), ("vec2", vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {x.ndim}-D")
    kind = kind_of(vec1).kind
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if isinstance(factor, float) and kind in ("int", "bool"):
            raise RuntimeError(
                f"For integral input tensors, argument {name} must not be a floating point number: "
                f"addr() got {factor}"
            )
        if isinstance(factor, bool) and kind != "bool":
            raise RuntimeError(f"Boolean {name} only supported for Boolean results: addr()")
    if kind == "bool":
        beta, alpha = bool(beta), bool(alpha)
    return combine(xp, input, xp.expand_dims(vec1, axis=-1) * vec2, beta, alpha)


derivative(
    addr,
    input=lambda xp, g, input_shape, beta: sum_to(xp, scaled(xp, g, beta), input_shape),
    vec1=lambda xp, g, vec2, alpha: scaled(xp, xp.matmul(g, vec2), alpha),
    vec2=lambda xp, g, vec1, alpha: scaled(xp, xp.matmul(g.T, vec1), alpha),
)


# ---- chains and Einstein's sums ----


@composite(
    method=False, home="linalg", examples=[([(2, 3), (3, 4), (4, 2)],), ([(3,), (3, 4), (4,)],)]
)
@with_out()
def linalg_multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """Multiply a chain of matrices in the order that needs the fewest multiplications.

    Parameters
    ----------
    tensors : sequence of Tensor
        Two or more matrices; the first and the last may be vectors (a row, a column).

    Raises
    ------
    RuntimeError
        If there are fewer than two, one in the middle is not a matrix, or neighbours do not fit.
    """
    chain = list(tensors)
    last = len(chain) - 1
    if last < 1:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    for i, x in enumerate(chain):
        if x.ndim != 2 and (x.ndim != 1 or 0 < i < last):
            wanted = "2D" if 0 < i < last else "1D or 2D"
            raise RuntimeError(f"multi_dot(): tensor {i} must be {wanted} but got {x.ndim}D")
    row, column = chain[0].ndim == 1, chain[last].ndim == 1
    if row:
        chain[0] = chain[0].unsqueeze(0)
    if column:
        chain[last] = chain[last].unsqueeze(-1)
    for i in range(last):
        if chain[i].shape[1] != chain[i + 1].shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(tensors[i].shape)} and "
                f"{list(tensors[i + 1].shape)} cannot be multiplied"
            )
    result = cheapest_chain(chain)
    if row:
        result = result.squeeze(0)
    return result.squeeze(-1) if column else result


def cheapest_chain(chain: list[Tensor]) -> Tensor:
    """The product of a chain of fitting matrices, bracketed by dynamic programming."""
    sizes = [chain[0].shape[0], *(x.shape[1] for x in chain)]
    count = len(chain)
    cost = {(i, i): (0, i) for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j] = min(
                (cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        k = cost[i, j][1]
        return mm(product(i, k), product(k + 1, j))

    return product(0, count - 1)


@composite(method=False, examples=[((2, 3), (3, 4), (4, 2)), ((2, 3),)])
@with_out()
def chain_matmul(*matrices: Tensor) -> Tensor:
    """Multiply matrices in the cheapest order; `linalg.multi_dot` is the newer name.

    Raises
    ------
    RuntimeError
        If one is not a matrix, or neighbours do not fit.
    """
    warnings.warn(
        "chain_matmul is deprecated: use devtensor.linalg.multi_dot, which takes a list",
        stacklevel=2,
    )
    for x in matrices:
        if x.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.ndim}, expected 2 instead.")
    return matrices[0].clone() if len(matrices) == 1 else linalg_multi_dot(matrices)


@op(
    public=False,
    promotes=None,
    examples=[
        ((2, 3), (3, 4), {"labels": ((0, 1), (1, 2), (0, 2))}),
        ((5, 2, 3), (5, 4, 3), {"labels": ((0, 1, 2), (0, 3, 2), (3, 1, 0))}),
        ((2, 3), (4,), {"labels": ((0, 1), (2,), (2, 0, 1))}),
        ((2, 3), (2, 3), {"labels": ((0, 1), (0, 1), ())}),
        ((2, 3), (3,), {"labels": ((0, 1), (1,), (1, 0))}),
    ],
)
def contract(xp, left, right, /, *, labels):
    """Multiply two tensors and sum over the dimensions whose label is not in the result.

    Parameters
    ----------
    left, right : Tensor
        The factors.
    labels : tuple of three tuples of int
        A label for each dimension of `left`, of `right` and of the result. A label in only one of
        the factors must be in the result, so that each gradient is a `contract` again.
    """
    require_same_dtype("expected both operands to have the same scalar type", left, right)
    ours, theirs, wanted = labels
    size = dict(zip(ours, left.shape, strict=True)) | dict(zip(theirs, right.shape, strict=True))
    batch = [x for x in ours if x in theirs and x in wanted]
    summed = [x for x in ours if x in theirs and x not in wanted]
    rows = [x for x in ours if x not in theirs]
    columns = [x for x in theirs if x not in ours]

    def sizes(*groups):
        return tuple([size[x] for group in groups for x in group])

    left = xp.permute_dims(left, tuple([ours.index(x) for x in (*batch, *rows, *summed)]))
    right = xp.permute_dims(right, tuple([theirs.index(x) for x in (*batch, *summed, *columns)]))
    if summed:
        b, m, k, n = (math.prod(sizes(group)) for group in (batch, rows, summed, columns))
        stack = (b,) if batch else ()
        result = xp.matmul(xp.reshape(left, (*stack, m, k)), xp.reshape(right, (*stack, k, n)))
        result = xp.reshape(result, sizes(batch, rows, columns))
    else:
        left = xp.reshape(left, (*sizes(batch, rows), *[1] * len(columns)))
        result = left * xp.reshape(right, (*sizes(batch), *[1] * len(rows), *sizes(columns)))
    natural = (*batch, *rows, *columns)
    return xp.permute_dims(result, tuple([natural.index(x) for x in wanted]))


derivative(
    contract,
    left=lambda xp, g, right, labels: xp.contract(
        g, right, labels=(labels[2], labels[1], labels[0])
    ),
    right=lambda xp, g, left, labels: xp.contract(
        left, g, labels=(labels[0], labels[2], labels[1])
    ),
)


@composite(
    method=False,
    examples=[
        ((2, 3, 4), (3, 4, 5)),
        ((2, 3), (4, 2), {"dims": ([0], [1])}),
        ((2, 3), (4,), {"dims": 0}),
        ((2, 1), (3, 4), {"dims": 1}),
    ],
)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Multiply and sum over several dimensions at once.

    Parameters
    ----------
    a, b : Tensor
        Of one dtype.
    dims : int or pair of lists of int, optional
        Either how many of the last dimensions of `a` meet the first of `b`, or the dimensions of
        `a` and those of `b` that meet, in order.
    out : Tensor, optional
        Where to put the result.

    Returns
    -------
    Tensor
        The dimensions of `a` and then those of `b` that did not meet.

    Raises
    ------
    RuntimeError
        If the lists have different lengths, dimensions that meet differ in size, or the dtypes
        differ.
    """
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        ours, theirs = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        ours, theirs = ([d] if isinstance(d, int) else [int(i) for i in d] for d in dims)
        axes(ours, a.ndim), axes(theirs, b.ndim)  # refuse dimensions that are not there
    if len(ours) != len(theirs):
        raise RuntimeError(f"both dimension lists should have same length, got {ours} and {theirs}")
    if a.dtype != b.dtype:
        raise RuntimeError(f"both inputs should have same dtype, got {a.dtype} and {b.dtype}")
    for i, j in zip(ours, theirs, strict=True):
        if not a.ndim or not b.ndim:
            raise IndexError(
                f"Dimension specified as {i if not a.ndim else j} but tensor has no dimensions: "
                f"tensordot() got shapes {list(a.shape)} and {list(b.shape)}"
            )
        if a.shape[i] != b.shape[j]:
            if a.shape[i] == 1:
                b = b.sum(j, keepdim=True, dtype=b.dtype)
            elif b.shape[j] == 1:
                a = a.sum(i, keepdim=True, dtype=a.dtype)
            else:
                raise RuntimeError(
                    f"contracted dimensions need to match, but first has size {a.shape[i]} in dim "
                    f"{i} "
                    f"and second has size {b.shape[j]} in dim {j}"
                )
    left = tuple(range(a.ndim))
    right = list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(axes(ours, a.ndim), axes(theirs, b.ndim), strict=True):
        right[j] = i
    met = set(left) & set(right)
    result = tuple(x for x in (*left, *right) if x not in met)
    found = contract(a, b, labels=(left, tuple(right), result))
    return found if out is None else placed("tensordot", found, out, (a, b), casts=False)


@composite(
    method=False,
    examples=[
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("bij,bkj", (2, 3, 4), (2, 5, 4)),
        ("ii->i", (3, 3)),
        ("ij->", (2, 3)),
        ("...ij,jk->...ik", (5, 2, 3), (3, 4)),
        ("i,j->ji", (2,), (3,)),
        ("ab,bc,cd->da", (2, 3), (3, 4), (4, 2)),
        ("iij,j->i", (3, 3, 2), (2,)),
        ("ij,jk->i", (2, 1), (3, 4)),
        ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
    ],
)
def einsum(*args: Any) -> Tensor:
    """Sum products of elements, dimensions named by Einstein's convention.

    ``einsum("bij,bjk->bik", x, y)`` multiplies batches of matrices. A letter in several operands
    pairs their dimensions, a letter twice in one takes its diagonal, a letter missing from the
    right-hand side is summed; ``...`` stands for any dimensions before, and broadcasts. Without
    ``->`` the result has the letters that occur once, in alphabetical order. Operands are
    multiplied from left to right, two at a time.

    Parameters
    ----------
    equation : str
        The letters of each operand, and after ``->`` those of the result.
    *operands : Tensor
        The tensors, or one list of them. Instead of an equation, each operand may be followed by a
        list of numbers (and ``...``), with a last list for the result.

    Raises
    ------
    RuntimeError
        If the equation is malformed or does not fit the operands.
    ValueError
        If operands are missing or a number is not below 52.
    """
    operands, subscripts, result = parse_einsum(args)
    terms = [
        label(i, x, names) for i, (x, names) in enumerate(zip(operands, subscripts, strict=True))
    ]
    size: dict[int, int] = {}
    for i, (x, labels) in enumerate(terms):
        for name, n in zip(labels, x.shape, strict=True):
            seen = size.get(name, 1)
            if n != 1 and seen not in (1, n):
                raise RuntimeError(
                    f"einsum(): subscript {label_text(name)} has size {n} for operand {i} which "
                    "does "
                    f"not broadcast with previously seen size {seen}"
                )
            size[name] = n if seen == 1 else seen
    wanted = result_labels(result, subscripts, size)
    # A dimension of size 1 against a larger one only repeats: leave it out.
    terms = [
        drop(
            x,
            labels,
            [name for name, n in zip(labels, x.shape, strict=True) if n == 1 != size[name]],
        )
        for x, labels in terms
    ]
    alike = len({x.dtype for x in operands}) == 1
    x, labels = terms[0]
    for i in range(1, len(terms)):
        y, others = terms[i]
        kept = {*wanted, *(name for _, names in terms[i + 1 :] for name in names)}
        x, labels = total(x, labels, kept | set(others))
        y, others = total(y, others, kept | set(labels))
        if alike and x.dtype is not y.dtype:  # one is a sum of integers
            x, y = x.to(int64), y.to(int64)
        both = dict.fromkeys((*labels, *others))
        target = wanted if i == len(terms) - 1 else tuple(name for name in both if name in kept)
        x, labels = contract(x, y, labels=(labels, others, target)), target
    x, labels = total(x, labels, set(wanted))
    return x if labels == wanted else x.permute([labels.index(name) for name in wanted])


# Among subscripts, which are character codes. Its dimensions become the labels -1, -2, ... from the
# right.
ELLIPSIS = 0


def label_text(name: int) -> str:
    """A label as the user wrote it."""
    return chr(name) if name > 0 else "..."


def parse_einsum(args: tuple[Any, ...]) -> tuple[list[Tensor], list[list[int]], list[int] | None]:
    """The operands, each one's subscripts, and the result's subscripts (None where not given)."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, "
            "or at least one operand and its subscripts list"
        )
    if not isinstance(args[0], str):
        count = len(args) // 2
        operands, lists = (
            list(args[0 : 2 * count : 2]),
            [numbered(names) for names in args[1 : 2 * count : 2]],
        )
        return operands, lists, numbered(args[-1]) if len(args) % 2 else None
    equation, operands = args[0], list(args[1:])
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    left, arrow, right = equation.partition("->")
    places = left.split(",")
    start = 0
    subscripts = []
    for i, part in enumerate(places):
        subscripts.append(
            lettered(
                part,
                start,
                f"operand {i}",
                f"for operand {i} for which an ellipsis was already found",
            )
        )
        start += len(part) + 1
    if len(operands) < len(places):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(operands) > len(places):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    if not arrow:
        return operands, subscripts, None
    again = "for output but an ellipsis (...) was already found"
    return operands, subscripts, lettered(right, len(left) + 2, "output", again)


def lettered(text: str, start: int, place: str, again: str) -> list[int]:
    """The subscripts of one part of an equation that begins at index `start`."""
    found: list[int] = []
    i = 0
    while i < len(text):
        letter = text[i]
        if letter == ".":
            if ELLIPSIS in found:
                raise RuntimeError(f"einsum(): found '.' {again}")
            if text[i : i + 3] != "...":
                raise RuntimeError(
                    f"einsum(): found '.' for {place} that is not part of any ellipsis"
                )
            found.append(ELLIPSIS)
            i += 3
            continue
        if letter.isascii() and letter.isalpha():
            found.append(ord(letter))
        elif letter != " ":
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + i} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
        i += 1
    return found


def numbered(names: Sequence[Any]) -> list[int]:
    """A list of numbers as subscripts: 0 to 25 are A to Z, 26 to 51 are a to z."""
    found = []
    for name in names:
        if name is Ellipsis:
            found.append(ELLIPSIS)
        elif 0 <= name < 52:
            found.append(name + 65 if name < 26 else name + 71)
        else:
            raise ValueError(
                f"einsum(): subscript {name} in subscript list is not within the valid range [0, "
                "52)"
            )
    return found


def label(place: int, x: Tensor, subscripts: list[int]) -> tuple[Tensor, tuple[int, ...]]:
    """The operand, repeated subscripts replaced by a diagonal, and a label for each dimension."""
    named = len(subscripts) - (ELLIPSIS in subscripts)
    if named > x.ndim or (ELLIPSIS not in subscripts and named < x.ndim):
        tail = "" if ELLIPSIS in subscripts else " and no ellipsis was given"
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({named}) does not match the "
            "number of "
            f"dimensions ({x.ndim}) for operand {place}{tail}"
        )
    labels: list[int] = []
    for name in subscripts:
        labels += range(named - x.ndim, 0) if name == ELLIPSIS else [name]
    for name in dict.fromkeys(labels):
        while labels.count(name) > 1:
            first = labels.index(name)
            second = labels.index(name, first + 1)
            if x.shape[first] != x.shape[second]:
                raise RuntimeError(
                    f"einsum(): subscript {label_text(name)} is repeated for operand {place} but "
                    "the sizes don't "
                    f"match, {x.shape[second]} != {x.shape[first]}"
                )
            x = x.diagonal(0, first, second)
            del labels[second], labels[first]
            labels.append(name)
    return x, tuple(labels)


def result_labels(
    result: list[int] | None, subscripts: list[list[int]], size: dict[int, int]
) -> tuple[int, ...]:
    """A label for each dimension of the result."""
    dots = sorted(name for name in size if name < 0)
    if result is None:
        count = [name for names in subscripts for name in names]
        return (
            *dots,
            *sorted(name for name in set(count) if name != ELLIPSIS and count.count(name) == 1),
        )
    labels: list[int] = []
    for name in result:
        if name == ELLIPSIS:
            labels += dots
        elif name not in size:
            raise RuntimeError(
                f"einsum(): output subscript {label_text(name)} does not appear in the equation "
                "for "
                "any input operand"
            )
        elif name in labels:
            raise RuntimeError(
                f"einsum(): output subscript {label_text(name)} appears more than once in the "
                "output"
            )
        else:
            labels.append(name)
    return tuple(labels)


def drop(x: Tensor, labels: tuple[int, ...], names: list[int]) -> tuple[Tensor, tuple[int, ...]]:
    """`x` without the dimensions, all of size 1, that carry these labels."""
    if not names:
        return x, labels
    kept = tuple(name for name in labels if name not in names)
    return x.reshape([x.shape[labels.index(name)] for name in kept]), kept


def total(x: Tensor, labels: tuple[int, ...], kept: set[int]) -> tuple[Tensor, tuple[int, ...]]:
    """`x` summed over the labels that nothing else needs."""
    dims = tuple(i for i, name in enumerate(labels) if name not in kept)
    if not dims:
        return x, labels
    return x.sum(dims), tuple(name for name in labels if name in kept)


# ---- determinants, inverses, systems of equations ----


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    node="LinalgDetBackward0",
    examples=[((3, 3),), ((2, 3, 3),), ((0, 0),)],
)
def linalg_det(xp, A, /):
    """Determinants of square matrices.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Returns
    -------
    Tensor
        Shape ``(...)``. The determinant of an empty matrix is 1.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.det", A)
    return xp.linalg.det(A)


derivative(linalg_det, A=lambda xp, g, A: matrices(xp, g) * xp.cofactors(A))


def matrices(xp, x):
    """One number to each matrix of a batch, with two more dimensions so that they multiply."""
    return xp.expand_dims(xp.expand_dims(x, axis=-1), axis=-1)


@op(public=False, promotes=None, examples=[((3, 3),), ((2, 3, 3),)])
def cofactors(xp, A, /):
    """The determinant's slope in each element; it exists for singular matrices too."""
    size = A.shape[-1]
    determinant = xp.linalg.det(A)
    if size == 0 or bool(xp.all(determinant != 0)):
        return xp.linalg.inv(swap(xp, A)) * matrices(xp, determinant)
    U, S, Vh = xp.linalg.svd(A, full_matrices=False)
    others = [
        xp.prod(xp.concat((S[..., :i], S[..., i + 1 :]), axis=-1), axis=-1) for i in range(size)
    ]
    signs = xp.linalg.det(U) * xp.linalg.det(Vh)
    return xp.matmul(U * xp.expand_dims(xp.stack(others, axis=-1), axis=-2), Vh) * matrices(
        xp, signs
    )


def cofactors_rule(xp, g, A, out):
    inverse = swap(xp, xp.linalg_inv(A))
    along = xp.sum(g * inverse, axis=(-2, -1), keepdims=True)
    return out * along - xp.matmul(xp.matmul(out, swap(xp, g)), inverse)


derivative(cofactors, A=cofactors_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    outputs=("sign", "logabsdet"),
    node="LinalgSlogdetBackward0",
    examples=[((3, 3),), ((2, 3, 3),), ((0, 0),)],
    complex_rules=True,
)
def linalg_slogdet(xp, A, /):
    """Sign and logarithm of the absolute value of determinants.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Returns
    -------
    (sign, logabsdet)
        Shape ``(...)`` each; 0 and -inf for a singular matrix.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.slogdet", A)
    return tuple(xp.linalg.slogdet(A))


def slogdet_rule(xp, gs, A, sign):
    g_sign, g = gs
    if kind_of(A).kind == "complex" and g_sign is not None:
        turn = xp.astype(-xp.imag(xp.conj(g_sign) * sign), A.dtype) * 1j
        g = turn if g is None else g + turn
    return None if g is None else matrices(xp, g) * xp.linalg_inv(adjoint(xp, A))


derivative(linalg_slogdet, A=slogdet_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    node="LinalgInvExBackward0",
    examples=[(spd(3),), (spd(2, 3),)],
)
def linalg_inv(xp, A, /):
    """Inverses of square matrices.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Raises
    ------
    LinAlgError
        If a matrix is singular.
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.inv", A)
    with failing_with(
        "linalg.inv: The inversion could not be completed because the input matrix is singular."
    ):
        return xp.linalg.inv(A)


def inv_rule(xp, g, out):
    across = swap(xp, out)
    return -xp.matmul(across, xp.matmul(g, across))


derivative(linalg_inv, A=inv_rule)


@composite(
    home="linalg", method=False, examples=[(spd(3), (3, 2)), (spd(3), (3,)), (spd(3, 2), (2, 3, 2))]
)
@with_out()
def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """Solve ``A @ X = B`` for `X`.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.
    B : Tensor
        Shape ``(..., n, k)``, or ``(n,)`` or ``(..., n)`` for vectors.
    left : bool, optional
        Set to False to solve ``X @ A = B``.

    Raises
    ------
    LinAlgError
        If a matrix is singular.
    RuntimeError
        If shapes or dtypes do not fit.
    """
    require_matrices("linalg.solve", A)
    vectors = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    if vectors:
        B = B.unsqueeze(-1)
    require_equation("linalg.solve", A, B, left)
    X = solve_matrices(A, B) if left else solve_matrices(A.mT, B.mT).mT
    return X.squeeze(-1) if vectors else X


def require_equation(name: str, A: Any, B: Any, left: bool) -> None:
    """Raise RuntimeError unless shapes and dtypes fit an equation of `A`, `B` and an unknown."""
    if B.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{kind_of(A).legacy} "
            f"and B of type {kind_of(B).legacy} instead"
        )
    if A.shape[-1] != B.shape[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} "
            f"({shape_text(A.shape[-2:], B.shape[-2:])})"
        )
    require_batches(A.shape[:-2], B.shape[:-2])


@op(
    public=False,
    promotes=None,
    node="LinalgSolveExBackward0",
    examples=[(spd(3), (3, 2)), (spd(3), (2, 3, 2))],
)
def solve_matrices(xp, A, B, /):
    """Solve ``A @ X = B`` where both are matrices, batches broadcasting."""
    A, B = with_one_batch(xp, A, B)
    with failing_with("linalg.solve: The solver failed because the input matrix is singular."):
        return xp.linalg.solve(A, B)


def with_one_batch(xp: Any, A: Any, B: Any) -> tuple[Any, Any]:
    """The matrices with their batches broadcast, which not every library does itself."""
    ours, theirs = tuple(A.shape[:-2]), tuple(B.shape[:-2])
    if ours == theirs:
        return A, B
    batch = require_batches(ours, theirs)
    return xp.broadcast_to(A, (*batch, *A.shape[-2:])), xp.broadcast_to(B, (*batch, *B.shape[-2:]))


def solve_rule(xp, g, A, out, A_shape, B_shape, needs):
    g = xp.solve_matrices(swap(xp, A), g)
    left = -sum_to(xp, xp.matmul(g, swap(xp, out)), A_shape) if needs[0] else None
    return left, sum_to(xp, g, B_shape) if needs[1] else None


derivative(solve_matrices, together=solve_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    examples=[
        (fixed([[2.0, 0.5, -1.0], [0.3, 1.5, 0.7], [0.1, -0.4, 1.2]]), (3, 2), {"upper": True}),
        (fixed([[2.0, 0.5, -1.0], [0.3, 1.5, 0.7], [0.1, -0.4, 1.2]]), (2, 3, 2), {"upper": False}),
        (fixed([[2.0, 0.5], [0.3, 1.5]]), (3, 2), {"upper": True, "left": False}),
        (fixed([[2.0, 0.5], [0.3, 1.5]]), (2, 3), {"upper": False, "unitriangular": True}),
    ],
)
def linalg_solve_triangular(xp, A, B, /, *, upper, left=True, unitriangular=False):
    """Solve ``A @ X = B`` for `X` where `A` is triangular.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``; elements beyond the triangle are not looked at.
    B : Tensor
        Shape ``(..., n, k)``.
    upper : bool
        Which triangle of `A` counts.
    left : bool, optional
        Set to False to solve ``X @ A = B``.
    unitriangular : bool, optional
        Take the diagonal of `A` as 1 whatever is there.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit.
    """
    require_matrices("linalg.solve_triangular", A)
    require_equation("linalg.solve_triangular", A, B, left)
    A = triangle(xp, A, upper, unitriangular)
    if unitriangular:
        A = A + xp.eye(A.shape[-1], dtype=A.dtype)
    A, B = with_one_batch(xp, A, B)
    with failing_with(
        "linalg.solve_triangular: The solver failed because the input matrix is singular."
    ):
        if left:
            return xp.linalg.solve(A, B)
        return swap(xp, xp.linalg.solve(swap(xp, A), swap(xp, B)))


def triangle(xp, x, upper, strict):
    """The triangle of `x`, without its diagonal if `strict`."""
    return xp.triu(x, k=int(strict)) if upper else xp.tril(x, k=-int(strict))


def solve_triangular_rule(xp, g, A, out, A_shape, B_shape, upper, left, unitriangular, needs):
    g = xp.linalg_solve_triangular(
        swap(xp, A), g, upper=not upper, left=left, unitriangular=unitriangular
    )
    slope = None
    if needs[0]:
        product = xp.matmul(g, swap(xp, out)) if left else xp.matmul(swap(xp, out), g)
        slope = -sum_to(xp, triangle(xp, product, upper, unitriangular), A_shape)
    return slope, sum_to(xp, g, B_shape) if needs[1] else None


derivative(linalg_solve_triangular, together=solve_triangular_rule)


# ---- decompositions ----


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    node="LinalgCholeskyExBackward0",
    examples=[(spd(3),), (spd(3, 2),), (spd(3), {"upper": True})],
    complex_rules=True,
)
def linalg_cholesky(xp, A, /, *, upper=False):
    """Cholesky's factor of symmetric positive definite matrices.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``, symmetric; only the lower triangle is read.
    upper : bool, optional
        Give the transposed, upper factor.

    Returns
    -------
    Tensor
        Lower triangular `L` with ``A = L @ L.mH``.

    Raises
    ------
    LinAlgError
        If a matrix is not positive definite.
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.cholesky", A)
    with failing_with(
        "linalg.cholesky: The factorization could not be completed because the input is not "
        "positive-definite"
    ):
        L = xp.linalg.cholesky(A)
    return adjoint(xp, L) if upper else L


def cholesky_rule(xp, g, out, upper):
    L = adjoint(xp, out) if upper else out
    if upper:
        g = adjoint(xp, g)
    inner = xp.matmul(adjoint(xp, L), g)
    inner = xp.tril(inner) + adjoint(xp, xp.tril(inner, k=-1))
    half = xp.linalg_solve_triangular(adjoint(xp, L), inner, upper=True)
    return 0.5 * xp.linalg_solve_triangular(L, half, upper=False, left=False)


derivative(linalg_cholesky, A=cholesky_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    outputs=("Q", "R"),
    node="LinalgQrBackward0",
    examples=[((4, 3),), ((2, 3, 3),), ((3, 5),), ((3, 5), {"mode": "complete"})],
    complex_rules=True,
)
def linalg_qr(xp, A, /, mode="reduced"):
    """Orthogonal times triangular: ``A = Q @ R``.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    mode : {"reduced", "complete", "r"}, optional
        ``"reduced"``: `Q` has ``min(m, n)`` columns. ``"complete"``: `Q` is square. ``"r"``: `R` of
        the reduced form alone, and an empty `Q`.

    Returns
    -------
    (Q, R)

    Raises
    ------
    RuntimeError
        If `mode` is another word, or the matrices are not of single or double precision; on the way
        back, if the gradient does not exist (``"r"``, and ``"complete"`` with more rows than
        columns).
    """
    require_matrices("linalg.qr", A, square=False)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of "
            "'reduced' (default), 'r', or 'complete'"
        )
    Q, R = xp.linalg.qr(A, mode="complete" if mode == "complete" else "reduced")
    return xp.empty((0,), dtype=A.dtype) if mode == "r" else Q, R


def qr_rule(xp, gs, Q, R, mode):
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'; "
            "use mode='reduced'"
        )
    gQ, gR = gs
    rows, columns = Q.shape[-2], R.shape[-1]
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols; "
            "use mode='reduced'"
        )
    if rows >= columns:
        return qr_tall(xp, gQ, gR, Q, R)
    square, rest = R[..., :rows], R[..., rows:]
    if gR is None:
        return xp.concat((qr_tall(xp, gQ, None, Q, square), xp.zeros_like(rest)), axis=-1)
    # The columns beyond the square part are Q's business: rest = Q.mT @ A[..., rows:].
    g_rest = gR[..., rows:]
    through = xp.matmul(xp.matmul(Q, rest), adjoint(xp, g_rest))
    left = qr_tall(xp, through if gQ is None else gQ + through, gR[..., :rows], Q, square)
    return xp.concat((left, xp.matmul(Q, g_rest)), axis=-1)


def qr_tall(xp, gQ, gR, Q, R):
    """The gradient through ``A = Q @ R`` where `A` has at least as many rows as columns."""
    inner = 0 if gR is None else xp.matmul(gR, adjoint(xp, R))
    if gQ is not None:
        inner = inner - xp.matmul(adjoint(xp, Q), gQ)
    inner = 0.5 * (xp.triu(inner) + xp.triu(inner, k=1))
    slope = xp.matmul(Q, inner + adjoint(xp, inner))
    if gQ is not None:
        slope = slope + gQ
    return xp.linalg_solve_triangular(adjoint(xp, R), slope, upper=False, left=False)


derivative(linalg_qr, A=qr_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    outputs=("U", "S", "Vh"),
    node="LinalgSvdBackward0",
    examples=[((4, 3), {"full_matrices": False}), ((3, 4), {"full_matrices": False}), ((2, 3, 3),)],
    oracle=lambda torch, A, **options: torch.linalg.svd(A, **options),
    complex_rules=True,
)
def linalg_svd(xp, A, /, full_matrices=True, *, driver=None):
    """Singular values: ``A = U @ diag(S) @ Vh``.

    The signs of the columns of `U` are arbitrary, and with them those of the rows of `Vh`.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    full_matrices : bool, optional
        Whether `U` and `Vh` are square, or have ``min(m, n)`` columns and rows.
    driver : None
        Accepted for PyTorch's sake and not used.

    Returns
    -------
    (U, S, Vh)
        `S` descends.

    Raises
    ------
    RuntimeError
        If the matrices are not of single or double precision.
    """
    require_matrices("linalg.svd", A, square=False)
    with failing_with("linalg.svd: The algorithm failed to converge"):
        return tuple(xp.linalg.svd(A, full_matrices=full_matrices))


def svd_rule(xp, gs, U, S, Vh):
    gU, gS, gVh = gs
    k = S.shape[-1]
    U, Vh = U[..., :k], Vh[..., :k, :]
    V = adjoint(xp, Vh)
    row, column = xp.expand_dims(S, axis=-2), xp.expand_dims(S, axis=-1)
    if gU is None and gVh is None:
        return xp.matmul(U * xp.expand_dims(gS, axis=-2), Vh)
    inner = 0 if gS is None else xp.diag_embed(gS)
    gaps = (row - column) * (row + column) + identity_like(xp, S)
    outside = 0
    if gU is not None:
        gU = gU[..., :k]
        along = xp.matmul(adjoint(xp, U), gU)
        turning = along - adjoint(xp, along)
        inner = inner + turning / gaps * row
        if kind_of(U).kind == "complex":  # the phases of the vectors
            inner = inner + xp.diag_embed(xp.diagonal(turning, 0, -2, -1) / (S + S))
        if U.shape[-2] > k:
            outside = xp.matmul((gU - xp.matmul(U, along)) / row, Vh)
    if gVh is not None:
        gVh = gVh[..., :k, :]
        along = xp.matmul(gVh, V)
        inner = inner + column * ((adjoint(xp, along) - along) / gaps)
        if V.shape[-2] > k:
            outside = outside + xp.matmul(U, (gVh - xp.matmul(along, Vh)) / column)
    return xp.matmul(U, xp.matmul(inner, Vh)) + outside


derivative(linalg_svd, A=svd_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    examples=[((4, 3),), ((2, 3, 4),)],
    complex_rules=True,
)
def linalg_svdvals(xp, A, /, *, driver=None):
    """Singular values of matrices, in descending order.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    driver : None
        Accepted for PyTorch's sake and not used.

    Returns
    -------
    Tensor
        Shape ``(..., min(m, n))``.

    Raises
    ------
    RuntimeError
        If the matrices are not of single or double precision.
    """
    require_matrices("linalg.svdvals", A, square=False)
    with failing_with("linalg.svdvals: The algorithm failed to converge"):
        return xp.linalg.svdvals(A)


def svdvals_rule(xp, g, A):
    U, _, Vh = xp.linalg_svd(A, full_matrices=False)
    return xp.matmul(U * xp.expand_dims(g, axis=-2), Vh)


derivative(linalg_svdvals, A=svdvals_rule)


def symmetric(xp, A, UPLO):
    """The symmetric matrices of which one triangle is given."""
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    upper = UPLO.upper() == "U"
    whole = triangle(xp, A, upper, False) + adjoint(xp, triangle(xp, A, upper, True))
    if kind_of(A).kind == "complex":  # what is imaginary on the diagonal does not count
        return (whole + adjoint(xp, whole)) / 2
    return whole


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    outputs=("eigenvalues", "eigenvectors"),
    node="LinalgEighBackward0",
    examples=[(spd(3),), (spd(3, 2), {"UPLO": "U"})],
    complex_rules=True,
)
def linalg_eigh(xp, A, /, UPLO="L"):
    """Eigenvalues and eigenvectors of symmetric matrices.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``, symmetric.
    UPLO : {"L", "U"}, optional
        Which triangle of `A` is read.

    Returns
    -------
    (eigenvalues, eigenvectors)
        Values ascend; vectors are columns, of arbitrary sign.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.eigh", A)
    with failing_with("linalg.eigh: The algorithm failed to converge"):
        return tuple(xp.linalg.eigh(symmetric(xp, A, UPLO)))


def eigh_rule(xp, gs, eigenvalues, eigenvectors):
    gL, gV = gs
    V, Vh = eigenvectors, adjoint(xp, eigenvectors)
    if gV is None:
        return xp.matmul(V * xp.expand_dims(gL, axis=-2), Vh)
    identity = identity_like(xp, eigenvalues)
    gaps = xp.expand_dims(eigenvalues, axis=-2) - xp.expand_dims(eigenvalues, axis=-1) + identity
    turning = xp.matmul(Vh, gV)
    inner = (turning - adjoint(xp, turning)) / 2 * (1 - identity) / gaps
    if gL is not None:
        inner = inner + xp.diag_embed(gL)
    return xp.matmul(V, xp.matmul(inner, Vh))


derivative(linalg_eigh, A=eigh_rule)


@op(
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    examples=[(spd(3),), (spd(3, 2), {"UPLO": "U"})],
    complex_rules=True,
)
def linalg_eigvalsh(xp, A, /, UPLO="L"):
    """Eigenvalues of symmetric matrices, in ascending order.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``, symmetric.
    UPLO : {"L", "U"}, optional
        Which triangle of `A` is read.

    Returns
    -------
    Tensor
        Shape ``(..., n)``.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of single or double precision.
    """
    require_matrices("linalg.eigvalsh", A)
    with failing_with("linalg.eigvalsh: The algorithm failed to converge"):
        return xp.linalg.eigvalsh(symmetric(xp, A, UPLO))


def eigvalsh_rule(xp, g, A, UPLO):
    _, V = xp.linalg_eigh(A, UPLO)
    return xp.matmul(V * xp.expand_dims(g, axis=-2), adjoint(xp, V))


derivative(linalg_eigvalsh, A=eigvalsh_rule)


def cutoff(xp, S, A, atol, rtol):
    """Below what a singular value counts as 0: one number to each matrix, in a dimension of 1."""
    largest = xp.max(S, axis=-1, keepdims=True)

    def each(tolerance):
        if hasattr(tolerance, "_array"):  # a tensor with one for each matrix
            return xp.expand_dims(xp.astype(tolerance._array, S.dtype), axis=-1)
        return xp.zeros_like(largest) + tolerance

    least = each(0.0 if atol is None else atol)
    if rtol is None:
        precision = max(A.shape[-2:]) * float(xp.finfo(A.dtype).eps)
        share = xp.where(least > 0, xp.zeros_like(least), xp.zeros_like(least) + precision)
    else:
        share = each(rtol)
    return xp.maximum(largest * share, least)


@op(
    home="linalg",
    method=False,
    promotes=None,
    examples=[((4, 3),), ((3, 4),), ((2, 3, 3),), ((0, 3),)],
    complex_rules=True,
)
def linalg_pinv(xp, A, /, *, atol=None, rtol=None, hermitian=False):
    """Moore and Penrose's inverse of matrices of any shape.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    atol, rtol : float, optional
        Singular values below ``max(atol, rtol * largest)`` count as 0. `rtol` is by default the
        larger size times the dtype's precision, or 0 where `atol` is given.
    hermitian : bool, optional
        `A` is symmetric, and only its lower triangle is read.

    Returns
    -------
    Tensor
        Shape ``(..., n, m)``.

    Raises
    ------
    RuntimeError
        If the matrices are not of single or double precision.
    """
    if A.ndim < 2:
        raise RuntimeError(
            f"linalg.pinv: expected a tensor with 2 or more dimensions, got shape {list(A.shape)}"
        )
    require_matrices("linalg.pinv", A, square=hermitian)
    if 0 in A.shape[-2:]:
        return xp.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), dtype=A.dtype)
    if hermitian:
        A = symmetric(xp, A, "L")
    with failing_with("linalg.pinv: The algorithm failed to converge"):
        U, S, Vh = xp.linalg.svd(A, full_matrices=False)
    kept = cutoff(xp, S, A, atol, rtol) < S
    inverted = xp.where(kept, 1 / xp.where(kept, S, xp.ones_like(S)), xp.zeros_like(S))
    return xp.matmul(adjoint(xp, Vh) * xp.expand_dims(inverted, axis=-2), adjoint(xp, U))


def pinv_rule(xp, g, A, out):
    P, Ph, gh = out, adjoint(xp, out), adjoint(xp, g)
    if A.shape[-2] <= A.shape[-1]:
        K = xp.matmul(gh, P)
        KPh = xp.matmul(K, Ph)
        first = KPh - xp.matmul(xp.matmul(A, P), KPh) - adjoint(xp, xp.matmul(P, K))
        return first + xp.matmul(xp.matmul(Ph, P), gh - xp.matmul(K, A))
    K = xp.matmul(P, gh)
    PhK = xp.matmul(Ph, K)
    first = PhK - xp.matmul(xp.matmul(PhK, P), A) - adjoint(xp, xp.matmul(K, P))
    return first + xp.matmul(xp.matmul(gh - xp.matmul(A, K), P), Ph)


derivative(linalg_pinv, A=pinv_rule)


@op(
    home="linalg",
    method=False,
    promotes=None,
    examples=[
        ((4, 3),),
        ((2, 3, 3),),
        (fixed([[1.0, 2.0], [2.0, 4.0]]),),
        (spd(3), {"hermitian": True}),
    ],
)
def linalg_matrix_rank(xp, A, /, tol=None, *, atol=None, rtol=None, hermitian=False):
    """How many singular values of a matrix are not 0.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    tol : float, optional
        The older name of `atol`.
    atol, rtol : float, optional
        Singular values below ``max(atol, rtol * largest)`` count as 0. `rtol` is by default the
        larger size times the dtype's precision, or 0 where `atol` is given.
    hermitian : bool, optional
        `A` is symmetric, and only its lower triangle is read.

    Returns
    -------
    Tensor
        Shape ``(...)``, int64.

    Raises
    ------
    RuntimeError
        If `A` is not at least 2-d, or not of single or double precision.
    """
    require_matrices("torch.linalg.matrix_rank", A, square=hermitian)
    S = xp.abs(xp.linalg.eigvalsh(symmetric(xp, A, "L"))) if hermitian else xp.linalg.svdvals(A)
    if S.shape[-1] == 0:
        return xp.zeros(tuple(S.shape[:-1]), dtype=xp.int64)
    return xp.sum(
        xp.astype(cutoff(xp, S, A, tol if atol is None else atol, rtol) < S, xp.int64), axis=-1
    )


class LeastSquares(NamedTuple):
    """What :func:`linalg_lstsq` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


as_shown("linalg_lstsq", LeastSquares)


@composite(home="linalg", method=False, examples=[((4, 3), (4, 2)), ((2, 4, 3), (2, 4, 1))])
@with_out(casts=True)
def linalg_lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LeastSquares:
    """Solve ``A @ X = B`` as nearly as possible: least squares, and the smallest such `X`.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``.
    B : Tensor
        Shape ``(..., m, k)`` or ``(..., m)``.
    rcond : float, optional
        Singular values below this share of the largest count as 0; by default the larger size times
        the precision.
    driver : str, optional
        PyTorch's choice of algorithm; here it decides only which results are filled in: residuals
        except by ``"gelsy"``, singular values by ``"gelsd"`` and ``"gelss"``, the rank except by
        ``"gels"``.

    Returns
    -------
    (solution, residuals, rank, singular_values)

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit, or the driver is unknown.
    """
    name = "torch.linalg.lstsq"
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}"
        )
    require_matrices(name, A, square=False)
    vectors = A.ndim - 1 == B.ndim and tuple(A.shape[:-1]) == tuple(B.shape)
    if B.ndim < 1 or (not vectors and (B.ndim < 2 or B.shape[-2] != A.shape[-2])):
        raise RuntimeError(
            f"{name}: input.size(-2) should match other.size(-2), got shapes {list(A.shape)} "
            f"and {list(B.shape)}"
        )
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got {A.dtype} and "
            f"{B.dtype}"
        )
    columns = B.unsqueeze(-1) if vectors else B
    X = matmul(linalg_pinv(A, rtol=rcond), columns)
    nothing = A.detach().new_empty((0,), dtype=A.dtype.to_real())
    missing = (X.real if X.is_complex() else X).flatten()[:0]  # tracked, as residuals are
    rank = linalg_matrix_rank(A.detach(), rtol=rcond)
    residuals = missing
    if driver != "gelsy" and A.shape[-2] > A.shape[-1] and not anywhere(rank != A.shape[-1]):
        away = matmul(A, X) - columns
        residuals = (away.abs() if away.is_complex() else away).square().sum(-2)
    values = linalg_svdvals(A.detach()) if driver in ("gelsd", "gelss") else nothing
    ranks = rank.new_empty((0,)) if driver == "gels" else rank
    return LeastSquares(X.squeeze(-1) if vectors else X, residuals, ranks, values)


# ---- functions of matrices ----


@composite(
    home="linalg",
    method=False,
    examples=[((3, 3), {"n": 3}), ((2, 3, 3), {"n": 0}), (spd(3), {"n": -2})],
)
@with_out(casts=True)
def linalg_matrix_power(A: Tensor, n: int) -> Tensor:
    """Multiply square matrices by themselves.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, m)``.
    n : int
        How many factors; 0 gives identity matrices, negative numbers powers of the inverse.

    Raises
    ------
    LinAlgError
        If `n` is negative and a matrix singular.
    RuntimeError
        If the matrices are not square.
    """
    if A.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_power: The input tensor A must have at least 2 dimensions."
        )
    rows, columns = A.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but they are {rows} by "
            f"{columns} matrices"
        )
    if n == 0:
        return A.clone().copy_(A.new_ones(A.shape[:-1]).diag_embed())
    square = linalg_inv(A) if n < 0 else A
    result: Any = None
    n = abs(n)
    while True:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if not n:
            return square.clone() if result is A else result
        square = matmul(square, square)


PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)


@op(
    ordered=True,
    home="linalg",
    method=False,
    promotes=None,
    node="LinalgMatrixExpBackward0",
    examples=[((3, 3),), ((2, 3, 3),)],
)
def linalg_matrix_exp(xp, A, /):
    """Exponential of square matrices: the sum of ``A**k / k!``.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., n, n)``.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of a floating type.
    """
    if half(A):
        return xp.astype(linalg_matrix_exp.kernel(xp, xp.astype(A, xp.float32)), A.dtype)
    require_matrices("linalg.matrix_exp", A)
    if 0 in A.shape:
        return A + 0
    # Halve until Padé's fraction of degree 13 is exact in double precision, and square as often
    # afterwards.
    size = float(xp.max(xp.sum(xp.abs(A), axis=-2)))
    halvings = max(0, math.ceil(math.log2(size / 4.25))) if 4.25 < size < math.inf else 0
    A = A / 2.0**halvings
    identity = xp.eye(A.shape[-1], dtype=A.dtype)
    A2 = xp.matmul(A, A)
    A4 = xp.matmul(A2, A2)
    A6 = xp.matmul(A4, A2)
    c = PADE
    odd = (
        xp.matmul(A6, c[13] * A6 + c[11] * A4 + c[9] * A2)
        + c[7] * A6
        + c[5] * A4
        + c[3] * A2
        + c[1] * identity
    )
    odd = xp.matmul(A, odd)
    even = (
        xp.matmul(A6, c[12] * A6 + c[10] * A4 + c[8] * A2)
        + c[6] * A6
        + c[4] * A4
        + c[2] * A2
        + c[0] * identity
    )
    result = xp.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = xp.matmul(result, result)
    return result


def matrix_exp_rule(xp, g, A):
    # The exponential of [[A, G], [0, A]] holds the slope of exp at A in the direction G.
    across, n = swap(xp, A), A.shape[-1]
    top = xp.concat((across, g), axis=-1)
    bottom = xp.concat((xp.zeros_like(across), across), axis=-1)
    return xp.linalg_matrix_exp(xp.concat((top, bottom), axis=-2))[..., :n, n:]


derivative(linalg_matrix_exp, A=matrix_exp_rule)


@composite(
    home="linalg",
    method=False,
    examples=[((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), (2, 3), {"dim": 0})],
)
@with_out()
def linalg_vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sum of products along one dimension.

    Parameters
    ----------
    x, y : Tensor
        Of one dtype, float or complex; they broadcast.
    dim : int, optional
        The dimension to sum.

    Raises
    ------
    RuntimeError
        If shapes do not broadcast, dtypes differ or are those of integers.
    """
    if x.dtype != y.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{x.dtype} "
            f"and y of type {y.dtype} instead"
        )
    if not (x.is_floating_point() or x.is_complex()):
        raise RuntimeError(
            "linalg.vecdot: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.legacy}; use (x * y).sum({dim})"
        )
    return ((x.conj() if x.is_complex() else x) * y).sum(dim)


@op(
    exact_out=True,
    apart=True,
    home="linalg",
    method=False,
    promotes=None,
    accepts=("float", "complex", "int"),
    node="LinalgCrossBackward0",
    examples=[((2, 3), (2, 3)), ((3, 2), (3, 2), {"dim": 0}), ((4, 1, 3), (1, 5, 3))],
)
def linalg_cross(xp, input, other, /, *, dim=-1):
    """Cross product of 3-d vectors.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype and one number of dimensions; they broadcast.
    dim : int, optional
        The dimension of size 3 that holds the vectors.

    Raises
    ------
    RuntimeError
        If that size is not 3, or shapes or dtypes do not fit.
    """
    if input.ndim != other.ndim:
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions, "
            f"got shapes {list(input.shape)} and {list(other.shape)}"
        )
    along = axis(dim, input.ndim)
    if input.shape[along] != 3 or other.shape[along] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. "
            f"Got {input.shape[along]} and {other.shape[along]}"
        )
    require_same_dtype("expected both inputs to have the same scalar type", input, other)
    require_batches(input.shape, other.shape)
    return cross_products(xp, input, other, along)


def cross_products(xp, input, other, along):
    """Cross products along a dimension counted from the left."""
    a = [input[(slice(None),) * along + (slice(i, i + 1), ...)] for i in (0, 1, 2)]
    b = [other[(slice(None),) * along + (slice(i, i + 1), ...)] for i in (0, 1, 2)]
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in (0, 1, 2)]
    return xp.concat(parts, axis=along)


derivative(
    linalg_cross,
    input=lambda xp, g, other, input_shape, dim: sum_to(
        xp, xp.linalg_cross(other, g, dim=dim), input_shape
    ),
    other=lambda xp, g, input, other_shape, dim: sum_to(
        xp, xp.linalg_cross(g, input, dim=dim), other_shape
    ),
)


@composite(method=True, examples=[((2, 3), (2, 3), {"dim": 1}), ((3, 2), (3, 2), {"dim": 0})])
@with_out(apart=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Cross product of 3-d vectors.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype and one number of dimensions; they broadcast.
    dim : int, optional
        The dimension of size 3 that holds the vectors; by default (deprecated) the first of that
        size.

    Raises
    ------
    RuntimeError
        If there is no dimension of size 3, or shapes or dtypes do not fit.
    """
    if dim is None:
        if input.ndim == other.ndim:
            warnings.warn(
                "Using cross without specifying the dim arg is deprecated: pass dim, or use "
                "linalg.cross",
                stacklevel=2,
            )
            dim = next((i for i, size in enumerate(input.shape) if size == 3), None)
            if dim is None:
                raise RuntimeError(f"no dimension of size 3 in input of shape {list(input.shape)}")
        else:
            dim = -1
    return linalg_cross(input, other, dim=dim)


@composite(home="linalg", method=False, examples=[((3, 4),), ((2, 3, 3), {"offset": 1})])
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices.

    Parameters
    ----------
    A : Tensor
        At least 2-d.
    offset : int, optional
        Which diagonal: above the main one if positive, below if negative.
    dim1, dim2 : int, optional
        The dimensions that hold the matrices.
    """
    return A.diagonal(offset, dim1, dim2)


@op(promotes=None, examples=[((3, 3),), ((2, 4),), ((0, 0),), (ints(3, 3),)])
def trace(xp, input, /):
    """Sum of a matrix's diagonal.

    Parameters
    ----------
    input : Tensor
        Shape ``(n, m)``. Integers give int64.

    Raises
    ------
    RuntimeError
        If `input` is not a matrix.
    """
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    if kind_of(input).kind in ("int", "bool"):
        input = xp.astype(input, xp.int64)
    return xp.sum(xp.linalg.diagonal(input))


def trace_rule(xp, g, input_shape):
    rows, columns = input_shape
    n = min(rows, columns)
    slope = xp.diag_embed(xp.broadcast_to(g, (n,)))
    if rows > n:
        slope = xp.concat((slope, xp.broadcast_to(xp.zeros_like(g), (rows - n, columns))), axis=0)
    if columns > n:
        slope = xp.concat((slope, xp.broadcast_to(xp.zeros_like(g), (rows, columns - n))), axis=1)
    return slope


derivative(trace, input=trace_rule)


@composite(method=True, examples=[((3, 3),), ((2, 3, 3),)])
def det(input: Tensor) -> Tensor:
    """Determinants of square matrices; the same as `linalg.det`."""
    return linalg_det(input)


class LogarithmOfDeterminant(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


as_shown("slogdet", LogarithmOfDeterminant)


@composite(method=True, examples=[((3, 3),), ((2, 3, 3),)])
@with_out()
def slogdet(input: Tensor) -> LogarithmOfDeterminant:
    """Sign and logarithm of the absolute value of determinants; the same as `linalg.slogdet`."""
    return LogarithmOfDeterminant(*linalg_slogdet(input))


@composite(method=True, examples=[(spd(3),), (spd(3, 2),)])
def logdet(input: Tensor) -> Tensor:
    """Logarithm of determinants: NaN where one is negative, -inf where it is 0."""
    sign, logarithm = linalg_slogdet(input)
    return logarithm + sign.log()


@composite(method=True, examples=[(spd(3),)])
@with_out(casts=True)
def inverse(input: Tensor) -> Tensor:
    """Inverses of square matrices; the same as `linalg.inv`."""
    return linalg_inv(input)


@composite(method=True, examples=[((4, 3),)])
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """Moore and Penrose's inverse; `linalg.pinv` with `rcond` as `rtol`."""
    return linalg_pinv(input, rtol=rcond)


@composite(method=True, examples=[((3, 3), {"n": 3})])
@with_out(casts=True)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Multiply square matrices by themselves; the same as `linalg.matrix_power`."""
    return linalg_matrix_power(input, n)


@composite(method=True, examples=[((3, 3),)])
def matrix_exp(input: Tensor) -> Tensor:
    """Exponential of square matrices; the same as `linalg.matrix_exp`."""
    return linalg_matrix_exp(input)


@composite(method=True, examples=[(spd(3),), (spd(2), True)])
@with_out(casts=True)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """Cholesky's factor of positive definite matrices; `linalg.cholesky` is the newer name."""
    warnings.warn("cholesky is deprecated in favor of devtensor.linalg.cholesky", stacklevel=2)
    return linalg_cholesky(input, upper=upper)


@composite(method=True, examples=[((4, 3),)])
@with_out()
def qr(input: Tensor, some: bool = True) -> Any:
    """Orthogonal times triangular; `linalg.qr` is the newer name.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, n)``.
    some : bool, optional
        Whether `Q` has ``min(m, n)`` columns; otherwise it is square.
    """
    return linalg_qr(input, "reduced" if some else "complete")


class SingularValues(NamedTuple):
    """What :func:`svd` gives."""

    U: Tensor
    S: Tensor
    V: Tensor


as_shown("svd", SingularValues)


@composite(method=True, examples=[((4, 3),)])
@with_out()
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SingularValues:
    """Singular values, ``input = U @ diag(S) @ V.mH``; `linalg.svd` is the newer name.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., m, n)``.
    some : bool, optional
        Whether `U` and `V` have ``min(m, n)`` columns; otherwise they are square.
    compute_uv : bool, optional
        If False, `U` and `V` are zeros.
    """
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = tuple(input.shape[:-2])
        return SingularValues(
            input.new_zeros((*batch, m, m)), linalg_svdvals(input), input.new_zeros((*batch, n, n))
        )
    U, S, Vh = linalg_svd(input, full_matrices=not some)
    return SingularValues(U, S, Vh.mH)


# ---- norms and distances ----


@op(
    ordered=True,
    exact_out=True,
    home="linalg",
    method=False,
    promotes=None,
    node="LinalgVectorNormBackward0",
    examples=[
        ((2, 3),),
        ((2, 3), {"ord": 1, "dim": 1}),
        ((2, 3), {"ord": math.inf, "dim": 0, "keepdim": True}),
        ((2, 3, 2), {"ord": 3, "dim": (0, -1)}),
        ((2, 3), {"ord": 0.5}),
        ((2, 3), {"ord": -math.inf, "dim": -1}),
        ((),),
        ((0, 3), {"dim": 1}),
    ],
    complex_rules=True,
)
def linalg_vector_norm(xp, x, /, ord=2, dim=None, keepdim=False, *, dtype=None):
    """Length of vectors.

    Parameters
    ----------
    x : Tensor
        Of a floating dtype.
    ord : number, optional
        The sum's exponent; ``inf`` and ``-inf`` give the largest and the smallest magnitude, 0 the
        number of elements that are not 0.
    dim : int or tuple of int, optional
        The dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep reduced dimensions with size 1.
    dtype : dtype, optional
        Convert `x` to this first.

    Raises
    ------
    RuntimeError
        If `x` is not floating, or the norm of nothing does not exist.
    """
    if dtype is not None:
        x = xp.astype(x, dtype)
    if kind_of(x).kind not in ("float", "complex"):
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {kind_of(x).legacy}; convert it with .float()"
        )
    ord = float(ord)
    where = over(dim, x.ndim)
    if (ord < 0 or ord == math.inf) and any(x.shape[i] == 0 for i in where):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord:g} norm on an empty tensor "
            "because the operation does not have an identity"
        )
    if half(x):
        long = linalg_vector_norm.kernel(xp, xp.astype(x, xp.float32), ord, where, keepdim)
        return xp.astype(long, x.dtype)
    size = xp.abs(x)
    if ord == math.inf:
        return xp.max(size, axis=where, keepdims=keepdim)
    if ord == -math.inf:
        return xp.min(size, axis=where, keepdims=keepdim)
    if ord == 0:
        return xp.sum(xp.astype(size != 0, size.dtype), axis=where, keepdims=keepdim)
    if ord == 1:
        return xp.sum(size, axis=where, keepdims=keepdim)
    if ord == 2:
        return xp.sqrt(xp.sum(size * size, axis=where, keepdims=keepdim))
    return xp.sum(size**ord, axis=where, keepdims=keepdim) ** (1 / ord)


def vector_norm_rule(xp, g, x, out, ord, dim, keepdim):
    ord = float(ord)
    if ord == 0:
        return None
    if kind_of(g) is not kind_of(x).to_real():
        return xp.astype(vector_norm_slope(xp, g, wider(xp, x, g), out, ord, dim, keepdim), x.dtype)
    return vector_norm_slope(xp, g, x, out, ord, dim, keepdim)


def wider(xp, x, g):
    """`x` with the precision of `g`, which is real."""
    if kind_of(x).kind == "complex":
        return xp.astype(x, xp.complex128 if kind_of(g).itemsize == 8 else xp.complex64)
    return xp.astype(x, g.dtype)


def vector_norm_slope(xp, g, x, out, ord, dim, keepdim):
    where = over(dim, x.ndim)
    if not keepdim:
        whole = tuple([1 if i in where else size for i, size in enumerate(x.shape)])
        g, out = xp.reshape(g, whole), xp.reshape(out, whole)
    nothing = xp.zeros_like(x)
    if ord == 1:
        return xp.sgn(x) * g
    if ord == 2:
        flat = out == 0
        size = xp.where(flat, out + 1, out)
        # The first way has less to do, the second is how PyTorch rounds.
        slope = g * (x / size) if half(x) else x * (g / size)
        return xp.where(flat, nothing, slope)
    if math.isinf(ord):
        chosen = xp.abs(x) == out
        count = xp.sum(xp.astype(chosen, g.dtype), axis=where, keepdims=True)
        return xp.where(chosen, xp.sgn(x) * (g / count), nothing)
    hidden = x == 0 if ord < 2 else out == 0
    safe = xp.where(hidden, nothing + 1, x)
    powers = xp.sgn(safe) * xp.abs(safe) ** (ord - 1)
    flat = out == 0
    return xp.where(
        hidden,
        nothing,
        powers
        * (g * xp.where(flat, xp.zeros_like(out), xp.where(flat, out + 1, out) ** (1 - ord))),
    )


derivative(linalg_vector_norm, x=vector_norm_rule)


@op(
    public=False,
    method=False,
    promotes="same",
    numbers=(),
    examples=[([(2, 3), (4,)],), ([(), (3, 1), (2, 2, 2)],), ([(0,), (3,)],)],
)
def joint_norm(xp, /, *tensors):
    """Euclidean length of all tensors taken together as one vector, without a derivative."""
    norms = [linalg_vector_norm.kernel(xp, x) for x in tensors]
    return linalg_vector_norm.kernel(xp, xp.stack(norms))


def largest(sizes: Tensor, dim: int) -> Tensor:
    """The largest of numbers that are not negative; 0 of none."""
    return sizes.amax(dim) if sizes.shape[dim] else sizes.sum(dim)


@composite(
    home="linalg",
    method=False,
    examples=[
        ((2, 3),),
        ((2, 3, 4), {"ord": "nuc"}),
        ((2, 3), {"ord": 1}),
        ((2, 3, 4), {"ord": -math.inf, "dim": (0, 2), "keepdim": True}),
        ((4, 2, 3), {"ord": 2}),
        ((2, 3), {"ord": -2}),
    ],
)
@with_out()
def linalg_matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """Norms of matrices.

    Parameters
    ----------
    A : Tensor
        At least 2-d, of a floating dtype.
    ord : {"fro", "nuc", inf, -inf, 1, -1, 2, -2}, optional
        Frobenius's norm; the sum of the singular values; the largest (smallest) sum of a row's
        magnitudes (``inf``), of a column's (1), or the largest (smallest) singular value (2).
    dim : pair of int, optional
        The dimensions that hold the matrices.
    keepdim : bool, optional
        Keep reduced dimensions with size 1.
    dtype : dtype, optional
        Convert `A` to this first.

    Raises
    ------
    RuntimeError
        If `A` has fewer than 2 dimensions, is not floating, or `ord` or `dim` is none of the above.
    """
    name = "linalg.matrix_norm"
    if A.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    rows, columns = axes(dim, A.ndim) if dim[0] % A.ndim != dim[1] % A.ndim else (0, 0)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord not in ("fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if dtype is not None:
        A = A.to(dtype)
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {kind_of(A).legacy}"
        )
    if ord == "fro":
        return linalg_vector_norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        S = linalg_svdvals(A.movedim((rows, columns), (-2, -1)))
        result = S.sum(-1) if ord == "nuc" else largest(S, -1) if ord == 2 else S.amin(-1)
    else:
        if ord in (1, -1):
            rows, columns = columns, rows
        sums = A.abs().sum(columns, keepdim=True)
        result = largest(sums, rows) if float(ord) > 0 else sums.amin(rows)
        result = result.squeeze(columns - (columns > rows))
    if keepdim:
        for i in sorted((rows, columns)):
            result = result.unsqueeze(i)
    return result


@composite(
    home="linalg",
    method=False,
    examples=[
        ((2, 3),),
        ((2, 3, 4),),
        ((3,), {"ord": 3}),
        ((2, 3), {"ord": "nuc"}),
        ((2, 3), {"ord": 1, "dim": 0}),
    ],
)
@with_out()
def linalg_norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """Length of vectors or norms of matrices.

    Parameters
    ----------
    A : Tensor
        Of a floating dtype.
    ord : number or str, optional
        As in `vector_norm` (one dimension) or `matrix_norm` (two); by default the root of the sum
        of squares.
    dim : int or tuple of int, optional
        One dimension: vectors; two: matrices. By default all of them, and `A` must be 1-d or 2-d if
        `ord` is given.
    keepdim : bool, optional
        Keep reduced dimensions with size 1.
    dtype : dtype, optional
        Convert `A` to this first.

    Raises
    ------
    RuntimeError
        If `ord` and `dim` do not go together.
    """
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2) and ord is not None:
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}"
        )
    if ord is None:
        return linalg_vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {A.ndim}D."
        )
    if isinstance(ord, str):
        return linalg_matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if (dim is None and A.ndim == 2) or (
        dim is not None and not isinstance(dim, int) and len(dim) == 2
    ):
        return linalg_matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype)
    return linalg_vector_norm(A, ord, dim, keepdim, dtype=dtype)


@composite(
    method=True,
    examples=[
        ((2, 3),),
        ((2, 3), {"p": 1}),
        ((2, 3), {"p": 2, "dim": 1, "keepdim": True}),
        ((2, 3), {"p": "nuc"}),
    ],
)
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """Length of vectors; dimensions taken together are one long vector.

    Parameters
    ----------
    input : Tensor
        Of a floating dtype.
    p : number, "fro" or "nuc", optional
        The exponent; ``"fro"`` is 2, ``"nuc"`` the sum of a matrix's singular values.
    dim : int or tuple of int, optional
        The dimensions to reduce; all by default.
    keepdim : bool, optional
        Keep reduced dimensions with size 1.
    out : Tensor, optional
        Where to put the result.
    dtype : dtype, optional
        Convert `input` to this first.

    Raises
    ------
    RuntimeError
        If `input` is not floating, or `p` is another word.
    """
    if p == "nuc":
        found = linalg_matrix_norm(
            input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype
        )
    elif isinstance(p, str) and p != "fro":
        raise RuntimeError(f"only valid string values are 'fro' and 'nuc', found {p}")
    else:
        order = 2 if p is None or p == "fro" else p
        found = linalg_vector_norm(input, order, dim, keepdim, dtype=dtype)
    return found if out is None else placed("norm", found, out, (input,), casts=False)


@composite(home="linalg", method=False, examples=[(spd(3),), ((4, 3),)])
@with_out(casts=True)
def linalg_cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """How much solving an equation with `A` can enlarge an error.

    Parameters
    ----------
    A : Tensor
        Shape ``(..., m, n)``; square unless `p` is None, 2 or -2.
    p : number or str, optional
        The norm, as in `matrix_norm`; None is 2.

    Returns
    -------
    Tensor
        Shape ``(...)``; inf for a singular matrix.
    """
    if p in (None, 2, -2):
        S = linalg_svdvals(A)
        if not S.shape[-1]:  # a matrix of no numbers
            return S.sum(-1)
        return S[..., -1] / S[..., 0] if p == -2 else S[..., 0] / S[..., -1]
    return linalg_matrix_norm(A, p) * linalg_matrix_norm(linalg_inv(A), p)


@composite(method=True, examples=[((2, 3), (3,)), ((2, 3), (2, 3), {"p": 1})])
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """Length of ``input - other``.

    Parameters
    ----------
    input, other : Tensor
        They broadcast.
    p : number, optional
        The exponent, as in `norm`.
    """
    return linalg_vector_norm(input - other, p)


@composite(
    method=False,
    examples=[
        ((4, 3), (5, 3)),
        ((2, 4, 3), (5, 3), {"p": 1.0}),
        ((4, 3), (5, 3), {"p": 3.0}),
        ((4, 3), (5, 3), {"p": math.inf}),
        ((30, 3), (28, 3)),
        ((0, 3), (5, 3)),
    ],
)
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """Distance of every row of `x1` from every row of `x2`.

    Parameters
    ----------
    x1 : Tensor
        Shape ``(..., n, d)``.
    x2 : Tensor
        Shape ``(..., m, d)``, of the same dtype; batches broadcast.
    p : number, optional
        The norm's exponent.
    compute_mode : str, optional
        Whether Euclidean distances are computed by a matrix product: quicker and less exact.
        ``"use_mm_for_euclid_dist_if_necessary"`` (above 25 rows), ``"use_mm_for_euclid_dist"`` or
        ``"donot_use_mm_for_euclid_dist"``.

    Returns
    -------
    Tensor
        Shape ``(..., n, m)``.

    Raises
    ------
    RuntimeError
        If shapes or dtypes do not fit or `p` is negative.
    ValueError
        If `compute_mode` is another word.
    """
    if compute_mode not in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
        if not x.is_floating_point():
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {kind_of(x).legacy}"
            )
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if x1.dtype != x2.dtype:
        raise RuntimeError(
            f"expected scalar type {kind_of(x1).legacy} but found {kind_of(x2).legacy}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    many = max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and (
        compute_mode == "use_mm_for_euclid_dist" or (many and compute_mode.endswith("necessary"))
    ):
        return euclidean_distances(x1, x2)
    if math.isinf(p) and x1.shape[-1] == 0:
        p = 1.0
    return linalg_vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@op(
    public=False,
    promotes=None,
    node="EuclideanDistBackward0",
    examples=[((4, 3), (5, 3)), ((2, 4, 3), (5, 3))],
)
def euclidean_distances(xp, x1, x2, /):
    """Distances of rows, by a matrix product."""
    require_batches(x1.shape[:-2], x2.shape[:-2])
    ours, theirs = (xp.expand_dims(xp.sum(x * x, axis=-1), axis=-1) for x in (x1, x2))
    squares = ours + swap(xp, theirs) - 2 * xp.matmul(x1, swap(xp, x2))
    return xp.sqrt(xp.maximum(squares, xp.zeros_like(squares)))


def euclidean_distances_rule(xp, g, x1, x2, out, x1_shape, x2_shape, needs):
    same = out == 0
    pull = xp.where(same, xp.zeros_like(g), g / xp.where(same, out + 1, out))
    left = right = None
    if needs[0]:
        left = sum_to(xp, x1 * xp.sum(pull, axis=-1, keepdims=True) - xp.matmul(pull, x2), x1_shape)
    if needs[1]:
        across = swap(xp, pull)
        right = sum_to(
            xp, x2 * xp.sum(across, axis=-1, keepdims=True) - xp.matmul(across, x1), x2_shape
        )
    return left, right


derivative(euclidean_distances, together=euclidean_distances_rule)
