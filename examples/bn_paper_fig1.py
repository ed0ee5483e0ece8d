"""Section 4.1 of the batch normalization paper (arXiv 1502.03167): its Figure 1, measured again.

    python examples/bn_paper_fig1.py --steps 2000 --seeds 1   # a quick look
    python examples/bn_paper_fig1.py                          # all of it
    python examples/bn_paper_fig1.py --help

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray as Array
from tqdm import tqdm

from tinygrad_bn import nn, no_grad, tensor
from tinygrad_bn.data import MNIST
from tinygrad_bn.nn.functional import batch_norm, cross_entropy
from tinygrad_bn.optim import SGD

BATCH, WIDTH, THRESHOLD, HELD_BACK = 60, 100, 127, 5_000
PERCENTILES = (15, 50, 85)  # the paper's
MOVEMENTS = ("median", "width", "median, relative", "width, relative")  # see movement()
PROBE = 1_000  # how many test images they are taken over: every tenth
EARLY = (20, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900)  # steps to look at
IN_TABLE = (100, 1_000, 5_000, 10_000, 50_000)
NAMES = {False: "without", True: "with"}


class Digits(NamedTuple):
    """Images (N, 784) of zeros and ones, and labels (N,): to learn from, and to be tested on."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


class Run(NamedTuple):
    """What was measured at the checkpoints while one network learned."""

    accuracy: Array  # (checkpoints,) in percent, on all test images
    inputs: Array  # (checkpoints, 3, 100): the percentiles of the input of each sigmoid


Runs = dict[tuple[float, bool], list[Run]]  # by learning rate and with or without BN, one per seed


# --- the experiment -------------------------------------------------------------------------------


