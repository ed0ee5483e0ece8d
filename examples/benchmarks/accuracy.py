"""How long until the example CNN reads 98 % and 99 % of the test images right?

    python examples/benchmarks/accuracy.py "PyTorch channels_last" 0 99     # seed 0, until 99 %

The recipe is that of examples/mnist_cnn.py: five epochs of batches of 64, one cycle of the learning
rate. The first weights and the order of the images are the same for both libraries; what dropout
draws is not. The clock starts before the process does, and testing four times per epoch counts.
"""

import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

EPOCHS, BATCH, LR, TESTS_PER_EPOCH = 5, 64, 0.1, 4
LIBRARIES = ("tinygrad_bn", "PyTorch", "PyTorch channels_last")


# --- the child: learn, and tell how it goes -------------------------------------------------------


def library(name: str) -> Any:
    """What differs: names, and how arrays and batches become the library's own."""
    if name == "tinygrad_bn":
        from tinygrad_bn import nn, no_grad, optim
        from tinygrad_bn.nn import functional

        return SimpleNamespace(
            **{"nn": nn, "optim": optim, "F": functional, "no_grad": no_grad},
            **{"tensor": lambda array: array, "batch": lambda images, labels: (images, labels)},
            place=lambda model: model,
        )
    import os

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    order = torch.channels_last if "channels_last" in name else torch.contiguous_format

    def place(x: Any) -> Any:
        return x.to(memory_format=order)

    def batch(images: Any, labels: Any) -> tuple[Any, Any]:
        return place(torch.from_numpy(images.data)), torch.from_numpy(labels.data)

    return SimpleNamespace(
        **{"nn": torch.nn, "optim": torch.optim, "F": torch.nn.functional},
        **{"no_grad": torch.no_grad, "tensor": torch.from_numpy, "batch": batch, "place": place},
    )


def batches(lib: Any, dataset: Any, order: Any, size: int) -> Iterator[tuple[Any, Any]]:
    """Both libraries take the images from tinygrad_bn's data set, which needs NumPy only."""
    for i in range(0, len(order), size):
        yield lib.batch(*dataset[order[i : i + size]])


def learn(name: str, seed: int, goal: float) -> None:
    """Print "steps accuracy" after every test, until the goal is reached or the epochs are over."""
    lib = library(name)
    import numpy as np
    from peers import network
    from work import Work, example_cnn, weights

    from tinygrad_bn.data import MNIST

    work = Work("example CNN", example_cnn(), BATCH)
    train_set, test_set, rng = MNIST(train=True), MNIST(train=False), np.random.default_rng(seed)
    model = network(lib.nn, work)
    start = weights(work, seed)
    model.load_state_dict({key: lib.tensor(value) for key, value in start.items()})
    model = lib.place(model)
    optimizer = lib.optim.SGD(
        model.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    per_epoch = -(-len(train_set) // BATCH)
    schedule = lib.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=EPOCHS * per_epoch)
    steps = 0
    for _ in range(EPOCHS):
        for images, labels in batches(lib, train_set, rng.permutation(len(train_set)), BATCH):
            optimizer.zero_grad()
            lib.F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
            steps += 1
            if steps % (per_epoch // TESTS_PER_EPOCH) == 0 or steps == EPOCHS * per_epoch:
                reached = tested(lib, model, test_set)
                print(steps, reached, flush=True)
                if reached >= goal:
                    return


def tested(lib: Any, model: Any, dataset: Any) -> float:
    """Percent of the images that are read right."""
    import numpy as np

    model.eval()
    with lib.no_grad():
        right = sum(
            (model(images).argmax(1) == labels).sum().item()
            for images, labels in batches(lib, dataset, np.arange(len(dataset)), 1000)
        )
    model.train()
    return 100 * right / len(dataset)


# --- the parent: watch the clock ------------------------------------------------------------------


class Reached(NamedTuple):
    """When one run first reached an accuracy."""

    seconds: float
    steps: int


def run(name: str, seed: int, goals: list[float], threads: int) -> dict[float, Reached]:
    from process import PeerError, spawn

    started, reached = time.perf_counter(), {}
    with spawn([__file__, name, str(seed), str(max(goals))], threads) as process:
        for line in process.stdout:
            seconds = time.perf_counter() - started
            steps, accuracy = line.split()
            for goal in goals:
                if float(accuracy) >= goal:
                    reached.setdefault(goal, Reached(seconds, int(steps)))
    if process.returncode:
        raise PeerError(f"training ended with code {process.returncode}")
    return reached


def measure(
    names: list[str], goals: list[float], seeds: int, threads: int
) -> tuple[dict[str, list[dict[float, Reached]]], dict[str, str]]:
    """The runs of each library, one per seed, in turn; or why there are none."""
    from process import PeerError

    names = [name for name in LIBRARIES if name in names]
    runs: dict[str, list[dict[float, Reached]]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for seed in range(seeds):
        for name in names:
            if name in runs:
                try:
                    runs[name].append(run(name, seed, goals, threads))
                except PeerError as error:
                    failed[name] = str(error)
                    del runs[name]
    return runs, failed


def in_words(runs: list[dict[float, Reached]], goal: float) -> str:
    """Seconds, the median over the seeds [least, most]; and the steps of the median run."""
    never = Reached(float("inf"), 0)
    each = sorted(run.get(goal, never) for run in runs)
    seconds = ["never" if one == never else f"{one.seconds:.1f}" for one in each]
    middle = (len(each) - 1) // 2
    steps = "" if each[middle] == never else f", {each[middle].steps:,} steps"
    return f"{seconds[middle]} [{seconds[0]}, {seconds[-1]}]{steps}"


if __name__ == "__main__":
    learn(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
