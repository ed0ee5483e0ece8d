"""Train a convolutional network with batch normalization on MNIST.

    python examples/mnist_cnn.py                  # the default run
    python examples/mnist_cnn.py --epochs 1       # a quick one

The training loop runs on PyTorch too, if the imports are changed.
"""

import argparse
import sys
import time

from tqdm import tqdm

from tinygrad_bn import manual_seed, nn, no_grad
from tinygrad_bn.data import MNIST, DataLoader, Subset
from tinygrad_bn.functional import cross_entropy
from tinygrad_bn.optim import SGD
from tinygrad_bn.optim.lr_scheduler import OneCycleLR


def build() -> nn.Module:
    """Two blocks of convolution → batch normalization → ReLU → pooling, then a linear layer.

    A bias before batch normalization would be subtracted again with the mean, so there is none.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
