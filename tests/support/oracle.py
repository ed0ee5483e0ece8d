"""What several test files need to hold a result against an independent one."""

import numpy as np

import tinygrad_bn as tg


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def around(array):
    """A tensor around this very array, however it lies in memory; tg.tensor would copy it."""
    t = tg.zeros(0)
    t.data = array
    return t


def assert_close(found, expected, tolerance=1e-11):
    """Same shape, same dtype, same values."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, strict=True)


def assert_same_as_torch(torch, ours, theirs, *arrays):
    """The output and every gradient, under one random cotangent."""
    xs = [tg.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert_close(y.detach().numpy(), t.detach().numpy())
    cotangent = np.asarray(normal(*y.shape, seed=99))
    y.backward(tg.tensor(cotangent))
    t.backward(torch.tensor(cotangent))
    for x, s in zip(xs, ts, strict=True):
        assert_close(x.grad.numpy(), s.grad.numpy())
