"""PyTorch, eager, with images (N, C, H, W) in its usual order of axes, or with channels last."""

import os
from collections.abc import Callable
from typing import Any

import torch
import torch_style
from workloads import Work

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class PyTorch:
    def __init__(self, order: torch.memory_format) -> None:
        self.order = order

    def convert(self, value: Any) -> Any:
        if not isinstance(value, torch.nn.Module):
            value = torch.from_numpy(value)
            if value.ndim != 4:
                return value
        return value.to(memory_format=self.order)

    def build(self, work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
        model = torch_style.network(torch.nn, work)
        model.load_state_dict({name: self.convert(array) for name, array in weights.items()})
        x, y = self.convert(x), self.convert(y)
        return torch_style.program(torch, work, self.convert(model), x, y)

    def learn(self, seed: int, goals: list[float]) -> list[tuple[float, int]]:
        return torch_style.learn(torch, self.convert, seed, goals)


usual, channels_last = PyTorch(torch.contiguous_format), PyTorch(torch.channels_last)
