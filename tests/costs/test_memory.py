"""Memory: a training does not grow, finds its pages mapped already, and evaluation keeps no graph.

The programs run in interpreters of their own, and compare kilobytes and page faults, never times.
"""

import platform
import sys

import pytest
from programs import TRAINING, answer, start

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have other rules"
)


STEADY = """
import resource

train(64, 5)
before, faults = status("VmRSS"), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
train(64, 50)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
print(json.dumps([(status("VmRSS") - before) / 1024, faults / 50]))
"""


@pytest.fixture(scope="module")
def steady():
    """Over 50 steps after the first: growth in MB, and page faults per step."""
    return answer(start(TRAINING + STEADY))


@on_linux
def test_a_training_does_not_grow(steady):
    assert steady[0] < 4


@needs_glibc
def test_a_step_finds_its_memory_mapped_already(steady):
    """Memory that went back to the system comes with a fault for every page of 4 KB."""
    assert steady[1] < 50


@on_linux
def test_the_peak_grows_in_proportion_to_the_batch():
    """`ru_maxrss` would tell the parent's peak where it is higher, hence VmHWM."""
    peaks = {}
    for batch in (64, 128, 256, 512):
        program = f'train({batch}, 3)\nprint(status("VmHWM") / 1024)'
        peaks[batch] = answer(start(TRAINING + program))
    per_image = [(peaks[2 * n] - peaks[n]) / n for n in (64, 128, 256)]
    usual = (peaks[512] - peaks[64]) / (512 - 64)
    assert all(0.65 * usual < found < 1.35 * usual for found in per_image), peaks


@on_linux
def test_evaluation_without_gradients_keeps_no_graph():
    """Of all the intermediate results only the last ones are there at the same time."""
    program = """
images = tg.randn(1000, 1, 28, 28)
model.eval()
before = status("VmHWM")
with {mode}:
    scores = model(images)
print((status("VmHWM") - before) / 1024)
"""
    modes = {"no_grad": "tg.no_grad()", "recording": "tg.engine.grad_mode(True)"}
    peaks = {
        name: answer(start(TRAINING + program.format(mode=mode))) for name, mode in modes.items()
    }
    assert peaks["no_grad"] < 0.8 * peaks["recording"], peaks


AT_MOST = 300  # MB that stay resident


@needs_glibc
@pytest.mark.parametrize("megabytes", [1, 16, 60, 160])
def test_what_is_kept_of_freed_memory_is_bounded(megabytes):
    """2 GB in arrays of one size, with something small that stays, made last."""
    program = f"""
large = [tg.ones({megabytes} << 18) for _ in range(2048 // {megabytes})]
small = tg.ones(100)
before = status("VmRSS")
del large
print(json.dumps([before / 1024, status("VmRSS") / 1024]))
"""
    before, after = answer(start(TRAINING + program))
    assert before > 1900
    assert after < AT_MOST


@needs_glibc
def test_after_one_large_batch_little_is_kept():
    """Nearly two gigabytes at the same time, for one step."""
    before, after = answer(
        start(
            TRAINING
            + """
train(64, 3)
train(8192, 1)
print(json.dumps([status("VmHWM") / 1024, status("VmRSS") / 1024]))
"""
        )
    )
    assert before > 1600
    assert after < AT_MOST
