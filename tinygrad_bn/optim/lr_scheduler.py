"""[8] Learning-rate schedules: how large a step to take, as a function of the steps taken.

A schedule sets `group["lr"]` in an optimizer's groups: when made, and by `step()` after each step.
"""

import math
from collections.abc import Callable
from typing import Any

from ..tensor import check_positive, check_range


class LRScheduler:
    """Base class. A subclass says in `get_lr` what each group's rate is at step `last_epoch`."""

    total_steps: float = math.inf
    get_lr: Callable[[], list[float]]

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.last_epoch = optimizer, -1
        self.base_lrs = [g.setdefault("initial_lr", g["lr"]) for g in optimizer.param_groups]
        self.step()

    def get_last_lr(self) -> list[float]:
        """The rates now in force, one per parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"the schedule's {self.total_steps} steps are over")
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr


def _each(value: float | list[float], groups: list[Any]) -> list[float]:
    values = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"{values} are not one value for each of the {len(groups)} groups")
    return values


class StepLR(LRScheduler):
    """Multiply the rate by gamma every step_size steps."""

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1) -> None:
        check_positive(step_size=step_size)
        check_range(0, math.inf, gamma=gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self.get_last_lr()]


class CosineAnnealingLR(LRScheduler):
    """lr_t = eta_min + (lr_0 − eta_min)·(1 + cos(π t / T_max)) / 2."""

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0) -> None:
        check_positive(T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up from max_lr/div_factor to max_lr, then down to a tiny rate, in total_steps steps.

    The rise takes the fraction pct_start of the steps; the end is at the start's rate divided by
    final_div_factor. Momentum goes the other way, from max_momentum down to base_momentum and back
    (cycle_momentum). total_steps may be given as epochs · steps_per_epoch.
    """

    def __init__(
        self, optimizer: Any, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85, max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        check_positive(total_steps=total_steps)
        check_range(0, 1, pct_start=pct_start)
        check_range(1e-300, math.inf, div_factor=div_factor, final_div_factor=final_div_factor)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        groups = optimizer.param_groups
        peaks, lows, highs = (_each(v, groups) for v in (max_lr, base_momentum, max_momentum))
        check_range(0, math.inf, max_lr=min(peaks))
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.top = pct_start * total_steps - 1  # the step of the highest rate
        self.turns: list[dict[str, tuple[float, ...]]] = []  # each option at first, top and last
        for group, peak, low, high in zip(groups, peaks, lows, highs, strict=True):
            start = peak / div_factor
            self.turns.append({"lr": (start, peak, start / final_div_factor)})
            if cycle_momentum:
                self.turns[-1]["momentum"] = (high, low, high)
            group["lr"] = group["initial_lr"] = start
        super().__init__(optimizer)

    def _now(self, first: float, at_top: float, last: float) -> float:
        """Between the values at the two ends of the phase that the present step is in."""
        if self.last_epoch <= self.top:
            begin, end, a, b = 0.0, self.top, first, at_top
        else:
            begin, end, a, b = self.top, self.total_steps - 1, at_top, last
        done = (self.last_epoch - begin) / (end - begin) if end != begin else 1.0
        if self.anneal_strategy == "linear":
            return a + (b - a) * done
        return b + (a - b) / 2 * (1 + math.cos(math.pi * done))

    def get_lr(self) -> list[float]:
        for group, turns in zip(self.optimizer.param_groups, self.turns, strict=True):
            group.update({option: self._now(*values) for option, values in turns.items()})
        return self.get_last_lr()
