"""The workshop below the book: arrays in, arrays out, no Tensor.

Whatever makes the package fast is here: memory order, caches, passes, allocation. Each kernel has a
twin in plain.py that gives the same numbers; `TINYGRAD_BN_KERNELS=plain` takes those.
"""

import os

from .memory import keep_freed_memory
from .printing import tensor_text
from .random_state import set_state, state_bytes
from .reductions import sum_over

CHOSEN = os.environ.get("TINYGRAD_BN_KERNELS", "fast")
if CHOSEN == "plain":
    from .plain import (
        batch_norm,
        batch_norm_gradients,
        conv2d,
        conv2d_input_gradient,
        conv2d_weight_gradient,
        kept_by_dropout,
        linear,
        masked,
        matmul,
        max_pool2d,
        max_pool2d_collect,
        max_pool2d_route,
        relu,
    )
elif CHOSEN == "fast":
    from .convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
    from .elementwise import kept_by_dropout, masked, relu
    from .normalization import batch_norm, batch_norm_gradients
    from .plain import max_pool2d_collect  # for second derivatives only
    from .pooling import max_pool2d, max_pool2d_route
    from .products import linear, matmul

    keep_freed_memory()
else:
    raise ImportError(f"TINYGRAD_BN_KERNELS must be 'fast' or 'plain', not {CHOSEN!r}")

__all__ = [
    "batch_norm",
    "batch_norm_gradients",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "kept_by_dropout",
    "linear",
    "masked",
    "matmul",
    "max_pool2d",
    "max_pool2d_collect",
    "max_pool2d_route",
    "relu",
    "set_state",
    "state_bytes",
    "sum_over",
    "tensor_text",
]
