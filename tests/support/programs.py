"""Programs for an interpreter of their own: what belongs to a whole process is seen only there."""

import json
import os
import subprocess
import sys


def start(program, kernels=None):
    """A new interpreter that runs the program, with the fast kernels or the plain ones."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS", "OMP", "GOTO"))}
    if kernels is not None:
        kept["TINYGRAD_BN_KERNELS"] = kernels
    pipe, command = subprocess.PIPE, [sys.executable, "-c", "import json\n" + program]
    return subprocess.Popen(command, env=kept, stdout=pipe, stderr=pipe, text=True)


def answer(process):
    """What the program printed, as JSON."""
    try:
        printed, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return json.loads(printed)


TRAINING = """
import numpy as np, tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.nn.functional import cross_entropy
from tinygrad_bn.optim import SGD

tg.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(16 * 7 * 7, 10),
)
optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

def train(batch, steps):
    rng = np.random.default_rng(0)
    images = tg.tensor(rng.standard_normal((batch, 1, 28, 28), np.float32))
    labels = tg.tensor(rng.integers(0, 10, batch))
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()

def status(name):
    "A number from /proc/self/status, in kilobytes."
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
"""
