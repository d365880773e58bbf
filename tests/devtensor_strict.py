"""array-api-strict as two devices, ``strict:0`` and ``strict:1``.

It has the array API and nothing more, so kernels that work on it work on any library that has the
standard and the EXTRAS, which are here in their plainest form. Its devices refuse each other's
arrays, as those of accelerators do. Importing this module registers it.
"""

from contextvars import ContextVar
from types import SimpleNamespace

import array_api_strict
import numpy as np
import scipy.special
from array_api_strict import Device
from array_api_strict._array_object import Array
from array_api_strict._dtypes import DType

from devtensor.backend import Backend, load, register
from devtensor_numpy import extras_shape
from devtensor_numpy.namespace import EXTRAS

array_api_strict.set_array_api_strict_flags(api_version="2024.12")
# Its dtypes have NumPy's hashes and warn when compared, as happens in a dictionary of both.
DType.__eq__ = lambda self, other: isinstance(other, DType) and self._np_dtype == other._np_dtype

DEVICES = (Device("CPU_DEVICE"), Device("device1"))
_current = ContextVar("strict device", default=DEVICES[0])


def wrapped(array, device):
    return Array._new(np.asarray(array), device=device)


def bare(x):
    """The NumPy array within, also within keys."""
    if isinstance(x, tuple):
        return tuple([bare(part) for part in x])
    return x._array if isinstance(x, Array) else x


# ---- the EXTRAS


def get(x, key):
    return wrapped(x._array[bare(key)], x.device)


def put(x, key, values, accumulate=False):
    out = x._array.copy(order="C")
    if accumulate:
        np.add.at(out, bare(key), bare(values))
    else:
        out[bare(key)] = bare(values)
    return wrapped(out, x.device)


def scatter(x, dim, index, src):
    out = x._array.copy(order="C")
    for place in np.ndindex(*index.shape):
        out[(*place[:dim], index._array[place], *place[dim + 1 :])] = src._array[place]
    return wrapped(out, x.device)


def scatter_add(x, dim, index, src):
    out = x._array.copy(order="C")
    for place in np.ndindex(*index.shape):
        out[(*place[:dim], index._array[place], *place[dim + 1 :])] += src._array[place]
    return wrapped(out, x.device)


def index_add(x, dim, index, src):
    out = x._array.copy(order="C")
    for i, place in enumerate(index._array):
        out[(*[slice(None)] * dim, place)] += src._array[(*[slice(None)] * dim, i)]
    return wrapped(out, x.device)


def bincount(x, weights=None, minlength=0):
    return wrapped(np.bincount(x._array, bare(weights), minlength), x.device)


def polygamma(n, x):
    return wrapped(scipy.special.polygamma(n, x._array).astype(x._array.dtype), x.device)


def special(name):
    function = getattr(scipy.special, name)
    return lambda x: wrapped(function(x._array), x.device)


def of_memory(name):
    function = getattr(extras_shape, name)
    return lambda x, *args: wrapped(function(x._array, *map(native_numpy, args)), x.device)


def native_numpy(x):
    return getattr(x, "_np_dtype", x)


FACTORIES = ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")


def factory(name):
    """Make arrays on the device of the kernel that is running."""
    function = getattr(array_api_strict, name)

    def make(*args, device=None, **kwargs):
        if name == "asarray" and isinstance(args[0], Array):
            return function(*args, device=device, **kwargs)
        return function(*args, device=device or _current.get(), **kwargs)

    return make


def namespace():
    names = {
        name: getattr(array_api_strict, name)
        for name in array_api_strict.__all__
        if not name.startswith("_") and "flags" not in name.lower() and name != "Device"
    }
    names.update({name: factory(name) for name in FACTORIES})
    for one in (get, put, scatter, scatter_add, index_add, bincount, polygamma):
        names[one.__name__] = one
    for name in ("erf", "erfc", "erfinv", "digamma", "i0"):
        names[name] = special(name)
    names["lgamma"] = special("gammaln")
    for name in extras_shape.__all__:
        names[name] = of_memory(name)
    assert not set(EXTRAS.split()) - set(names)
    return SimpleNamespace(**names)


class Strict(Backend):
    """Two devices of array-api-strict; their memory counts as not the host's."""

    kind = "strict"
    xp = namespace()
    array_types = (Array,)

    def count(self):
        return len(DEVICES)

    def bind(self, kernel, index):
        def on_device(*args, **kwargs):
            token = _current.set(DEVICES[index])
            try:
                return kernel(*args, **kwargs)
            finally:
                _current.reset(token)

        return on_device

    def placed(self, index):
        return {"device": DEVICES[index]}

    def array(self, data, native, index):
        return wrapped(load("cpu").array(bare(data), native._np_dtype, None), DEVICES[index])

    def index_of(self, array):
        return DEVICES.index(array.device)

    def to_host(self, array):
        return array._array.copy()

    def write(self, target, value):
        inner = target._array
        if not inner.flags.writeable:  # NumPy makes expanded arrays and diagonals so.
            inner = extras_shape.writable(inner)
        load("cpu").write(inner, value._array)

    def strides(self, array):
        return load("cpu").strides(array._array)

    def pointer(self, array):
        return load("cpu").pointer(array._array)

    def owns(self, array):
        return load("cpu").owns(array._array)

    def shares(self, one, two):
        return load("cpu").shares(one._array, two._array)

    def storage_offset(self, array):
        return load("cpu").storage_offset(array._array)


register("strict", Strict)
