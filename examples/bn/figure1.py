"""Section 4.1 of the batch normalization paper (arXiv 1502.03167): its Figure 1, measured again.

    python examples/bn/figure1.py --steps 2000 --seeds 1   # a quick look
    python examples/bn/figure1.py                          # all of it
    python examples/bn/figure1.py --help

Three hidden layers of 100 sigmoid units learn the digits with and without batch normalization (BN).
Written are a picture with three panels (test accuracy over the steps; what enters the sigmoid of a
typical unit of the last hidden layer, without BN and with it) and a table that holds the paper's
three claims against the numbers: faster early, higher at every checkpoint, steadier inputs.

From the paper: the network, batches of 60, 50,000 steps, small Gaussian weights, binary images.
It leaves open, and we chose: pixels above 127 are 1; biases start at 0; weights have the standard
deviation 0.1 = 1/√100 (with less, the network without BN takes longer to start); plain SGD without
momentum; each image of a batch is drawn at random from all. The learning rates were looked for on
held-back training images (--held-back, one run each): 0.1 gave the curves most like the paper's,
and 2 was the best of five for the network without BN.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from console import any_console
from numpy import ndarray as Array
from tqdm import tqdm

from tinygrad_bn import Tensor, nn, no_grad, tensor
from tinygrad_bn.data import MNIST
from tinygrad_bn.extras.replay import replay
from tinygrad_bn.nn.functional import batch_norm, cross_entropy
from tinygrad_bn.optim import SGD

BATCH, WIDTH, THRESHOLD, HELD_BACK = 60, 100, 127, 5_000
PERCENTILES = (15, 50, 85)  # the paper's
MOVEMENTS = ("median", "width", "median, relative", "width, relative")  # see movement()
GOALS = (90, 95, 97)  # percent
PROBE = 1_000  # how many test images they are taken over: every tenth
EARLY = (20, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900)  # steps to look at
IN_TABLE = (100, 1_000, 5_000, 10_000, 50_000)
NAMES = {False: "without", True: "with"}


Digits = tuple[Array, Array]  # images (N, 784) of zeros and ones, and labels (N,)


class Run(NamedTuple):
    """What was measured at the checkpoints while one network learned."""

    accuracy: Array  # (checkpoints,) in percent, on all test images
    inputs: Array  # (checkpoints, 3, 100): the percentiles of the input of each sigmoid


Runs = dict[tuple[float, bool], list[Run]]  # by learning rate and with or without BN, one per seed


# --- the experiment -------------------------------------------------------------------------------


def load(held_back: bool) -> tuple[Digits, Digits]:
    """To learn from, and to be tested on; made binary once and for all."""
    train_set, test_set = MNIST(train=True), MNIST(train=False)
    if held_back:
        train_set, test_set = MNIST(part=slice(-HELD_BACK)), MNIST(part=slice(-HELD_BACK, None))
    parts = []
    for dataset in (train_set, test_set):
        binary = dataset.images.reshape(len(dataset), -1) > THRESHOLD
        parts.append((binary.astype(np.float32), dataset.labels))
    return parts[0], parts[1]


def build(with_bn: bool, std: float, rng: np.random.Generator) -> nn.Sequential:
    """784 → 100 → 100 → 100 → 10: BN, if any, immediately before each sigmoid (section 3.2).

    A bias before BN would be taken out again with the mean, so there BN's β stands for it.
    """
    layers: list[nn.Module] = []
    for inputs in (28 * 28, WIDTH, WIDTH):
        layers += [nn.Linear(inputs, WIDTH, bias=not with_bn)]
        layers += [nn.BatchNorm1d(WIDTH)] if with_bn else []
        layers += [nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.weight.data[...] = rng.normal(0, std, layer.weight.shape)
            if layer.bias is not None:
                layer.bias.data[...] = 0
    return model


@no_grad()
def accuracy(model: nn.Sequential, images: Array, labels: Array) -> float:
    """In percent, as the network would be used: in eval mode, BN with its running averages."""
    model.eval()
    scores = model(tensor(images)).numpy()
    model.train()
    return 100 * (scores.argmax(1) == labels).mean()


@no_grad()
def sigmoid_inputs(model: nn.Sequential, images: Array) -> Array:
    """Percentiles (3, 100) of what enters each sigmoid of the last hidden layer.

    As the network in training computes it: BN by the statistics of these images. That is written
    out here, because a call of the layer in training mode would move its running averages.
    """
    x = tensor(images)
    for layer in model[:-2]:
        if isinstance(layer, nn.BatchNorm1d):
            x = batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=layer.eps)
        else:
            x = layer(x)
    return np.percentile(x.numpy(), PERCENTILES, axis=0)


def interval(steps: int) -> int:
    """The steps between regular checkpoints, of which there are about 50."""
    return max(steps // 50, 100)


def checkpoints(steps: int) -> list[int]:
    """The steps after which to measure: more densely early, where most happens."""
    regular = range(interval(steps), steps, interval(steps))
    return sorted({step for step in (*EARLY, *regular, *IN_TABLE) if step < steps} | {steps})


def train(
    data: tuple[Digits, Digits],
    with_bn: bool,
    lr: float,
    std: float,
    seed: int,
    steps: int,
    bar: tqdm,
) -> Run:
    """One network. The same seed gives the same first weights and batches with and without BN."""
    (images, labels), (test_images, test_labels) = data
    rng = np.random.default_rng(seed)
    model = build(with_bn, std, rng)
    optimizer = SGD(model.parameters(), lr=lr)
    probe = test_images[:: len(test_images) // PROBE]
    stops, accuracies, inputs = set(checkpoints(steps)), [], []

    @replay  # which makes a step of so small a network nearly twice as fast
    def gradients(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()

    for step in range(1, steps + 1):
        batch = rng.integers(len(images), size=BATCH)
        gradients(tensor(images[batch]), tensor(labels[batch]))
        optimizer.step()
        bar.update()
        if step in stops:
            accuracies.append(accuracy(model, test_images, test_labels))
            inputs.append(sigmoid_inputs(model, probe))
    return Run(np.array(accuracies), np.array(inputs))


def run_all(
    data: tuple[Digits, Digits], lrs: list[float], std: float, seeds: int, steps: int
) -> Runs:
    runs: Runs = {(lr, with_bn): [] for lr in lrs for with_bn in NAMES}
    # disable=None: no bar where nobody could see it move, as in a pipe or a file
    with tqdm(total=len(runs) * seeds * steps, unit=" steps", disable=None) as bar:
        for seed in range(seeds):
            for (lr, with_bn), done in runs.items():
                name = f"lr {lr:g}, {NAMES[with_bn]} BN, seed {seed}"
                bar.set_description(name)
                start = time.perf_counter()
                done.append(train(data, with_bn, lr, std, seed, steps, bar))
                seconds = time.perf_counter() - start
                bar.write(f"{name}: test accuracy {done[-1].accuracy[-1]:.2f}% in {seconds:.1f} s")
    return runs


# --- the numbers ----------------------------------------------------------------------------------


def accuracies(runs: list[Run]) -> Array:
    return np.array([run.accuracy for run in runs])  # (seeds, checkpoints)


def movement(run: Run, steps: list[int]) -> Array:
    """How far the inputs of each sigmoid move between regular checkpoints, on average: (4, 100).

    The median and the width (from the 15th to the 85th percentile), each in the sigmoid's own units
    and then as a share of the width, since a wide distribution has more room to move.
    """
    regular = [i for i, step in enumerate(steps) if step % interval(steps[-1]) == 0]
    low, median, high = run.inputs[regular].transpose(1, 0, 2)
    width = high - low
    moves = np.abs([np.diff(median, axis=0), np.diff(width, axis=0)])
    return np.concatenate([moves, moves / width[1:]]).mean(1)


def ahead(runs: Runs, lr: float) -> Array:
    """At which checkpoints the mean accuracy over the seeds is higher with BN."""
    return accuracies(runs[lr, True]).mean(0) > accuracies(runs[lr, False]).mean(0)


# --- the tables -----------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns aligned for reading as plain text too."""
    lines = [head, ["---"] * len(head), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [map(str.ljust, line, widths) for line in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def spread(values: Array, digits: int = 2) -> str:
    """Mean ± standard deviation over the seeds."""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{digits}f}"


def claims(runs: Runs, lrs: list[float], steps: list[int]) -> str:
    """The paper's three claims, at each learning rate, by the means over the seeds."""
    rows = [
        ["faster early: ahead at all checkpoints up to step 1,000"],
        [f"higher at every checkpoint, of which there are {len(steps)}"],
        ["higher at the last one, by so many points"],
    ]
    rows += [[f"steadier inputs: movement of the {name}, with BN / without"] for name in MOVEMENTS]
    for lr in lrs:
        higher = ahead(runs, lr)
        early = higher[np.array(steps) <= 1000].all()
        last = [accuracies(runs[lr, with_bn])[:, -1].mean() for with_bn in (True, False)]
        with_bn, without = (
            np.mean([movement(run, steps).mean(1) for run in runs[lr, with_bn]], axis=0)
            for with_bn in (True, False)
        )
        cells = ["yes" if early else "no", "yes" if higher.all() else f"no, at {higher.sum()}"]
        cells += [f"{last[0] - last[1]:+.2f}", *(f"{ratio:.2f}" for ratio in with_bn / without)]
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    return table(["claim", *(f"at rate {lr:g}" for lr in lrs)], rows)


def by_network(runs: Runs, head: list[str], cells: Callable[[list[Run]], list[str]]) -> str:
    """A table with a row for each learning rate, without and with BN."""
    rows = [[f"{lr:g}", NAMES[with_bn], *cells(done)] for (lr, with_bn), done in runs.items()]
    return table(["learning rate", "BN", *head], rows)


def accuracy_table(runs: Runs, steps: list[int]) -> str:
    columns = [i for i, step in enumerate(steps) if step in IN_TABLE or step == steps[-1]]
    head = [f"step {steps[i]:,}" for i in columns]
    return by_network(runs, head, lambda done: [spread(accuracies(done)[:, i]) for i in columns])


def speed_table(runs: Runs, steps: list[int]) -> str:
    """The first checkpoints at which the mean over the seeds reaches some accuracies."""

    def cells(done: list[Run]) -> list[str]:
        reached = [accuracies(done).mean(0) >= goal for goal in GOALS]
        return [f"{steps[r.argmax()]:,}" if r.any() else "never" for r in reached]

    return by_network(runs, [f"{goal}% at step" for goal in GOALS], cells)


def movement_table(runs: Runs, steps: list[int]) -> str:
    def cells(done: list[Run]) -> list[str]:
        moves = np.array([movement(run, steps).mean(1) for run in done])
        widths = np.array([np.ptp(run.inputs, axis=1).mean(1) for run in done])
        ends = [spread(widths[:, 0]), spread(widths[:, -1])]
        return [*(spread(move, 3) for move in moves.T), *ends]

    ends = [f"width, step {steps[0]}", f"width, step {steps[-1]:,}"]
    return by_network(runs, [*MOVEMENTS, *ends], cells)


REPORT = """# Figure 1 of the batch normalization paper, measured again

Written by

    python examples/bn/figure1.py {options}

which says what was done, and what the paper (arXiv 1502.03167, section 4.1) leaves open and we
chose. BN: batch normalization.

![The three panels](figure1.png)

## The paper's claims

Means over the seeds. Movements below 1 are steadier with BN.

{claims}

## Test accuracy

In percent: mean ± standard deviation, {seeds} seeds. BN in eval mode, by its running averages.

{accuracy}

The first checkpoint at which the mean reaches 90, 95 and 97 %:

{speed}

## Steadier inputs?

What enters the sigmoids of the last hidden layer, for {probe} test images: how far its median and
its width (from the 15th to the 85th percentile) move in {interval:,} steps, on average over the 100
units and the time from step {interval:,} to {steps:,}. Relative: divided by the width, which is
given last.

{movement}

With BN these inputs have mean β and standard deviation |γ| in every batch (ε aside), by
construction: their movement is that of the learned β and γ, and of the distribution's shape.
Whether steadier inputs are *why* training is faster is disputed (Santurkar et al. 2018, arXiv
1805.11604).
"""


def report(runs: Runs, args: argparse.Namespace) -> str:
    """All tables, with what one must know to read them."""
    stops = checkpoints(args.steps)
    options = (
        f"--steps {args.steps} --seeds {args.seeds} --lrs {' '.join(f'{lr:g}' for lr in args.lrs)}"
    )
    return REPORT.format(
        options=f"{options} --std {args.std:g}{' --held-back' * args.held_back}",
        seeds=args.seeds,
        steps=args.steps,
        probe=PROBE,
        interval=interval(args.steps),
        claims=claims(runs, args.lrs, stops),
        accuracy=accuracy_table(runs, stops),
        speed=speed_table(runs, stops),
        movement=movement_table(runs, stops),
    )


# --- the picture ----------------------------------------------------------------------------------

COLORS = {False: "#d55e00", True: "#0072b2"}  # told apart by colour-blind readers too
STYLES = ("-", "--", ":", "-.")  # of the learning rates; the first, solid, is shown in all panels


def draw(runs: Runs, steps: list[int], path: Path) -> None:
    """The three panels of Figure 1."""
    import matplotlib

    matplotlib.use("Agg")  # into a file, with no window
    from matplotlib import pyplot as plt

    plt.rcParams |= {"font.size": 11, "axes.titlesize": 12, "axes.titlelocation": "left"}
    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    plt.rcParams |= {"axes.grid": True, "grid.color": "0.9"}
    figure = plt.figure(figsize=(9, 8.6), layout="constrained")
    figure.suptitle("Batch normalization (BN) in a network of 3 × 100 sigmoid units on MNIST")
    places = figure.subplot_mosaic([["accuracy"] * 2, ["without", "with"]], height_ratios=[1.3, 1])
    draw_accuracy(places["accuracy"], runs, steps)
    places["with"].sharey(places["without"])
    for with_bn, name in NAMES.items():
        draw_inputs(places[name], runs, with_bn, steps)
    places["with"].set_ylabel("")
    places["with"].tick_params(labelleft=False)
    figure.savefig(path, dpi=200)
    plt.close(figure)


def draw_accuracy(axes: Any, runs: Runs, steps: list[int]) -> None:
    """Test accuracy over the steps: a line for the mean over the seeds, a band for their range."""
    lrs = list(dict.fromkeys(lr for lr, _ in runs))
    for (lr, with_bn), done in runs.items():
        values, color = accuracies(done), COLORS[with_bn]
        style = STYLES[lrs.index(lr) % len(STYLES)]
        label = f"{NAMES[with_bn]} BN, rate {lr:g}"
        axes.plot(steps, values.mean(0), style, color=color, lw=2, label=label)
        axes.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)
    # nearly logarithmic in the error, so that 97% and 98% can be told apart
    there, back = lambda a: -np.log(100.5 - a), lambda y: 100.5 - np.exp(-y)
    axes.set_yscale("function", functions=(there, back))
    axes.set(xscale="log", xlim=(steps[0], steps[-1]), ylim=(5, 98.3))
    axes.set_yticks([10, 50, 80, 90, 95, 97, 98])
    axes.yaxis.set_major_formatter("{x:.0f}%")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    seeds = len(next(iter(runs.values())))
    axes.set_xlabel(f"Training steps, logarithmic (lines: mean, bands: range of {seeds} seeds)")
    axes.set_ylabel("Test accuracy, error logarithmic")
    higher = [f"{ahead(runs, lr).sum()} (rate {lr:g})" for lr in lrs]
    axes.set_title(f"a  Of {len(steps)} checkpoints, BN is ahead at {', '.join(higher)}", pad=46)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=len(lrs), frameon=False)


