"""Train a multi-layer perceptron with batch normalization on MNIST, which comes with the package.

    python examples/mnist_mlp.py                  # the default run
    python examples/mnist_mlp.py --epochs 1       # a quick one
    python examples/mnist_mlp.py --help

The model is here; what is done with it, the training loop and the options, is in training.py.
"""

from tinygrad_bn import nn


def build() -> nn.Module:
    """Two hidden layers, each followed by batch normalization and ReLU.

    A bias before batch normalization would be taken out again with the mean, so there is none.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


if __name__ == "__main__":
    import training  # here, so that `build` can be imported alone

    training.main("MLP", build, epochs=5, batch_size=128, lr=0.1)
