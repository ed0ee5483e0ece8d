"""The two pictures: how the libraries compare, and how a step grows."""

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from curves import CURVES, Points, exponent, line
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from report import in_threads, ms
from rounds import Outcome

BASE = "PyTorch"
OWN, TORCH, OTHER = "#1f5fbf", "#e07b39", "#9aa0a6"


def color(name: str) -> str:
    return OWN if name == "tinygrad_bn" else TORCH if name.startswith("PyTorch") else OTHER


def shade(i: int, n: int) -> float:
    """The more threads, the darker."""
    return (i + 1) / n if n < 3 else 0.3 + 0.7 * i / (n - 1)


def explain(panel: Any, text: str) -> None:
    """Words in place of a picture."""
    panel.axis("off")
    panel.text(-0.1, 0.95, text, va="top", fontsize=11, transform=panel.transAxes)


def save(figure: Any, path: Path) -> None:
    figure.tight_layout(h_pad=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


# --- the libraries --------------------------------------------------------------------------------


def steps(results: dict[int, dict[str, Outcome]], machine: str, path: Path) -> None:
    """A panel per piece of work, a bar per library, from PyTorch's time to its own.

    results: by the number of threads, then by the name of the work. On a logarithmic axis a bar has
    no natural foot; here it is 1, PyTorch's own time, so that the length is the ratio.
    """
    several = list(results.values())
    works = [work for work in several[0] if all(BASE in o[work].measured for o in several)]
    columns = min(4, len(works) + 1)
    lines = math.ceil((len(works) + 1) / columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 3.9 * lines), squeeze=False, sharex=True
    )
    for panel, work in zip(axes.flat, works, strict=False):
        bars(panel, [outcomes[work] for outcomes in several])
        panel.set_title(work, fontsize=11, loc="left")
    limits = [panel.dataLim.intervalx for panel in axes.flat[: len(works)]]
    panel.set_xlim(min(low for low, _ in limits) / 2.2, max(high for _, high in limits) * 2.4)
    for rest in axes.flat[len(works) :]:
        rest.axis("off")
    swatches = [plt.Rectangle((0, 0), 1, 1, color=OWN, alpha=shade(i, len(results)))
                for i in range(len(results))]  # fmt: skip
    rest = axes.flat[len(works)]
    rest.legend(swatches, map(in_threads, results), loc=(-0.12, 0.25), frameon=False, fontsize=11)
    text = "Time of a step ÷ PyTorch's\n(NCHW) with as many threads;\nat the bars: milliseconds."
    explain(rest, f"{text}\n\n{textwrap.fill(machine, 30)}")
    save(figure, path)


def bars(panel: Any, outcomes: list[Outcome]) -> None:
    """outcomes: of one piece of work, by the number of threads."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.measured))
    height = 0.8 / len(outcomes)
    for i, outcome in enumerate(outcomes):
        for name, measured in outcome.measured.items():
            ratio = measured.median / outcome.measured[BASE].median
            y = names.index(name) - 0.4 + (i + 0.5) * height
            style = {"color": color(name), "alpha": shade(i, len(outcomes))}
            panel.barh(y, ratio - 1, height * 0.92, left=1, **style)
            panel.annotate(
                ms(measured.median), (ratio, y), (3 if ratio >= 1 else -3, 0),
                textcoords="offset points", ha="left" if ratio >= 1 else "right", va="center",
                fontsize=8,
            )  # fmt: skip
    panel.axvline(1, color="black", linewidth=0.8)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(LogLocator(2, numticks=20))
    label = FuncFormatter(lambda x, _: f"{x:g}" if x >= 1 else f"1/{1 / x:g}")
    panel.xaxis.set_major_formatter(label)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_yticks(range(len(names)), names, fontsize=9)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelbottom=True, labelsize=9)
    panel.spines[["top", "right", "left"]].set_visible(False)


# --- the curves -----------------------------------------------------------------------------------


def scaling(results: dict[str, dict[str, Points]], machine: str, path: Path) -> None:
    """A panel per curve, and one for the memory."""
    settings = {curve.name: curve.setting for curve in CURVES}
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.2))
    panels = iter(axes.flat)
    for name, found in results.items():
        panel = next(panels)
        for library, points in found.items():
            label = f"{library}: exponent {exponent(points.times):.2f}"
            draw(panel, library, label, {x: 1000 * t for x, t in points.times.items()})
        panel.set_title(settings[name], fontsize=11, loc="left")
        panel.set(xlabel=name, ylabel="ms per step")
    panel = next(panels)
    for library, points in results["batch"].items():
        label = f"{library}: {line(points.memory)[1] / 1e3:,.0f} kB per image"
        draw(panel, library, label, {x: size / 1e6 for x, size in points.memory.items()})
    panel.set_title("example CNN: peak memory of the process", fontsize=11, loc="left")
    panel.set(xlabel="batch", ylabel="MB")
    rest = next(panels)
    text = "The exponent is that of the upper half\nof each curve, by least squares."
    explain(rest, f"{text}\n\n{textwrap.fill(machine, 30)}")
    save(figure, path)


def draw(panel: Any, library: str, label: str, points: dict[int, float]) -> None:
    xs = list(points)
    panel.loglog(xs, points.values(), "o-", color=color(library), markersize=4, label=label)
    panel.set_xticks(xs, [f"{x:,}" for x in xs])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    low, high = panel.dataLim.y0, panel.dataLim.y1
    panel.set_ylim(low / 1.3, high * (high / low) ** 0.25)  # room for the legend
    panel.legend(frameon=False, fontsize=9, loc="upper left")
    panel.grid(True, which="major", color="#e4e4e4", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
