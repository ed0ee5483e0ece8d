"""[8] Learning-rate schedules: how large a step to take, as a function of the steps taken.

A schedule writes `group["lr"]` in an optimizer's parameter groups: once when it is made, and again
at each `step()`, which is called after `optimizer.step()`. Like PyTorch's, StepLR and
CosineAnnealingLR change the present rate step by step, so that they can be combined.
"""

from __future__ import annotations

import math
from typing import Any


class LRScheduler:
    """Base class. A subclass says in `get_lr` what each group's rate is at step `last_epoch`."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.last_epoch = optimizer, -1
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.step()

    def get_lr(self) -> list[float]:
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[float]:
        """The rates now in force, one per parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        self.last_epoch += 1
        try:
            rates = self.get_lr()
        except ValueError:
            self.last_epoch -= 1
            raise
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr


def _check_steps(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")


def _each(value: float | list[float], groups: list[Any]) -> list[float]:
    values = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"give one value, or one for each of the {len(groups)} groups: {values}")
    return values


class StepLR(LRScheduler):
    """Multiply the rate by gamma every step_size steps."""

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1) -> None:
        _check_steps("step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self.get_last_lr()]


class CosineAnnealingLR(LRScheduler):
    """lr_t = eta_min + (lr_0 − eta_min)·(1 + cos(π t / T_max)) / 2."""

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0) -> None:
        _check_steps("T_max", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        t, rates = self.last_epoch, self.get_last_lr()
        if t == 0:
            return rates
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the bottom, where 1 + cos is 0
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                lr + (base - self.eta_min) * rise
                for lr, base in zip(rates, self.base_lrs, strict=True)
            ]
        now, before = (1 + math.cos(math.pi * s / self.T_max) for s in (t, t - 1))
        return [now / before * (lr - self.eta_min) + self.eta_min for lr in rates]


class OneCycleLR(LRScheduler):
    """Up from max_lr/div_factor to max_lr, then down to a tiny rate, in total_steps steps.

    The rise takes the fraction pct_start of the steps; the end is at the start's rate divided by
    final_div_factor. Momentum goes the other way, from max_momentum down to base_momentum and back
    (cycle_momentum). three_phase: come down as one went up, then go on to the end.
    total_steps may be given as epochs · steps_per_epoch. A step beyond it is a ValueError.
    """

    def __init__(
        self, optimizer: Any, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85, max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        _check_steps("total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start must be between 0 and 1, not {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        groups = optimizer.param_groups
        peaks, lows, highs = (_each(v, groups) for v in (max_lr, base_momentum, max_momentum))
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        top = pct_start * total_steps - 1
        self.ends = [0.0, top, *([2 * top] if three_phase else []), total_steps - 1.0]
        # What each option of each group is at those steps.
        self.turns: list[dict[str, list[float]]] = []
        for group, peak, low, high in zip(groups, peaks, lows, highs, strict=True):
            start, back = peak / div_factor, int(three_phase)
            rates = [start, peak, *[start] * back, start / final_div_factor]
            self.turns.append({"lr": rates})
            if cycle_momentum:
                self.turns[-1]["momentum"] = [high, low, high, *[high] * back]
            group["lr"] = start
        super().__init__(optimizer)

    def _at(self, values: list[float]) -> float:
        """Between the values at the two ends of the phase that the present step is in."""
        phase = 1
        while phase < len(self.ends) - 1 and self.last_epoch > self.ends[phase]:
            phase += 1
        (begin, end), (a, b) = self.ends[phase - 1 : phase + 1], values[phase - 1 : phase + 1]
        done = (self.last_epoch - begin) / (end - begin) if end != begin else 1.0
        if self.anneal_strategy == "linear":
            return a + (b - a) * done
        return b + (a - b) / 2 * (1 + math.cos(math.pi * done))

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"step {self.last_epoch} of a schedule of {self.total_steps} steps")
        for group, turns in zip(self.optimizer.param_groups, self.turns, strict=True):
            group.update({option: self._at(values) for option, values in turns.items()})
        return self.get_last_lr()
