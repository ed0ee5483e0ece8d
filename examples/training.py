"""The training loop of mnist_mlp.py and mnist_cnn.py: options, training, test and report.

Apart from the imports this is a PyTorch program. Read it from the end: `main` is the whole story,
and `train` is the part of it that every training of a network has.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from safetensors.numpy import save_file
from tqdm import tqdm

from tinygrad_bn import compile, manual_seed, nn, no_grad
from tinygrad_bn.data import MNIST, DataLoader
from tinygrad_bn.nn.functional import cross_entropy
from tinygrad_bn.optim import SGD, lr_scheduler

HELD_BACK = 5_000  # training images on which the options were chosen, never the test images
BAR = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"  # fits into 80 columns


def train(model: nn.Module, batches: DataLoader, epochs: int, lr: float) -> None:
    """Stochastic gradient descent, the learning rate rising to `lr` and then falling to nothing."""
    optimizer = SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=epochs * len(batches))
    model.train()
    for epoch in range(1, epochs + 1):
        seen, correct, loss_sum = 0, 0, 0.0
        name = f"epoch {epoch}/{epochs}"
        # disable=None: no bar where nobody could see it move, as in a pipe or a file
        bar = tqdm(batches, name, bar_format=BAR, leave=False, disable=None)
        for images, labels in bar:
            optimizer.zero_grad()
            scores = model(images)
            loss = cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            schedule.step()

            seen += len(labels)
            loss_sum += loss.item() * len(labels)
            correct += (scores.argmax(1) == labels).sum().item()
            status = f"loss {loss_sum / seen:.4f}, accuracy {correct / seen:.2%}"
            bar.set_postfix_str(status, refresh=False)
        print(f"{name}: {status}", flush=True)


@no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    """The share of images whose highest score is that of their label."""
    model.eval()
    correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return correct / len(batches.dataset)


def load(folder: Path | None, held_back: bool) -> tuple[MNIST, MNIST]:
    """The images to train on and those to test on."""
    if held_back:
        first, last = slice(None, -HELD_BACK), slice(-HELD_BACK, None)
        return MNIST(folder, part=first), MNIST(folder, part=last)
    return MNIST(folder, train=True), MNIST(folder, train=False)


def save(model: nn.Module, path: Path) -> None:
    """A file that PyTorch and others read, under PyTorch's names."""
    state = model.state_dict().items()
    save_file({name: t.numpy().copy() for name, t in state}, path)  # row by row, as files have it


# --- the command line -----------------------------------------------------------------------------


def options(name: str, epochs: int, batch_size: int, lr: float) -> argparse.ArgumentParser:
    """What can be chosen; the numbers given here are the defaults."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options]",
        description=f"Train a network ({name}) with batch normalization on MNIST.",
    )
    default = "(default: %(default)s)"
    parser.add_argument("--epochs", type=int, default=epochs, help=default)
    parser.add_argument("--batch-size", type=int, default=batch_size, help=default)
    parser.add_argument("--lr", type=float, default=lr, help=f"the highest learning rate {default}")
    parser.add_argument("--seed", type=int, default=0, help=default)
    parser.add_argument("--data", type=Path, help="a folder with other data in MNIST's format")
    parser.add_argument("--target-accuracy", type=float, default=0, help="in %%; exit 1 below it")
    parser.add_argument("--held-back", action="store_true", help="test on training images")
    parser.add_argument("--save", type=Path, help="a safetensors file for the trained weights")
    return parser


def mistake(args: argparse.Namespace) -> str | None:
    """What is wrong with the options, if anything is."""
    if args.epochs < 1:
        return "--epochs must be at least 1"
    if args.batch_size < 2:
        return "--batch-size must be at least 2: one image has no variance"
    if not 0 < args.lr < math.inf:
        return "--lr must be above 0"
    if args.seed < 0:
        return "--seed must be at least 0"
    if args.save and args.save.is_dir():
        return f"--save needs the name of a file: {args.save} is a folder"
    if args.save and not args.save.parent.is_dir():
        return f"--save: there is no folder {args.save.parent}"
    return None


def main(name: str, build: Callable[[], nn.Module], **defaults: float) -> None:
    """Train the network that `build` makes, test it, and say how good it has become."""
    parser = options(name, **defaults)
    args = parser.parse_args()
    if message := mistake(args):
        parser.error(message)
    try:
        train_set, test_set = load(args.data, args.held_back)
        if args.save:  # may we write there? Better known now than after the training
            TemporaryFile(dir=args.save.parent).close()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if len(train_set) % args.batch_size == 1:
        parser.error(f"--batch-size {args.batch_size} leaves one image for the last batch")

    manual_seed(args.seed)
    model = build()
    compiled = compile(model)  # the same parameters, in fewer passes over memory
    batches = DataLoader(train_set, args.batch_size, shuffle=True)
    size = sum(p.numel() for p in model.parameters())
    images = f"{len(train_set):,} images to train on, {len(test_set):,} to test on"
    print(f"{name}: {size:,} parameters, {images}", flush=True)
    start = time.perf_counter()
    try:
        train(compiled, batches, args.epochs, args.lr)
    except KeyboardInterrupt:  # Ctrl-C
        sys.exit("stopped before the end: nothing is tested or saved")
    seconds = time.perf_counter() - start
    result = 100 * accuracy(compiled, DataLoader(test_set, 1000))
    epochs = "1 epoch" if args.epochs == 1 else f"{args.epochs} epochs"
    print(f"test accuracy {result:.2f}% after {epochs} in {seconds:.1f} s")
    if args.save:
        save(model, args.save)
    if result < args.target_accuracy:
        sys.exit(f"that is below the target of {args.target_accuracy:g}%")
