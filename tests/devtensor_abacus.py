"""A whole backend, as somebody else might write it: an array library named abacus.

Its arrays are no NumPy arrays and take no part in NumPy's functions; that they keep their numbers
in NumPy's memory is nobody's business but theirs. docs/backends.rst shows this file.
"""

import operator
from functools import wraps
from types import ModuleType, SimpleNamespace

import numpy as np

from devtensor.backend import Backend, load, register
from devtensor_numpy import namespace as numpy_names

# ---- the array library


class Beads:
    """An array of the library."""

    def __init__(self, inner):
        self.inner = np.asarray(inner)

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    ndim = property(lambda self: self.inner.ndim)
    size = property(lambda self: self.inner.size)
    device = property(lambda self: "abacus")
    T = property(lambda self: Beads(self.inner.T))
    mT = property(lambda self: Beads(self.inner.mT))

    def __getitem__(self, key):
        return Beads(self.inner[bare(key)])

    def __setitem__(self, key, value):
        self.inner[bare(key)] = bare(value)

    def __array_namespace__(self, api_version=None):
        return NAMES


def operators(name):
    """What a Python operator does with arrays, from either side."""
    function = getattr(operator, name)
    place, right = f"__{name.strip('_')}__", f"__r{name.strip('_')}__"
    setattr(Beads, place, lambda self, *other: Beads(function(self.inner, *map(bare, other))))
    setattr(Beads, right, lambda self, other: Beads(function(bare(other), self.inner)))


SIGNS = (
    "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le eq ne gt ge "
    "neg pos abs invert"
)
for _name in SIGNS.split():
    operators(_name)
for _type in (bool, int, float, complex):
    setattr(Beads, f"__{_type.__name__}__", lambda self, t=_type: t(self.inner))
Beads.__index__ = lambda self: operator.index(self.inner)


def bare(x):
    """What is within an array; also those in tuples and lists."""
    if isinstance(x, (tuple, list)):
        return type(x)([bare(part) for part in x])
    return x.inner if isinstance(x, Beads) else x


def dressed(x):
    """Results as arrays of the library."""
    if isinstance(x, tuple):
        parts = [dressed(part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    if isinstance(x, list):
        return [dressed(part) for part in x]
    return Beads(x) if isinstance(x, (np.ndarray, np.generic)) else x


def function(inner):
    """A function of the library."""

    @wraps(inner, updated=())
    def call(*args, device=None, **kwargs):
        return dressed(inner(*map(bare, args), **{k: bare(v) for k, v in kwargs.items()}))

    return call


def library(names, source):
    """The functions of the library; types and numbers as they are."""
    made = {}
    for name in names:
        found = getattr(source, name)
        if isinstance(found, (ModuleType, SimpleNamespace)):
            made[name] = library([n for n in vars(found) if not n.startswith("_")], found)
        elif isinstance(found, (type, np.dtype)) or not callable(found):
            made[name] = found
        elif name in ("isdtype", "finfo", "iinfo", "result_type", "can_cast"):
            made[name] = lambda *args, inner=found: inner(*map(bare, args))
        else:
            made[name] = function(found)
    return SimpleNamespace(**made)


NAMES = library(numpy_names.__all__, numpy_names)

# ---- the backend


class Abacus(Backend):
    """One device, in memory of its own."""

    kind = "abacus"
    xp = NAMES
    array_types = (Beads,)

    def native_dtype(self, t):
        return load("cpu").native.get(t)

    def array(self, data, native, index):
        return Beads(load("cpu").array(bare(data), native, None))

    def to_host(self, array):
        return array.inner.copy()

    def write(self, target, value):
        load("cpu").write(target.inner, value.inner)

    def strides(self, array):
        return load("cpu").strides(array.inner)

    def pointer(self, array):
        return load("cpu").pointer(array.inner)

    def owns(self, array):
        return load("cpu").owns(array.inner)

    def shares(self, one, two):
        return load("cpu").shares(one.inner, two.inner)

    def storage_offset(self, array):
        return load("cpu").storage_offset(array.inner)


register("abacus", Abacus)
