"""The picture: what was measured, the fit, its check, and the predictions, a panel for each."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # into a file, with no window

from analysis import CLUSTER, MENDS, Analysis
from matplotlib import pyplot as plt
from measure import BATCHES, FITTED, LIBRARIES, TWO, Setting, is_oversubscribed, series
from model import RANKS as PREDICTED
from model import Case, Workload, efficiency
from report import machine

# Told apart by colour-blind readers too (Okabe and Ito)
BLACK, BLUE, RED, GREEN = "#000000", "#0072b2", "#d55e00", "#009e73"
SKY, ORANGE, PINK, GREY = "#56b4e9", "#e69f00", "#cc79a7", "#8c8c8c"
PARTS = {"computation": SKY, "communication": BLUE, "waiting for the other": ORANGE}
TICKS = (2, 16, 128, 1024, 4096)
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 10,
    "grid.color": "0.9",
    "legend.fontsize": 9,
    "legend.frameon": False,
}


def draw(found: Analysis, path: Path) -> None:
    """Seven panels. Each title says whether it is measured or predicted."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(10, 15.5), layout="constrained")
        figure.suptitle(f"Data parallel training on {machine()}", fontsize=10)
        speed, check, predicted, mended = figure.subfigures(4, height_ratios=[1, 0.95, 1.1, 1.2])
        a, b = speed.subplots(1, 2)
        c = check.subplots()
        d, e = predicted.subplots(1, 2)
        f, g = mended.subplots(1, 2)
        draw_speed(a, found)
        draw_fit(b, found)
        draw_check(c, found)
        draw_example(d, found)
        draw_resnet(e, found)
        draw_mends(f, chosen(found, found.cnn, weak=False))
        draw_mends(g, chosen(found, found.accelerator, weak=True))
        for letter, panel in zip("abcdefg", (a, b, c, d, e, f, g), strict=True):
            panel.set_title(f"{letter}  {panel.get_title('left')}")
        figure.savefig(path, dpi=130)
        plt.close(figure)


def chosen(found: Analysis, workload: Workload, weak: bool) -> Case:
    """The case on the cluster network."""
    cases = [case for case in found.cases() if case.workload is workload]
    (case,) = [case for case in cases if case.weak == weak and case.network is CLUSTER]
    return case


# --- measured -------------------------------------------------------------------------------------


def draw_speed(axes: Any, found: Analysis) -> None:
    """Images a second over the ranks; hollow where ranks share a core."""
    results = found.results
    colors = (BLUE, RED, GREEN)
    for (name, line), color, marker in zip(series().items(), colors, "os^", strict=True):
        numbers = [setting.processes for setting in line]
        speeds = [results.speed(setting) for setting in line]
        axes.plot(numbers, speeds, color=color, lw=1.5, label=name)
        for setting, speed in zip(line, speeds, strict=True):
            face = "white" if is_oversubscribed(setting.processes) else color
            axes.plot(setting.processes, speed, marker, ms=7, color=color, mfc=face)
    draw_pytorch(axes, found)
    ticks = [setting.processes for setting in line]
    names = [f"{n}\noversubscribed" if is_oversubscribed(n) else f"{n}" for n in ticks]
    axes.set(xscale="log", xlabel="ranks", ylabel="images a second", title="Measured: speed")
    axes.set_xticks(ticks, names)
    axes.minorticks_off()
    axes.set_ylim(0, 1.45 * axes.get_ylim()[1])
    axes.legend(loc="upper left", ncols=2)


def draw_pytorch(axes: Any, found: Analysis) -> None:
    """PyTorch on two threads, beside the two ranks."""
    name = LIBRARIES[-1]
    for batch, color in zip(BATCHES, (BLUE, RED), strict=True):
        setting = Setting(name, 1, batch)
        if setting in found.results.turns:
            label = f"{name},\n{TWO} threads, batch {batch}"
            speed = found.results.speed(setting)
            axes.plot(TWO, speed, "x", ms=9, mew=2, color=color, label=label)


# --- the fit and its check ------------------------------------------------------------------------


def draw_fit(axes: Any, found: Analysis) -> None:
    """Exchanges between two ranks: those that were fitted, and those that were left out."""
    groups = {
        "allreduce, fitted": ("o", BLUE, BLUE),
        "allreduce, left out": ("o", BLUE, "white"),
        "allgather, left out": ("s", RED, "white"),
    }
    for name, (marker, color, face) in groups.items():
        points = [point for point in found.points if point.group == name]
        sizes = [point.exchange.size for point in points]
        times = [1e6 * point.measured for point in points]
        label = f"measured: {name}"
        axes.plot(sizes, times, marker, color=color, mfc=face, ms=6, label=label)
    sizes = np.geomspace(min(FITTED) / 2, max(FITTED))
    line = 1e6 * (found.network.latency + sizes * found.network.per_byte)
    axes.plot(sizes, line, color=BLACK, lw=1.2, label="the model", zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="bytes a rank", ylabel=r"$\mu$s")
    axes.set_title(f"Measured between {TWO} ranks, and the fit")
    axes.legend(loc="upper left")


