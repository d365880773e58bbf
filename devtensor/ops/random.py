"""Random numbers of many distributions, all made from the bits of one counter-based generator.

Philox4x32-10 makes four 32-bit words from a counter and a key. A draw reserves a range of counters
of its :class:`~devtensor.random.Generator`, whose seed is the key; element number i of the draw is
made from fixed words of fixed counters behind the first, whatever the shape, the memory or the
device.

What is made by integer arithmetic, comparison and multiplication with powers of two is the same to
the bit on every device: `rand`, `randint`, `randperm`, `bernoulli`, dropout. ``uniform_(a, b)`` and
``normal_(mean, std)`` may differ in the last bit where a device rounds a product and a sum once
instead of twice. Normal numbers (by Box and Muller), and what is made by a logarithm or a tangent
(`exponential_`, `cauchy_`, `log_normal_`), differ by the rounding of the libraries' functions;
where such a number is cut to an integer or compared (`geometric_`, `poisson`, `binomial`,
`multinomial`), rarely by a whole step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from math import inf, isnan, log1p, pi, prod, sqrt
from operator import index as as_int
from typing import Any, NamedTuple

from devtensor.dtype import bool_, float32, float64, int64, of
from devtensor.dtype import dtype as Dtype
from devtensor.example import bools
from devtensor.op import composite, derivative, in_place, op
from devtensor.ops.create import _following, _number, _place, _size, _sized, _type, zeros
from devtensor.ops.shape import expand, together
from devtensor.random import Generator, default_generator
from devtensor.tensor import Tensor

LOW = 2**32 - 1
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

# ---- bits


def mixed(counter: tuple[Any, ...], key: tuple[int, int]) -> tuple[Any, ...]:
    """Philox: four 32-bit words, as ints or uint64 arrays, made into four others."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        left, right = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (right >> 32) ^ c1 ^ k0, right & LOW
        c2, c3 = (left >> 32) ^ c3 ^ k1, left & LOW
        k0, k1 = (k0 + STEPS[0]) & LOW, (k1 + STEPS[1]) & LOW
    return c0, c1, c2, c3


