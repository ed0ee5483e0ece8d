"""The training loop of mnist_mlp.py and mnist_cnn.py: options, training, test and report.

Apart from the imports this is a PyTorch program. Read it from the end: `main` is the whole story,
and `train` is the part of it that every training of a network has. Several processes may run it
together (`--processes`): then each has a share of every batch, and the first one speaks for all.
"""

import argparse
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from safetensors.numpy import save_file
from tqdm import tqdm

from tinygrad_bn import compile, float64, manual_seed, nn, no_grad, tensor
from tinygrad_bn.data import MNIST, DataLoader
from tinygrad_bn.extras.distributed import (
    DistributedDataParallel,
    DistributedSampler,
    SyncBatchNorm,
    all_reduce,
    get_rank,
    get_world_size,
    is_launched,
    launch,
)
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
        bar = tqdm(batches, name, bar_format=BAR, leave=False, disable=no_bar())
        for images, labels in bar:
            optimizer.zero_grad()
            scores = model(images)
            loss = cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            schedule.step()

            if len(labels) > 0:  # a small last batch may have no images for this process
                seen += len(labels)
                loss_sum += loss.item() * len(labels)
                correct += (scores.argmax(1) == labels).sum().item()
                bar.set_postfix_str(report(seen, correct, loss_sum), refresh=False)
        print(f"{name}: {report(*in_all(seen, correct, loss_sum))}", flush=True)


def report(seen: float, correct: float, loss_sum: float) -> str:
    """The averages over the images that have been seen."""
    return f"loss {loss_sum / seen:.4f}, accuracy {correct / seen:.2%}"


@no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    """The share of images whose highest score is that of their label."""
    model.eval()
    correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return in_all(correct)[0] / len(batches.dataset)


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


# --- several processes ----------------------------------------------------------------------------


def is_first() -> bool:
    """Whether this is the process that speaks for all."""
    return not is_launched() or get_rank() == 0


def no_bar() -> bool | None:
    """For tqdm. None leaves it out where nobody would see it move, as in a pipe or a file.

    What a process writes under mpiexec always goes through a pipe: there the environment decides.
    """
    if is_launched():
        return get_rank() > 0 or os.environ.get("TERM", "dumb") == "dumb"
    return None


def start(processes: int) -> None:
    """This script once more, as several processes, which do not see the terminal themselves."""
    columns, lines = shutil.get_terminal_size()
    os.environ.update(COLUMNS=str(columns), LINES=str(lines))
    if not sys.stderr.isatty():
        os.environ["TERM"] = "dumb"
    launch(processes, sys.argv)


def in_all(*numbers: float) -> list[float]:
    """The sums over all processes."""
    return all_reduce(tensor(numbers, dtype=float64)).tolist() if is_launched() else list(numbers)


def loader(dataset: MNIST, batch_size: int, shuffle: bool) -> DataLoader:
    """Batches; of each, this process's share."""
    if is_launched():
        mine = DistributedSampler(dataset, batch_size, shuffle)
        return DataLoader(dataset, batch_size=None, sampler=mine)
    return DataLoader(dataset, batch_size, shuffle)


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
    parser.add_argument("--processes", type=int, help="how many share each batch, by MPI")
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
    if args.processes is not None and args.processes < 1:
        return "--processes must be at least 1"
    if args.processes and is_launched() and args.processes != get_world_size():
        return f"--processes {args.processes}: mpiexec has started {get_world_size()}"
    if args.save and args.save.is_dir():
        return f"--save needs the name of a file: {args.save} is a folder"
    if args.save and not args.save.parent.is_dir():
        return f"--save: there is no folder {args.save.parent}"
    return None


def main(name: str, build: Callable[[], nn.Module], **defaults: float) -> None:
    """Train the network that `build` makes, test it, and say how good it has become."""
    parser = options(name, **defaults)
    if not is_first():
        parser.error = lambda message: sys.exit(2)  # the first one says it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    args = parser.parse_args()
    if message := mistake(args):
        parser.error(message)
    try:
        if args.processes is not None and args.processes > 1 and not is_launched():
            start(args.processes)
        train_set, test_set = load(args.data, args.held_back)
        if args.save:  # may we write there? Better known now than after the training
            TemporaryFile(dir=args.save.parent).close()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if len(train_set) % args.batch_size == 1:
        parser.error(f"--batch-size {args.batch_size} leaves one image for the last batch")

    manual_seed(args.seed)
    model = build()
    if is_launched():
        model = SyncBatchNorm.convert_sync_batchnorm(model)
    compiled = compile(model)  # the same parameters, in fewer passes over memory
    trained = DistributedDataParallel(compiled) if is_launched() else compiled
    batches = loader(train_set, args.batch_size, shuffle=True)
    size = sum(p.numel() for p in model.parameters())
    images = f"{len(train_set):,} images to train on, {len(test_set):,} to test on"
    print(f"{name}: {size:,} parameters, {images}", flush=True)
    began = time.perf_counter()
    try:
        train(trained, batches, args.epochs, args.lr)
    except KeyboardInterrupt:  # Ctrl-C
        if is_launched():
            raise  # which ends them all, with one message
        sys.exit("stopped before the end: nothing is tested or saved")
    seconds = time.perf_counter() - began
    result = 100 * accuracy(trained, loader(test_set, 1000, shuffle=False))
    epochs = "1 epoch" if args.epochs == 1 else f"{args.epochs} epochs"
    print(f"test accuracy {result:.2f}% after {epochs} in {seconds:.1f} s")
    if args.save and is_first():
        save(model, args.save)
    if result < args.target_accuracy:
        sys.exit(f"that is below the target of {args.target_accuracy:g}%" if is_first() else 1)
