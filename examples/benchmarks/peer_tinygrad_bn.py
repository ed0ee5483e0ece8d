"""tinygrad_bn: the library at home here. What it does is in torch_style.py."""

from typing import Any

from torch_style import Library

import tinygrad_bn


def convert(value: Any) -> Any:
    return value if isinstance(value, tinygrad_bn.nn.Module) else tinygrad_bn.tensor(value)


usual = Library(tinygrad_bn, convert)
