"""Tensors of which some elements do not count: the names of ``torch.masked``.

Functions take `mask`, a tensor of bools that broadcasts to `input`: where it is False an element
does not count. Where none counts, the result is that of nothing: 0 for a sum, NaN for a mean.
Results have the type of `input`, or `dtype`, where nothing else is said. A `MaskedTensor` keeps
its mask with it.
"""

from devtensor.masked._reductions import (
    _input_mask,
    amax,
    amin,
    argmax,
    argmin,
    cumprod,
    cumsum,
    log_softmax,
    logaddexp,
    logsumexp,
    mean,
    median,
    norm,
    normalize,
    prod,
    softmax,
    softmin,
    std,
    sum,
    var,
)
from devtensor.masked._tensor import (
    MaskedTensor,
    as_masked_tensor,
    is_masked_tensor,
    masked_tensor,
)

__all__ = [
    "MaskedTensor",
    "_input_mask",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "as_masked_tensor",
    "cumprod",
    "cumsum",
    "is_masked_tensor",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "masked_tensor",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]
