"""The same values, lying in memory in another way: no result may depend on it."""

import numpy as np


def _permuted(array, axes):
    """In memory, the axes follow each other in this order, the last one fastest."""
    return array.transpose(axes).copy().transpose(np.argsort(axes))


def _channels_last(array):
    return _permuted(array, [0, *range(2, array.ndim), 1]) if array.ndim > 1 else array


def _batch_last(array):
    return _permuted(array, [*range(1, array.ndim), 0]) if array.ndim else array


def _ends_exchanged(array):
    return array.swapaxes(0, -1).copy().swapaxes(0, -1) if array.ndim else array


def _inside(array, step):
    """Every `step`-th element of a larger array, along every axis; what lies between is no use."""
    nothing = {"f": np.nan, "b": True}.get(array.dtype.kind, -9)
    large = np.full([abs(step) * n + 1 for n in array.shape], nothing, array.dtype)
    view = large[(*(slice(1, None, step) for _ in array.shape), ...)]
    view[...] = array
    return view


def _mirrored(array):
    return array[(*(slice(None, None, -1) for _ in array.shape), ...)]


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


LAYOUTS = {
    "contiguous": lambda array: array,
    "column by column": lambda array: array.copy(order="F"),
    "ends exchanged": _ends_exchanged,
    "channels last": _channels_last,
    "batch last": _batch_last,
    "sliced": lambda array: _inside(array, 2),
    "windowed": lambda array: _inside(array, 1),
    "backwards": lambda array: _mirrored(_mirrored(array).copy()),
    "sliced, backwards": lambda array: _mirrored(_inside(_mirrored(array), 2)),
    "read-only": _read_only,
}


def repeated(array, axis=0):
    """All along an axis the same memory, with stride 0. These are other values."""
    if not array.ndim or not array.shape[axis]:
        return array
    return np.broadcast_to(array.take([0], axis), array.shape)


ANY_LAYOUT = LAYOUTS | {"repeated": repeated}
