"""The operations, one file a family."""

from devtensor.ops import (
    activation,
    attention,
    compare,
    convert,
    create,
    elementwise,
    index,
    linalg,
    linear,
    loss,
    optimizer,
    reduce,
    shape,
    sort,
)
