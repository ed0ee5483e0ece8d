"""How much of what the machine can do does a step make use of? Its rate of matrix products."""

import math

from report import Report, ms
from turns import Outcome
from worker import spawn
from workloads import Work, shapes

SGEMM = """
import timeit, numpy as np
a, b = np.random.default_rng(0).standard_normal((2, 2048, 2048), np.float32)
print(2 * 2048**3 / min(timeit.repeat(lambda: a @ b, number=1, repeat=20)))
"""


def flops(work: Work) -> float:
    """Floating-point operations of the matrix products and convolutions; the rest is left out.

    Forward 2 per multiply-add. Backward twice as many, once for the weights and once for the input,
    which the first layer need not have.
    """
    products = []
    for (kind, *sizes), shape in shapes(work):
        if kind in ("linear", "conv"):
            taps = 9 if kind == "conv" else 1
            products.append(2.0 * work.batch * taps * sizes[0] * math.prod(shape))
    return 3 * sum(products) - products[0] if work.training else sum(products)


def row(work: Work, outcome: Outcome, limit: float) -> list[str]:
    """The share of the rate that tinygrad_bn reaches, and the faster PyTorch."""
    cells = [work.name, f"{flops(work) / 1e9:.3g}"]
    for library in ("tinygrad_bn", "PyTorch"):
        medians = [m.median for name, m in outcome.measured.items() if name.startswith(library)]
        share = f"{flops(work) / min(medians) / limit:.0%}" if medians else "-"
        cells += [ms(min(medians)) if medians else "-", share]
    return cells


def say(works: list[Work], outcomes: dict[str, Outcome], threads: int, report: Report) -> None:
    with spawn(["-c", SGEMM], threads) as process:
        limit = float(process.communicate()[0])
    report.say(f"As a share of {limit / 1e9:,.0f} GFLOP/s, NumPy's rate of matrix products:\n")
    head = ["work", "GFLOP", "tinygrad_bn, ms", "of it", "PyTorch's faster, ms", "of it"]
    report.table(head, (row(work, outcomes[work.name], limit) for work in works))
