"""Random calls of the standard's functions: each argument is drawn by its parameter's name."""

import inspect
import math
import random

import array_api_strict as strict
import numpy as np

import devtensor.array_api as xp

strict.set_array_api_strict_flags(api_version="2024.12")
HOMES = {"": (xp, strict), "linalg": (xp.linalg, strict.linalg), "fft": (xp.fft, strict.fft)}
TYPES = {
    "bool": ["bool"],
    "int": ["int8", "int16", "int32", "int64"],
    "uint": ["uint8", "uint16", "uint32", "uint64"],
    "float": ["float32", "float64"],
    "complex": ["complex64", "complex128"],
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -1.5, 2.5, math.inf, -math.inf, math.nan, 1e30, 1e-30]
LEFT_OUT = object()


class Type(str):
    """The name of a dtype among the arguments."""


def numbers(random, shape, dtype, special=True):
    """Numbers of a type, with peculiar ones among them."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.random(shape) < 0.5
    if kind in "iu":
        limits = np.iinfo(dtype)
        small = random.integers(-9 if kind == "i" else 0, 10, shape).astype(dtype)
        wide = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        return np.where(random.random(shape) < 0.8, small, wide)
    values = random.standard_normal(shape) * 3
    if special:
        values = np.where(random.random(shape) < 0.25, random.choice(SPECIAL, shape), values)
    if kind == "c":
        return (values + 1j * random.standard_normal(shape)).astype(dtype)
    return np.asarray(values).astype(dtype)


class Draw:
    """One call of the function `name` with such a signature; a seed makes one call."""

    def __init__(self, seed, name, signature, home="", kind=None):
        self.seed, self.name, self.home = seed, name, home
        self.choices = random.Random(f"{home}.{name} {seed}")
        self.random = np.random.default_rng(self.choices.randrange(2**32))
        self.given = {}
        self.kind = kind or self.one_of(*TYPES)
        self.special = home == "" and kind is None and self.one_of(True, False)
        self.args, self.kwargs = [], {}
        for p in inspect.signature(signature).parameters.values():
            own = getattr(self, f"{name}_{p.name}", None) or getattr(self, p.name)
            if p.default is not p.empty and self.one_of(True, False):
                continue
            value = own()
            if value is LEFT_OUT:
                continue
            self.given[p.name] = value
            if p.kind is p.POSITIONAL_ONLY:
                self.args.append(value)
            elif p.kind is p.VAR_POSITIONAL:
                self.args += value
            else:
                self.kwargs[p.name] = value

    def __repr__(self):
        words = [repr(value) for value in self.args]
        words += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(words)})"

    # ---- what they are drawn from

    def one_of(self, *values):
        return self.choices.choice(values)

    def int(self, least, most):
        return self.choices.randint(least, most)

    def lengths(self, least=0, most=3, of=(1, 2, 3, 3, 4, 0)):
        return tuple([self.one_of(*of) for _ in range(self.int(least, most))])

    def type(self, kind=None):
        return Type(self.one_of(*TYPES[kind or self.kind]))

    def array(self, shape=None, dtype=None):
        shape = self.lengths() if shape is None else shape
        return np.asarray(numbers(self.random, shape, dtype or self.type(), self.special))

    def matrix(self, square=False):
        before, n = self.lengths(0, 2), self.one_of(1, 2, 3)
        return (*before, n, n if square else self.one_of(1, 2, 3))

    @property
    def ndim(self):
        return np.ndim(self.given.get("x", self.given.get("x1")))

    def one_axis(self):
        return self.int(-self.ndim, self.ndim - 1) if self.ndim else 0

    def several_axes(self):
        found = [self.one_axis() for _ in range(self.int(0, 2))]
        return tuple({a % self.ndim: a for a in found}.values()) if self.ndim else ()

    # ---- by parameter

    def x(self):
        return self.array()

    def x1(self):
        return self.array()

    def x2(self):
        first = self.given["x1"]
        if self.one_of(True, True, False):
            shape = [self.one_of(n, n, 1) for n in first.shape]
            shape = shape[self.int(0, len(shape)) :] if shape else self.lengths()
            return self.array(tuple(shape))
        value = self.array(()).item()
        return value if not isinstance(value, int) or abs(value) < 100 else 2

    def axis(self):
        return self.one_of(self.one_axis(), self.several_axes(), None)

    def just_axis(self):
        return self.one_axis()

    argmax_axis = argmin_axis = sort_axis = argsort_axis = unstack_axis = take_axis = just_axis
    repeat_axis = take_along_axis_axis = diff_axis = expand_dims_axis = just_axis
    cumulative_sum_axis = cumulative_prod_axis = just_axis

    def keepdims(self):
        return self.one_of(True, False)

    invert = include_initial = descending = endpoint = upper = copy = keepdims
    full_matrices = keepdims

    def stable(self):
        return True

    def dtype(self):
        return self.type(self.one_of(*TYPES))

    def sum_dtype(self):
        return self.type()

    prod_dtype = cumulative_sum_dtype = cumulative_prod_dtype = trace_dtype = sum_dtype

    def astype_dtype(self):
        order = ["bool", "uint", "int", "float", "complex"]
        return self.type(self.one_of(*order[order.index(self.kind) :]))

    def linspace_dtype(self):
        return self.type("complex" if self.kind == "complex" else "float")

    fftfreq_dtype = rfftfreq_dtype = lambda self: self.type("float")

    def device(self):
        return LEFT_OUT

    def shape(self):
        return self.one_of(self.lengths(), self.int(0, 3))

    def broadcast_to_shape(self):
        return (*self.lengths(0, 1), *self.given["x"].shape)

    def reshape_shape(self):
        size = self.given["x"].size
        return self.one_of((-1,), (size,), (1, size), (size, 1, 1), (2, -1), (0, -1))

    reshape_copy = lambda self: self.one_of(None, True)  # noqa: E731

    def fill_value(self):
        value = self.array((), self.type()).item()
        return value if not isinstance(value, int) or abs(value) < 100 else 2

    def full_dtype(self):
        return self.type()

    full_like_dtype = lambda self: LEFT_OUT  # noqa: E731

    def k(self):
        return self.int(-4, 4)

    offset = k

    def n_rows(self):
        return self.int(0, 4)

    n_cols = num = n_rows

    def start(self):
        values = {"int": self.int(-5, 5), "float": self.one_of(-2.5, 0.0, 1.25)}
        return values["float" if self.kind in ("float", "complex") else "int"]

    stop = start

    def step(self):
        return self.one_of(-2, -1, 1, 3, 0.5)

    def arange_dtype(self):
        return self.type("float")

    def obj(self):
        array = self.array()
        return self.one_of(array, array.tolist())

    def asarray_dtype(self):
        return self.type()

    def asarray_obj(self):
        array = numbers(self.random, self.lengths(), self.type(), True)
        return array if self.kind == "uint" else array.tolist()

    def arrays(self):
        shape = self.lengths(1)
        return [self.array(shape) for _ in range(self.int(1, 3))]

    def meshgrid_arrays(self):
        dtype = self.type()
        return [self.array(self.lengths(1, 1), dtype) for _ in range(self.int(1, 3))]

    def broadcast_arrays_arrays(self):
        return [self.x_for(shape) for shape in [(3, 1), (1,), (2, 1, 4)][: self.int(1, 3)]]

    def x_for(self, shape):
        return self.array(shape)

    def concat_axis(self):
        ndim = self.given["arrays"][0].ndim
        return self.one_of(None, self.int(-ndim, ndim - 1))

    def stack_axis(self):
        ndim = self.given["arrays"][0].ndim + 1
        return self.int(-ndim, ndim - 1)

    def indexing(self):
        return self.one_of("xy", "ij")

    def shapes(self):
        return self.one_of([(3, 1), (4,)], [()], [(2, 1), (1, 1, 1), (5,)], [(2,), (3,)])

    def source(self):
        return self.one_axis()

    destination = source

    def dimensioned_x(self):  # what is undefined without dimensions, as is an axis of none
        return self.array(self.lengths(1))

    moveaxis_x = flip_x = sort_x = argsort_x = mean_x = roll_x = diff_x = dimensioned_x
    cumulative_sum_x = cumulative_prod_x = std_x = var_x = dimensioned_x

    def axes(self):
        return self.one_of(*map(tuple, self.orders()))

    def orders(self):
        order = list(range(self.ndim))
        return [order, order[::-1], [a - self.ndim for a in order]]

    def tensordot_x1(self):
        return self.array((2, 3, 4)[: self.int(2, 3)])

    def tensordot_x2(self):
        return self.array((2, 3, 4)[: self.int(2, 3)])

    def tensordot_axes(self):
        return self.one_of(0, 2, ((0, 1), (0, 1)), ((1,), (-2,)), ((0,), (0,)))

    def repeats(self):
        shape = self.given["x"].shape
        n = shape[self.given["axis"]] if "axis" in self.given else math.prod(shape)
        return self.one_of(2, 0, self.random.integers(0, 3, n).astype(self.type("uint")))

    def repeat_x(self):
        return self.array(self.lengths(1, 1))

    take_x = repeat_x

    def repetitions(self):
        return self.lengths(of=(0, 1, 2))

    def shift(self):
        return self.int(-3, 3)

    def squeeze_x(self):
        return self.array(self.lengths(1, 3, of=(1, 1, 2)))

    def squeeze_axis(self):
        return self.one_of(self.one_axis(), self.several_axes())

    def indices(self):
        n = self.given["x"].shape[-1] if self.ndim else 0
        return self.random.integers(-n, n, (3 if n else 0,)).astype(self.type("int"))

    def take_along_axis_x(self):
        return self.array(self.lengths(1, 3, of=(1, 2, 3)))

    def take_along_axis_indices(self):
        x = self.given["x"]
        n = min(x.shape)
        return self.random.integers(-n, n, x.shape).astype(self.type("int"))

    def side(self):
        return self.one_of("left", "right")

    def searchsorted_x1(self):
        return np.sort(self.array((self.int(0, 5),)))

    def searchsorted_x2(self):
        return self.array()

    def sorter(self):
        return np.arange(len(self.given["x1"]), dtype=self.type("int"))

    def condition(self):
        return self.array(self.lengths(), "bool")

    def where_x1(self):
        return self.array(self.given["condition"].shape)

    def isin_x2(self):
        return self.array()

    # What the standard leaves undefined of integers: division by 0, negative exponents and shifts;
    # and bounds in the wrong order.

    def floor_divide_x2(self):
        value = self.x2()
        return value if self.kind == "float" else np.maximum(value, 1)

    remainder_x2 = floor_divide_x2

    def pow_x2(self):
        value = self.x2()
        return value if self.kind in ("float", "complex") else abs(value) % 5

    def bitwise_left_shift_x2(self):
        x = self.array()
        return abs(x) % 7 if self.kind in ("int", "uint") else x

    bitwise_right_shift_x2 = bitwise_left_shift_x2

    def sign_x(self):
        self.special = self.special and self.kind != "complex"  # inf/inf of it
        return self.array()

    def clip_min(self):
        return self.bound(-1)

    def clip_max(self):
        return self.bound(1)

    def bound(self, sign):
        if self.one_of(True, False, False):
            return None
        x = self.given["x"]
        shape = self.one_of((), x.shape)
        value = self.random.integers(0, 5, shape) + (5 if sign > 0 else 0)
        return value.astype(x.dtype) if self.one_of(True, False) else int(value.max(initial=5))

    def from_(self):
        return self.type(self.one_of(*TYPES))

    to = isdtype_dtype = from_

    def finfo_type(self):
        return self.type(self.one_of("float", "complex"))

    def iinfo_type(self):
        return self.type(self.one_of("int", "uint"))

    def isdtype_kind(self):
        kinds = ("bool", "integral", "numeric", "real floating", "complex floating")
        kinds += ("signed integer", "unsigned integer", ("bool", "integral"))
        return self.one_of(*kinds, self.type())

    def arrays_and_dtypes(self):
        made = [self.one_of(self.array(), self.type()) for _ in range(self.int(1, 3))]
        return made + self.one_of([], [self.fill_value()])

    def correction(self):
        return self.one_of(0, 1, 0.5)

    def n(self):
        return self.int(0, 2)

    def prepend(self):
        x = self.given["x"]
        return self.array(x.shape, str(x.dtype))

    append = prepend

    # ---- linear algebra

    def vecdot_x1(self):
        return self.array(self.lengths(1))

    def vecdot_x2(self):
        shape = self.given["x1"].shape
        return self.array((*[self.one_of(n, 1) for n in shape[:-1]], shape[-1]))

    def vecdot_axis(self):
        return -1

    def matrix_rank_x(self):
        self.kind = self.one_of("float", "complex")
        return self.array(self.matrix())

    def matmul_x1(self):
        return self.array((2, 3) if self.one_of(True, False) else (3,))

    def matmul_x2(self):
        return self.array(self.one_of((3,), (3, 2), (2, 3, 1), (2, 2)))

    def matrix_transpose_x(self):
        return self.array(self.matrix())

    diagonal_x = trace_x = matrix_norm_x = pinv_x = qr_x = svd_x = svdvals_x = matrix_transpose_x

    def det_x(self):
        return self.array(self.matrix(square=True))

    inv_x = slogdet_x = matrix_power_x = det_x

    def cholesky_x(self):
        x = numbers(self.random, self.matrix(square=True), "float64", False)
        if self.kind == "complex":
            x = x + 1j * numbers(self.random, x.shape, "float64", False)
        return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(x.shape[-1])

    eigh_x = eigvalsh_x = cholesky_x

    def matrix_power_n(self):
        return self.int(-1, 3)

    def cross_x1(self):
        return self.array((2, 3))

    cross_x2 = cross_x1

    def cross_axis(self):
        return -1

    def outer_x1(self):
        return self.array((self.int(0, 3),))

    outer_x2 = outer_x1

    def solve_x1(self):
        return self.array((2, 2, 2) if self.one_of(True, False) else (2, 2))

    def solve_x2(self):
        return self.array(self.one_of((2,), (2, 2), (2, 1), (3, 1, 2, 2)))

    def vector_norm_x(self):
        return self.array(self.lengths(1, 3, of=(1, 2, 3)))

    def mode(self):
        return self.one_of("reduced", "complete")

    def rtol(self):
        return self.one_of(0.1, 1e-6)

    def ord(self):
        return self.one_of(1, 2, -1, 0, 3.5, math.inf, -math.inf)

    def matrix_norm_ord(self):
        return self.one_of("fro", "nuc", 1, 2, -1, -2, math.inf, -math.inf)

    # ---- transforms

    def fft_x(self):
        return self.array(self.lengths(1, 3, of=(1, 2, 3, 4)))

    ifft_x = fftn_x = ifftn_x = rfft_x = irfft_x = rfftn_x = irfftn_x = hfft_x = ihfft_x = fft_x
    fftshift_x = ifftshift_x = fft_x

    def norm(self):
        return self.one_of("backward", "ortho", "forward")

    def fft_n(self):
        return self.one_of(None, 1, 2, 5)

    ifft_n = rfft_n = irfft_n = hfft_n = ihfft_n = fft_n
    fft_axis = ifft_axis = rfft_axis = irfft_axis = hfft_axis = ihfft_axis = just_axis

    def fftn_axes(self):
        return self.one_of(None, (self.one_axis(),), tuple(range(self.ndim)))

    ifftn_axes = rfftn_axes = irfftn_axes = fftshift_axes = ifftshift_axes = fftn_axes

    def s(self):
        return LEFT_OUT

    def fftfreq_n(self):
        return self.int(1, 5)

    rfftfreq_n = fftfreq_n

    def d(self):
        return self.one_of(0.5, 2.0)


def named(home):
    """The functions of a part of the standard."""
    module = HOMES[home][1]
    return [
        name
        for name in module.__all__
        if callable(getattr(module, name))
        and not isinstance(getattr(module, name), type)
        and "_flags" not in name
        and not name.startswith("__")
        and name not in ("broadcast_shapes", "isin")  # of version 2025.12 there
    ]


NAMES = [(home, name) for home in HOMES for name in named(home)]
ids = [".".join(filter(None, pair)) for pair in NAMES]


def converted(value, module, device):
    """An argument as one of the two libraries takes it."""
    if isinstance(value, Type):
        return getattr(module, value)
    if isinstance(value, np.ndarray):
        return module.asarray(value, **({"device": device} if module is xp else {}))
    if isinstance(value, (list, tuple)):
        return type(value)([converted(one, module, device) for one in value])
    return value


def leaves(result):
    if hasattr(result, "bits"):  # limits of a type
        return [getattr(result, f) for f in ("bits", "max", "min")]
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]
