"""tinygrad_bn: a small automatic-differentiation framework to read, and to train with.

The files in reading order: engine, checks, tensor, gradcheck, module, layers, losses,
optim/optimizer, optim/sgd, optim/lr_scheduler, data, conv, batchnorm, inference, compiler.
Each imports only from those before it, and from kernels/, which says how the work is done quickly.
nn/, autograd and the files called __init__ are faces: torch's names for what these define.
"""

from . import autograd, data, nn, optim
from .checks import bool_ as bool
from .checks import float32, float64, int64
from .compiler import compile
from .engine import grad, is_grad_enabled, no_grad
from .inference import fold_batch_norm, population_statistics
from .tensor import (
    Tensor,
    arange,
    cat,
    get_rng_state,
    manual_seed,
    ones,
    randn,
    set_rng_state,
    stack,
    tensor,
    where,
    zeros,
)

__version__ = "0.2.0"

__all__ = [
    "Tensor",
    "arange",
    "autograd",
    "bool",
    "cat",
    "compile",
    "data",
    "float32",
    "float64",
    "fold_batch_norm",
    "get_rng_state",
    "grad",
    "int64",
    "is_grad_enabled",
    "manual_seed",
    "nn",
    "no_grad",
    "ones",
    "optim",
    "population_statistics",
    "randn",
    "set_rng_state",
    "stack",
    "tensor",
    "where",
    "zeros",
]
