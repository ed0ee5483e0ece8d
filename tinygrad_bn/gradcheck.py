"""[4] Is the gradient right? Ask the definition of the derivative.

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

from .checks import float64
from .engine import Array, as_list, grad
from .tensor import Tensor, stack

Tensors = Sequence[Tensor]


def difference_quotients(loss: Callable[[], float], array: Array, eps: float) -> Array:
    """∂loss/∂array, each element moved in place by ±eps and put back."""
    quotients = np.empty(array.shape)
    for i in np.ndindex(array.shape):
        kept = array[i]
        try:
            array[i] = kept + eps
            above = loss()
            array[i] = kept - eps
            quotients[i] = (above - loss()) / (2 * eps)
        finally:
            array[i] = kept
    return quotients


def checked_inputs(tensors: Tensors) -> list[int]:
    """The places of those that require a gradient; ValueError unless they are float64."""
    checked = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    if not checked:
        raise ValueError("gradcheck needs an input with requires_grad=True")
    for i in checked:
        if tensors[i].dtype != float64:
            raise ValueError(f"gradcheck needs float64 inputs; input {i} is {tensors[i].dtype}")
    return checked


def compare(i: int, found: Array, expected: Array, atol: float, rtol: float) -> None:
    """AssertionError for the worst element of input i, unless all are within the tolerance."""
    error = np.abs(found - expected) - rtol * np.abs(expected)
    if (error <= atol).all():  # not so for NaN
        return
    # argmax takes a NaN for the largest; the index as Python's integers, which print as such
    worst = tuple(map(int, np.unravel_index(error.argmax(), error.shape)))
    raise AssertionError(
        f"input {i}, element {worst}: the gradient is {found[worst]:.10g}, "
        f"finite differences give {expected[worst]:.10g}"
    )


def random_weights(outputs: Tensors, seed: int) -> list[Tensor]:
    """u: a number for each element of each output, the same for the same seed.

    They require a gradient. So does u·f then, whether or not an output depends on an input.
    """
    rng = np.random.default_rng(seed)
    return [Tensor(rng.standard_normal(output.shape), True) for output in outputs]


def weighted_sum(outputs: Tensors, weights: Tensors) -> Tensor:
    """L = u·f, over all outputs."""
    terms = [(y * u).sum() for y, u in zip(outputs, weights, strict=True)]
    return stack(terms).sum()


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Tensors,
    *,
    eps: float = 1e-5,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
) -> bool:
    """Check the gradient of `func(*inputs)` towards every input that requires one.

    func returns a tensor or a tuple of them. It must give the same value each time it is called:
    put layers that keep statistics or draw random numbers in eval mode, or seed them inside `func`.
    inputs: float64 tensors (ValueError otherwise: float32 is too coarse for differences).
    Returns True, or raises AssertionError naming the worst element and both values.

    >>> gradcheck(Tensor.tanh, tensor([0.1, 0.2], dtype=float64, requires_grad=True))
    True
    """
    tensors = as_list(inputs)
    checked = checked_inputs(tensors)

    def loss() -> Tensor:
        outputs = [y for y in as_list(func(*tensors)) if y.is_floating_point()]
        return weighted_sum(outputs, random_weights(outputs, seed))

    exact = grad(loss(), [tensors[i] for i in checked], allow_unused=True)
    for i, g in zip(checked, exact, strict=True):
        array = tensors[i].data
        expected = difference_quotients(lambda: loss().item(), array, eps)
        found = np.zeros(array.shape) if g is None else g.data
        compare(i, found, expected, atol, rtol)
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Tensors,
    *,
    seed: int = 1,
    **options: Any,
) -> bool:
    """Check the second derivatives: `gradcheck` on the gradient of `func`, itself a function.

    That function takes the inputs and the weights u, and returns every ∂(u·f)/∂input.

    >>> gradgradcheck(Tensor.tanh, tensor([0.1, 0.2], dtype=float64, requires_grad=True))
    True
    """
    tensors = as_list(inputs)

    def recorded(xs: Tensors) -> list[Tensor]:
        return [y for y in as_list(func(*xs)) if y.requires_grad]

    def first_derivatives(*arguments: Tensor) -> tuple[Tensor, ...]:
        xs, us = arguments[: len(tensors)], arguments[len(tensors) :]
        total = weighted_sum(recorded(xs), us)
        return grad(total, [x for x in xs if x.requires_grad], create_graph=True)

    weights = random_weights(recorded(tensors), seed)
    return gradcheck(first_derivatives, [*tensors, *weights], seed=seed, **options)
