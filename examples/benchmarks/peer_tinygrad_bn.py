"""tinygrad_bn, the library at home here, as it is and compiled: torch_style.py has the program."""

from typing import Any

from torch_style import Library

import tinygrad_bn


def convert(value: Any) -> Any:
    return value if isinstance(value, tinygrad_bn.nn.Module) else tinygrad_bn.tensor(value)


def convert_compiled(value: Any) -> Any:
    from tinygrad_bn.extras.compiler import compile  # here: --against loads versions without it

    converted = convert(value)
    return compile(converted) if isinstance(converted, tinygrad_bn.nn.Module) else converted


usual = Library(tinygrad_bn, convert)
compiled = Library(tinygrad_bn, convert_compiled)
