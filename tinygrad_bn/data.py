"""[10] Data: the IDX format, the MNIST digits that ship with this package, and mini-batches."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Array
from .tensor import Tensor, check_positive, float32, generator, int64, wrap

_SHIPPED = Path(__file__).parent / "mnist"


def read_idx(path: str | Path) -> Array:
    """The array of unsigned bytes in an IDX file, gzipped or not.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of axes, the size of each axis
    as a big-endian 32-bit integer, then the values. ValueError, naming the file, for anything else.
    """
    path = Path(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged or incomplete gzip file ({error})") from error
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


def _find(root: Path, name: str) -> Path:
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
    """

    mean, std = 0.1307, 0.3081

    def __init__(
        self, root: str | Path | None = None, train: bool = True, part: slice = slice(None)
    ) -> None:
        folder = _SHIPPED if root is None else Path(root)
        name = "train" if train else "t10k"
        image_file = _find(folder, f"{name}-images-idx3-ubyte")
        label_file = _find(folder, f"{name}-labels-idx1-ubyte")
        images, labels = read_idx(image_file), read_idx(label_file)
        if images.ndim != 3:
            raise ValueError(f"{image_file}: images need 3 axes (N, H, W), not {images.shape}")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{label_file}: {labels.shape} labels for {len(images)} images")
        if labels.size and labels.max() > 9:
            raise ValueError(f"{label_file}: label {labels.max()} is not a digit from 0 to 9")
        self.images, self.labels = images[part], labels[part].astype(int64)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        pixels = self.images[index].astype(float32)
        pixels *= 1 / (255 * self.std)
        pixels -= self.mean / self.std
        return wrap(np.expand_dims(pixels, -3)), wrap(np.array(self.labels[index]))


class DataLoader:
    """Mini-batches of a dataset: `for images, labels in DataLoader(MNIST(), 64, shuffle=True)`.

    dataset: anything with a length that gives samples for an array of indices. shuffle: a new order
    at each pass, from the generator that `manual_seed` sets. drop_last: no smaller last batch.
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False
    ) -> None:
        check_positive(batch_size=batch_size)
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        n = len(self.dataset)
        order = generator.permutation(n) if self.shuffle else np.arange(n)
        for i in range(len(self)):
            yield self.dataset[order[i * self.batch_size : (i + 1) * self.batch_size]]
