"""Whole programs drawn at random: what they compute, first and second derivatives, in both.

A program has 3 to 12 steps over a few leaves: shared results, views, broadcasting, reductions,
masks, layers, losses, two dtypes, and changes in place before and between the steps. It is written
as source (tests/support/writing.py): a failure shows a program that can be run and made smaller.

The long profile draws 50,000, from another start each time: 8 seconds for 1,000.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from writing import Undecided, Writer, agree

import tinygrad_bn as tg

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

# What need not be alike. A derivative here may use a value that PyTorch's does not, and the other
# way round; after a change in place of that value, the one refuses and the other does not.
KNOWN = {
    "refused by PyTorch alone",  # x / y needs x; here it needs its output. The result is right.
    "refused by PyTorch alone, and not compared",
    "refused here alone: div",  # its output
    "refused here alone: clamp",  # its output
    "refused here alone: max_pool2d",  # its output
    "refused here alone: conv2d",  # padding='same' of an even kernel: PyTorch pads a copy first
    "refused here alone: matmul",  # of a transposed view: PyTorch multiplies a copy of it
    "refused here alone: batch_norm",  # of a transposed view: here PyTorch's takes a copy of it
    "undecided",  # a tie that rounding decides
}


def ending(program):
    """As `agree` says it; or undecided."""
    try:
        with np.errstate(all="ignore"):
            return agree(program)
    except Undecided:
        return "undecided"
    except Exception as error:
        error.add_note(f"program {program.seed}:\n{program.text()}")
        raise


def try_programs(start, count):
    """How many of them ended how."""
    found = Counter(ending(Writer(start + i)) for i in range(count))
    assert set(found) <= {"agrees", "refused by both", *KNOWN}
    return found


def test_drawn_programs_agree_with_pytorch():
    long = settings.get_current_profile_name() == "long"
    start = int(np.random.default_rng().integers(10**9)) if long else 0
    count = 50_000 if long else 1_000
    found = try_programs(start, count)
    print(f"{count} programs from {start}: {dict(found)}")
    assert found["agrees"] > 0.85 * count
    assert found["refused by both"] > 0.03 * count  # so that changes in place are seen
    assert sum(found[kind] for kind in KNOWN) < 0.03 * count


def almost_tanh(x, right=tg.Tensor.tanh):
    """Right in its value at 0 only, and nearly right elsewhere."""
    y = right(x)
    return y + 1e-6 * y * y


def copied(x, index, right=tg.Tensor.__getitem__):
    """What was indexed, but no view."""
    return right(x, index).clone()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Tensor.tanh", almost_tanh),
        ("Tensor.__getitem__", copied),
        ("engine.Node.check_unchanged", lambda *_: None),
    ],
)
def test_drawn_programs_notice_a_fault(monkeypatch, name, fault):
    monkeypatch.setattr(f"tinygrad_bn.{name}", fault)
    with pytest.raises(AssertionError):
        try_programs(0, 300)
