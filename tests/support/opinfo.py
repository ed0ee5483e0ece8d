"""PyTorch's own samples, by which its operations, layers and optimizers are tested.

They come with PyTorch, in a part of it that is not public, and is made for the version that the
vectors are of. What that part needs and PyTorch does not install is only for tests of its own.
"""

import importlib
import sys
import types
import unittest
import warnings

from oracle import around
from pytorch import torch

import tinygrad_bn as tg


def database(module, name):
    """A list of PyTorch's, such as `op_db`; ImportError if this version has no such list."""
    made = types.ModuleType("expecttest")
    made.TestCase, made.assert_expected_inline = unittest.TestCase, None
    absent = "expecttest" not in sys.modules
    sys.modules.setdefault("expecttest", made)
    try:
        with warnings.catch_warnings(action="ignore"):
            return getattr(importlib.import_module(f"torch.testing._internal.{module}"), name)
    except AttributeError as error:
        raise ImportError(str(error)) from None
    finally:
        if absent:
            del sys.modules["expecttest"]


def mapped(change, value):
    """The same lists, tuples and dicts, with each part changed."""
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, tuple | list):
        return type(value)([mapped(change, part) for part in value])
    if isinstance(value, dict):
        return {key: mapped(change, part) for key, part in value.items()}
    return change(value)


class Given:
    """What a call is given, in both libraries: one tensor stays one tensor, leaves are leaves.

    copied: in memory of its own, and without a gradient, as a call that changes it needs it.
    """

    def __init__(self, value, copied=False):
        self.value, self.copied = value, copied
        self.known, self.made = {}, {}  # PyTorch's tensors and ours, by the sample's tensor's id
        self.theirs = mapped(self.fresh, value)

    def fresh(self, value):
        """Of its own graph: the samples hold views of leaves, and views made under no_grad."""
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) not in self.known:
            new = value.detach().clone() if self.copied else value.detach()
            self.known[id(value)] = new.requires_grad_(value.requires_grad and not self.copied)
        return self.known[id(value)]

    def ours(self):
        """TypeError for a dtype that does not exist here."""
        return mapped(self.translated, self.value)

    def translated(self, value):
        if isinstance(value, torch.Tensor):
            if id(value) not in self.made:
                made = tensor(value, self.copied)
                self.made[id(value)] = made.requires_grad_(self.known[id(value)].requires_grad)
            return self.made[id(value)]
        if isinstance(value, torch.dtype):
            return str(value).removeprefix("torch.")
        return str(value) if isinstance(value, torch.device) else value

    def leaves(self):
        """Those that require a gradient: ours, and PyTorch's."""
        which = [key for key, value in self.known.items() if value.requires_grad]
        return [self.made[key] for key in which], [self.known[key] for key in which]


def tensor(value, copied=True):
    """PyTorch's tensor as one of ours, which lies in memory as it does."""
    name = str(value.dtype).removeprefix("torch.")
    if name not in ("float32", "float64", "int64", "bool"):
        tg.zeros(0, dtype=name)  # raises what we say of it
    array = value.detach().numpy()
    return tg.tensor(array) if copied else around(array)
