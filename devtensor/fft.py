"""Discrete Fourier transforms: the names of ``torch.fft``."""

from devtensor.ops.fft import fft_fft as fft
from devtensor.ops.fft import fft_fft2 as fft2
from devtensor.ops.fft import fft_fftfreq as fftfreq
from devtensor.ops.fft import fft_fftn as fftn
from devtensor.ops.fft import fft_fftshift as fftshift
from devtensor.ops.fft import fft_hfft as hfft
from devtensor.ops.fft import fft_hfft2 as hfft2
from devtensor.ops.fft import fft_hfftn as hfftn
from devtensor.ops.fft import fft_ifft as ifft
from devtensor.ops.fft import fft_ifft2 as ifft2
from devtensor.ops.fft import fft_ifftn as ifftn
from devtensor.ops.fft import fft_ifftshift as ifftshift
from devtensor.ops.fft import fft_ihfft as ihfft
from devtensor.ops.fft import fft_ihfft2 as ihfft2
from devtensor.ops.fft import fft_ihfftn as ihfftn
from devtensor.ops.fft import fft_irfft as irfft
from devtensor.ops.fft import fft_irfft2 as irfft2
from devtensor.ops.fft import fft_irfftn as irfftn
from devtensor.ops.fft import fft_rfft as rfft
from devtensor.ops.fft import fft_rfft2 as rfft2
from devtensor.ops.fft import fft_rfftfreq as rfftfreq
from devtensor.ops.fft import fft_rfftn as rfftn

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
    "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
