"""What every test gets: a fresh random generator, and a check that it leaves no global state.

And what becomes of the tests that need PyTorch where there is none: left out, and counted.
"""

import gc
import importlib
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_bn as tg

# How many cases a test draws that does not say so itself: `pytest --hypothesis-profile=long`.
QUICK = {"max_examples": 60, "derandomize": True, "database": None}
settings.register_profile("quick", deadline=None, report_multiple_bugs=False, **QUICK)
settings.register_profile("long", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("quick")

HOW_TO_GET_PYTORCH = "pip install torch==2.13.0"
LEFT_OUT = pytest.StashKey[int]()  # how many tests need PyTorch and do not get it


def pytest_configure(config):
    config.addinivalue_line("markers", "torch: compares with PyTorch, which must be installed")
    config.stash[LEFT_OUT] = 0


def pytest_collection_modifyitems(config, items):
    """Whoever asks for the fixture `torch` is marked so; `-m torch` and `-m 'not torch'` select."""
    missing = find_spec("torch") is None
    for item in items:
        if "torch" in item.fixturenames:
            item.add_marker("torch")
        if missing and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="PyTorch is not installed"))
            config.stash[LEFT_OUT] += 1


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash[LEFT_OUT]:
        left_out = f"PyTorch is not installed: {count} tests that compare with it were left out"
        terminalreporter.write_line(f"{left_out} ({HOW_TO_GET_PYTORCH})", yellow=True)


@pytest.fixture(autouse=True)
def no_global_state_leaks():
    """Reseed before the test; afterwards recording, NumPy's errors and gc must be as before."""
    floating_point_errors, collecting = np.geterr(), gc.isenabled()
    assert tg.is_grad_enabled(), "an earlier test left recording switched off"
    tg.manual_seed(0)
    yield
    leaks = []
    if not tg.is_grad_enabled():
        leaks.append("recording is switched off")
    if np.geterr() != floating_point_errors:
        leaks.append(f"np.geterr() is {np.geterr()}")
        np.seterr(**floating_point_errors)
    if gc.isenabled() != collecting:
        leaks.append(f"gc.isenabled() is {gc.isenabled()}")
        (gc.enable if collecting else gc.disable)()
    assert not leaks, f"the test leaks global state: {'; '.join(leaks)}"


@pytest.fixture(scope="session")
def torch():
    """PyTorch as the oracle; without it, the tests that ask for it are left out."""
    return importlib.import_module("pytorch").torch  # here, for it takes seconds


@pytest.fixture
def rng():
    """For data and cotangents: independent of the generator under test."""
    return np.random.default_rng(1234)


@pytest.fixture
def no_garbage_collector():
    """Whatever is freed inside the test is freed by reference counting alone."""
    gc.disable()
    yield
    gc.enable()
