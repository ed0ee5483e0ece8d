"""[9] Data: the MNIST digits that ship with this package, and mini-batches.

A data set is anything with a length that gives a sample for an index; a `DataLoader` makes batches
of it. Both are PyTorch's.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import checks
from .checks import float32, float64, int64
from .engine import Array
from .kernels.idx import read_idx
from .tensor import Tensor, as_tensor, generator, stack, wrap

__all__ = ["MNIST", "DataLoader", "TensorDataset", "read_idx"]

SHIPPED = Path(__file__).parent / "mnist"

# --- files ----------------------------------------------------------------------------------------


def find_file(root: Path, name: str) -> Path:
    """The file of that name, or the gzipped one."""
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no file {name} or {name}.gz in the folder {root}")


def pixel_statistics(images: Array) -> tuple[float, float]:
    """Mean and standard deviation of all pixels / 255; 1 for the latter, if they are all equal."""
    mean = images.mean() / 255
    parts = np.array_split(images, 100)  # not all at once: that takes eight bytes a pixel
    squares = sum([np.square(part / 255 - mean).sum() for part in parts])
    return float(mean), math.sqrt(squares / images.size) or 1.0


# --- data sets ------------------------------------------------------------------------------------


class MNIST:
    """Images of handwritten digits with their labels: 60,000 for training, or 10,000 for testing.

    root: a folder with files of the same names and format, gzipped or not (Fashion-MNIST, KMNIST,
    one's own); None for the MNIST that ships with this package. part: a slice, to hold images back.
    images: (N, H, W), uint8. labels: (N,), int64. `dataset[index]` gives the images as float32
    (…, 1, H, W), standardised as (pixel/255 − mean)/std with the mean and standard deviation of the
    training images in that folder; and the labels. transform: a function of an image (1, H, W) that
    returns another, called anew for each sample. Raises FileNotFoundError or ValueError, naming the
    file.

    >>> images, labels = MNIST(train=False)[:2]
    >>> images.shape, labels
    ((2, 1, 28, 28), tensor([7, 2]))
    """

    mean, std = 0.1307, 0.3081  # of the shipped training images

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        *,
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
        if root is not None:
            seen = images if train else read_idx(find_file(folder, "train-images-idx3-ubyte"))
            if seen.size:
                self.mean, self.std = pixel_statistics(seen)
        self.images, self.labels = images[part], labels[part].astype(int64)
        self.transform = transform

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __getitem__(self, index: Any) -> tuple[Any, Tensor]:
        """(image, label) for an index; (images, labels) for a slice or an array of indices."""
        labels = np.array(self.labels[index])
        if self.transform is not None and labels.ndim > 0:
            chosen = np.arange(len(self))[index]
            return collated([self[i] for i in chosen])  # type: ignore[no-any-return]
        pixels = self.images[index].astype(float32)
        pixels *= 1 / (255 * self.std)
        pixels -= self.mean / self.std
        images = wrap(np.expand_dims(pixels, -3))
        return self.transform(images) if self.transform else images, wrap(labels)

    def __getitems__(self, indices: list[int]) -> tuple[Any, Tensor]:
        """A whole batch, as a DataLoader asks for it: much faster than one by one."""
        return self[indices]

    def __repr__(self) -> str:
        """How many, and how large."""
        height, width = self.images.shape[1:]
        return f"MNIST({len(self):,} images of {height} x {width})"


class TensorDataset:
    """Samples that are rows of tensors: sample i is (a[i], b[i], …).

    >>> dataset = TensorDataset(ones(3, 2), tensor([0, 1, 2]))
    >>> dataset[1]
    (tensor([1., 1.]), tensor(1))
    """

    def __init__(self, *tensors: Tensor) -> None:
        checks.equal_lengths(tensors, Tensor)
        self.tensors = tensors

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """One sample; or, for a slice or a list of indices, several."""
        return tuple([tensor[index] for tensor in self.tensors])

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        """A whole batch."""
        return self[indices]


# --- mini-batches ---------------------------------------------------------------------------------


def collated(samples: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers are stacked; in tuples, part by part.

    A list becomes a tuple, a named tuple stays one.
    """
    first = samples[0]
    if isinstance(first, tuple | list):
        checks.equal_samples(samples)
        parts = [collated(part) for part in zip(*samples, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, dict):
        return {key: collated([sample[key] for sample in samples]) for key in first}
    if isinstance(first, str):
        return list(samples)
    if type(first) is float:  # not np.float64, which is one too
        return Tensor(samples, dtype=float64)
    checks.can_be_collated(first)
    return stack([as_tensor(sample) for sample in samples])


class DataLoader:
    """Mini-batches of a dataset: `for images, labels in DataLoader(MNIST(), 64, shuffle=True)`.

    dataset: anything with a length that gives a sample for an index. Samples are fetched one by one
    and stacked; of a dataset with `__getitems__`, all of a batch at once, by a list of indices: it
    returns a list of samples, or a batch that is ready, a tuple. shuffle: a new order at each pass,
    from the generator that `manual_seed` sets. sampler: the indices in an order of one's own,
    instead of shuffle. drop_last: no smaller last batch. batch_size=None: `dataset[index]` as it
    is, for each index of the sampler: where that is a list, a batch of one's own choice.

    >>> batches = DataLoader(MNIST(train=False), batch_size=64)
    >>> len(batches), next(iter(batches))[1].shape
    (157, (64,))
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[Any] | None = None,
        *,
        drop_last: bool = False,
    ) -> None:
        if batch_size is not None:
            checks.positive_integers(batch_size=batch_size)
        elif drop_last:
            raise ValueError(
                "DataLoader: drop_last=True drops a smaller batch, so give a batch_size"
            )
        checks.dataset(dataset)
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: give a sampler or shuffle=True, not both")
        if batch_size is None and drop_last:
            raise ValueError(
                "DataLoader: drop_last=True drops a smaller batch, so give a batch_size"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.sampler = sampler

    def __len__(self) -> int:
        """The number of batches."""
        samples = self.dataset if self.sampler is None else self.sampler
        whole = math.floor if self.drop_last else math.ceil
        return whole(len(samples) / (self.batch_size or 1))  # type: ignore[arg-type]  # a sampler may have none

    def __iter__(self) -> Iterator[Any]:
        """One pass over the data set."""
        order = self.sampler
        if order is None:
            n = len(self.dataset)
            order = generator.permutation(n).tolist() if self.shuffle else range(n)
        if self.batch_size is None:
            yield from map(self.dataset.__getitem__, order)
            return
        indices = iter(order)
        while chosen := list(itertools.islice(indices, self.batch_size)):
            if len(chosen) == self.batch_size or not self.drop_last:
                yield self.batch(chosen)

    def batch(self, indices: list[int]) -> Any:
        """The samples of these indices, put together."""
        if not hasattr(self.dataset, "__getitems__"):
            return collated([self.dataset[i] for i in indices])
        found = self.dataset.__getitems__(indices)
        return collated(found) if isinstance(found, list) else found

    def __repr__(self) -> str:
        """The data set and how it is divided."""
        options = f"batch_size={self.batch_size}, shuffle={self.shuffle}"
        return f"DataLoader({self.dataset!r}, {options}, drop_last={self.drop_last})"