@op(public=False)
def philox(xp: Any, /, count: int, seed: int, offset: int, stream: int = 0) -> Any:
    """`count` random 32-bit words.

    Word ``4 * i`` and the three that follow are made from the counter whose first half is
    ``offset + i`` and whose third word is `stream`. Philox gives them in two pairs; of each pair
    the second comes first: read as one little-endian number, the pair has its first on top.
    """
    place = xp.arange(-(-count // 4), dtype=xp.uint64) + offset
    zero = xp.zeros_like(place)
    words = mixed((place & LOW, place >> 32, zero + stream, zero), (seed & LOW, seed >> 32))
    ordered = [xp.astype(words[i], xp.uint32) for i in (1, 0, 3, 2)]
    return xp.reshape(xp.stack(ordered, axis=-1), (4 * place.shape[0],))[:count]


class Bits:
    """Random bits from one counter on, as numbers of several sizes."""

    def __init__(self, xp: Any, seed: int, offset: int) -> None:
        self.xp, self.seed, self.offset = xp, seed, offset

    def words(self, count: int, stream: int = 0) -> Any:
        """Numbers of 32 bits."""
        return self.xp.philox(count, self.seed, self.offset, stream)

    def numbers(self, count: int, stream: int = 0) -> Any:
        """Numbers of 64 bits."""
        words = self.xp.astype(self.words(2 * count, stream), self.xp.uint64)
        words = self.xp.reshape(words, (count, 2))
        return words[:, 0] | (words[:, 1] << 32)

    def parts(self, count: int, size: int) -> Any:
        """Numbers of 8, 16 or 32 bits."""
        words = self.words(-(-count * size // 32))
        if size == 32:
            return words
        parts = [(words >> shift) & (2**size - 1) for shift in range(0, 32, size)]
        return self.xp.reshape(self.xp.stack(parts, axis=-1), (-1,))[:count]

    def normals(self, count: int, dtype: Any) -> Any:
        """Normal numbers: each two a point of the plane, made from its radius and its angle."""
        xp, pairs = self.xp, -(-count // 2)
        if wide(dtype):
            x, least = xp.astype(self.numbers(2 * pairs) >> 11, xp.float64) * 2.0**-53, 2.0**-54
        else:
            x, least = xp.astype(self.words(2 * pairs) >> 1, xp.float32) * 2.0**-31, 2.0**-32
        x = xp.reshape(x, (pairs, 2))
        radius, angle = xp.sqrt(xp.log(x[:, 0] + least) * -2.0), x[:, 1] * (2 * pi)
        points = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)
        return xp.reshape(points, (2 * pairs,))[:count]


# ---- distributions: functions of bits, of how many numbers, in what type, and of parameters

DIGITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def wide(dtype: Any) -> bool:
    """Whether numbers for `dtype` are computed in float64, each from 64 bits."""
    return of(dtype).itemsize >= 8


def fraction(bits: Bits, count: int, dtype: Any, stream: int = 0) -> Any:
    """Numbers from 0 up to, not including, 1, as many as `dtype` can tell apart evenly spread."""
    xp, digits = bits.xp, DIGITS[of(dtype).name]
    if digits > 32:
        return xp.astype(bits.numbers(count, stream) >> 11, xp.float64) * 2.0**-53
    return xp.astype(bits.words(count, stream) >> (32 - digits), xp.float32) * 2.0**-digits


def positive_fraction(bits: Bits, count: int, dtype: Any) -> Any:
    """Numbers above 0, up to 1; small ones are closer together, so that logarithms reach far."""
    xp = bits.xp
    if wide(dtype):
        return xp.astype(bits.numbers(count) >> 11, xp.float64) * 2.0**-53 + 2.0**-54
    return xp.astype(bits.words(count) >> 1, xp.float32) * 2.0**-31 + 2.0**-32


def uniform_numbers(bits: Bits, count: int, dtype: Any, low: float, high: float) -> Any:
    """Evenly spread from `low` to `high`."""
    x = fraction(bits, count, dtype)
    return x if (low, high) == (0, 1) else x * (high - low) + low


def normal_numbers(bits: Bits, count: int, dtype: Any, mean: float, std: float) -> Any:
    """Normal."""
    x = bits.normals(count, dtype)
    return x if (mean, std) == (0, 1) else x * std + mean


def exponential_numbers(bits: Bits, count: int, dtype: Any, rate: float) -> Any:
    """Waiting times, never 0."""
    x = -bits.xp.log(positive_fraction(bits, count, dtype))
    return bits.xp.clip(x, min=2.0**-54 if wide(dtype) else 2.0**-25) / rate


def cauchy_numbers(bits: Bits, count: int, dtype: Any, median: float, sigma: float) -> Any:
    """Cauchy's."""
    return bits.xp.tan((positive_fraction(bits, count, dtype) - 0.5) * pi) * sigma + median


def log_normal_numbers(bits: Bits, count: int, dtype: Any, mean: float, std: float) -> Any:
    """Numbers whose logarithms are normal."""
    return bits.xp.exp(normal_numbers(bits, count, dtype, mean, std))


def geometric_numbers(bits: Bits, count: int, dtype: Any, p: float) -> Any:
    """How many trials, each with success of probability `p`, until the first success."""
    xp = bits.xp
    x = xp.ceil(xp.log(positive_fraction(bits, count, dtype)) * (1 / log1p(-p)))
    most = None if xp.isdtype(dtype, "real floating") else float(xp.iinfo(dtype).max)
    return xp.clip(x, min=1.0, max=most)


def bernoulli_numbers(bits: Bits, count: int, dtype: Any, p: float) -> Any:
    """True with probability `p`."""
    size = precision(p)
    limit = round(p * 2**size)
    if limit in (0, 2**size):
        return bits.xp.full((count,), limit > 0, dtype=bits.xp.bool)
    return bits.parts(count, size) < limit


def precision(p: float) -> int:
    """How many bits are needed to meet the probability `p`."""
    return next((size for size in (8, 16) if (p * 2**size).is_integer()), 32)


def whole_numbers(bits: Bits, count: int, dtype: Any, low: int, span: int) -> Any:
    """Integers from `low` on, `span` many."""
    xp = bits.xp
    if span <= NARROW:
        x = (xp.astype(bits.words(count), xp.uint64) * span) >> 32
    else:
        x = bits.numbers(count)
        x = x % span if span < 2**64 else x
    if span > 2**63:  # a step through the unsigned numbers, which wrap
        x = x + low % 2**64
        return x if of(dtype).name == "uint64" else xp.astype(x, xp.int64)
    x = xp.astype(x, xp.int64)
    return x + low if low else x


NARROW = 2**24
"""Up to that many integers can be told apart by 32 bits, each as likely as the next to 1/256."""


class Distribution(NamedTuple):
    """How numbers are drawn."""

    sample: Callable[..., Any]
    node: str
    """Name of the in-place form in the graph."""


DISTRIBUTIONS = {
    "uniform": Distribution(uniform_numbers, "UniformBackward0"),
    "normal": Distribution(normal_numbers, "NormalBackward0"),
    "exponential": Distribution(exponential_numbers, "ExponentialBackward0"),
    "cauchy": Distribution(cauchy_numbers, "CauchyBackward0"),
    "log_normal": Distribution(log_normal_numbers, "LogNormalBackward0"),
    "geometric": Distribution(geometric_numbers, "GeometricBackward0"),
    "bernoulli": Distribution(bernoulli_numbers, "BernoulliBackward2"),
    "random": Distribution(whole_numbers, "RandomBackward0"),
}


@lru_cache(256)
def width(how: str, values: tuple[Any, ...], dtype: Dtype) -> int:
    """How many bits a number of a distribution takes."""
    if how == "bernoulli":
        return precision(*values)
    if how == "random":
        return 32 if values[1] <= NARROW else 64
    return 64 if dtype.itemsize >= 8 else 32


@lru_cache(256)
def parts(dtype: Dtype, how: str, values: tuple[Any, ...]) -> tuple[Dtype, int, tuple[Any, ...]]:
    """For each element of `dtype`: of which real type, how many numbers, with what parameters."""
    if dtype.kind != "complex":
        return dtype, 1, values
    if how == "normal":  # the variance is shared by the two parts
        values = (values[0], values[1] * sqrt(0.5))
    return (float32 if dtype.itemsize == 8 else float64), 2, values


class Need(NamedTuple):
    """What a draw takes from its generator."""

    many: int
    """Numbers to an element."""
    bits: int
    """Bits to a number."""


@lru_cache(256)
def need(how: str, values: tuple[Any, ...], dtype: Dtype) -> Need:
    """What an element of a distribution takes; refuses what has no such numbers."""
    _check_kind(how, dtype)
    real, many, values = parts(dtype, how, values)
    return Need(many, width(how, values, real))


@op(public=False)
def draw(xp: Any, /, size: Any, how: str, values: Any, seed: int, offset: int, dtype: Any) -> Any:
    """A tensor of random numbers."""
    real, many, values = parts(of(dtype), how, values)
    native = dtype if many == 1 else getattr(xp, real.name)
    bits, sample = Bits(xp, seed, offset), DISTRIBUTIONS[how].sample
    flat = xp.astype(sample(bits, many * prod(size), native, *values), native, copy=False)
    if many == 1:
        return xp.reshape(flat, size)
    return xp.view_as_complex(xp.reshape(flat, (*size, 2)))


def _filling(how: str, node: str) -> Any:
    """The operation that overwrites a tensor with numbers of a distribution."""

    def fill(xp: Any, input: Any, /, values: Any, seed: int, offset: int) -> Any:
        """Random numbers in the place of those that were there."""
        return xp.draw(tuple(input.shape), how, values, seed, offset, dtype=input.dtype)

    fill.__name__ = f"fill_{how}"
    values = {"normal": (0.0, 1.0), "exponential": (1.0,), "random": (0, 5)}.get(how)
    examples = [] if values is None else [((2, 3), values, 7, 0)]
    made = op(promotes=None, public=False, inplace=True, node=node, oracle=None, examples=examples)(
        fill
    )
    derivative(made, input=lambda xp, g: xp.zeros_like(g))
    return made


FILLS = {how: _filling(how, entry.node) for how, entry in DISTRIBUTIONS.items()}


# ---- what every draw does


def _source(name: str, generator: Any) -> Generator:
    """The generator to draw from."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(
            f"{name}(): argument 'generator' must be Generator, not {type(generator).__name__}"
        )
    return generator


transforms: list[tuple[Callable[[], Any], Callable[..., Any]]] = []
"""What looks after draws while it runs, `vmap`: says whether it does, and is called instead."""


def _reserved(
    generator: Generator, count: int, bits: int, run: Callable[..., Any], target: Any = None
) -> Any:
    """What `run` makes of a seed and the first of as many counters as `count` numbers take.

    `target` is what it writes to, if it does.
    """
    counters = -(-count * bits // 128)
    for running, instead in transforms:
        if running():
            return instead(generator, counters, run, target)
    return generator.drawn(counters, run)


def _drawn(
    name: str, size: Any, how: str, values: tuple[Any, ...], dtype: Dtype | None, place: Any
) -> Any:
    """A new tensor of random numbers."""
    generator = _source(name, place.pop("generator", None)) if place else default_generator
    size = _size(name, size)
    dtype = _type(dtype, place)
    many, bits = need(how, values, dtype)
    run = partial(draw, size, how, values, dtype=dtype, **_place(name, place))
    return _reserved(generator, many * prod(size), bits, run)


def _filled(name: str, input: Any, how: str, values: tuple[Any, ...], generator: Any) -> Any:
    """`input`, overwritten with random numbers."""
    generator = _source(name, generator)
    many, bits = need(how, values, input.dtype)
    run = partial(in_place(FILLS[how]), input, values)
    return _reserved(generator, many * input.numel(), bits, run, input)


KERNELS = {
    "uniform": ("check_uniform_bounds", ("float", "complex")),
    "normal": ("normal_kernel_cpu", ("float", "complex")),
    "log_normal": ("log_normal_cpu", ("float",)),
    "geometric": ("geometric_cpu", ("float", "int")),
    "bernoulli": ("bernoulli_scalar_cpu_", ("float", "int", "bool")),
    "random": ("random_kernel_cpu", ("float", "int", "bool")),
}
"""PyTorch's name of what lacks a dtype, and the kinds of dtype that do not."""


def _check_kind(how: str, dtype: Dtype) -> None:
    if how in KERNELS:
        kernel, kinds = KERNELS[how]
        if dtype.kind not in kinds:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.legacy}'")
    elif dtype.kind != "float":
        raise RuntimeError(
            f"{how.capitalize()} distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {dtype.legacy}"
        )


# ---- uniform and normal


@composite(method=False)
def rand(*size: Any, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Numbers evenly spread from 0 up to, not including, 1.

    Parameters
    ----------
    *size : int or sequence of int
    dtype : dtype, optional
        The default dtype if not given.
    generator : Generator, optional
    device, requires_grad, out
        As for all new tensors.
    """
    if not size:
        (size,) = _sized("rand", size, place)
    return _drawn("rand", size, "uniform", (0.0, 1.0), dtype, place)


@composite(method=False)
def rand_like(input: Any, *, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Numbers evenly spread from 0 to 1, in the shape, dtype and device of `input`."""
    return _drawn_like("rand_like", input, "uniform", (0.0, 1.0), dtype, place)


@composite(method=False)
def randn(*size: Any, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Normal numbers with mean 0 and variance 1.

    Parameters
    ----------
    *size : int or sequence of int
    dtype : dtype, optional
        The default dtype if not given.
    generator : Generator, optional
    device, requires_grad, out
        As for all new tensors.
    """
    if not size:
        (size,) = _sized("randn", size, place)
    return _drawn("randn", size, "normal", (0.0, 1.0), dtype, place)


@composite(method=False)
def randn_like(input: Any, *, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Normal numbers in the shape, dtype and device of `input`."""
    return _drawn_like("randn_like", input, "normal", (0.0, 1.0), dtype, place)


def _drawn_like(
    name: str, input: Any, how: str, values: tuple[Any, ...], dtype: Dtype | None, place: Any
) -> Any:
    generator = place.pop("generator", None)
    place = _following(name, input, dtype, place)
    dtype = place.pop("dtype")
    return _drawn(
        name, (tuple(input.shape),), how, values, dtype, {**place, "generator": generator}
    )


LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38,
           "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}  # fmt: skip
C_NAMES = {"float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
           "float64": "double", "bool": "bool", "uint8": "unsigned char", "int8": "signed char",
           "int16": "short", "int32": "int", "int64": "long", "uint16": "unsigned short",
           "uint32": "unsigned int", "uint64": "unsigned long"}  # fmt: skip


@composite(method=True)
def uniform_(
    input: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **old: Any
) -> Tensor:
    """Overwrite `input` with numbers evenly spread from `from` up to, not including, `to`.

    Parameters
    ----------
    input : Tensor
    from_ : float
        ``from`` in PyTorch, which can also be given by that keyword.
    to : float
    generator : Generator, optional

    Raises
    ------
    RuntimeError
        If `from` is above `to`, or one of them is not among the numbers of the dtype.
    """
    low, high = float(_number(_from("uniform_", from_, old))), float(_number(to))
    _check_kind("uniform", input.dtype)
    real = parts(input.dtype, "uniform", ())[0]
    largest = LARGEST[real.name]
    for label, value in (("from", low), ("to", high)):
        if not -largest <= value <= largest:
            raise RuntimeError(f"{label} is out of bounds for {C_NAMES[real.name]}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{real.legacy}>::max(), but found "
            f"to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )
    return _filled("uniform_", input, "uniform", (low, high), generator)


def _from(name: str, value: Any, old: dict[str, Any]) -> Any:
    """The argument that PyTorch calls `from`, a word that Python keeps for itself."""
    value = old.pop("from", value)
    for key in old:
        raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
    return value


def _check_std(std: float) -> None:
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


@composite(method=True)
def normal_(input: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite `input` with normal numbers.

    Raises
    ------
    RuntimeError
        If `std` is negative.
    """
    mean, std = float(_number(mean)), float(_number(std))
    _check_std(std)
    return _filled("normal_", input, "normal", (mean, std), generator)


@op(promotes=None, public=False, node="NormalBackward3", oracle=None)
def normal_at(xp: Any, mean: Any, std: Any, /, seed: int, offset: int, dtype: Any) -> Any:
    """Normal numbers, each with a mean and a deviation of its own."""
    if xp.any(~(std >= 0)):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    size = together([mean.shape, std.shape])
    x = xp.draw(size, "normal", (0.0, 1.0), seed, offset, dtype=dtype)
    return x * xp.astype(std, _real(xp, dtype)) + xp.astype(mean, dtype)


def _real(xp: Any, dtype: Any) -> Any:
    return getattr(xp, parts(of(dtype), "uniform", ())[0].name)


derivative(
    normal_at,
    mean=lambda xp, g, mean_shape: xp.zeros(mean_shape, dtype=g.dtype, device=g.device),
    std=lambda xp, g, std_shape: xp.zeros(std_shape, dtype=g.dtype, device=g.device),
)


@composite(method=False)
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Dtype | None = None,
    **place: Any,
) -> Tensor:
    """Normal numbers, with one mean and deviation or with one of each to an element.

    Parameters
    ----------
    mean, std : Tensor or float
        Tensors broadcast; the result has the dtype of the first of them.
    size : sequence of int, optional
        The shape, if both are numbers.
    generator : Generator, optional
    dtype, device, requires_grad
        As for all new tensors, if both are numbers.
    out : Tensor, optional

    Raises
    ------
    RuntimeError
        If a deviation is negative.
    """
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not isinstance(std, Tensor):
        _check_std(std)
    if size is None and not tensors:
        raise TypeError('normal() missing 1 required positional arguments: "size"')
    if size is not None:
        if not hasattr(size, "__len__"):
            raise TypeError(
                "normal(): argument 'size' (position 3) must be tuple of ints, not "
                f"{type(size).__name__}"
            )
        values = (float(_number(mean)), float(_number(std)))
        return _drawn("normal", (size,), "normal", values, dtype, {**place, "generator": generator})
    if isinstance(std, Tensor) and std.is_complex():
        raise RuntimeError(
            f"normal expects standard deviation to be non-complex, got std of {std.dtype}; use "
            "std.real"
        )
    _check_kind("normal", tensors[0].dtype)
    shape = together([x.shape for x in tensors])
    out = place.pop("out", None)
    kept = {} if out is None else {"out": out}
    if out is not None:
        _check_kind("normal", out.dtype)
    if _place("normal", place) or dtype is not None:
        raise TypeError("normal() takes neither dtype nor device where mean or std is a tensor")
    real, many, _ = parts(tensors[0].dtype, "uniform", ())
    return _reserved(
        _source("normal", generator),
        many * prod(shape),
        width("normal", (), real),
        partial(normal_at, mean, std, dtype=tensors[0].dtype, **kept),
    )


# ---- other distributions, in place


def _check_above_zero(name: str, label: str, value: float) -> None:
    if not value > 0:
        raise RuntimeError(f"{name} expects {label} > 0.0, but found {label}={value:g}")


@composite(method=True)
def exponential_(input: Any, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite `input` with exponentially distributed numbers, never 0, of rate `lambd`.

    Raises
    ------
    RuntimeError
        If `lambd` is not above 0.
    """
    rate = float(_number(lambd))
    _check_kind("exponential", input.dtype)
    _check_above_zero("exponential_", "lambda", rate)
    return _filled("exponential_", input, "exponential", (rate,), generator)


@composite(method=True)
def cauchy_(
    input: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Overwrite `input` with numbers of Cauchy's distribution.

    Raises
    ------
    RuntimeError
        If `sigma` is not above 0.
    """
    median, sigma = float(_number(median)), float(_number(sigma))
    _check_kind("cauchy", input.dtype)
    _check_above_zero("cauchy_", "sigma", sigma)
    return _filled("cauchy_", input, "cauchy", (median, sigma), generator)


@composite(method=True)
def log_normal_(
    input: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Overwrite `input` with numbers whose logarithms are normal with `mean` and `std`.

    Raises
    ------
    RuntimeError
        If `std` is not above 0.
    """
    mean, std = float(_number(mean)), float(_number(std))
    _check_above_zero("log_normal_", "std", std)
    return _filled("log_normal_", input, "log_normal", (mean, std), generator)


@composite(method=True)
def geometric_(input: Any, p: float, *, generator: Any = None) -> Tensor:
    """Overwrite `input` with numbers of trials until one succeeds, which each does with `p`.

    Raises
    ------
    RuntimeError
        If `p` is not between 0 and 1.
    """
    p = float(_number(p))
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _filled("geometric_", input, "geometric", (p,), generator)


# ---- yes or no


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def _below(xp: Any, p: Any, seed: int, offset: int) -> Any:
    """True, for each probability, with that probability."""
    if not xp.all((p >= 0) & (p <= 1)):
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false: probabilities lie between "
            "0 and 1"
        )
    dtype = xp.float64 if wide(p.dtype) else xp.float32
    x = xp.draw(tuple(p.shape), "uniform", (0.0, 1.0), seed, offset, dtype=dtype)
    return x < xp.astype(p, dtype)


@op(promotes=None, public=False, node="BernoulliBackward0", oracle=None)
def bernoulli_at(xp: Any, input: Any, /, seed: int, offset: int, dtype: Any) -> Any:
    """1 with the probabilities `input`, else 0."""
    return xp.astype(_below(xp, input, seed, offset), dtype)


derivative(bernoulli_at, input=lambda xp, g: xp.zeros_like(g))


@op(promotes=None, public=False, inplace=True, node="BernoulliBackward1", oracle=None)
def fill_bernoulli_at(xp: Any, input: Any, p: Any, /, seed: int, offset: int) -> Any:
    """1 with the probabilities `p`, else 0, in the place of what was there."""
    return xp.astype(_below(xp, p, seed, offset), input.dtype)


derivative(
    fill_bernoulli_at,
    input=lambda xp, g: xp.zeros_like(g),
    p=lambda xp, g: xp.zeros_like(g),
)


def _check_probabilities(p: Any) -> None:
    if p.dtype.kind != "float":
        raise NotImplementedError(
            f"\"bernoulli_tensor_cpu_p_\" not implemented for '{p.dtype.legacy}'"
        )


@composite(method=True)
def bernoulli(
    input: Any, p: float | None = None, *, generator: Any = None, out: Any = None
) -> Tensor:
    """1 with some probability, else 0.

    Parameters
    ----------
    input : Tensor
        The probabilities, if `p` is not given.
    p : float, optional
        The probability of all; then `input` gives only shape, dtype and device.
    generator : Generator, optional
    out : Tensor, optional

    Raises
    ------
    RuntimeError
        If a probability is not between 0 and 1.
    """
    kept = {} if out is None else {"out": out}
    if p is not None:
        _check_probability(p)
        place = {"generator": generator, "device": input.device, **kept}
        dtype = input.dtype if out is None else None
        return _drawn("bernoulli", (tuple(input.shape),), "bernoulli", (float(p),), dtype, place)
    _check_probabilities(input)
    dtype = input.dtype if out is None else out.dtype
    _check_kind("bernoulli", dtype)
    return _reserved(
        _source("bernoulli", generator),
        input.numel(),
        width("uniform", (), input.dtype),
        partial(bernoulli_at, input, dtype=dtype, **kept),
    )


@composite(method=True)
def bernoulli_(input: Any, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Overwrite `input` with 1, with probability `p`, and 0.

    Parameters
    ----------
    input : Tensor
    p : Tensor or float
        A tensor of probabilities that can be expanded to the shape of `input`, or one of all.
    generator : Generator, optional

    Raises
    ------
    RuntimeError
        If a probability is not between 0 and 1.
    """
    if not isinstance(p, Tensor):
        _check_probability(p)
        return _filled("bernoulli_", input, "bernoulli", (float(p),), generator)
    _check_kind("bernoulli", input.dtype)
    _check_probabilities(p)
    p = expand(p, input.shape)
    return _reserved(
        _source("bernoulli_", generator),
        input.numel(),
        width("uniform", (), p.dtype),
        partial(in_place(fill_bernoulli_at), input, p),
        input,
    )


# ---- integers


def _whole(name: str, label: str, place: int, value: Any) -> int:
    """An int, also out of a 0-d tensor."""
    try:
        whole: int = as_int(_number(value))
    except TypeError:
        raise TypeError(
            f"{name}(): argument '{label}' (position {place}) must be int, not "
            f"{type(value).__name__}"
        ) from None
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"Overflow when unpacking long long: {name}() got {label}={whole}")
    return whole


def _bounds(dtype: Dtype) -> tuple[float, float]:
    """The least and the largest number of a dtype."""
    if dtype.kind == "float":
        return -LARGEST[dtype.name], LARGEST[dtype.name]
    if dtype.kind == "bool":
        return 0, 1
    bits = 8 * dtype.itemsize - dtype.is_signed
    return (-(2**bits) if dtype.is_signed else 0), 2**bits - 1


def _range(low: int, high: int, dtype: Dtype) -> tuple[int, int]:
    """The first of the integers from `low` up to, not including, `high`, and their number."""
    found = _checked_range(low, high, dtype)
    if dtype.kind == "float":
        digits = DIGITS[dtype.name]
        for label, value in (("from", low), ("to - 1", high - 1)):
            if abs(value) > 2**digits:
                warnings.warn(
                    f"{label} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                    f"limitations {C_NAMES[dtype.name]} can support discrete uniform distribution "
                    "only within this range.",
                    stacklevel=4,
                )
    return found


@lru_cache(256)
def _checked_range(low: int, high: int, dtype: Dtype) -> tuple[int, int]:
    """The same, of integers that a dtype reaches."""
    _check_kind("random", dtype)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    least, most = _bounds(dtype)
    for label, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most:
            raise RuntimeError(f"{label} is out of bounds for {C_NAMES[dtype.name]}")
    return low, high - low


@composite(method=True)
def random_(input: Any, *bounds: Any, generator: Any = None, **named: Any) -> Tensor:
    """Overwrite `input` with integers: ``random_()``, ``random_(to)`` or ``random_(from, to)``.

    Parameters
    ----------
    input : Tensor
    from : int
        The smallest, 0 by default.
    to : int
        Above the largest. By default all that the dtype can count to, for floating dtypes all up to
        where it begins to miss some.
    generator : Generator, optional

    Raises
    ------
    RuntimeError
        If the range is empty, or reaches beyond the dtype.
    TypeError
        If a bound is no int, is given twice, or `from` is given alone.
    """
    if len(bounds) > 2:
        raise TypeError(f"random_() takes 2 positional arguments but {len(bounds)} were given")
    alone = len(bounds) == 1 and not named
    given = dict(zip(("to",) if alone else ("from", "to"), bounds, strict=False))
    for label in given.keys() & named.keys():
        raise TypeError(f"random_() got multiple values for argument '{label}'")
    given |= named
    _from("random_", None, {label: value for label, value in given.items() if label != "to"})
    if "from" in given and "to" not in given:
        raise TypeError("random_() got 'from' without 'to': give both, or 'to' alone")
    dtype = input.dtype
    _check_kind("random", dtype)
    low, high = _whole("random_", "from", 1, given.get("from", 0)), given.get("to")
    if high is None and given.keys() != {"to"}:
        most = 2 ** DIGITS[dtype.name] if dtype.kind == "float" else _bounds(dtype)[1]
        values = (low, most + 1 - low)
    else:
        values = _range(low, _whole("random_", "to", 2, high), dtype)
    return _filled("random_", input, "random", values, generator)


def _limits(
    name: str, args: tuple[Any, ...], place: dict[str, Any], sized: bool
) -> tuple[Any, ...]:
    """The arguments low, high and perhaps size, of which the first may be left out."""
    labels = ("low", "high", "size")[: 2 + sized]
    given = {label: place.pop(label) for label in labels if label in place} if place else {}
    open_ = [label for label in labels if label not in given]
    if open_ and len(args) < len(open_):
        open_ = open_[1:] if open_[0] == "low" else open_
    if len(args) != len(open_):
        missing = open_[len(args)] if len(args) < len(open_) else None
        raise TypeError(
            f'{name}() missing 1 required positional arguments: "{missing}"'
            if missing
            else f"{name}() takes {len(open_)} positional arguments but {len(args)} were given"
        )
    given.update(zip(open_, args, strict=True))
    first = "low" in given
    if sized and not hasattr(given["size"], "__len__"):
        raise TypeError(
            f"{name}(): argument 'size' (position {2 + first}) must be tuple of ints, not "
            f"{type(given['size']).__name__}"
        )
    low = _whole(name, "low", 1, given.get("low", 0))
    return low, _whole(name, "high", 1 + first, given["high"]), given.get("size")


@composite(method=False)
def randint(*args: Any, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Integers: ``randint(high, size)`` or ``randint(low, high, size)``.

    Parameters
    ----------
    low : int, optional
        The smallest, 0 by default.
    high : int
        Above the largest.
    size : sequence of int
    dtype : dtype, optional
        int64 by default.
    generator : Generator, optional
    device, requires_grad, out
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If the range is empty, or reaches beyond the dtype.
    """
    low, high, size = _limits("randint", args, place, True)
    if dtype is None:
        out = place.get("out")
        dtype = int64 if out is None else out.dtype
    return _drawn("randint", (size,), "random", _range(low, high, dtype), dtype, place)


@composite(method=False)
def randint_like(input: Any, *args: Any, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """Integers in the shape, dtype and device of `input`: of ``(high)`` or ``(low, high)``."""
    low, high, _ = _limits("randint_like", args, place, False)
    values = _range(low, high, dtype or input.dtype)
    return _drawn_like("randint_like", input, "random", values, dtype, place)


@op(public=False)
def permutation(xp: Any, /, n: int, seed: int, offset: int, dtype: Any) -> Any:
    """The integers below `n` in the order of random keys."""
    keys = Bits(xp, seed, offset).numbers(n)
    return xp.astype(xp.argsort(keys, stable=True), dtype)


@composite(method=False)
def randperm(n: int, *, dtype: Dtype | None = None, **place: Any) -> Tensor:
    """The integers from 0 up to, not including, `n`, in random order.

    Parameters
    ----------
    n : int
    dtype : dtype, optional
        int64 by default.
    generator : Generator, optional
    device, requires_grad, out
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If `n` is negative, or the dtype cannot count so far.
    """
    generator = _source("randperm", place.pop("generator", None))
    n = _whole("randperm", "n", 1, n)
    (n,) = _size("randperm", (n,))
    if dtype is None:
        out = place.get("out")
        dtype = int64 if out is None else out.dtype
    if dtype.kind not in ("int", "float"):
        raise NotImplementedError(f"\"randperm\" not implemented for '{dtype.legacy}'")
    if dtype.kind == "int" and n - 1 > _bounds(dtype)[1]:
        raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
    if dtype.kind == "float" and n > 2 ** DIGITS[dtype.name] + 1:
        raise RuntimeError(
            f"n cannot be greater than {2 ** DIGITS[dtype.name] + 1} for {dtype.legacy} type."
        )
    place = _place("randperm", place)
    return _reserved(
        generator,
        n,
        64,
        partial(permutation, n, dtype=dtype, **place),
    )


# ---- by rejection: numbers are proposed until each is accepted


def accepted(bits: Bits, count: int, propose: Callable[..., Any]) -> Any:
    """What ``propose(u, v)`` gives, from numbers between 0 and 1, where it first accepts it."""
    xp = bits.xp
    result = xp.zeros((count,), dtype=xp.float64)
    waiting = xp.ones((count,), dtype=xp.bool)
    stream = 0
    while xp.any(waiting):
        u = fraction(bits, count, xp.float64, stream)
        v = fraction(bits, count, xp.float64, stream + 1)
        value, good = propose(u, v)
        result = xp.where(waiting & good, value, result)
        waiting = waiting & ~good
        stream += 2
    return result


def summed(xp: Any, u: Any, first: Any, ratio: Callable[[int], Any]) -> Any:
    """How many probabilities, ``first`` and on by factors ``ratio(k)``, stay below `u` in sum.

    It ends where the probabilities become too small to change a sum.
    """
    total = part = first
    result = xp.zeros_like(u)
    k = 0
    while xp.any((u >= total) & (part > 0)):
        k += 1
        result = xp.where((u >= total) & (part > 0), xp.astype(result, xp.float64) + 1, result)
        part = part * ratio(k)
        part = xp.where(part > 2.0**-60, part, xp.zeros_like(part)) if k > 40 else part
        total = total + part
    return result


SMALL = 10.0
"""Up to that expectation probabilities are summed; beyond it numbers are proposed."""


def poisson_numbers(bits: Bits, rate: Any) -> Any:
    """Counts of events, for a vector of rates.

    Proposals are those of Hörmann, "The transformed rejection method for generating Poisson random
    variables", 1993.
    """
    xp, count = bits.xp, rate.shape[0]
    high = rate > SMALL
    few = xp.where(high, xp.zeros_like(rate), rate)
    result = summed(xp, fraction(bits, count, xp.float64, 2**31), xp.exp(-few), lambda k: few / k)
    if not xp.any(high):
        return result
    many = xp.where(high & xp.isfinite(rate), rate, xp.full_like(rate, 2 * SMALL))
    root, logarithm = xp.sqrt(many), xp.log(many)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)

    def propose(u: Any, v: Any) -> tuple[Any, Any]:
        u = u - 0.5
        edge = xp.clip(0.5 - xp.abs(u), min=2.0**-60)
        k = xp.floor((2 * a / edge + b) * u + many + 0.43)
        inside = (k >= 0) & ((edge >= 0.013) | (v <= edge))
        k = xp.clip(k, min=0.0)
        left = xp.log(xp.clip(v, min=2.0**-60) * inverse_alpha / (a / (edge * edge) + b))
        good = left <= k * logarithm - many - xp.lgamma(k + 1)
        return k, ((edge >= 0.07) & (v <= quick)) | (inside & good) | ~high

    result = xp.where(high, accepted(bits, count, propose), result)
    return xp.where(xp.isinf(rate), rate, result)


def binomial_numbers(bits: Bits, trials: Any, p: Any) -> Any:
    """Counts of successes, for vectors of trials and probabilities.

    Proposals are those of Hörmann, "The generation of binomial random variates", 1993.
    """
    xp, count = bits.xp, trials.shape[0]
    none, all_ = (p <= 0) | (trials <= 0), p >= 1
    unknown = xp.isnan(trials) | xp.isnan(p)
    plain = ~(none | all_ | unknown)
    turned = p > 0.5
    q = xp.where(turned, 1 - p, p)
    q = xp.where(plain, q, xp.full_like(q, 0.25))
    n = xp.where(plain, trials, xp.ones_like(trials))
    high = n * q > SMALL
    few = xp.where(high, xp.ones_like(n), n)
    odds = q / (1 - q)
    first = xp.exp(few * xp.log1p(-q))
    result = summed(
        xp, fraction(bits, count, xp.float64, 2**31), first,
        lambda k: xp.clip(few - (k - 1), min=0.0) / k * odds,
    )  # fmt: skip
    if xp.any(high):
        many = xp.where(high, n, xp.ceil(2 * SMALL / q))
        spread = xp.sqrt(many * q * (1 - q))
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * q
        quick, alpha = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread
        mode = xp.floor((many + 1) * q)
        peak = xp.lgamma(mode + 1) + xp.lgamma(many - mode + 1)

        def propose(u: Any, v: Any) -> tuple[Any, Any]:
            u = u - 0.5
            edge = xp.clip(0.5 - xp.abs(u), min=2.0**-60)
            k = xp.floor((2 * a / edge + b) * u + many * q + 0.5)
            inside = (k >= 0) & (k <= many)
            k = xp.clip(k, min=0.0)
            k = xp.where(inside, k, mode)
            left = xp.log(xp.clip(v, min=2.0**-60) * alpha / (a / (edge * edge) + b))
            right = peak - xp.lgamma(k + 1) - xp.lgamma(many - k + 1)
            good = left <= right + (k - mode) * xp.log(odds)
            return k, (inside & (((edge >= 0.07) & (v <= quick)) | good)) | ~high

        result = xp.where(high, accepted(bits, count, propose), result)
    result = xp.where(turned, n - result, result)
    result = xp.where(none, xp.zeros_like(result), xp.where(all_, trials, result))
    return xp.where(unknown, xp.full_like(result, float("nan")), result)


COUNTS: dict[str, Callable[..., Any]] = {
    "poisson": poisson_numbers,
    "binomial": binomial_numbers,
}


@op(promotes=None, public=False, oracle=None)
def counts(xp: Any, /, *vectors: Any, how: str, seed: int, offset: int) -> Any:
    """Counts, in float64, of a distribution whose parameters are vectors of float64."""
    return COUNTS[how](Bits(xp, seed, offset), *vectors)


@op(promotes=None, public=False, node="PoissonBackward0", oracle=None)
def poisson_at(xp: Any, input: Any, /, seed: int, offset: int) -> Any:
    """Counts of events at the rates `input`."""
    if xp.any(~(input >= 0)):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    rate = xp.reshape(xp.astype(input, xp.float64), (-1,))
    found = xp.counts((rate,), "poisson", seed, offset)
    return xp.reshape(xp.astype(found, input.dtype), input.shape)


derivative(poisson_at, input=lambda xp, g: xp.zeros_like(g))


@composite(method=False)
def poisson(input: Any, generator: Any = None) -> Tensor:
    """How many events there are in a time in which `input` are expected.

    Raises
    ------
    RuntimeError
        If a rate is negative.
    """
    if input.dtype.kind != "float":
        raise NotImplementedError(f"\"poisson_cpu\" not implemented for '{input.dtype.legacy}'")
    return _reserved(
        _source("poisson", generator),
        input.numel(),
        64,
        partial(poisson_at, input),
    )


@op(promotes=None, public=False, oracle=None)
def binomial_at(xp: Any, count: Any, prob: Any, /, seed: int, offset: int) -> Any:
    """Counts of successes among `count` trials, each of probability `prob`."""
    size = together([count.shape, prob.shape])
    trials, p = [
        xp.reshape(xp.astype(xp.broadcast_to(x, size), xp.float64), (-1,)) for x in (count, prob)
    ]
    found = xp.counts((trials, p), "binomial", seed, offset)
    return xp.reshape(xp.astype(found, count.dtype), size)


@composite(method=False)
def binomial(count: Any, prob: Any, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed, if each does with probability `prob`.

    Raises
    ------
    ValueError
        If they are not of a floating dtype.
    RuntimeError
        If their dtypes differ.
    """
    for place, (label, x) in enumerate((("count", count), ("prob", prob)), 1):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"binomial(): argument '{label}' (position {place}) must be Tensor, not "
                f"{type(x).__name__}"
            )
        if x.dtype.kind != "float":
            raise ValueError(
                f"binomial only supports floating-point dtypes for {label}, got: {x.dtype.legacy}"
            )
    if count.dtype is not prob.dtype:
        raise RuntimeError(f"Found dtype {prob.dtype.legacy} but expected {count.dtype.legacy}")
    size = together([count.shape, prob.shape])
    return _reserved(
        _source("binomial", generator),
        prod(size),
        64,
        partial(binomial_at, count, prob),
    )


# ---- choices


@op(promotes=None, public=False, oracle=None)
def multinomial_at(
    xp: Any, input: Any, /, num_samples: int, replacement: bool, seed: int, offset: int
) -> Any:
    """`num_samples` places in each row of `input`, by their weights."""
    return drawn_places(Bits(xp, seed, offset), input, num_samples, replacement)


def drawn_places(bits: Bits, input: Any, samples: int, replacement: bool) -> Any:
    """What `multinomial_at` returns, of these bits."""
    xp = bits.xp
    *rows, width = input.shape
    count = prod(rows)
    weights = xp.reshape(xp.astype(input, xp.float64), (count, width))
    total = xp.sum(weights, axis=-1, keepdims=True)
    if not (xp.all(weights >= 0) and xp.all((total > 0) & (total < inf))):
        if xp.all(weights >= 0) and xp.all(xp.isfinite(total)):
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        raise RuntimeError(
            "invalid multinomial distribution (encountering probability entry < 0, inf or nan)"
            if replacement
            else "probability tensor contains either `inf`, `nan` or element < 0"
        )
    if replacement:
        found = _searched(bits, weights / total, samples)
    else:
        # the first to arrive, of waiting times whose rates are the weights
        times = exponential_numbers(bits, count * width, xp.float64, 1.0)
        speed = weights / xp.reshape(times, (count, width))
        if samples == 1:
            found = xp.argmax(speed, axis=-1, keepdims=True)
        else:
            found = xp.argsort(speed, axis=-1, descending=True, stable=True)[:, :samples]
    return xp.reshape(xp.astype(found, xp.int64), (*rows, samples))


def _searched(bits: Bits, weights: Any, samples: int) -> Any:
    """For each row, the places at which the sum of its weights passes random numbers."""
    xp = bits.xp
    count, width = weights.shape
    # one search for all rows: the sums of row r lie between r and r + 1
    row = xp.reshape(xp.arange(count, dtype=xp.float64), (count, 1))
    sums = xp.reshape(xp.cumulative_sum(weights, axis=-1) + row, (-1,))
    wanted = xp.reshape(fraction(bits, count * samples, xp.float64), (count, samples)) + row
    found = xp.searchsorted(sums, xp.reshape(wanted, (-1,)), side="right")
    found = xp.reshape(xp.astype(found, xp.int64), (count, samples))
    found = found - xp.astype(row, xp.int64) * width
    place = xp.reshape(xp.arange(width, dtype=xp.int64), (1, width))
    last = xp.max(xp.where(weights > 0, place, xp.zeros_like(place)), axis=-1, keepdims=True)
    return xp.where(found < last, found, last)


@composite(method=True)
def multinomial(
    input: Any,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Any = None,
) -> Tensor:
    """Places in `input`, or in each of its rows, drawn with the weights that stand there.

    Parameters
    ----------
    input : Tensor
        Weights, of one or two dimensions; they need not add up to 1.
    num_samples : int
    replacement : bool
        Whether a place can be drawn again.
    generator : Generator, optional
    out : Tensor, optional

    Raises
    ------
    RuntimeError
        If there are not so many places, or the weights are negative, infinite, or all 0.
    """
    num_samples = _whole("multinomial", "num_samples", 2, num_samples)
    if out is not None and out.dtype is not int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.legacy}")
    if input.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {input.ndim}")
    if input.dtype.kind != "float":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype.legacy}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {num_samples}")
    places = input.shape[-1]
    if not replacement and num_samples > places:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement, got "
            f"{num_samples} > {places}"
        )
    many = input.numel() // max(places, 1) * num_samples if replacement else input.numel()
    kept = {} if out is None else {"out": out}
    return _reserved(
        _source("multinomial", generator),
        many,
        64,
        partial(multinomial_at, input.detach(), num_samples, bool(replacement), **kept),
    )


# ---- leaving out


@op(
    promotes=None,
    public=False,
    inplace=True,
    node="MulBackward0",
    oracle=None,
    examples=[((3, 4), bools(3, 4), 2.0), ((2, 3, 4), bools(2, 3, 1), 1.25)],
)
def dropped(xp: Any, input: Any, mask: Any, /, scale: float) -> Any:
    """`input` times `scale` where `mask` holds, times 0 elsewhere."""
    return input * (xp.astype(mask, input.dtype) * scale)


derivative(dropped, input=lambda xp, g, mask, scale: xp.dropped(g, mask, scale))


def _leaves(p: float, train: bool, input: Any) -> bool:
    """Whether anything can be left out; refuses what is no probability."""
    if p < 0 or p > 1 or isnan(p):
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return train and p != 0 and input.numel() != 0


def _mask(input: Any, p: float, channels: bool) -> Any:
    """Where `input`, or which of its channels, are kept."""
    if input.dtype.kind in ("int", "bool"):
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{input.dtype.legacy}: dropout takes floating-point tensors"
        )
    _check_kind("bernoulli", input.dtype)
    size = tuple(input.shape)
    if channels:
        size = (*size[:2], *(1,) * (len(size) - 2))
    return _drawn("dropout", (size,), "bernoulli", (1.0 - p,), bool_, {"device": input.device})


def _scaled(input: Any, mask: Any, scale: float, inplace: bool) -> Any:
    return (in_place(dropped) if inplace else dropped)(input, mask, scale)


def _nothing(input: Any, inplace: bool) -> Any:
    """`input` times 0, which keeps what is no number."""
    zero = zeros((), dtype=input.dtype, device=input.device)
    return input.mul_(zero) if inplace else input * zero


def _dropout(input: Any, p: float, train: bool, inplace: bool, channels: bool) -> Any:
    if channels and input.ndim < 2 and _leaves(p, train, input) and p < 1:
        raise RuntimeError(
            f"Feature dropout requires at least 2 dimensions in the input, got {input.ndim}"
        )
    if not _leaves(p, train, input):
        return input
    if p == 1:
        return _nothing(input, inplace)
    return _scaled(input, _mask(input, p, channels), 1 / (1 - p), inplace)


@composite(method=False)
def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    train: bool | None = None,
) -> Tensor:
    """Set elements to 0, each with probability `p`, and multiply the others by ``1 / (1 - p)``.

    Parameters
    ----------
    input : Tensor
    p : float
    training : bool
        False returns `input` itself; `train` is another name of it.
    inplace : bool
        Write the result into `input`.

    Raises
    ------
    ValueError
        If `p` is no probability.
    """
    return _dropout(input, p, training if train is None else train, inplace, False)


@composite(method=False)
def feature_dropout(input: Any, p: float, train: bool) -> Tensor:
    """`dropout` of whole channels, the second dimension; the other arguments are as there."""
    return _dropout(input, p, train, False, True)


ALPHA = 1.7580993408473766
"""Minus the limit of `selu` for negative numbers: what is left out is set to it."""


def _alpha_dropout(input: Any, p: float, train: bool, inplace: bool, channels: bool) -> Any:
    if not _leaves(p, train, input):
        return input
    if channels and input.ndim < 2 and p < 1:
        raise RuntimeError(
            f"Feature dropout requires at least 2 dimensions in the input, got {input.ndim}"
        )
    if p == 1:
        return _nothing(input, inplace)
    scale = 1 / sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    mask = _mask(input, p, channels)
    shift = (mask.to(input.dtype) - (1 - p)) * (ALPHA * scale)
    result = _scaled(input, mask, scale, inplace)
    return result.add_(shift) if inplace else result + shift


@composite(method=False, home="nn")
def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`dropout` that keeps mean 0 and variance 1, as what is left out gets the least of `selu`."""
    return _alpha_dropout(input, p, training, inplace, False)


@composite(method=False, home="nn")
def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels, the second dimension."""
    return _alpha_dropout(input, p, training, inplace, True)


@composite(method=False, home="nn")
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of sequences, (N, C, L) or (C, L)."""
    _leaves(p, training, input)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. It leaves "
            "out channels of inputs with 1 spatial dimension, a channel dimension, and an "
            "optional batch dimension."
        )
    return _batched(input, p, training, inplace, 3)


@composite(method=False, home="nn")
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of images, (N, C, H, W); three dimensions count as (N, C, L)."""
    _leaves(p, training, input)
    if input.ndim not in (3, 4):
        _warn_of_dimensions("dropout2d", input.ndim, 2)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L). dropout1d does that.",
            stacklevel=2,
        )
    return _dropout(input, p, training, inplace, True)


@composite(method=False, home="nn")
def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of volumes, (N, C, D, H, W) or (C, D, H, W)."""
    _leaves(p, training, input)
    if input.ndim not in (4, 5):
        _warn_of_dimensions("dropout3d", input.ndim, 3)
    return _batched(input, p, training, inplace, 5)


def _warn_of_dimensions(name: str, ndim: int, spatial: int) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
        f"error in a future release. Use dropout instead; {name} leaves out channels of inputs "
        f"with {spatial} spatial dimensions, a channel dimension, and an optional batch dimension.",
        stacklevel=3,
    )


def _batched(input: Any, p: float, training: bool, inplace: bool, ndim: int) -> Any:
    """`feature_dropout`, of an input that lacks a batch dimension if it has not `ndim`."""
    if input.ndim == ndim:
        return _dropout(input, p, training, inplace, True)
    result = _dropout(input.unsqueeze(0), p, training, inplace, True).squeeze(0)
    return input if inplace else result
