"""What many test files need to hold a result against an independent one."""

import numpy as np

import tinygrad_bn as tg

# --- inputs -----------------------------------------------------------------------------------


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def leaf(values):
    """A leaf that requires a gradient: of numbers in float64, of an array in its dtype."""
    array = values if isinstance(values, np.ndarray) else np.array(values, np.float64)
    return tg.Tensor(array, requires_grad=True)


def normal_leaf(*shape, seed=0):
    return leaf(normal(*shape, seed=seed))


def around(array):
    """A tensor around this very array, however it lies in memory; tg.tensor would copy it."""
    t = tg.zeros(0)
    t.data = array
    return t


# --- comparisons ------------------------------------------------------------------------------


def array(value):
    """The values of a tensor of either library, of an array, or of numbers, as an array."""
    if hasattr(value, "detach"):
        return np.asarray(value.detach())
    return value if isinstance(value, np.ndarray | np.generic) else np.asarray(value, float)


def assert_close(found, expected, tolerance=1e-11, what=""):
    """Of one shape and dtype, with NaN and infinities at the same places.

    The other numbers are equal to `tolerance` times the largest of them, or 1: as far as that goes
    the error of a sum, in which the largest took part.
    """
    found, expected = array(found), array(expected)
    finite = np.abs(expected, where=np.isfinite(expected), out=np.zeros(expected.shape))
    atol = tolerance * max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol, strict=True, err_msg=what)


def assert_all_close(found, expected, tolerance=1e-11):
    for f, e in zip(found, expected, strict=True):
        assert_close(f, e, tolerance)


TOLERANCES = {"float64": 1e-10, "float32": 1e-5}  # and integers and bools exactly


def assert_same_results(found, expected, tolerances=TOLERANCES, what=""):
    """Arrays by name: the same names in the same order, shapes and dtypes, and close values."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        tolerance = tolerances.get(str(value.dtype), 0)
        np.testing.assert_allclose(
            found[name],
            value,
            rtol=tolerance,
            atol=tolerance,
            strict=True,
            err_msg=f"{name} {what}",
        )


def assert_same_as_torch(torch, ours, theirs, *arrays):
    """The output and every gradient, under one random cotangent."""
    xs = [leaf(a) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert_close(y, t)
    cotangent = np.asarray(normal(*y.shape, seed=99))
    y.backward(tg.tensor(cotangent))
    t.backward(torch.tensor(cotangent))
    assert_all_close([x.grad for x in xs], [s.grad for s in ts])
