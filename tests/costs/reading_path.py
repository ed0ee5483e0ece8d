"""How far must one read to follow one image from `data.py` to `conv1.weight.grad`?

    python tests/costs/reading_path.py

Counted while it happens: the calls of functions inside the package, and how often the next call is
in another file than the one before. Who reads along stops at the door of `kernels/` and of
`checks.py`: the call is read, but not what happens behind it.
"""

import itertools
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.data import MNIST, DataLoader

PACKAGE = Path(tg.__file__).parent
COMPREHENSIONS = ("comp>", "expr>")  # they are functions in some versions of Python


class Counts(NamedTuple):
    calls: int  # that are read: in the root, and up to the doors
    changes_of_file: int  # between calls in the root
    calls_in_the_root: int
    changes_with_doors: int  # if going to a door counts as a change, too
    calls_in_all: int  # behind the doors, too
    by_file: Counter[str]  # of those that are read


def is_door(file: str) -> bool:
    return file.startswith("kernels/") or file == "checks.py"


def changes(files: list[str]) -> int:
    return sum(a != b for a, b in itertools.pairwise(files))


class Watch:
    """A profile function that notes the file of each call inside the package."""

    def __init__(self) -> None:
        self.running: list[str | None] = []  # the file of each function that has not returned
        self.read: list[str] = []
        self.in_all = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and self.running:
            self.running.pop()
        if event != "call":
            return
        path, name = Path(frame.f_code.co_filename), frame.f_code.co_name
        ours = PACKAGE in path.parents and not name.endswith(COMPREHENSIONS)
        file = path.relative_to(PACKAGE).as_posix() if ours else None
        behind_a_door = any(caller and is_door(caller) for caller in self.running)
        self.running.append(file)
        if file:
            self.in_all += 1
            if not behind_a_door:
                self.read.append(file)

    def counts(self) -> Counts:
        root = [file for file in self.read if not is_door(file)]
        return Counts(
            calls=len(self.read),
            changes_of_file=changes(root),
            calls_in_the_root=len(root),
            changes_with_doors=changes(self.read),
            calls_in_all=self.in_all,
            by_file=Counter(self.read),
        )


def one_image_to_its_gradient() -> Counts:
    """A block as in the example, convolution with batch normalization, and a linear layer."""
    conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
    block = (conv1, nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
    model = nn.Sequential(*block, nn.Flatten(), nn.Linear(16 * 14 * 14, 10))
    batches = DataLoader(MNIST(train=False), batch_size=1)
    watch = Watch()
    sys.setprofile(watch)
    try:
        image, label = next(iter(batches))
        nn.functional.cross_entropy(model(image), label).backward()
    finally:
        sys.setprofile(None)
    assert conv1.weight.grad is not None
    return watch.counts()


if __name__ == "__main__":
    for name, value in one_image_to_its_gradient()._asdict().items():
        print(f"{name.replace('_', ' ')}: {value}")
