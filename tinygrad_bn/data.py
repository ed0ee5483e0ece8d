"""[9] Data: the IDX format, the MNIST digits that ship with this package, and mini-batches."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import checks
from .checks import float32, int64
from .engine import Array
from .tensor import Tensor, generator, wrap

__all__ = ["MNIST", "DataLoader", "read_idx"]

SHIPPED = Path(__file__).parent / "mnist"


def read_idx(path: str | Path) -> Array:
    """The array of unsigned bytes in an IDX file, gzipped or not.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of axes, the size of each axis
    as a big-endian 32-bit integer, then the values. ValueError, naming the file, for anything else.

    >>> read_idx(SHIPPED / "t10k-labels-idx1-ubyte.gz")[:3]
    array([7, 2, 1], dtype=uint8)
    """
    content = unzipped(Path(path))
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        start = content[:4].hex(" ")
        raise ValueError(f"{path}: not an IDX file of bytes: starts {start!r}, not '00 00 08'")
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"{path}: ends inside its header of {header} bytes")
    shape = struct.unpack(f">{axes}I", content[4:header])
    if len(content) - header != math.prod(shape):
        found = len(content) - header
        raise ValueError(f"{path}: {found} values, but its header says {shape}: {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def unzipped(path: Path) -> bytes:
    """What is in a file, gzipped or not."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: damaged or incomplete gzip file ({error})") from error


def find_file(root: Path, name: str) -> Path:
    """The file of that name, or the gzipped one."""
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no file {name} or {name}.gz in the folder {root}")


class MNIST:
    """Images of handwritten digits with their labels: 60,000 for training, or 10,000 for testing.

    root: a folder with files of the same names and format, gzipped or not (Fashion-MNIST, KMNIST,
    one's own); None for the MNIST that ships with this package. part: a slice, to hold images back.
    images: (N, H, W), uint8. labels: (N,), int64. `dataset[index]` gives the images as float32
    (…, 1, H, W), standardised as (pixel/255 − mean)/std with MNIST's mean and standard deviation;
    and the labels. Raises FileNotFoundError or ValueError, naming the file.

    >>> images, labels = MNIST(train=False)[:2]
    >>> images.shape, labels
    ((2, 1, 28, 28), tensor([7, 2]))
    """

    mean, std = 0.1307, 0.3081

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        part: slice = slice(None),
    ) -> None:
        folder = SHIPPED if root is None else Path(root)
        name = "train" if train else "t10k"
        image_file = find_file(folder, f"{name}-images-idx3-ubyte")
        label_file = find_file(folder, f"{name}-labels-idx1-ubyte")
        images, labels = read_idx(image_file), read_idx(label_file)
        if images.ndim != 3:
            raise ValueError(f"{image_file}: images need 3 axes (N, H, W), not {images.shape}")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{label_file}: {labels.shape} labels for {len(images)} images")
        if labels.size and labels.max() > 9:
            raise ValueError(f"{label_file}: label {labels.max()} is not a digit from 0 to 9")
        self.images, self.labels = images[part], labels[part].astype(int64)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        """(images, labels) for an index, a slice or an array of indices."""
        pixels = self.images[index].astype(float32)
        pixels *= 1 / (255 * self.std)
        pixels -= self.mean / self.std
        return wrap(np.expand_dims(pixels, -3)), wrap(np.array(self.labels[index]))

    def __repr__(self) -> str:
        """How many, and how large."""
        height, width = self.images.shape[1:]
        return f"MNIST({len(self):,} images of {height} x {width})"


class DataLoader:
    """Mini-batches of a dataset: `for images, labels in DataLoader(MNIST(), 64, shuffle=True)`.

    dataset: anything with a length that gives samples for an array of indices. shuffle: a new order
    at each pass, from the generator that `manual_seed` sets. drop_last: no smaller last batch.

    >>> batches = DataLoader(MNIST(train=False), batch_size=64)
    >>> len(batches), next(iter(batches))[1].shape
    (157, (64,))
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
    ) -> None:
        checks.positive_integers(batch_size=batch_size)
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        """The number of batches."""
        whole = math.floor if self.drop_last else math.ceil
        return whole(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """One pass over the data set."""
        n = len(self.dataset)
        order = generator.permutation(n) if self.shuffle else np.arange(n)
        for i in range(len(self)):
            start = i * self.batch_size
            yield self.dataset[order[start : start + self.batch_size]]

    def __repr__(self) -> str:
        """The data set and how it is divided."""
        options = f"batch_size={self.batch_size}, shuffle={self.shuffle}"
        return f"DataLoader({self.dataset!r}, {options}, drop_last={self.drop_last})"
