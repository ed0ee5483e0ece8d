"""tinygrad_bn: the library at home here."""

from collections.abc import Callable
from typing import Any

import torch_style
from workloads import Work

import tinygrad_bn


def convert(value: Any) -> Any:
    return value if isinstance(value, tinygrad_bn.nn.Module) else tinygrad_bn.tensor(value)


def build(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
    model = torch_style.network(tinygrad_bn.nn, work)
    model.load_state_dict(weights)
    return torch_style.program(tinygrad_bn, work, model, convert(x), convert(y))


def learn(seed: int, goals: list[float]) -> list[tuple[float, int]]:
    return torch_style.learn(tinygrad_bn, convert, seed, goals)
