"""torch.nn's names for what the chapters define: a face, without code of its own."""

from ..module import (
    AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, CrossEntropyLoss, Dropout, Flatten, Identity,
    Linear, LogSoftmax, MaxPool2d, Module, MSELoss, Parameter, ReLU, Sequential, Sigmoid, Softmax,
    Tanh,
)  # fmt: skip
from . import functional

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "CrossEntropyLoss", "Dropout", "Flatten",
    "Identity", "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "Parameter", "ReLU",
    "Sequential", "Sigmoid", "Softmax", "Tanh", "functional",
]  # fmt: skip
