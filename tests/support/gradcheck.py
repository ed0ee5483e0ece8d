"""Is the gradient right? Ask the definition of the derivative.

For a function with many outputs the gradient is that of L = u·f(x), for some weights u. Central
differences give the same number without any calculus:

    ∂L/∂x_i ≈ (L(x + εe_i) − L(x − εe_i)) / 2ε        with an error of order ε²

The weights u must be random. With u = 1 the check proves nothing for a function whose outputs have
a constant sum: the gradient of Σ softmax(x) or Σ batch_norm(x) is 0, and so a backward that returns
zeros would pass.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_bn.engine import Array, grad
from tinygrad_bn.tensor import Tensor, float64, wrap


def _as_tuple(value: Any) -> tuple[Tensor, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _difference_quotients(loss: Callable[[], float], array: Array, eps: float) -> Array:
    """∂loss/∂array, each element moved in place by ±eps and put back."""
    slopes = np.empty(array.shape)
    for i in np.ndindex(array.shape):
        kept = array[i]
        try:
            array[i] = kept + eps
            above = loss()
            array[i] = kept - eps
            slopes[i] = (above - loss()) / (2 * eps)
        finally:
            array[i] = kept
    return slopes


def gradcheck(
    fn: Callable[..., Any], inputs: Tensor | Sequence[Tensor], eps: float = 1e-5,
    atol: float = 1e-7, rtol: float = 1e-6, seed: int = 0,
) -> bool:  # fmt: skip
    """Check the gradient of `fn(*inputs)` towards every input that requires one.

    fn returns a tensor or a tuple of them. It must give the same value each time it is called: put
    layers that keep statistics or draw random numbers in eval mode, or seed them inside `fn`.
    inputs: float64 tensors (ValueError otherwise: float32 is too coarse for differences).
    Returns True, or raises AssertionError naming the worst element and both values.
    """
    tensors = _as_tuple(inputs)
    checked = [i for i, t in enumerate(tensors) if t.requires_grad]
    if not checked:
        raise ValueError("gradcheck needs an input with requires_grad=True")
    for i in checked:
        if tensors[i].dtype != float64:
            raise ValueError(f"gradcheck needs float64 inputs; input {i} is {tensors[i].dtype}")
    rng = np.random.default_rng(seed)
    outputs = {k: y for k, y in enumerate(_as_tuple(fn(*tensors))) if y.is_floating_point()}
    weights = {k: wrap(rng.standard_normal(y.shape)) for k, y in outputs.items()}
    recorded = [k for k, y in outputs.items() if y.requires_grad]
    ys, us = [outputs[k] for k in recorded], [weights[k] for k in recorded]
    exact = grad(ys, [tensors[i] for i in checked], us, allow_unused=True)

    def loss() -> float:
        results = _as_tuple(fn(*tensors))
        return float(sum(np.sum(results[k].data * u.data) for k, u in weights.items()))

    for i, g in zip(checked, exact, strict=True):
        expected = _difference_quotients(loss, tensors[i].data, eps)
        found = np.zeros(expected.shape) if g is None else g.data
        error = np.abs(found - expected) - rtol * np.abs(expected)
        if not (error <= atol).all():  # NaN fails
            worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
            which = f"input {i}, element {tuple(map(int, worst))}: the gradient is"
            right = f"finite differences give {expected[worst]:.10g}"
            raise AssertionError(f"{which} {found[worst]:.10g}, {right}")
    return True


def gradgradcheck(
    fn: Callable[..., Any], inputs: Tensor | Sequence[Tensor], seed: int = 1, **tolerances: float
) -> bool:
    """Check the second derivatives: `gradcheck` on the gradient of `fn`, itself a function.

    That function takes the inputs and the weights u, and returns every ∂(u·f)/∂input.
    """
    tensors = _as_tuple(inputs)
    rng = np.random.default_rng(seed)
    outputs = [out for out in _as_tuple(fn(*tensors)) if out.requires_grad]
    weights = [Tensor(rng.standard_normal(out.shape), requires_grad=True) for out in outputs]

    def first_derivatives(*arguments: Tensor) -> tuple[Tensor, ...]:
        xs, us = arguments[: len(tensors)], arguments[len(tensors) :]
        results = [out for out in _as_tuple(fn(*xs)) if out.requires_grad]
        return grad(results, [x for x in xs if x.requires_grad], us, create_graph=True)

    return gradcheck(first_derivatives, (*tensors, *weights), seed=seed, **tolerances)
