"""PyTorch, eager, in its usual order of axes, or with the channels last. See torch_style.py."""

import os
from functools import partial
from typing import Any

import torch
from torch_style import Library

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def convert(value: Any, order: torch.memory_format) -> Any:
    if not isinstance(value, torch.nn.Module):
        value = torch.from_numpy(value)
        if value.ndim != 4:  # no images
            return value
    return value.to(memory_format=order)


usual = Library(torch, partial(convert, order=torch.contiguous_format))
channels_last = Library(torch, partial(convert, order=torch.channels_last))
