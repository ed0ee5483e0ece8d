"""Train a convolutional network with batch normalization on MNIST, which comes with the package.

    python examples/mnist_cnn.py                  # the default run
    python examples/mnist_cnn.py --epochs 1       # a quick one
    python examples/mnist_cnn.py --help

The model is here; what is done with it, the training loop and the options, is in training.py.
"""

from tinygrad_bn import nn


def build() -> nn.Module:
    """Two blocks of convolution, batch normalization, ReLU and pooling; then two linear layers.

    A bias before batch normalization would be taken out again with the mean, so there is none.
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
        nn.Dropout(0.3),
        nn.Linear(32 * 7 * 7, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


if __name__ == "__main__":
    import training  # here, so that `build` can be imported alone

    training.main("CNN", build, epochs=5, batch_size=64, lr=0.1)
