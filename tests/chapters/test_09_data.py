"""The digits that ship with the package, files of one's own, wrong files, and mini-batches."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_bn as tg
from tinygrad_bn import data
from tinygrad_bn.data import MNIST, DataLoader, read_idx

SHIPPED = Path(data.__file__).parent / "mnist"


@pytest.fixture(scope="module")
def train():
    return MNIST()


@pytest.fixture(scope="module")
def held_out():
    return MNIST(train=False)


# --- the shipped digits -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    }.items(),
)
def test_the_shipped_files_are_the_published_ones(name, expected):
    content = gzip.decompress((SHIPPED / f"{name}.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == expected


def test_all_of_mnist_is_there(train, held_out):
    assert (len(train), len(held_out)) == (60_000, 10_000)
    for dataset in (train, held_out):
        assert dataset.images.shape == (len(dataset), 28, 28)
        assert dataset.images.dtype == np.uint8
        assert dataset.labels.shape == (len(dataset),)
        assert dataset.labels.dtype == np.int64
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert held_out.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    histogram = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels).tolist() == histogram


def test_images_come_standardised_with_the_mean_and_deviation_of_the_training_pixels(train):
    parts = np.array_split(train.images, 100)  # a count converts to int64: 8 bytes a pixel
    counts = sum(np.bincount(part.ravel(), minlength=256) for part in parts) / train.images.size
    values = np.arange(256) / 255
    mean = (counts * values).sum()
    deviation = (counts * (values - mean) ** 2).sum() ** 0.5
    assert (round(mean, 4), round(deviation, 4)) == (0.1307, 0.3081) == (MNIST.mean, MNIST.std)
    images, labels = train[:100]
    expected = (train.images[:100, None] / 255 - 0.1307) / 0.3081
    assert images.dtype == tg.float32
    assert labels.dtype == tg.int64
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert labels.tolist() == train.labels[:100].tolist()


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (7, (1, 28, 28)),
        (-1, (1, 28, 28)),
        (slice(3, 8), (5, 1, 28, 28)),
        ([4, 4, 9], (3, 1, 28, 28)),
        (np.array([1, 2]), (2, 1, 28, 28)),
    ],
)
def test_samples_are_taken_by_any_index(train, index, shape):
    images, labels = train[index]
    assert images.shape == shape
    assert labels.shape == shape[:-3]
    assert labels.tolist() == train.labels[index].tolist()


# --- files of one's own -----------------------------------------------------------------------


def idx(array, kind=0x08):
    """The IDX format, from its description: two zeros, the type, the axes, sizes big-endian."""
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


IMAGES = np.arange(5 * 3 * 2).reshape(5, 3, 2)
LABELS = np.array([9, 0, 3, 3, 7])


@pytest.fixture
def folder(tmp_path):
    """A folder with a training set of five images, 3 by 2."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


@pytest.mark.parametrize("zipped", [(), ("images",), ("labels",), ("images", "labels")], ids=str)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_of_ones_own_is_read_gzipped_or_not(folder, zipped, kind):
    for path in list(folder.iterdir()):
        if any(part in path.name for part in zipped):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    dataset = MNIST(kind(folder))
    assert len(dataset) == 5
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert dataset.labels.tolist() == LABELS.tolist()
    assert dataset[0][0].shape == (1, 3, 2)


def test_where_there_are_both_files_the_one_that_is_not_gzipped_is_read(folder):
    other = idx(np.zeros((5, 3, 2)))
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(other))
    np.testing.assert_array_equal(MNIST(folder).images, IMAGES)


def test_a_folder_of_the_name_is_no_file(folder):
    (folder / "train-images-idx3-ubyte").rename(folder / "images")
    (folder / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        MNIST(folder)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    np.testing.assert_array_equal(MNIST(folder).images, IMAGES)


def test_a_data_set_is_printed_with_its_number_height_and_width(folder):
    assert repr(MNIST(folder)) == "MNIST(5 images of 3 x 2)"


def test_a_data_set_may_be_empty(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:0]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:0]))
    dataset = MNIST(folder)
    assert (len(dataset), len(DataLoader(dataset, 2))) == (0, 0)


