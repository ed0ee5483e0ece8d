"""torch.nn.functional's names for what the chapters define: a face, without code of its own."""

from ..batchnorm import batch_norm
from ..conv import avg_pool2d, conv2d, max_pool2d
from ..layers import dropout, linear, relu, sigmoid, tanh
from ..losses import cross_entropy, log_softmax, mse_loss, softmax

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
