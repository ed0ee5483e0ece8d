"""The page: what was measured, the fit, its check, and the predictions, in tables and in words."""

import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import model
from analysis import (
    ACCELERATOR,
    CLUSTER,
    MENDS,
    Analysis,
)
from measure import (
    ALONE,
    BATCHES,
    FITTED,
    LIBRARIES,
    PARAMETERS,
    RANKS,
    ROWS,
    SYNCHRONISED,
    TWO,
    WEAK,
    Results,
    Setting,
    is_oversubscribed,
    series,
)
from model import AS_IT_IS, Case, Line, Mend, efficiency, lost
from report import Report, machine, ms, versions
from trainer import KINDS
from worker import available_cores

SHOWN = (2, 8, 32, 128, 512, 1024, 4096)  # ranks, in the tables of predictions
LARGEST = max(model.RANKS)


# --- numbers as text ------------------------------------------------------------------------------


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def signed(error: float) -> str:
    return f"{100 * error:+.1f} %"


def microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.1f}"


def quartiles(values: Sequence[float], digits: int = 2) -> str:
    """The median, and in brackets the quartiles."""
    cuts = statistics.quantiles(values, n=4, method="inclusive")
    low, middle, high = [f"{cut:.{digits}f}" for cut in cuts]
    return f"{middle} [{low}, {high}]"


def named(ranks: int) -> str:
    """How many there are, and whether each has a core."""
    cores = len(available_cores())
    return f"{ranks}, oversubscribed on {cores} cores" if is_oversubscribed(ranks) else str(ranks)


# --- measured -------------------------------------------------------------------------------------


def say_speed(results: Results, report: Report) -> None:
    """Strong and weak scaling."""

    def rows() -> Iterator[list[str]]:
        for name, line in series().items():
            for setting in line:
                times = [1000 * seconds for seconds in results.rounds(setting)]
                gain = results.speed(setting) / results.speed(line[0])
                yield [
                    name,
                    named(setting.processes),
                    str(setting.rows),
                    quartiles(times, 1),
                    f"{results.speed(setting):,.0f}",
                    f"{gain:.2f}",
                    percent(gain / setting.processes),
                ]

    report.say(
        "## Measured: speed\n\n"
        "Training steps of the example CNN (zero_grad, forward, cross-entropy, backward, SGD with "
        "Nesterov momentum). One rank is one process with `compile(model)` and nothing "
        "distributed; each rank has one thread. Medians over the rounds, [quartiles] between them. "
        "Efficiency: the gain by the number of ranks.\n"
    )
    head = ["scaling", "ranks", "rows a rank", "ms a step", "images/s", "gain", "efficiency"]
    report.table(head, rows())


def say_communication(results: Results, report: Report) -> None:
    """The share of the time that ranks are in exchanges, and in which."""

    def rows() -> Iterator[list[str]]:
        settings = [setting for setting in results.turns if setting.who == RANKS]
        for setting in settings:
            step = results.step(setting)
            inside = [results.communication(setting, kind, "inside") for kind in KINDS]
            last = [results.communication(setting, kind, "last") for kind in KINDS]
            waiting = sum(inside) - sum(last)
            shares = [sum(inside), *inside, waiting]
            yield [
                named(setting.processes),
                str(setting.rows),
                ms(step),
                *[percent(seconds / step) for seconds in shares],
            ]

    report.say(
        "## Measured: communication\n\n"
        "The share of a step that a rank spends in exchanges (`ranks.exchange`), on average over "
        "the ranks. **Waiting for the other ranks is part of it**: whoever comes first to an "
        "exchange waits there for the last one, be it that its processor was taken away or that "
        "it shares it with another rank. The last column says how much of it that is: the time in "
        "exchanges beyond that of the rank that came last to each.\n"
    )
    kinds = ["number of rows", "batch normalization", "gradients"]
    head = ["ranks", "rows a rank", "ms a step", "in exchanges", *kinds, "of it waiting"]
    report.table(head, rows())


