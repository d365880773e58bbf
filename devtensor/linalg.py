"""Linear algebra: the names of ``torch.linalg``."""

from devtensor.ops.linalg import LinAlgError, matmul
from devtensor.ops.linalg import linalg_cholesky as cholesky
from devtensor.ops.linalg import linalg_cond as cond
from devtensor.ops.linalg import linalg_cross as cross
from devtensor.ops.linalg import linalg_det as det
from devtensor.ops.linalg import linalg_diagonal as diagonal
from devtensor.ops.linalg import linalg_eigh as eigh
from devtensor.ops.linalg import linalg_eigvalsh as eigvalsh
from devtensor.ops.linalg import linalg_inv as inv
from devtensor.ops.linalg import linalg_lstsq as lstsq
from devtensor.ops.linalg import linalg_matrix_exp as matrix_exp
from devtensor.ops.linalg import linalg_matrix_norm as matrix_norm
from devtensor.ops.linalg import linalg_matrix_power as matrix_power
from devtensor.ops.linalg import linalg_matrix_rank as matrix_rank
from devtensor.ops.linalg import linalg_multi_dot as multi_dot
from devtensor.ops.linalg import linalg_norm as norm
from devtensor.ops.linalg import linalg_pinv as pinv
from devtensor.ops.linalg import linalg_qr as qr
from devtensor.ops.linalg import linalg_slogdet as slogdet
from devtensor.ops.linalg import linalg_solve as solve
from devtensor.ops.linalg import linalg_solve_triangular as solve_triangular
from devtensor.ops.linalg import linalg_svd as svd
from devtensor.ops.linalg import linalg_svdvals as svdvals
from devtensor.ops.linalg import linalg_vecdot as vecdot
from devtensor.ops.linalg import linalg_vector_norm as vector_norm

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vecdot",
    "vector_norm",
]