def load(held_back: bool) -> Digits:
    """The digits, made binary once and for all; `held_back`: tested on training images."""
    parts = []
    for dataset in (MNIST(train=True), MNIST(train=False)):
        binary = dataset.images.reshape(len(dataset), -1) > THRESHOLD
        parts += [binary.astype(np.float32), dataset.labels]
    if held_back:
        images, labels = parts[:2]
        k = len(images) - HELD_BACK
        parts = [images[:k], labels[:k], images[k:], labels[k:]]
    return Digits(*parts)


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
    digits: Digits, with_bn: bool, lr: float, std: float, seed: int, steps: int, bar: tqdm
) -> Run:
    """One network. The same seed gives the same first weights and batches with and without BN."""
    rng = np.random.default_rng(seed)
    model = build(with_bn, std, rng)
    optimizer = SGD(model.parameters(), lr=lr)
    probe = digits.test_images[:: len(digits.test_images) // PROBE]
    stops, accuracies, inputs = set(checkpoints(steps)), [], []
    for step in range(1, steps + 1):
        batch = rng.integers(len(digits.images), size=BATCH)
        optimizer.zero_grad()
        scores = model(tensor(digits.images[batch]))
        cross_entropy(scores, tensor(digits.labels[batch])).backward()
        optimizer.step()
        bar.update()
        if step in stops:
            accuracies.append(accuracy(model, digits.test_images, digits.test_labels))
            inputs.append(sigmoid_inputs(model, probe))
    return Run(np.array(accuracies), np.array(inputs))


def run_all(digits: Digits, lrs: list[float], std: float, seeds: int, steps: int) -> Runs:
    runs: Runs = {(lr, with_bn): [] for lr in lrs for with_bn in NAMES}
    # disable=None: no bar where nobody could see it move, as in a pipe or a file
    with tqdm(total=len(runs) * seeds * steps, unit=" steps", disable=None) as bar:
        for seed in range(seeds):
            for (lr, with_bn), done in runs.items():
                name = f"lr {lr:g}, {NAMES[with_bn]} BN, seed {seed}"
                bar.set_description(name)
                start = time.perf_counter()
                done.append(train(digits, with_bn, lr, std, seed, steps, bar))
                seconds = time.perf_counter() - start
                bar.write(f"{name}: test accuracy {done[-1].accuracy[-1]:.2f}% in {seconds:.1f} s")
    return runs


# --- the claims -----------------------------------------------------------------------------------


def accuracies(runs: list[Run]) -> Array:
    return np.array([run.accuracy for run in runs])  # (seeds, checkpoints)


def first_step(runs: list[Run], steps: list[int], percent: float) -> str:
    """The first checkpoint at which the mean over the seeds reaches `percent`."""
    reached = accuracies(runs).mean(0) >= percent
    return f"{steps[reached.argmax()]:,}" if reached.any() else "never"


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


def typical_unit(run: Run, steps: list[int]) -> int:
    """The unit whose median moves neither more nor less than that of most others."""
    return int(np.argsort(movement(run, steps)[0])[WIDTH // 2])


def ahead(runs: Runs, lr: float) -> tuple[Array, Array]:
    """At which checkpoints BN is higher: in the mean over the seeds, and in every single seed."""
    gap = accuracies(runs[lr, True]) - accuracies(runs[lr, False])
    return gap.mean(0) > 0, (gap > 0).all(0)


# --- the table ------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns aligned for reading as plain text too."""
    lines = [head, ["---"] * len(head), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def spread(values: Array, digits: int = 2) -> str:
    """Mean ± standard deviation over the seeds."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def accuracy_table(runs: Runs, steps: list[int]) -> str:
    columns = [i for i, step in enumerate(steps) if step in IN_TABLE or step == steps[-1]]
    rows = [
        [f"{lr:g}", NAMES[with_bn], *(spread(accuracies(done)[:, i]) for i in columns)]
        for (lr, with_bn), done in runs.items()
    ]
    return table(["learning rate", "BN", *(f"step {steps[i]:,}" for i in columns)], rows)


def speed_table(runs: Runs, lrs: list[float], steps: list[int]) -> str:
    goals, rows = (90, 95, 97), []
    for lr in lrs:
        first = [first_step(runs[lr, b], steps, goal) for goal in goals for b in NAMES]
        mean, every = ahead(runs, lr)
        behind = [f"{step:,}" for step, higher in zip(steps, mean, strict=True) if not higher]
        rows.append([
            f"{lr:g}", *first, f"{mean.sum()}", f"{every.sum()}", "; ".join(behind) or "none"
        ])  # fmt: skip
    reach = [f"{goal}% {name}" for goal in goals for name in NAMES.values()]
    head = ["learning rate", *reach, "ahead", "in every seed", "not ahead at step"]
    return table(head, rows)


def movement_table(runs: Runs, steps: list[int]) -> str:
    rows = []
    for (lr, with_bn), done in runs.items():
        moves = np.array([movement(run, steps).mean(1) for run in done])
        width = np.array(
            [[(r.inputs[i, 2] - r.inputs[i, 0]).mean() for i in (0, -1)] for r in done]
        )
        rows.append([
            f"{lr:g}", NAMES[with_bn], *(spread(m, 3) for m in moves.T),
            spread(width[:, 0]), spread(width[:, 1]),
        ])  # fmt: skip
    head = ["learning rate", "BN", *MOVEMENTS]
    return table([*head, f"width, step {steps[0]}", f"width, step {steps[-1]:,}"], rows)


def verdict(runs: Runs, lrs: list[float], steps: list[int]) -> str:
    """The paper's three claims, at each learning rate, by the means over the seeds."""
    early = np.array(steps) <= max(1000, steps[0])
    rows = [
        [f"faster early: ahead at all checkpoints up to step {max(np.array(steps)[early]):,}"],
        [f"higher at every checkpoint, of which there are {len(steps)}"],
        ["higher at the last one"],
        *([f"steadier inputs: movement of the {what}, with BN / without"] for what in MOVEMENTS),
    ]
    for lr in lrs:
        gap = accuracies(runs[lr, True]).mean(0) - accuracies(runs[lr, False]).mean(0)
        with_bn, without = (
            np.mean([movement(run, steps) for run in runs[lr, b]], (0, 2)) for b in (True, False)
        )
        cells = [
            "yes" if (gap[early] > 0).all() else f"no, at {(gap[early] > 0).sum()}",
            "yes" if (gap > 0).all() else f"no, at {(gap > 0).sum()}",
            f"{'yes' if gap[-1] > 0 else 'no'}, {gap[-1]:+.2f} points",
            *(f"{ratio:.2f}" for ratio in with_bn / without),
        ]
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    return table(["claim", *(f"at rate {lr:g}" for lr in lrs)], rows)


def best(runs: Runs, lrs: list[float]) -> str:
    """Each network at the rate that suits it, which is the fairest single comparison."""
    ends = {key: accuracies(done)[:, -1] for key, done in runs.items()}
    chosen = {b: max(lrs, key=lambda lr, b=b: ends[lr, b].mean()) for b in NAMES}
    values = [
        f"{NAMES[b]} BN {spread(ends[lr, b])} (learning rate {lr:g})" for b, lr in chosen.items()
    ]
    return f"At the end, each at the learning rate of its highest mean: {', '.join(values)}."


def report(runs: Runs, args: argparse.Namespace) -> str:
    """All tables, with what one must know to read them."""
    lrs, stops, regular = args.lrs, checkpoints(args.steps), interval(args.steps)
    options = f"--steps {args.steps} --seeds {args.seeds} --lrs {' '.join(f'{lr:g}' for lr in lrs)}"
    options += f" --std {args.std:g}{' --held-back' * args.held_back}"
    return f"""# Figure 1 of the batch normalization paper, measured again

Written by

    python examples/bn_paper_fig1.py {options}

which says what was done, and what the paper (arXiv 1502.03167, section 4.1) leaves open and we
chose. BN: batch normalization.

![The three panels](bn_paper_fig1.png)

## The paper's claims

Means over the seeds. Movements below 1 are steadier with BN.

{verdict(runs, lrs, stops)}

## Test accuracy

In percent: mean ± standard deviation, {args.seeds} seeds. BN in eval mode, by its running averages.

{accuracy_table(runs, stops)}

{best(runs, lrs)}

The first checkpoint at which the mean reaches 90, 95 and 97 %, without BN and with it; and at how
many of the {len(stops)} checkpoints BN is ahead, in the mean and in every single seed.

{speed_table(runs, lrs, stops)}

## Steadier inputs?

What enters the sigmoids of the last hidden layer, for {PROBE} test images: how far its median and
its width (from the 15th to the 85th percentile) move in {regular:,} steps, on average over the 100
units and the time from step {regular:,} to {args.steps:,}. Relative: divided by the width, which is
given last.

{movement_table(runs, stops)}

With BN these inputs have mean β and standard deviation |γ| in every batch (ε aside), by
construction: their movement is that of the learned β and γ, and of the distribution's shape.
Whether steadier inputs are *why* training is faster is disputed (Santurkar et al. 2018, arXiv
1805.11604).
"""


# --- the picture ----------------------------------------------------------------------------------

COLORS = {False: "#d55e00", True: "#0072b2"}  # told apart by colour-blind readers too
STYLES = ("-", "--", ":", "-.")  # of the learning rates; the first, solid, is shown in all panels


def draw(runs: Runs, steps: int, path: Path) -> None:
    """The three panels of Figure 1."""
    import matplotlib

    matplotlib.use("Agg")  # into a file, with no window
    from matplotlib import pyplot as plt

    plt.rcParams.update({
        "font.size": 11, "axes.titlesize": 12, "axes.titlelocation": "left", "axes.grid": True,
        "axes.spines.top": False, "axes.spines.right": False, "grid.color": "0.9",
    })  # fmt: skip
    figure = plt.figure(figsize=(9, 8.6), layout="constrained")
    figure.suptitle("Batch normalization (BN) in a network of 3 × 100 sigmoid units on MNIST")
    places = figure.subplot_mosaic([["accuracy"] * 2, ["without", "with"]], height_ratios=[1.3, 1])
    draw_accuracy(places["accuracy"], runs, checkpoints(steps))
    places["with"].sharey(places["without"])
    for with_bn, name in NAMES.items():
        draw_inputs(places[name], runs, with_bn, checkpoints(steps))
    places["with"].set_ylabel("")
    places["with"].tick_params(labelleft=False)
    figure.savefig(path, dpi=200)
    plt.close(figure)


def draw_accuracy(axes: Any, runs: Runs, steps: list[int]) -> None:
    """Test accuracy over the steps: a line for the mean over the seeds, a band for their range."""
    lrs = list(dict.fromkeys(lr for lr, _ in runs))
    for (lr, with_bn), done in runs.items():
        values, main = accuracies(done), lr == lrs[0]
        axes.plot(
            steps, values.mean(0), STYLES[lrs.index(lr) % len(STYLES)], color=COLORS[with_bn],
            lw=2.5 if main else 1.5, alpha=1 if main else 0.65,
            label=f"{NAMES[with_bn]} BN, rate {lr:g}",
        )  # fmt: skip
        axes.fill_between(
            steps, values.min(0), values.max(0), color=COLORS[with_bn], alpha=0.15, lw=0
        )
    # nearly logarithmic in the error, so that 97% and 98% can be told apart
    axes.set_yscale(
        "function", functions=(lambda a: -np.log(100.5 - a), lambda y: 100.5 - np.exp(-y))
    )
    axes.set(xscale="log", xlim=(steps[0], steps[-1]), ylim=(5, 98.3))
    axes.set_yticks([10, 50, 80, 90, 95, 97, 98])
    axes.yaxis.set_major_formatter("{x:.0f}%")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    seeds = len(next(iter(runs.values())))
    axes.set_xlabel(f"Training steps, logarithmic (lines: mean, bands: range of {seeds} seeds)")
    axes.set_ylabel("Test accuracy, error logarithmic")
    higher = [f"{ahead(runs, lr)[0].sum()} (rate {lr:g})" for lr in lrs]
    axes.set_title(f"a  Of {len(steps)} checkpoints, BN is ahead at {', '.join(higher)}", pad=46)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=len(lrs), frameon=False)


def draw_inputs(axes: Any, runs: Runs, with_bn: bool, steps: list[int]) -> None:
    """The percentiles of a typical unit's input, at the first learning rate and seed."""
    lr, color = next(iter(runs))[0], COLORS[with_bn]
    run = runs[lr, with_bn][0]
    unit = typical_unit(run, steps)
    low, median, high = run.inputs[:, :, unit].T
    axes.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
    axes.plot(steps, median, color=color, lw=2)
    for values, percentile in zip((low, median, high), PERCENTILES, strict=True):
        axes.annotate(
            f"{percentile}th", (steps[-1], values[-1]), (4, 0), textcoords="offset points",
            color=color, va="center",
        )  # fmt: skip
    axes.set(
        xlim=(0, steps[-1]), xlabel="Training steps", ylabel="Input to the sigmoid (percentiles)"
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=3)
    moved = np.mean([movement(r, steps)[0] for r in runs[lr, with_bn]])
    axes.set_title(
        f"{'bc'[with_bn]}  {NAMES[with_bn].capitalize()} BN: unit {unit} at rate {lr:g}, seed 0\n"
        f"    all units' medians move {moved:.3f} in {interval(steps[-1]):,} steps"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--lrs", type=float, nargs="+", default=[0.1, 0.5, 2], help="learning rates"
    )
    parser.add_argument("--std", type=float, default=0.1, help="of the first weights")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures")
    parser.add_argument("--held-back", action="store_true", help="test on training images")
    args = parser.parse_args()
    if args.steps < 200 or args.seeds < 1:
        parser.error("at least 200 steps and 1 seed are needed")

    runs = run_all(load(args.held_back), args.lrs, args.std, args.seeds, args.steps)
    args.out.mkdir(parents=True, exist_ok=True)
    text = report(runs, args)
    (args.out / "bn_paper_fig1.md").write_text(text, encoding="utf-8")
    print(text)
    if find_spec("matplotlib") is None:
        print("No picture without matplotlib: pip install 'tinygrad_bn[plot]'")
    else:
        draw(runs, args.steps, args.out / "bn_paper_fig1.png")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
