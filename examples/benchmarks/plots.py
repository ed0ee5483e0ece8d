"""The two pictures: how the libraries compare, and how a step grows."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from report import in_threads, machine, ms
from scaling import CURVES, Scaling, exponent, per_image
from steps import Steps
from turns import Outcome

BASE = "PyTorch"
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
plt.rcParams |= {"axes.titlelocation": "left", "axes.titlesize": 11, "font.size": 9}


def color(name: str) -> str:
    if name.startswith("tinygrad_bn"):
        return "#1f5fbf"
    return "#e07b39" if name.startswith("PyTorch") else "#9aa0a6"


def finish(figure: Any, panel: Any, text: str, path: Path) -> None:
    panel.axis("off")
    text = f"{text}\n\n{textwrap.fill(machine(), 30)}"
    panel.text(-0.1, 0.95, text, va="top", fontsize=11, transform=panel.transAxes)
    figure.tight_layout(h_pad=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def steps(results: Steps, path: Path) -> None:
    """A panel per piece of work, a bar per library: from PyTorch's time, which is 1, to its own."""
    several = list(results.values())
    works = [work for work in several[0] if all(BASE in o[work].measured for o in several)]
    columns = min(4, len(works) + 1)
    lines = len(works) // columns + 1
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 3.9 * lines), squeeze=False, sharex=True
    )
    for panel in axes.flat[len(works) :]:
        panel.axis("off")
    for panel, work in zip(axes.flat, works, strict=False):
        bars(panel, [outcomes[work] for outcomes in several])
        panel.set_title(work)
    low, high = panel.get_xlim()
    panel.set_xlim(low / 1.6, high * 1.2)  # room for the numbers at the bars
    text = "Time of a step ÷ PyTorch's\n(NCHW) with as many threads;\nat the bars: milliseconds."
    shades = f"From light to dark:\n{', '.join(map(in_threads, results))}."
    finish(figure, axes.flat[len(works)], f"{text}\n\n{shades}", path)


def bars(panel: Any, outcomes: list[Outcome]) -> None:
    """outcomes: of one piece of work, by the number of threads."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.measured))
    height = 0.8 / len(outcomes)
    for i, outcome in enumerate(outcomes):
        for name, measured in outcome.measured.items():
            ratio = measured.median / outcome.measured[BASE].median
            y = names.index(name) - 0.4 + (i + 0.5) * height
            shade = (i + 1) / len(outcomes)
            panel.barh(y, ratio - 1, height * 0.92, left=1, color=color(name), alpha=shade)
            aside, side = (3, "left") if ratio >= 1 else (-3, "right")
            place = {"xytext": (aside, 0), "textcoords": "offset points", "ha": side}
            panel.annotate(ms(measured.median), (ratio, y), va="center", fontsize=8, **place)
    panel.axvline(1, color="black", linewidth=0.8)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(LogLocator(2, numticks=20))
    panel.xaxis.set_major_formatter(lambda x, _: f"{x:g}" if x >= 1 else f"1/{1 / x:g}")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params("y", length=0)
    panel.tick_params("x", labelbottom=True)
    panel.spines["left"].set_visible(False)


def scaling(results: Scaling, path: Path) -> None:
    """A panel per curve, and one for the memory."""
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.2))
    *panels, memory, last = axes.flat
    for panel, curve in zip(panels, CURVES, strict=True):
        for library, points in results[curve.name].items():
            label = f"{library}: exponent {exponent(points):.2f}"
            draw(panel, library, label, {x: 1000 * p.median for x, p in points.items()})
        panel.set(title=curve.setting, xlabel=curve.name, ylabel="ms per step")
    for library, points in results["batch"].items():
        label = f"{library}: {per_image(points) / 1e3:,.0f} kB per image"
        draw(memory, library, label, {x: p.memory / 1e6 for x, p in points.items()})
    memory.set(title="example CNN: peak memory of the process", xlabel="batch", ylabel="MB")
    text = "The exponent is that of the upper half\nof each curve, by least squares."
    finish(figure, last, text, path)


def draw(panel: Any, library: str, label: str, points: dict[int, float]) -> None:
    panel.loglog(*zip(*points.items(), strict=True), "o-", ms=4, color=color(library), label=label)
    panel.set_xticks([*points], [f"{x:,}" for x in points])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(lambda y, _: f"{y:,g}")
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.margins(y=0.25)  # room for the legend
    panel.legend(loc="upper left")
    panel.grid(color="#e4e4e4", linewidth=0.6)