def draw_inputs(axes: Any, runs: Runs, with_bn: bool, steps: list[int]) -> None:
    """The percentiles of a typical unit's input, at the first learning rate and seed."""
    lr, color = next(iter(runs))[0], COLORS[with_bn]
    moves = [movement(run, steps)[0] for run in runs[lr, with_bn]]  # of the medians
    unit = int(np.argsort(moves[0])[WIDTH // 2])  # half of the others move less
    inputs = runs[lr, with_bn][0].inputs[:, :, unit]
    axes.plot(steps, inputs[:, 1], color=color, lw=2)
    axes.fill_between(steps, inputs[:, 0], inputs[:, 2], color=color, alpha=0.2, lw=0)
    for last, percentile in zip(inputs[-1], PERCENTILES, strict=True):
        axes.text(steps[-1], last, f" {percentile}th", color=color, va="center")
    axes.set(xlim=(0, steps[-1]), xlabel="Training steps")
    axes.set_ylabel("Input to the sigmoid (percentiles)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=3)
    axes.set_title(
        f"{'bc'[with_bn]}  {NAMES[with_bn].capitalize()} BN: unit {unit} at rate {lr:g}, seed 0\n"
        f"    all units' medians move {np.mean(moves):.3f} in {interval(steps[-1]):,} steps"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--lrs", type=float, nargs="+", default=[0.1, 0.5, 2], help="learning rates"
    )
    parser.add_argument("--std", type=float, default=0.1, help="of the first weights")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--held-back", action="store_true", help="test on training images")
    args = parser.parse_args()
    if args.steps < 200 or args.seeds < 1:
        parser.error("at least 200 steps and 1 seed are needed")

    runs = run_all(load(args.held_back), args.lrs, args.std, args.seeds, args.steps)
    args.out.mkdir(parents=True, exist_ok=True)
    text = report(runs, args)
    (args.out / "figure1.md").write_text(text, encoding="utf-8")
    print(text)
    if find_spec("matplotlib") is None:
        print("No picture without matplotlib: pip install 'tinygrad_bn[plot]'")
    else:
        draw(runs, checkpoints(args.steps), args.out / "figure1.png")
    print(f"written to {args.out}")


if __name__ == "__main__":
    any_console()
    main()
