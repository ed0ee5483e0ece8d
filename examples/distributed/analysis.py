"""From what was measured to what follows: the fit, its check, and the predictions."""

from typing import NamedTuple

from machine_rates import flops
from measure import (
    ALONE,
    BATCHES,
    CHANNELS,
    PAIR,
    PARAMETERS,
    RANKS,
    ROWS,
    SYNCHRONISED,
    TWO,
    WEAK,
    Exchange,
    Results,
    Setting,
    exchanges,
)
from model import (
    Case,
    Line,
    Mend,
    Network,
    Plan,
    Workload,
    fit_line,
    fit_network,
    messages,
    resnet50,
    resnet50_flops,
    resnet50_parameters,
)
from trainer import KINDS
from workloads import EXAMPLE_CNN_128

# --- assumptions: not measured, and said so on the page -------------------------------------------

CLUSTER = Network("cluster network (assumed)", 2e-6, 1 / 12.5e9)
ACCELERATOR = 400  # images a second that a rank with an accelerator trains ResNet-50 with
RESNET_BATCH = 8192  # of all ranks together; that of Goyal et al. 2017 (arXiv 1706.02677)
RESNET_ROWS = 32  # of each rank, as there
GROUP = 8  # ranks among which batch normalization is synchronised, as a mend
LARGER = 4  # times as many rows, as a mend

MENDS = [
    Mend("as it is"),
    Mend("gradients travel during backward", Plan(overlap=True)),
    Mend("every second batch normalization synchronised", every=2),
    Mend(f"batch normalization in groups of {GROUP} ranks", Plan(group=GROUP)),
    Mend("statistics by all-reduce, not all-gather", Plan(reduced=True)),
    Mend(f"{LARGER} times the rows", times=LARGER),
    Mend("overlap, groups and more rows", Plan(True, GROUP), times=LARGER, together=True),
]


# --- the fit --------------------------------------------------------------------------------------


class Point(NamedTuple):
    """An exchange between two ranks, measured and by the formula; seconds."""

    exchange: Exchange
    kind: str  # "fitted", or what else it is; see measure.exchanges
    measured: float
    predicted: float

    @property
    def group(self) -> str:
        """Its operation, and whether it was fitted."""
        fitted = self.kind if self.kind == "fitted" else "left out"
        return f"{self.exchange.operation[1:]}, {fitted}"

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def fitted_network(results: Results) -> Network:
    """This machine's shared memory, by the sizes that are for the fit."""
    chosen = [exchange for exchange, kind in exchanges().items() if kind == "fitted"]
    seconds = [results.exchange(exchange) for exchange in chosen]
    return fit_network("this machine's memory", [e.size for e in chosen], seconds)


def points(results: Results, network: Network) -> list[Point]:
    """All exchanges that were measured, by size. Between two ranks each takes α + nβ."""
    found = []
    for exchange, kind in exchanges().items():
        predicted = network.latency + exchange.size * network.per_byte
        found.append(Point(exchange, kind, results.exchange(exchange), predicted))
    return sorted(found, key=lambda point: point.exchange.size)


# --- the workloads --------------------------------------------------------------------------------


def computation(results: Results, who: str) -> Line:
    """Of the example CNN in one process, over the rows."""
    return fit_line(ROWS, [results.step(Setting(who, 1, rows)) for rows in ROWS])


def reached(results: Results) -> float:
    """The floating-point operations a second that the example CNN reaches on one core."""
    work = EXAMPLE_CNN_128._replace(batch=WEAK)
    return flops(work) / results.step(Setting(ALONE, 1, WEAK))


def example_cnn(results: Results) -> Workload:
    alone, shared = computation(results, ALONE), computation(results, SYNCHRONISED)
    return Workload("example CNN", alone, shared, PARAMETERS, CHANNELS)


def resnet(name: str, seconds: float) -> Workload:
    """ResNet-50, so many seconds an image."""
    line = Line(0.0, seconds)
    channels = [convolution.channels for convolution in resnet50()]
    return Workload(name, line, line, resnet50_parameters(), channels)


# --- the check ------------------------------------------------------------------------------------


class Check(NamedTuple):
    """A step of two ranks, measured and predicted; seconds."""

    batch: int
    measured: float
    inside: float  # of it in exchanges, measured, on average over the ranks
    last: float  # the same for the rank that comes last to each, which waits for nobody
    communication: float  # by the formula
    computations: dict[str, float]  # measured without communication, each closer to a rank's

    def predictions(self) -> dict[str, float]:
        """What the formula says, by what it is told of the computation."""
        return {name: own + self.communication for name, own in self.computations.items()}


def check(results: Results, workload: Workload, network: Network, batch: int) -> Check:
    rows = batch // TWO
    ranks = Setting(RANKS, TWO, rows)
    inside, last = [
        sum(results.communication(ranks, kind, which) for kind in KINDS)
        for which in ("inside", "last")
    ]
    computations = {
        "one process alone": Setting(ALONE, 1, rows),
        "one with SyncBatchNorm": Setting(SYNCHRONISED, 1, rows),
        "two such at a time": Setting(PAIR, TWO, rows),
    }
    return Check(
        batch,
        results.step(ranks),
        inside,
        last,
        sum(cost.seconds for cost in messages(workload, TWO, network).values()),
        {name: results.step(setting) for name, setting in computations.items()},
    )


# --- all of it ------------------------------------------------------------------------------------


class Analysis(NamedTuple):
    """What the page and the picture show."""

    results: Results
    network: Network  # fitted
    points: list[Point]
    cnn: Workload
    reached: float  # floating-point operations a second
    core: Workload  # ResNet-50 as fast as the example CNN on one core
    accelerator: Workload  # ResNet-50 as fast as assumed
    checks: list[Check]

    def cases(self) -> list[Case]:
        """All that is predicted: each workload, strong and weak, on both networks."""
        sizes = [(self.cnn, max(BATCHES), WEAK)]
        for workload in (self.core, self.accelerator):
            sizes.append((workload, RESNET_BATCH, RESNET_ROWS))
        return [
            Case(workload, network, size, weak)
            for workload, *both in sizes
            for weak, size in enumerate(both)
            for network in (self.network, CLUSTER)
        ]


def analyse(results: Results) -> Analysis:
    network = fitted_network(results)
    cnn, speed = example_cnn(results), reached(results)
    return Analysis(
        results,
        network,
        points(results, network),
        cnn,
        speed,
        resnet("ResNet-50 on one core a rank", resnet50_flops() / speed),
        resnet("ResNet-50 on an accelerator a rank", 1 / ACCELERATOR),
        [check(results, cnn, network, batch) for batch in BATCHES],
    )
