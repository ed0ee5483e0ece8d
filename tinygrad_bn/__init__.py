"""tinygrad_bn: a small automatic-differentiation framework to read, and to train with.

The files in reading order: engine, memory, tensor, gradcheck, conv, batchnorm, functional, nn,
lr_scheduler, optim, data, checkpoint. Each imports only from those before it.
"""

from .engine import grad, is_grad_enabled, no_grad
from .tensor import (
    Tensor,
    arange,
    bool_,
    cat,
    float32,
    float64,
    from_numpy,
    int64,
    manual_seed,
    ones,
    randn,
    stack,
    tensor,
    where,
    zeros,
)
from .gradcheck import gradcheck, gradgradcheck  # isort: skip
from . import functional, nn, optim, data, checkpoint  # isort: skip
from .checkpoint import load, save

bool = bool_
