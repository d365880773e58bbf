"""Special functions: the names of ``torch.special``."""

from __future__ import annotations

from devtensor.op import catalogue

SHARED = (
    "digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "expit", "gammainc", "gammaincc",
    "gammaln", "i0", "log1p", "log_softmax", "logit", "logsumexp", "multigammaln", "polygamma",
    "psi", "round", "sinc", "softmax", "xlogy",
)  # fmt: skip
OTHER_NAMES = {
    "expit": "sigmoid",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "psi": "digamma",
    "multigammaln": "mvlgamma",
}

globals().update(
    {
        name: catalogue[OTHER_NAMES.get(name, name)].function
        for name in SHARED
        if OTHER_NAMES.get(name, name) in catalogue
    }
    | {
        name.removeprefix("special_"): entry.function
        for name, entry in catalogue.items()
        if name.startswith("special_")
    }
)
