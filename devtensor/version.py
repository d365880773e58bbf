"""The version, and those of libraries that PyTorch is built with (``torch.version``)."""

from devtensor import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "xpu"]

debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version: str | None = None
