"""Sparse tensors by name (``torch.sparse``): all tensors here are dense."""

from __future__ import annotations

from devtensor import addmm, mm
from devtensor.refusal import refused

__all__ = ["addmm", "as_sparse_gradcheck", "log_softmax", "mm", "sampled_addmm", "softmax",
           "spdiags", "spmm", "spsolve", "sum"]  # fmt: skip

WHY = "all tensors are dense here; make a dense one, for example by index_put_ or one_hot"

spmm = hspmm = mm
sparse_coo_tensor = refused("sparse_coo_tensor", WHY)
sparse_csr_tensor = refused("sparse_csr_tensor", WHY)
sparse_csc_tensor = refused("sparse_csc_tensor", WHY)
sparse_bsr_tensor = refused("sparse_bsr_tensor", WHY)
sparse_bsc_tensor = refused("sparse_bsc_tensor", WHY)
sparse_compressed_tensor = refused("sparse_compressed_tensor", WHY)
sampled_addmm = refused("sparse.sampled_addmm", WHY)
softmax = refused("sparse.softmax", "use torch.softmax on a dense tensor")
log_softmax = refused("sparse.log_softmax", "use torch.log_softmax on a dense tensor")
sum = refused("sparse.sum", "use torch.sum on a dense tensor")
spdiags = refused("sparse.spdiags", "use torch.diag_embed for a dense tensor")
spsolve = refused("sparse.spsolve", "use torch.linalg.solve on dense tensors")
as_sparse_gradcheck = refused("sparse.as_sparse_gradcheck", WHY)
FloatTensor = DoubleTensor = LongTensor = sparse_coo_tensor