def test_changing_a_sample_does_not_change_the_dataset(folder):
    dataset = MNIST(folder)
    images, labels = dataset[:3]
    images.data[...] = 0
    labels.data[...] = 0
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert dataset.labels.tolist() == LABELS.tolist()


def test_an_array_of_any_number_of_axes_is_read(tmp_path):
    path = tmp_path / "any"
    for shape in ((3,), (2, 3, 4, 5), (0, 28, 28), (1, 300)):
        array = np.arange(np.prod(shape)).reshape(shape) % 256
        path.write_bytes(idx(array))
        np.testing.assert_array_equal(read_idx(path), array)


COMPRESSED = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (20, 28, 28))))


def with_byte(content, position, value):
    return content[:position] + bytes([content[position] ^ value]) + content[position + 1 :]


WRONG_FILES = {
    "empty": (b"", "not an IDX"),
    "only its first three bytes": (b"\0\0\x08", "not an IDX.*00 00 08"),
    "a text": (b"<html>404 Not Found</html>", "not an IDX.*3c 68 74 6d"),
    "floats": (idx(IMAGES, kind=0x0D), "00 00 0d 03"),
    "ends in its header": (idx(IMAGES)[:10], "header"),
    "cut off": (idx(IMAGES)[:-1], r"(?=.*\b29\b)(?=.*\(5, 3, 2\))"),
    "trailing bytes": (idx(IMAGES) + b"\0", r"(?=.*more values)(?=.*\(5, 3, 2\))"),
    "gzip, cut off": (COMPRESSED[:-100], "gzip"),
    "gzip, only its header": (COMPRESSED[:10], "gzip"),
    "gzip, only its magic number": (COMPRESSED[:2], "gzip"),
    "gzip, wrong checksum": (with_byte(COMPRESSED, -5, 0xFF), "gzip"),
    "gzip, wrong length": (COMPRESSED[:-1] + b"\x7f", "gzip"),
    "gzip, damaged inside": (with_byte(COMPRESSED, 10, 0xFF), "gzip"),
    "gzip, damaged in the middle": (with_byte(COMPRESSED, len(COMPRESSED) // 2, 0xFF), "gzip"),
    "gzip, another method": (with_byte(COMPRESSED, 2, 0x0F), "gzip"),
    "gzip, then garbage": (COMPRESSED + b"garbage", "gzip"),
    "gzip of a text": (gzip.compress(b"hello"), "not an IDX.*68 65 6c 6c"),
}


@pytest.mark.parametrize(("content", "says"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_a_wrong_file_is_refused_with_its_name(folder, content, says):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s)train-images-idx3-ubyte.*{says}") as caught:
        MNIST(folder)
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte"):
        read_idx(path)


@pytest.mark.parametrize(
    ("images", "labels", "named"),
    [
        (IMAGES[:4], LABELS, r"(?=.*labels-idx1)(?=.*\b5\b)(?=.*\b4\b)"),
        (IMAGES, LABELS[:4], r"(?=.*labels-idx1)(?=.*\b5\b)(?=.*\b4\b)"),
        (IMAGES, np.array([1, 2, 10, 3, 4]), r"labels-idx1.*\b10\b"),
        (IMAGES, np.array([1, 2, 3, 255, 4]), r"labels-idx1.*\b255\b"),
        (LABELS, LABELS, r"images-idx3.*\(5,\)"),
        (IMAGES[None], LABELS, r"images-idx3.*\(1, 5, 3, 2\)"),
        (IMAGES, IMAGES, r"labels-idx1.*\(5, 3, 2\)"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_with_their_names(folder, images, labels, named):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(ValueError, match=named):
        MNIST(folder)


def test_a_missing_file_or_folder_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
        MNIST(folder, train=False)
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        MNIST(folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        MNIST(tmp_path / "nowhere")


# --- mini-batches -----------------------------------------------------------------------------


class Numbers:
    """The smallest dataset: sample i is (i, -i)."""

    def __init__(self, n):
        self.values = tg.arange(n)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index], -self.values[index]


def batches(loader):
    return [first.tolist() for first, _ in loader]


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "expected"),
    [
        (6, 2, False, [2, 2, 2]),
        (6, 2, True, [2, 2, 2]),
        (7, 3, False, [3, 3, 1]),
        (7, 3, True, [3, 3]),
        (2, 5, False, [2]),
        (2, 5, True, []),
        (0, 5, False, []),
        (3, 1, False, [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_have_the_announced_number_and_sizes(n, size, drop_last, expected, shuffle):
    loader = DataLoader(Numbers(n), size, shuffle=shuffle, drop_last=drop_last)
    assert len(loader) == len(expected)
    assert [len(batch) for batch in batches(loader)] == expected


def test_without_shuffling_samples_come_in_order_one_by_one_by_default():
    assert batches(DataLoader(Numbers(4))) == [[0], [1], [2], [3]]
    assert batches(DataLoader(Numbers(5), 2)) == [[0, 1], [2, 3], [4]]


def test_shuffling_gives_every_sample_once_with_its_own_label():
    loader = DataLoader(Numbers(103), 10, shuffle=True)
    for _ in range(2):
        seen = []
        for first, second in loader:
            assert second.tolist() == [-value for value in first.tolist()]
            seen += first.tolist()
        assert sorted(seen) == list(range(103))
        assert seen != sorted(seen)


def test_the_order_repeats_with_the_seed_and_changes_at_each_pass():
    loader = DataLoader(Numbers(50), 7, shuffle=True)
    tg.manual_seed(1)
    first, second = batches(loader), batches(loader)
    tg.manual_seed(1)
    assert batches(loader) == first
    assert batches(loader) == second
    assert first != second
    tg.manual_seed(2)
    assert batches(loader) != first


def test_dropping_the_last_batch_drops_other_samples_at_each_pass():
    loader = DataLoader(Numbers(11), 4, shuffle=True, drop_last=True)
    dropped = {
        frozenset(range(11)) - {v for batch in batches(loader) for v in batch} for _ in "123456"
    }
    assert len(dropped) > 1


def test_every_order_is_equally_likely():
    """6 orders of 3 samples, 1200 draws: each 200 times, give or take 5 standard deviations."""
    loader = DataLoader(Numbers(3), 3, shuffle=True)
    orders = [tuple(batches(loader)[0]) for _ in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert max(abs(count - 200) for count in counts) < 5 * (1200 / 6 * 5 / 6) ** 0.5


def test_two_passes_at_once_do_not_disturb_each_other():
    loader = DataLoader(Numbers(20), 1, shuffle=True)
    one, two = iter(loader), iter(loader)
    pairs = [(a.item(), b.item()) for (a, _), (b, _) in zip(one, two, strict=True)]
    assert sorted(a for a, _ in pairs) == sorted(b for _, b in pairs) == list(range(20))


def test_real_batches_are_ready_for_training(train):
    images, labels = next(iter(DataLoader(train, 64, shuffle=True)))
    assert (images.shape, images.dtype) == ((64, 1, 28, 28), tg.float32)
    assert (labels.shape, labels.dtype) == ((64,), tg.int64)
    assert images.numpy().flags.c_contiguous
    assert not images.requires_grad


@pytest.mark.parametrize("size", [0, -1, 2.5, "64", True])
def test_a_wrong_batch_size_is_refused_by_name(size):
    with pytest.raises(ValueError, match=f"batch_size.*{size}"):
        DataLoader(Numbers(3), size)


def test_a_part_of_the_images_can_be_held_back():
    everything = MNIST()
    training, held_back = MNIST(part=slice(None, -5000)), MNIST(part=slice(-5000, None))
    assert (len(training), len(held_back)) == (55_000, 5_000)
    images, labels = held_back[[0, -1]]
    assert_array_equal(images.data, everything[[55_000, 59_999]][0].data)
    assert_array_equal(labels.data, everything.labels[[55_000, 59_999]])
