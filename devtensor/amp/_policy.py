"""Which operations are computed in which precision under `autocast`: PyTorch's lists.

An operation of the list of lower precision gets its tensors in the type of the block, one of the
list of float32 gets them in float32, and one that promotes gets them in the widest type among them.
On the host the lists are others than on accelerators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt

__all__ = ["CPU", "OTHERS", "function_of"]


def listed(home: str, names: str) -> list[str]:
    """The full names of functions that live in one place."""
    return [f"{home}{name}" for name in names.split()]


Policy = str | Callable[..., str | None]


def table(lower: list[str], full: list[str], widest: list[str]) -> dict[str, Policy]:
    """A name's policy."""
    return {
        **dict.fromkeys(lower, "lower"),
        **dict.fromkeys(full, "float32"),
        **dict.fromkeys(widest, "widest"),
    }


LOSSES = listed(
    "nn.functional.",
    "mse_loss cosine_embedding_loss nll_loss hinge_embedding_loss poisson_nll_loss smooth_l1_loss "
    "l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss "
    "multi_margin_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits "
    "cross_entropy",
)
PRODUCTS = listed(
    "",
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d bmm mm "
    "baddbmm addmm addbmm matmul linalg.vecdot nn.functional.linear "
    "einsum nn.functional.prelu nn.functional.scaled_dot_product_attention",
)
CPU = table(
    lower=[*PRODUCTS, "tensordot"],
    full=[
        *LOSSES,
        *listed(
            "nn.functional.",
            "avg_pool3d binary_cross_entropy grid_sample max_unpool2d max_unpool3d "
            "adaptive_avg_pool3d adaptive_max_pool3d ctc_loss fractional_max_pool2d "
            "fractional_max_pool3d",
        ),
        *listed(
            "",
            "polar prod quantile nanquantile stft cdist trace view_as_complex cholesky "
            "cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse geqrf qr svd "
            "triangular_solve",
        ),
        *listed(
            "fft.",
            "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft",
        ),
        *listed(
            "linalg.",
            "cond matrix_rank solve cholesky svdvals eigvals eigvalsh inv householder_product "
            "tensorinv tensorsolve qr cholesky_ex svd eig eigh lstsq inv_ex",
        ),
    ],
    widest=["stack", "cat", "index_copy"],
)
OTHERS = table(
    lower=[
        *PRODUCTS,
        *listed("", "addmv addr mv chain_matmul linalg.multi_dot"),
    ],
    full=[
        *LOSSES,
        *listed(
            "nn.functional.",
            "softplus layer_norm rms_norm group_norm cosine_similarity pdist interpolate softmax "
            "log_softmax",
        ),
        *listed(
            "",
            "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow "
            "dist cdist renorm logsumexp prod softmax log_softmax cumprod "
            "cumsum linalg.vector_norm linalg.matrix_norm sum norm",
        ),
    ],
    widest=listed(
        "",
        "addcdiv addcmul atan2 nn.functional.bilinear cross dot vdot nn.functional.grid_sample "
        "index_put tensordot scatter_add",
    ),
)
OTHERS["nn.functional.binary_cross_entropy"] = "refused"
"""A name under `devtensor` to its policy; `CPU` has those of the host.

Where the policy depends on the arguments it is a function of them."""


def padding(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> str | None:
    """Mirrored and repeated borders are made in float32, save where volumes are mirrored."""
    return "float32" if mode == "replicate" or (mode == "reflect" and len(pad) < 6) else None


CPU["nn.functional.pad"] = padding


def function_of(name: str) -> Callable[..., Any]:
    """What users call by a name of the lists."""
    found: Any = dt
    for part in name.split("."):
        found = getattr(found, part)
    return found
