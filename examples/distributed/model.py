"""How long a step of data parallel training takes on R ranks: the formulas, and nothing measured.

A step is the computation of one rank's rows, and four kinds of messages, each of which all ranks
wait for (see tinygrad_bn/extras/distributed.py and sync_batchnorm.py):

    rows         one all-gather of 8 bytes from each rank: how many rows it has
    forward      of each batch normalization an all-gather of 1 + 2C float64 from each rank
    backward     of each batch normalization an all-reduce of 2C float64
    gradients    one all-reduce of all gradients, 4 bytes a parameter (and 4 for each tensor of
                 parameters, which are left out here)

A message of n bytes between two ranks takes α + nβ: the latency, and the time of its bytes. An
all-reduce adds as well; its additions are counted in β, which is fitted to whole all-reduces. Ranks
work in pairs, all pairs at the same time, and nothing slows one pair down for another. That is kind
to a real network, and so is that no rank is ever late.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

RANKS = [2**k for k in range(1, 13)]  # 2 … 4,096
HALF = 0.5  # below this efficiency, more than half of the ranks' time is lost


# --- messages -------------------------------------------------------------------------------------


class Network(NamedTuple):
    """What carries the messages."""

    name: str
    latency: float  # α, seconds
    per_byte: float  # β, seconds


class Cost(NamedTuple):
    """The seconds of messages: those that any message takes, and those that its bytes take."""

    latency: float = 0.0
    transfer: float = 0.0

    @property
    def seconds(self) -> float:
        return self.latency + self.transfer


def rounds(ranks: int) -> int:
    """⌈log₂ R⌉: after so many rounds in pairs, each rank has heard of each other."""
    return (ranks - 1).bit_length()


def tree(ranks: int, size: float, network: Network) -> Cost:
    """All-reduce by recursive doubling, ⌈log₂ R⌉·(α + nβ): all bytes in each round."""
    times = rounds(ranks)
    return Cost(times * network.latency, times * size * network.per_byte)


def ring(ranks: int, size: float, network: Network) -> Cost:
    """All-reduce in a ring, 2(R−1)·α + 2(R−1)/R·nβ: twice around, an R-th part at a time."""
    times = 2 * (ranks - 1)
    return Cost(times * network.latency, times * size / ranks * network.per_byte)


def halving(ranks: int, size: float, network: Network) -> Cost:
    """All-reduce by halving and doubling, 2⌈log₂ R⌉·α + 2(R−1)/R·nβ: the ring's bytes, in a tree.

    Each round has half of the bytes of the round before; then the same back again.
    """
    sent = 2 * (ranks - 1) * size / ranks
    return Cost(2 * rounds(ranks) * network.latency, sent * network.per_byte)


def all_reduce(ranks: int, size: float, network: Network) -> Cost:
    """By the algorithm that is the quickest for this size, as MPI chooses too."""
    ways = [way(ranks, size, network) for way in (tree, ring, halving)]
    return min(ways, key=lambda cost: cost.seconds)


def all_gather(ranks: int, size: float, network: Network) -> Cost:
    """By recursive doubling, ⌈log₂ R⌉·α + (R−1)·nβ, where each rank brings n bytes.

    All R − 1 others have to arrive, however it is done: the bytes grow with R.
    """
    arriving = (ranks - 1) * size
    return Cost(rounds(ranks) * network.latency, arriving * network.per_byte)


def total(costs: Iterable[Cost]) -> Cost:
    """Messages one after the other."""
    costs = list(costs)
    return Cost(sum(cost.latency for cost in costs), sum(cost.transfer for cost in costs))


# --- a step ---------------------------------------------------------------------------------------


class Line(NamedTuple):
    """Seconds of computation: a step's own, whatever its rows, and those of each row."""

    constant: float
    per_row: float

    def __call__(self, rows: float) -> float:
        return self.constant + self.per_row * rows


class Workload(NamedTuple):
    """A model in training."""

    name: str
    alone: Line  # the computation of one process that is alone
    shared: Line  # that of a rank among others; it has SyncBatchNorm
    parameters: int
    channels: Sequence[int]  # of each batch normalization


class Plan(NamedTuple):
    """How the ranks go about it. As it stands, they do the first of each."""

    overlap: bool = False  # do gradients travel while backward still computes?
    group: int | None = None  # batch normalization among so many ranks only; None: all
    reduced: bool = False  # forward by all-reduces, whose bytes do not grow with R?


