"""What every test gets: a fresh random generator, and a check that it leaves no global state."""

import gc

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_bn as tg

# How many cases a test draws that does not say so itself: `pytest --hypothesis-profile=long`.
QUICK = {"max_examples": 60, "derandomize": True, "database": None}
settings.register_profile("quick", deadline=None, report_multiple_bugs=False, **QUICK)
settings.register_profile("long", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("quick")


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
    """PyTorch as the oracle; without it, the tests that ask for it are skipped."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


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
