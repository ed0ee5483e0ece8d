"""tinygrad_bn: a small automatic-differentiation framework to read, and to train with.

The files in reading order: engine, machine, tensor, conv, batchnorm, losses, module,
optim, data. Each imports only from those before it.
"""

from . import data, nn, optim
from .batchnorm import fold_batch_norm, population_statistics
from .engine import grad, is_grad_enabled, no_grad
from .tensor import (
    Tensor, arange, bool_ as bool, cat, float32, float64, int64, manual_seed, ones, randn, stack,
    tensor, where, zeros,
)  # fmt: skip

__all__ = [
    "Tensor", "arange", "bool", "cat", "data", "float32", "float64", "fold_batch_norm",
    "grad", "int64", "is_grad_enabled", "manual_seed", "nn", "no_grad", "ones",
    "optim", "population_statistics", "randn", "stack", "tensor", "where", "zeros",
]  # fmt: skip
