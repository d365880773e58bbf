"""Functions of functions: derivatives and batching, as ``torch.func``."""

from devtensor.func._transforms import grad as grad
from devtensor.func._transforms import grad_and_value as grad_and_value
from devtensor.func._transforms import hessian as hessian
from devtensor.func._transforms import jacfwd as jacfwd
from devtensor.func._transforms import jacrev as jacrev
from devtensor.func._transforms import jvp as jvp
from devtensor.func._transforms import linearize as linearize
from devtensor.func._transforms import vjp as vjp
from devtensor.func._vmap import vmap as vmap