AS_IT_IS = Plan()
BACKWARD = 2 / 3  # of the computation; it has two matrix products where forward has one

# The parts of a step
ROWS = "computation of the rows"
CONSTANT = "computation that each step has, whatever its rows"
SMALL = "latency of the small exchanges"
GATHERED = "bytes of the all-gathers"
REDUCED = "bytes of the statistics' all-reduces"
GRADIENTS_LATENCY = "latency of the gradients"
GRADIENTS_BYTES = "bytes of the gradients"


def messages(
    workload: Workload,
    ranks: int,
    network: Network,
    plan: Plan = AS_IT_IS,
) -> dict[str, Cost]:
    """The messages of a step, by kind; none of them hidden.

    Reduced: one all-reduce of the counts and sums, one of the squares from the common mean.
    """
    group = ranks if plan.group is None else min(ranks, plan.group)
    forward, backward = [], []
    for channels in workload.channels:
        size = 8 * (1 + 2 * channels)
        if plan.reduced:
            parts = (8 * (1 + channels), 8 * channels)
            forward += [all_reduce(group, part, network) for part in parts]
        else:
            forward.append(all_gather(group, size, network))
        backward.append(all_reduce(group, 16 * channels, network))
    return {
        "rows": all_gather(ranks, 8, network),
        "forward": total(forward),
        "backward": total(backward),
        "gradients": all_reduce(ranks, 4 * workload.parameters, network),
    }


def parts(
    workload: Workload,
    rows: float,
    ranks: int,
    network: Network,
    plan: Plan = AS_IT_IS,
) -> dict[str, float]:
    """What the seconds of a step go into. rows: of the rank that has the most.

    Gradients that overlap cost only what they take longer than backward.
    """
    line = workload.alone if ranks == 1 else workload.shared
    sent = messages(workload, ranks, network, plan)
    gradients = sent["gradients"]
    if plan.overlap:
        gradients = beyond(gradients, BACKWARD * line(rows))
    small = total([sent["rows"], sent["forward"], sent["backward"]])
    gathered = sent["rows"].transfer + sent["forward"].transfer
    return {
        ROWS: line.per_row * rows,
        CONSTANT: line.constant,
        SMALL: small.latency,
        GATHERED: gathered,
        REDUCED: small.transfer - gathered,
        GRADIENTS_LATENCY: gradients.latency,
        GRADIENTS_BYTES: gradients.transfer,
    }


def beyond(cost: Cost, seconds: float) -> Cost:
    """What is left of the cost when so many seconds of it are hidden."""
    if cost.seconds <= seconds:
        return Cost()
    left = 1 - seconds / cost.seconds
    return Cost(left * cost.latency, left * cost.transfer)


def step_time(
    workload: Workload,
    rows: float,
    ranks: int,
    network: Network,
    plan: Plan = AS_IT_IS,
) -> float:
    """Seconds of a step in which no rank has more than so many rows."""
    return sum(parts(workload, rows, ranks, network, plan).values())


# --- efficiency -----------------------------------------------------------------------------------


class Case(NamedTuple):
    """What is asked of the formulas: how does this workload scale on this network?"""

    workload: Workload
    network: Network
    size: int  # rows: of all ranks together, or of each rank
    weak: bool  # of each rank, so that the batch grows with them; else strong: one batch for all

    @property
    def scaling(self) -> str:
        return f"weak, {self.size} a rank" if self.weak else f"strong, batch {self.size:,}"

    def rows(self, ranks: int) -> int:
        """Of the rank that has the most. With more ranks than rows, some have none."""
        return self.size if self.weak else math.ceil(self.size / ranks)


def ideal(case: Case, ranks: int) -> dict[str, float]:
    """The parts of one process's step; in strong scaling, an R-th of them."""
    one = parts(case.workload, case.size, 1, case.network)
    share = 1 if case.weak else ranks
    return {name: seconds / share for name, seconds in one.items()}


def real(case: Case, ranks: int, plan: Plan = AS_IT_IS) -> dict[str, float]:
    """The parts of a step on R ranks."""
    return parts(case.workload, case.rows(ranks), ranks, case.network, plan)


