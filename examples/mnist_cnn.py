"""Train a convolutional network with batch normalization on MNIST, which comes with the package.

    python examples/mnist_cnn.py                  # the default run
    python examples/mnist_cnn.py --epochs 1       # a quick one
    python examples/mnist_cnn.py --help

The model and the training loop are plain PyTorch, but for the imports.
"""

import argparse
import sys
import time
from pathlib import Path

from safetensors.numpy import save_file
from tqdm import tqdm

from tinygrad_bn import manual_seed, nn, no_grad
from tinygrad_bn.data import MNIST, DataLoader
from tinygrad_bn.nn.functional import cross_entropy
from tinygrad_bn.optim import SGD, lr_scheduler

HELD_BACK = 5_000  # training images on which the options below were chosen, never the test images


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


def train(model: nn.Module, batches: DataLoader, epochs: int, lr: float) -> None:
    """Stochastic gradient descent, the learning rate rising to `lr` and then falling to nothing."""
    optimizer = SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=epochs * len(batches))
    model.train()
    for epoch in range(1, epochs + 1):
        seen, correct, loss_sum = 0, 0, 0.0
        # disable=None: no bar where nobody could see it move, as in a pipe or a file
        with tqdm(total=len(batches.dataset), unit=" images", disable=None) as bar:
            for images, labels in batches:
                optimizer.zero_grad()
                scores = model(images)
                loss = cross_entropy(scores, labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                seen += len(labels)
                loss_sum += loss.item() * len(labels)
                correct += (scores.argmax(1) == labels).sum().item()
                bar.update(len(labels))
                status = f"loss {loss_sum / seen:.4f}, accuracy {correct / seen:.2%}"
                bar.set_postfix_str(status, refresh=False)
        print(f"epoch {epoch}/{epochs}: {status}")


@no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    """The share of images whose highest score is that of their label."""
    model.eval()
    correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return correct / len(batches.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="a folder with other data in MNIST's format")
    parser.add_argument("--target-accuracy", type=float, default=0, help="in %%; exit 1 below it")
    parser.add_argument("--held-back", action="store_true", help="test on training images")
    parser.add_argument("--save", type=Path, help="a safetensors file for the trained weights")
    args = parser.parse_args()

    manual_seed(args.seed)
    if args.held_back:
        train_set = MNIST(args.data, part=slice(None, -HELD_BACK))
        test_set = MNIST(args.data, part=slice(-HELD_BACK, None))
    else:
        train_set, test_set = MNIST(args.data, train=True), MNIST(args.data, train=False)
    model = build()
    start = time.perf_counter()
    train(model, DataLoader(train_set, args.batch_size, shuffle=True), args.epochs, args.lr)
    seconds = time.perf_counter() - start
    result = 100 * accuracy(model, DataLoader(test_set, 1000))
    epochs = "1 epoch" if args.epochs == 1 else f"{args.epochs} epochs"
    print(f"test accuracy {result:.2f}% after {epochs} in {seconds:.1f} s")
    if args.save:
        save_file({name: t.numpy() for name, t in model.state_dict().items()}, args.save)
    sys.exit(result < args.target_accuracy)


if __name__ == "__main__":
    main()
