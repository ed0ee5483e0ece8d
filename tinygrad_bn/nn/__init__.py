"""torch.nn's names for what the chapters define: a face, without code of its own."""

from ..batchnorm import BatchNorm1d, BatchNorm2d
from ..conv import AvgPool2d, Conv2d, MaxPool2d
from ..layers import Dropout, Flatten, Identity, Linear, ReLU, Sigmoid, Tanh
from ..losses import CrossEntropyLoss, LogSoftmax, MSELoss, Softmax
from ..module import Module, ModuleList, Parameter, Sequential
from . import functional

__all__ = [
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
]