def efficiency(case: Case, ranks: int, plan: Plan = AS_IT_IS) -> float:
    """How much of R times the speed of one process is reached: 1 at best."""
    return sum(ideal(case, ranks).values()) / sum(real(case, ranks, plan).values())


def lost(case: Case, ranks: int, plan: Plan = AS_IT_IS) -> dict[str, float]:
    """By how many seconds each part of a step is longer than the ideal."""
    least = ideal(case, ranks)
    found = real(case, ranks, plan)
    return {name: seconds - least[name] for name, seconds in found.items()}


def breaks_down(case: Case, plan: Plan = AS_IT_IS) -> int | None:
    """The first of RANKS whose efficiency is below a half; None: there is none."""
    return next((n for n in RANKS if efficiency(case, n, plan) < HALF), None)


class Mend(NamedTuple):
    """What can be done about it."""

    name: str
    plan: Plan = AS_IT_IS
    every: int = 1  # only every so-manieth batch normalization is synchronised
    times: int = 1  # so many times the rows
    together: bool = False  # several mends in one

    def applied(self, case: Case) -> Case:
        """The case, with fewer messages and more rows."""
        channels = case.workload.channels[:: self.every]
        workload = case.workload._replace(channels=channels)
        return case._replace(workload=workload, size=self.times * case.size)


# --- the fit --------------------------------------------------------------------------------------


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line that has the least sum of squares of relative errors, Σ (line(x)/y − 1)²."""
    y = np.array(ys, float)
    columns = np.stack([1 / y, np.array(xs, float) / y], axis=1)
    (constant, slope), *_ = np.linalg.lstsq(columns, np.ones(len(y)))
    return Line(float(constant), float(slope))


def fit_network(name: str, sizes: Sequence[float], seconds: Sequence[float]) -> Network:
    """α and β from all-reduces between two ranks, which take α + nβ."""
    line = fit_line(sizes, seconds)
    return Network(name, line.constant, line.per_row)


def relative_errors(predicted: Sequence[float], measured: Sequence[float]) -> list[float]:
    """By how much each prediction is too high, as a share of what was measured."""
    return [p / m - 1 for p, m in zip(predicted, measured, strict=True)]


# --- ResNet-50 ------------------------------------------------------------------------------------


class Convolution(NamedTuple):
    """With batch normalization behind it, as all of ResNet's."""

    channels_in: int
    channels: int
    kernel: int
    side: int  # of the images that come out

    @property
    def weights(self) -> int:
        return self.channels_in * self.channels * self.kernel**2


STAGES = [  # the width of the 3×3 convolutions, how many blocks, and the side of the images
    (64, 3, 56),
    (128, 4, 28),
    (256, 6, 14),
    (512, 3, 7),
]


def bottleneck(channels_in: int, width: int, side_in: int, side: int) -> list[Convolution]:
    """1×1, 3×3, 1×1 to four times the width; and 1×1 beside them where the shape changes.

    The 3×3 convolution has the stride, as in torchvision ("v1.5").
    """
    block = [
        Convolution(channels_in, width, 1, side_in),
        Convolution(width, width, 3, side),
        Convolution(width, 4 * width, 1, side),
    ]
    if channels_in != 4 * width:
        block.append(Convolution(channels_in, 4 * width, 1, side))
    return block


def resnet50() -> list[Convolution]:
    """All convolutions of ResNet-50 for images of 224 × 224 (He et al. 2015, table 1)."""
    found = [Convolution(3, 64, 7, 112)]
    channels, side_in = 64, 56
    for width, blocks, side in STAGES:
        for _ in range(blocks):
            found += bottleneck(channels, width, side_in, side)
            channels, side_in = 4 * width, side
    return found


FEATURES, CLASSES = 2048, 1000  # of the linear layer at the end, which has a bias; ImageNet's


def resnet50_parameters() -> int:
    """Weights of convolutions, γ and β of batch normalizations, and the last layer."""
    body = sum(layer.weights + 2 * layer.channels for layer in resnet50())
    return body + FEATURES * CLASSES + CLASSES


def resnet50_multiply_adds() -> int:
    """Forward, of one image."""
    body = sum(layer.weights * layer.side**2 for layer in resnet50())
    return body + FEATURES * CLASSES


def resnet50_flops() -> int:
    """Of one image in training: 2 of each multiply-add, and backward twice those of forward."""
    return 3 * 2 * resnet50_multiply_adds()
