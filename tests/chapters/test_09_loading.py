"""Data sets of one's own, as PyTorch's DataLoader takes them; files that are not what they say."""

import gzip
import os
import struct
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_bn as tg
from tinygrad_bn.data import MNIST, DataLoader, TensorDataset, read_idx

Sample = namedtuple("Sample", ["image", "label"])


class Squares:
    """As PyTorch's tutorials write one: a sample for one index."""

    def __init__(self, n, kind="tensor", m=tg):
        self.n, self.kind, self.m = n, kind, m

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        assert type(i) is int, f"a data set gets one index, not {i!r}"
        image = self.m.tensor([float(i), float(i * i)])
        image = image - image.mean()  # of this sample, not of a batch
        return {
            "tensor": (image, i),
            "array": (np.full(3, i, np.float32), np.int64(i)),
            "nested": (image, (i, i / 2)),
            "dict": {"x": image, "name": f"sample {i}"},
            "scalars": (np.float32(i), np.float64(i / 3)),
            "named": Sample(image, i),
            "one": image,
            "list": [image, i % 2 == 0],
        }[self.kind]


def plain(batch):
    """As nested lists of arrays, whatever the library; PyTorch has lists where here are tuples."""
    if isinstance(batch, tuple | list):
        return [plain(part) for part in batch]
    if isinstance(batch, dict):
        return {key: plain(part) for key, part in batch.items()}
    return batch if isinstance(batch, str) else (str(batch.numpy().dtype), batch.tolist())


@pytest.mark.parametrize(
    "kind", ["tensor", "array", "scalars", "named", "nested", "dict", "one", "list"]
)
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_pytorchs(torch, kind, drop_last):
    from torch.utils.data import DataLoader as Theirs

    ours = DataLoader(Squares(7, kind), 3, drop_last=drop_last)
    theirs = Theirs(Squares(7, kind, torch), 3, drop_last=drop_last)
    assert len(ours) == len(theirs)
    assert [plain(batch) for batch in ours] == [plain(batch) for batch in theirs]


def test_a_named_tuple_stays_one():
    (batch,) = DataLoader([Sample(1.5, 2), Sample(2.5, 3)], 2)
    assert type(batch) is Sample
    assert batch.image.tolist() == [1.5, 2.5]
    assert batch.label.tolist() == [2, 3]


def test_a_list_of_samples_is_a_data_set():
    batches = list(DataLoader([(1, 2.5), (3, 4.5), (5, 6.5)], 2))
    assert [[part.tolist() for part in batch] for batch in batches] == [
        [[1, 3], [2.5, 4.5]],
        [[5], [6.5]],
    ]
    assert [part.dtype for part in batches[0]] == [tg.int64, tg.float64]


def test_without_a_batch_size_each_index_is_given_as_it_is(torch):
    """A sampler of lists says which samples make a batch; in PyTorch that works likewise."""
    from torch.utils.data import DataLoader as Theirs

    batches = [[0, 4], [3], [], [1, 2, 4]]
    rows = [[float(i), float(-i)] for i in range(5)]
    ours = DataLoader(TensorDataset(tg.tensor(rows)), batch_size=None, sampler=batches)
    dataset = torch.utils.data.TensorDataset(torch.tensor(rows))
    theirs = Theirs(dataset, batch_size=None, sampler=batches)
    assert len(ours) == len(theirs) == 4
    for (a,), (b,) in zip(ours, theirs, strict=True):
        assert_array_equal(a.data, b.numpy())
    assert len(list(ours)) == 4  # a second time too
    alone = [index for _, index in DataLoader(Squares(3), batch_size=None)]
    assert alone == [0, 1, 2] and len(DataLoader(Squares(3), batch_size=None)) == 3
    shuffled = DataLoader(Squares(20), batch_size=None, shuffle=True)
    order = [index for _, index in shuffled]
    assert sorted(order) == list(range(20)) != order
    images, labels = next(iter(DataLoader(MNIST(), batch_size=None, sampler=[[5, 3]])))
    assert images.shape == (2, 1, 28, 28) and labels.tolist() == MNIST().labels[[5, 3]].tolist()
    for kind in (DataLoader, Theirs):
        with pytest.raises(ValueError, match="drop_last"):
            kind(Squares(3), batch_size=None, drop_last=True)


def test_a_sampler_gives_the_order(torch):
    from torch.utils.data import DataLoader as Theirs

    order = [4, 0, 4, 2, 1, 3, 0]  # more than there are samples
    ours = DataLoader(Squares(5), 2, sampler=order)
    theirs = Theirs(Squares(5, m=torch), 2, sampler=order)
    assert len(ours) == len(theirs) == 4
    for _ in range(2):
        assert [plain(b) for b in ours] == [plain(b) for b in theirs]
    endless = DataLoader(Squares(5), 2, sampler=(i % 5 for i in range(7)))
    assert sum(len(labels) for _, labels in endless) == 7
    with pytest.raises(ValueError, match="a sampler or shuffle=True, not both"):
        DataLoader(Squares(5), 2, True, order)