def draw_check(axes: Any, found: Analysis) -> None:
    """A step of two ranks: the measured bar, and those predicted from three computations."""
    place, names = 0.0, {}
    for one in found.checks:
        names[place] = f"batch {one.batch}, measured"
        draw_bar(axes, place, [one.measured - one.inside, one.last, one.inside - one.last])
        for name, computation in one.computations.items():
            place += 1
            names[place] = f"predicted: {name}"
            draw_bar(axes, place, [computation, one.communication])
        place += 1.6
    for name, color in PARTS.items():
        axes.barh(0, 0, color=color, label=name)
    axes.set_yticks([*names], names.values())
    axes.tick_params("y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="ms", ylim=(place - 0.9, -1.9), title=f"The check: a step of {TWO} ranks")
    axes.set_xlim(0, 1.15 * axes.get_xlim()[1])
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, 1.02), ncols=3, columnspacing=1)


def draw_bar(axes: Any, place: float, parts: list[float]) -> None:
    """One beside the other; at the end their sum. seconds."""
    left = 0.0
    for part, color in zip(parts, PARTS.values(), strict=False):
        axes.barh(place, 1000 * part, left=left, color=color, height=0.8)
        left += 1000 * part
    axes.text(left, place, f" {left:.1f}", va="center", fontsize=9)


# --- predictions ----------------------------------------------------------------------------------


def draw_case(axes: Any, case: Case, color: str, name: str, width: float = 1.5) -> None:
    """Efficiency over the ranks: solid in strong scaling, dashed in weak."""
    values = [100 * efficiency(case, ranks) for ranks in PREDICTED]
    style = "--" if case.weak else "-"
    label = f"{name}{case.scaling}; {case.network.name}"
    axes.plot(PREDICTED, values, style, color=color, lw=width, label=label)


def draw_example(axes: Any, found: Analysis) -> None:
    """The example CNN: predicted curves, and the measured points of two ranks."""
    cases = [case for case in found.cases() if case.workload is found.cnn]
    for case in cases:
        draw_case(axes, case, BLUE if case.network is CLUSTER else RED, "")
    predicted = [name for name in series() if name in [case.scaling for case in cases]]
    for name, marker in zip(predicted, "o^", strict=True):
        one, two = series()[name][:2]
        gain = found.results.speed(two) / found.results.speed(one)
        place, style = (TWO, 100 * gain / TWO), {"color": BLACK, "mfc": "white", "ms": 7}
        axes.plot(*place, marker, **style, label=f"measured: {name}")
    finish(axes, f"Prediction, and measured points: {found.cnn.name}")


def draw_resnet(axes: Any, found: Analysis) -> None:
    """ResNet-50 with an accelerator for each rank; and with a core, thin, which hardly loses."""
    for case in found.cases():
        color = BLUE if case.network is CLUSTER else RED
        if case.workload is found.accelerator:
            draw_case(axes, case, color, "accelerators, ")
        elif case.workload is found.core and not case.weak:
            draw_case(axes, case, SKY if color == BLUE else ORANGE, "cores, ", 1)
    finish(axes, "Prediction: ResNet-50, at assumed speeds")


def draw_mends(axes: Any, case: Case) -> None:
    """One case as it is, and with each mend."""
    styles = ["-", "--", ":", "-.", (0, (6, 1.5)), "-", "--"]
    colors = [BLACK, BLUE, PINK, ORANGE, SKY, GREEN, RED]
    for mend, style, color in zip(MENDS, styles, colors, strict=True):
        changed = mend.applied(case)
        values = [100 * efficiency(changed, ranks, mend.plan) for ranks in PREDICTED]
        axes.plot(PREDICTED, values, ls=style, color=color, label=mend.name)
    finish(axes, f"Prediction, {case.network.name}:\n{case.workload.name}, {case.scaling}")


def finish(axes: Any, title: str) -> None:
    """Efficiencies over the ranks, with room for the legend above 100 %."""
    axes.axhline(50, color=GREY, lw=0.8)
    axes.set(xscale="log", xlabel="ranks", ylabel="efficiency, %", title=title)
    axes.set_xticks(TICKS, [f"{ranks:,}" for ranks in TICKS])
    axes.minorticks_off()
    axes.set_ylim(0, 108 + 11 * len(axes.get_legend_handles_labels()[1]))
    axes.set_yticks(range(0, 101, 25))
    axes.legend(loc="upper left")