def say_comparison(results: Results, report: Report) -> None:
    """Two ranks with a thread each, against one process with two threads."""
    names = [name for name in LIBRARIES if Setting(name, 1, max(BATCHES)) in results.turns]

    def rows() -> Iterator[list[str]]:
        for batch in BATCHES:
            ranks = Setting(RANKS, TWO, batch // TWO)
            others = [Setting(name, 1, batch) for name in names]
            cells = [ms(results.step(setting)) for setting in (ranks, *others)]
            ratios = [quartiles(results.ratios(ranks, other)) for other in others]
            yield [str(batch), *cells, *ratios]

    report.say(
        f"## Measured: {TWO} ranks, or {TWO} threads\n\n"
        "The same batch on the same cores in the same run: two ranks with a thread each, and one "
        "process with two threads. PyTorch has the channels last in memory, its faster order; it "
        "is not given the setting for freed memory that importing tinygrad_bn makes (README.md, "
        "Memory). The ratios of step times are taken round by round; below 1 the ranks are "
        "faster.\n"
    )
    if LIBRARIES[-1] not in names:
        report.say("PyTorch is not installed: there is no comparison with it.\n")
    head = ["batch", f"{TWO} ranks, ms", *[f"{name}, ms" for name in names]]
    head += [f"ranks / {name}" for name in names]
    report.table(head, rows())


# --- the fit and its check ------------------------------------------------------------------------


def say_fit(found: Analysis, report: Report) -> None:
    """The line through the all-reduces, and how far each exchange is from it."""
    network = found.network
    report.say(
        "## The fit\n\n"
        f"Exchanges between {TWO} ranks take by the model a latency and a time a byte "
        "([model.py](model.py)). Fitted to all-reduces of "
        f"{len(FITTED)} sizes, by least squares of the relative errors: "
        f"**latency {microseconds(network.latency)} microseconds, "
        f"{1e9 * network.per_byte:.3f} nanoseconds a byte** "
        f"({1e-9 / network.per_byte:.1f} GB/s). It includes what `ranks.exchange` itself takes, "
        "which asks again and again whether all is done.\n"
    )
    groups = {
        "fitted": [point for point in found.points if point.kind == "fitted"],
        "left out of the fit": [point for point in found.points if point.kind != "fitted"],
    }
    for name, chosen in groups.items():
        middle = statistics.median([abs(point.error) for point in chosen])
        worst = max(chosen, key=lambda point: abs(point.error))
        report.say(
            f"- {name}: the error is {percent(middle)} (median of its size), at most "
            f"{signed(worst.error)}, at {worst.exchange.size:,} bytes"
        )
    report.say()

    def rows() -> Iterator[list[str]]:
        for point in found.points:
            yield [
                point.exchange.operation.removeprefix("I"),
                f"{point.exchange.size:,}",
                point.kind if point.kind in ("fitted", "left out") else f"left out: {point.kind}",
                microseconds(point.measured),
                microseconds(point.predicted),
                signed(point.error),
            ]

    head = ["exchange", "bytes a rank", "in the fit?", "measured, microseconds", "model", "error"]
    report.table(head, rows())


def say_line(name: str, line: Line, measured: Sequence[float], report: Report) -> None:
    """How well the computation's line over the rows fits."""
    predicted = [line(rows) for rows in ROWS]
    sizes = [abs(error) for error in model.relative_errors(predicted, measured)]
    report.say(
        f"  - {name}: {ms(line.constant)} ms, and {1e6 * line.per_row:.1f} microseconds a row; "
        f"the error is at most {percent(max(sizes))}"
    )


def say_check(found: Analysis, report: Report) -> None:
    """A step of two ranks, to which nothing was fitted."""
    report.say(
        f"## The check: a step of {TWO} ranks\n\n"
        "The model knows the computation from one process with as many rows as a rank has, and "
        "the communication from the fit; no step of two ranks went into it. Three computations, "
        "each closer to what a rank does: one process alone with `compile(model)`; one with "
        "SyncBatchNorm and DistributedDataParallel, which prepare what they would send and copy "
        "the gradients once more; and two of these at a time that do not communicate, which "
        "share the machine's memory.\n"
    )

    def rows() -> Iterator[list[str]]:
        for one in found.checks:
            for name, predicted in one.predictions().items():
                error = signed(predicted / one.measured - 1)
                times = [ms(one.measured), ms(predicted)]
                yield [str(one.batch), name, *times, error]

    head = ["batch", "computation taken from", "measured, ms", "predicted, ms", "error"]
    report.table(head, rows())
    for one in found.checks:
        alone, synchronised, pair = one.computations.values()
        report.say(
            f"- Batch {one.batch}: SyncBatchNorm and DistributedDataParallel change one rank's "
            f"step by {signed(synchronised / alone - 1)}; the other core at work, by "
            f"{signed(pair / synchronised - 1)} more. Communication: {ms(one.communication)} ms "
            f"by the model; measured in the step, {ms(one.last)} ms for the rank that comes last, "
            f"and {ms(one.inside)} ms with waiting, on average."
        )
    report.say()


# --- predictions ----------------------------------------------------------------------------------


def say_assumptions(found: Analysis, report: Report) -> None:
    results = found.results
    channels = [convolution.channels for convolution in model.resnet50()]
    report.say(
        "## Predicted, not measured\n\n"
        f"Nothing below was run: these are the formulas of [model.py](model.py) for up to "
        f"{LARGEST:,} ranks. What they take for granted:\n\n"
        f"- This machine's memory: latency and bytes as fitted between {TWO} ranks, as if any "
        "number of ranks had it, each with a core of its own that no other slows down.\n"
        f"- **Assumed**, the cluster network: {microseconds(CLUSTER.latency)} microseconds, "
        f"{1e-9 / CLUSTER.per_byte:.1f} GB/s for each rank, and no two messages in each other's "
        "way.\n"
        "- Each all-reduce is done in the way that is quickest for its size, of recursive "
        "doubling, a ring, and halving and doubling. No rank is late.\n"
        "- A process alone is what efficiency is measured against; a rank computes as one with "
        "SyncBatchNorm does. The example CNN's computation is a line over the rows, fitted to one "
        f"process with {', '.join(map(str, ROWS))} rows:"
    )
    for who, line in ((ALONE, found.cnn.alone), (SYNCHRONISED, found.cnn.shared)):
        measured = [results.step(Setting(who, 1, rows)) for rows in ROWS]
        say_line(who, line, measured, report)
    seconds, share = found.core.alone.per_row, percent(found.reached / results.rate)
    report.say(
        f"- ResNet-50, computed from its layers: {model.resnet50_parameters():,} parameters, "
        f"{len(channels)} batch normalizations with {sum(channels):,} channels in all, "
        f"{model.resnet50_multiply_adds() / 1e9:.2f} billion multiply-adds forward for an image, "
        f"which is {model.resnet50_flops() / 1e9:.1f} GFLOP in training (2 for each, and backward "
        "twice forward's).\n"
        f"- **Assumed**: on one core a rank, it reaches the rate of the example CNN: "
        f"{found.reached / 1e9:.1f} GFLOP/s at {WEAK} rows, {share} "
        f"of the {results.rate / 1e9:.0f} at which NumPy multiplies matrices on one core here. So "
        f"an image takes {seconds:.2f} s.\n"
        f"- **Assumed**: on an accelerator a rank, {ACCELERATOR} images a second.\n"
    )


def say_efficiencies(found: Analysis, report: Report) -> None:
    """Of each case, over the ranks."""

    def rows() -> Iterator[list[str]]:
        for case in found.cases():
            shares = [percent(efficiency(case, ranks)) for ranks in SHOWN]
            yield [case.workload.name, case.scaling, case.network.name, *shares]

    report.say("### Efficiency\n")
    head = ["workload", "scaling", "network", *[f"{ranks:,} ranks" for ranks in SHOWN]]
    report.table(head, rows())


def say_limits(found: Analysis, report: Report) -> None:
    """Where each case breaks down, and what it is that takes the time there."""
    report.say(
        "### Where it breaks down\n\n"
        f"The first number of ranks (of 2, 4, 8 ... {LARGEST:,}) whose efficiency is below 50 %, "
        "and what the lost time goes into there, largest first. Lost is what a step takes beyond "
        "its ideal; computation of the rows is lost because SyncBatchNorm makes it slower, or "
        "where rows cannot be divided evenly any more.\n"
    )
    for case in found.cases():
        name = f"{case.workload.name}, {case.scaling}, {case.network.name}"
        limit = model.breaks_down(case)
        if limit is None:
            share = percent(efficiency(case, LARGEST))
            report.say(f"- {name}: nowhere; {share} at {LARGEST:,} ranks")
        else:
            report.say(f"- **{name}: at {limit:,} ranks**. {bound(case, limit)}")
    report.say()


def bound(case: Case, ranks: int) -> str:
    """What of the lost time is more than a tenth."""
    found = lost(case, ranks)
    whole = sum(found.values())
    ordered = sorted(found.items(), key=lambda part: -part[1])
    words = [f"{name} {percent(spent / whole)}" for name, spent in ordered if spent > whole / 10]
    return f"Lost: {', '.join(words)}"


def broken(found: Analysis) -> list[Case]:
    """The cases that break down on the cluster network."""
    cases = [case for case in found.cases() if case.network is CLUSTER]
    return [case for case in cases if model.breaks_down(case) is not None]


def say_mends(found: Analysis, report: Report) -> None:
    """What each mend does to the cases that break down."""
    report.say(
        "### What mends it\n\n"
        "On the assumed cluster network, for each case that breaks down there: the efficiency at "
        "that number of ranks, and the number at which it breaks down with the mend. None of the "
        "mends is built in. The first row is the case as it is. More rows are a larger batch, "
        "whose learning rate has to be scaled with it; batch normalization in groups, or only "
        "every second one, computes something else than one process does.\n"
    )
    for case in broken(found):
        limit = model.breaks_down(case)
        report.say(f"**{case.workload.name}, {case.scaling}**\n")
        head = ["mend", f"efficiency at {limit:,} ranks", "breaks down at"]
        report.table(head, [mend_row(case, mend, limit) for mend in MENDS])
        say_best(case, limit, report)


def mend_row(case: Case, mend: Mend, ranks: int) -> list[str]:
    changed = mend.applied(case)
    limit = model.breaks_down(changed, mend.plan)
    share = percent(efficiency(changed, ranks, mend.plan))
    return [mend.name, share, f"{limit:,}" if limit else f"beyond {LARGEST:,}"]


def say_best(case: Case, ranks: int, report: Report) -> None:
    """Which single mend does most."""

    def gained(mend: Mend) -> float:
        return efficiency(mend.applied(case), ranks, mend.plan)

    single = [mend for mend in MENDS if not mend.together]
    best = max(single, key=gained)
    report.say(
        f"The one that does most at {ranks:,} ranks: {best.name}, from "
        f"{percent(efficiency(case, ranks, AS_IT_IS))} to {percent(gained(best))}.\n"
    )


# --- all of it ------------------------------------------------------------------------------------


def write(found: Analysis, command: str, rounds: int, report: Report) -> None:
    results = found.results
    names = [name for name in LIBRARIES if Setting(name, 1, max(BATCHES)) in results.turns]
    report.say(
        "# Data parallel training: how it scales\n\n"
        f"Written by\n\n    {command}\n\n"
        f"{machine()}.\n\n"
        f"- {versions(['NumPy by hand', *names])}\n"
        f"- {results.library}, mpi4py {version('mpi4py')}\n"
        f"- {rounds} rounds, all settings in turn in each\n"
        f"- The network has {PARAMETERS:,} parameters. Measured are 1, 2 and 4 ranks on this "
        "machine; all else is predicted, and says so\n\n"
        "![Measured speed, the fit, its check, and the predictions](scaling.png)\n"
    )
    say_speed(results, report)
    say_communication(results, report)
    say_comparison(results, report)
    say_fit(found, report)
    say_check(found, report)
    say_assumptions(found, report)
    say_efficiencies(found, report)
    say_limits(found, report)
    say_mends(found, report)
