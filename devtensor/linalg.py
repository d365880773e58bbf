"""Linear algebra: the names of ``torch.linalg``."""

from devtensor.ops.decomposition import linalg_cholesky_ex as cholesky_ex
from devtensor.ops.decomposition import linalg_eig as eig
from devtensor.ops.decomposition import linalg_eigvals as eigvals
from devtensor.ops.decomposition import linalg_householder_product as householder_product
from devtensor.ops.decomposition import linalg_inv_ex as inv_ex
from devtensor.ops.decomposition import linalg_ldl_factor as ldl_factor
from devtensor.ops.decomposition import linalg_ldl_factor_ex as ldl_factor_ex
from devtensor.ops.decomposition import linalg_ldl_solve as ldl_solve
from devtensor.ops.decomposition import linalg_lu as lu
from devtensor.ops.decomposition import linalg_lu_factor as lu_factor
from devtensor.ops.decomposition import linalg_lu_factor_ex as lu_factor_ex
from devtensor.ops.decomposition import linalg_lu_solve as lu_solve
from devtensor.ops.decomposition import linalg_solve_ex as solve_ex
from devtensor.ops.decomposition import linalg_tensorinv as tensorinv
from devtensor.ops.decomposition import linalg_tensorsolve as tensorsolve
from devtensor.ops.decomposition import linalg_vander as vander
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
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
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
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