def test_getitems_may_return_samples_or_a_batch():
    class Fast(Squares):
        def __getitems__(self, indices):
            asked.append(indices)
            return [self[i] for i in indices] if self.kind == "one" else (tg.ones(2), tg.ones(2))

    for kind in ("one", "tensor"):
        asked = []
        batches = list(DataLoader(Fast(4, kind), 2))
        assert asked == [[0, 1], [2, 3]]
        assert isinstance(batches[0], tg.Tensor) == (kind == "one")


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([None, None], TypeError, "samples hold a NoneType: give tensors"),
        ([{1}, {2}], TypeError, "samples hold a set"),
        ([(1, 2), (1,)], ValueError, "different numbers of parts"),
        ([tg.ones(2), tg.ones(3)], ValueError, "equal shapes"),
        ([np.ones(2, np.uint8)] * 2, TypeError, "uint8: convert"),
    ],
)
def test_samples_that_make_no_batch_are_refused(samples, error, message):
    with pytest.raises(error, match=message):
        list(DataLoader(samples, 2))


@pytest.mark.parametrize("wrong", [3, iter([1, 2]), None])
def test_what_has_no_length_or_no_samples_is_no_data_set(wrong):
    with pytest.raises(TypeError, match=r"a dataset has a length.*has no __"):
        DataLoader(wrong)


# --- tensors as a data set --------------------------------------------------------------------


def test_a_tensor_dataset_is_pytorchs(torch):
    from torch.utils.data import DataLoader as Theirs
    from torch.utils.data import TensorDataset as TheirSet

    x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    ours, theirs = TensorDataset(tg.tensor(x), tg.tensor(y)), TheirSet(*map(torch.tensor, (x, y)))
    assert len(ours) == len(theirs) == 5
    assert plain(ours[3]) == plain(theirs[3])
    assert plain(ours[1:3]) == plain(theirs[1:3])
    assert [plain(b) for b in DataLoader(ours, 2)] == [plain(b) for b in Theirs(theirs, 2)]


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ((), ValueError, "at least one tensor"),
        ((tg.ones(2), tg.ones(3)), ValueError, r"one length are needed, not \[\(2,\), \(3,\)\]"),
        ((tg.ones(()),), ValueError, "one length"),
        ((np.ones(2),), TypeError, "only tensors"),
    ],
)
def test_tensors_of_other_lengths_are_refused(tensors, error, message):
    with pytest.raises(error, match=message):
        TensorDataset(*tensors)


# --- MNIST in a folder of one's own -----------------------------------------------------------


def idx(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path, rng):
    for name, n in (("train", 2500), ("t10k", 30)):
        images = rng.integers(20, 90, (n, 4, 3))
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(rng.integers(0, 10, n)))
    return tmp_path


def test_images_are_standardised_by_the_training_images_of_their_folder(folder):
    train, test = MNIST(folder), MNIST(folder, train=False)
    pixels = train.images / 255
    for dataset in (train, test, MNIST(folder, part=slice(3))):
        assert_allclose([dataset.mean, dataset.std], [pixels.mean(), pixels.std()], rtol=1e-12)
        expected = (dataset.images[:3, None] / 255 - pixels.mean()) / pixels.std()
        assert_allclose(dataset[:3][0].numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (MNIST.mean, MNIST.std) == (0.1307, 0.3081)


def test_images_of_one_colour_are_only_shifted(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.full((2500, 4, 3), 51)))
    dataset = MNIST(folder)
    assert dataset.std == 1.0
    assert_allclose(dataset[0][0].numpy(), 0, atol=1e-6)


def test_without_the_training_images_there_is_no_standard(folder):
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        MNIST(folder, train=False)


def test_a_transform_gets_each_image_by_itself(folder):
    shapes = []

    def flipped(image):
        shapes.append(image.shape)
        return image[:, :, ::-1] - image.mean()

    dataset, untouched = MNIST(folder, transform=flipped), MNIST(folder)
    images, labels = next(iter(DataLoader(dataset, 4)))
    assert shapes == [(1, 4, 3)] * 4
    assert_array_equal(labels.numpy(), untouched.labels[:4])
    for i in range(4):
        plain_image = untouched[i][0].numpy()
        assert_allclose(images[i].numpy(), plain_image[:, :, ::-1] - plain_image.mean(), rtol=1e-5)
    assert dataset[1:3][0].shape == dataset[[1, 2]][0].shape == (2, 1, 4, 3)
    assert dataset[-1][0].shape == (1, 4, 3)


# --- files that are not what they say ---------------------------------------------------------


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


WRONG = {
    "65 axes": (header(*[1] * 65) + b"\0", "no array has the shape"),
    "more than any memory": (header(*[2**32 - 1] * 3) + b"\0\0", "2 values, but its header"),
    "nothing of too much": (header(0, *[2**32 - 1] * 3), "no array has the shape"),
    "more than announced": (header(2) + b"\0" * 3, "more values"),
    "less than announced": (header(4) + b"\0" * 3, "3 values"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_size_is_refused_by_the_files_name(tmp_path, name, zipped):
    content, message = WRONG[name]
    path = tmp_path / "digits-idx"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(ValueError, match=rf"digits-idx: .*{message}"):
        read_idx(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkdir(tmp_path / "folder")
    paths = [tmp_path / "folder"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # nobody writes into it: reading would wait for ever
        paths.append(tmp_path / "pipe")
    for path in paths:
        with pytest.raises(ValueError, match=f"{path.name}: not a file"):
            read_idx(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


def test_a_file_that_unpacks_to_much_more_takes_no_more_memory_than_it_says(tmp_path):
    """A gigabyte of zeros from a megabyte."""
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header(100))
        for _ in range(256):
            file.write(bytes(4 << 20))
    assert path.stat().st_size < 8 << 20
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb: more values, but its header says \(100,\)"):
        read_idx(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 << 20
