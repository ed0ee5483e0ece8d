"""tinygrad_bn, the library at home here: as it is, compiled, and replayed after it was compiled.

torch_style.py has the program.
"""

from typing import Any

from torch_style import Library

import tinygrad_bn


def convert(value: Any) -> Any:
    return value if isinstance(value, tinygrad_bn.nn.Module) else tinygrad_bn.tensor(value)


def convert_compiled(value: Any) -> Any:
    converted = convert(value)
    is_model = isinstance(converted, tinygrad_bn.nn.Module)
    return tinygrad_bn.compile(converted) if is_model else converted


def replayed_step(function: Any) -> Any:
    from tinygrad_bn.extras.replay import replay  # here: --against loads versions without it

    return replay(function)


usual = Library(tinygrad_bn, convert)
compiled = Library(tinygrad_bn, convert_compiled)
replayed = Library(tinygrad_bn, convert_compiled, replayed_step)
