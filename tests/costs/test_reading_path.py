"""One image on its way to conv1.weight.grad: how many calls and jumps there are."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).with_name("reading_path.py")
specification = importlib.util.spec_from_file_location("reading_path", FILE)
reading_path = importlib.util.module_from_spec(specification)
specification.loader.exec_module(reading_path)


def test_the_way_of_one_image_is_short_enough_to_read():
    """Before the package became a book: 556 calls, and 146 changes of file."""
    counts = reading_path.one_image_to_its_gradient()
    assert counts.calls <= 400, counts
    assert counts.changes_of_file <= 90, counts


def test_what_is_counted_is_what_was_called():
    """By hand: a linear layer without bias is called once, and its kernel is a door."""
    layer, watch = reading_path.nn.Linear(2, 3, bias=False), reading_path.Watch()
    image = reading_path.tg.ones(1, 2)
    reading_path.sys.setprofile(watch)
    try:
        layer(image)
    finally:
        reading_path.sys.setprofile(None)
    counts = watch.counts()
    # Module.__call__, Linear.forward, linear, [checks.linear], ndim, [kernels.linear], record, wrap
    assert watch.read[:4] == ["module.py", "layers.py", "layers.py", "checks.py"]
    assert counts.by_file["checks.py"] == counts.by_file["kernels/products.py"] == 1
    assert counts.by_file["layers.py"] == 2
    assert counts.calls == counts.calls_in_the_root + 2
    assert counts.calls_in_all > counts.calls
