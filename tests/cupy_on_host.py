"""What the stand-in for CUDA cannot run of CuPy (cuSOLVER, cuFFT), done by NumPy on the host.

So the code around it runs, too; that CuPy takes the arguments is seen from its signatures.
Importing this module does it where the stand-in is in use, and nothing elsewhere.
"""

import inspect
import sys

import numpy as np

SOLVERS = """
cholesky det eig eigh eigvals eigvalsh inv matrix_power pinv qr slogdet solve svd
"""
TRANSFORMS = """
fft ifft rfft irfft fft2 ifft2 fftn ifftn rfftn irfftn hfft ihfft
"""


def on_host(cupy, name, theirs, ours):
    signature = inspect.signature(theirs)

    def call(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        here = {
            k: v.get() if isinstance(v, cupy.ndarray) else v for k, v in bound.arguments.items()
        }
        places = [here.pop(p) for p in list(here) if isinstance(here[p], np.ndarray)]
        return there(ours(*places, **{k: v for k, v in here.items() if v is not None}))

    def there(result):
        if isinstance(result, tuple):
            parts = [there(part) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return cupy.asarray(np.ascontiguousarray(result).reshape(np.shape(result)))

    call.__name__, call.__signature__ = name, signature
    return call


def install():
    import cupy

    for module, host, names in ((cupy.linalg, np.linalg, SOLVERS), (cupy.fft, np.fft, TRANSFORMS)):
        for name in names.split():
            theirs = getattr(module, name)
            setattr(module, name, on_host(cupy, name, theirs, getattr(host, name)))


if "cupy_on_cpu" in sys.modules:
    install()
