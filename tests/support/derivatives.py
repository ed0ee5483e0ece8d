"""First and second derivatives under both libraries, by random cotangents."""

from types import SimpleNamespace

import numpy as np
from oracle import assert_close
from pytorch import torch

import tinygrad_bn as tg

FUNCTIONAL = {m: m.nn.functional for m in (tg, torch) if m}


def batch_norm_of_contiguous(input, *args, **options):
    """PyTorch's, whose gradient is wrong in 2.13 where memory has one order and axes have another.

    Of (N, C, H, 1), at inference, if the input or the gradient of the output is a transposed view:
    not g·γ/√(Var + ε) but that of other places. Copies mend it.
    """
    y = torch.nn.functional.batch_norm(input.contiguous(), *args, **options)
    if y.requires_grad:
        y.register_hook(lambda g: None if g is None else g.contiguous())
    return y


if torch:
    mended = {**vars(torch.nn.functional), "batch_norm": batch_norm_of_contiguous}
    FUNCTIONAL[torch] = SimpleNamespace(**mended)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def values(tensor):
    tensor = tensor.detach()
    if isinstance(tensor, torch.Tensor) and tensor._is_zerotensor():
        # A derivative that is 0 everywhere has no memory in PyTorch: numpy() refuses it, and
        # numpy(force=True) of 2.13 crashes now and then (seen in gdb).
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))
    return tensor.numpy()


def outputs_of(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def derivatives_agree(ys, zs, xs, ts, tolerance, second=True):
    """Of our outputs ys by our leaves xs, and of PyTorch's zs by ts; `second` derivatives too."""
    if not ys:
        return
    rng = np.random.default_rng(99)
    us = [np.asarray(rng.standard_normal(y.shape), y.dtype) for y in ys]
    ours = [tg.tensor(u, requires_grad=True) for u in us]
    theirs = [torch.tensor(u, requires_grad=True) for u in us]
    gs = tg.grad(ys, xs, ours, create_graph=second, allow_unused=True)
    hs = torch.autograd.grad(zs, ts, theirs, create_graph=second, allow_unused=True)
    assert [g is None for g in gs] == [h is None for h in hs]
    for i, (g, h) in enumerate(zip(gs, hs, strict=True)):
        if g is not None:
            assert_close(values(g), values(h), tolerance, f"first gradient towards input {i}")
    if not second:
        return

    vs = [None if g is None else np.asarray(rng.standard_normal(g.shape), g.dtype) for g in gs]
    found = second_gradients(tg, tg.grad, gs, vs, [*xs, *ours])
    expected = second_gradients(torch, torch.autograd.grad, hs, vs, [*ts, *theirs])
    for i, (g, h, t) in enumerate(zip(found, expected, [*ts, *theirs], strict=True)):
        # a second derivative of zero may be zeros in one library and "unused" in the other
        g, h = (np.zeros_like(values(t)) if d is None else values(d) for d in (g, h))
        assert_close(g, h, tolerance, f"second gradient towards input {i} (cotangents last)")


def second_gradients(m, grad, firsts, cotangents, inputs):
    """Of all first gradients that are not constants."""
    varying = [i for i, g in enumerate(firsts) if g is not None and g.requires_grad]
    if not varying:
        return [None] * len(inputs)
    gs, vs = [firsts[i] for i in varying], [m.tensor(cotangents[i]) for i in varying]
    return grad(gs, inputs, vs, allow_unused=True)
