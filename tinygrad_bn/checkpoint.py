"""[11] Checkpoints: a state_dict in a safetensors file, which holds arrays and nothing that runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .tensor import Tensor, from_numpy


def save(state_dict: Mapping[str, Tensor], path: str | Path) -> None:
    """Write tensors by name, e.g. `save(model.state_dict(), "model.safetensors")`.

    The file appears whole or not at all: it is written under another name in the same folder, and
    then renamed.
    """
    from safetensors.numpy import save_file  # here, so that importing the package stays fast

    path = Path(path)
    arrays = {name: np.ascontiguousarray(t.detach().numpy()) for name, t in state_dict.items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        part = Path(folder) / "part"
        save_file(arrays, part)
        os.replace(part, path)


def load(path: str | Path) -> dict[str, Tensor]:
    """The tensors that `save` wrote, or another program that writes safetensors.

    ValueError, naming the file, if it is damaged or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a complete safetensors file ({error})") from error
    return {name: from_numpy(array) for name, array in arrays.items()}
