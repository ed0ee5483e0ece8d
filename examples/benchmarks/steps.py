"""How long does one training step take, here and in PyTorch, on the same work?

    python examples/benchmarks/steps.py [--threads 2] [--rounds 15]

Each library runs in a process of its own, which builds the example networks once and then takes
steps when asked. The processes are asked in turn, round by round, so that what else the machine
does hits both; the ratio of the medians is what counts. A step: zero_grad, forward, cross-entropy,
backward, SGD with Nesterov momentum and weight decay. PyTorch is skipped where not installed, and
also runs in channels_last order, where that is the faster one for it.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

WORK = {  # name: (layers, batch size)
    "paper MLP, batch 60": ("mlp 784 100 100 100 10 Sigmoid", 60),
    "example MLP, batch 128": ("mlp 784 256 128 10 ReLU", 128),
    "example CNN, batch 64": ("cnn", 64),
    "example CNN, batch 128": ("cnn", 128),
}


def build(nn: Any, layers: str) -> Any:
    """The network, from the layers of either library."""
    kind, *sizes = layers.split()
    if kind == "cnn":
        return nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)),
            *(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3)),
            *(nn.Linear(1568, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()),
            nn.Linear(128, 10),
        )
    *widths, activation = sizes
    parts = []
    for n, m in pairwise(widths[:-1]):
        parts += [nn.Linear(int(n), int(m), bias=False), nn.BatchNorm1d(int(m))]
        parts.append(getattr(nn, activation)())
    return nn.Sequential(*parts, nn.Linear(int(widths[-2]), int(widths[-1])))


def libraries(name: str) -> SimpleNamespace:
    if name == "tinygrad_bn":
        import tinygrad_bn
        from tinygrad_bn import functional, nn, optim

        return SimpleNamespace(
            nn=nn, F=functional, SGD=optim.SGD, tensor=tinygrad_bn.tensor, to=lambda x: x
        )
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    order = torch.channels_last if "channels_last" in name else torch.contiguous_format

    def to(x: Any) -> Any:
        if isinstance(x, torch.nn.Module) or x.ndim == 4:
            return x.to(memory_format=order)
        return x

    return SimpleNamespace(
        nn=torch.nn, F=torch.nn.functional, SGD=torch.optim.SGD, tensor=torch.tensor, to=to
    )


def serve(name: str) -> None:
    """Build everything; for each line `work, steps` take the steps and answer with the time."""
    import numpy as np

    lib, rng, steps = libraries(name), np.random.default_rng(0), {}
    for work, (layers, batch) in WORK.items():
        model = lib.to(build(lib.nn, layers))
        options = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
        optimizer = lib.SGD(model.parameters(), **options)
        shape = (batch, 1, 28, 28) if layers == "cnn" else (batch, 784)
        x = lib.to(lib.tensor(rng.standard_normal(shape, np.float32)))
        y = lib.tensor(rng.integers(0, 10, batch))

        def step(model=model, optimizer=optimizer, x=x, y=y) -> None:
            optimizer.zero_grad()
            lib.F.cross_entropy(model(x), y).backward()
            optimizer.step()

        steps[work] = step
    for line in sys.stdin:
        work, count = line.rstrip("\n").split("\t")
        start = time.perf_counter()
        for _ in range(int(count)):
            steps[work]()
        print((time.perf_counter() - start) / int(count), flush=True)


def ask(process: subprocess.Popen, work: str, count: int) -> float:
    process.stdin.write(f"{work}\t{count}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve)
    names = ["tinygrad_bn"]
    if importlib.util.find_spec("torch"):
        names += ["PyTorch", "PyTorch, channels_last"]
    else:
        print("PyTorch is not installed: skipped")
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(args.threads)
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--serve", name], env=environment, **pipes
        )
        for name in names
    }
    print(f"{platform.machine()}, {args.threads} threads; median ms per step [quartiles]\n")
    print("| work | " + " | ".join(names) + " | ratio to PyTorch | to its faster order |")
    print("|---" * (len(names) + 3) + "|")
    for work in WORK:
        times: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            ask(processes[name], work, 10)  # to warm up
        for _ in range(args.rounds):
            for name in names:
                times[name].append(1000 * ask(processes[name], work, 20))
        quartiles = {name: statistics.quantiles(times[name], n=4) for name in names}
        cells = [f"{q[1]:.2f} [{q[0]:.2f}, {q[2]:.2f}]" for q in quartiles.values()]
        peers = [quartiles[name][1] for name in names[1:]]
        own = quartiles["tinygrad_bn"][1]
        cells += [f"{own / peers[0]:.2f}", f"{own / min(peers):.2f}"] if peers else ["–", "–"]
        print(f"| {work} | " + " | ".join(cells) + " |", flush=True)
    for process in processes.values():
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
