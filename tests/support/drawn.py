"""What hypothesis draws: shapes, values with ties and exact zeros, memory orders, options.

The numbers come from NumPy under a drawn seed: to draw them one by one would take most of the time.
"""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from layouts import ANY_LAYOUT

seeds = st.integers(0, 2**32 - 1)
mostly_float64 = st.sampled_from(["float64", "float64", "float64", "float32"])


def shapes(least=0, most=4, side=3, smallest=0):
    """Ranks from `least` to `most`, with axes of size 0 and 1 among them."""
    return hnp.array_shapes(min_dims=least, max_dims=most, min_side=smallest, max_side=side)


def broadcastable(count, most=4, side=3):
    """`count` shapes that broadcast with each other, and what they broadcast to."""
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, min_side=0, max_dims=most, max_side=side
    )


# --- values ------------------------------------------------------------------------------------

VALUES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "ties and zeros": lambda rng, shape: rng.integers(-2, 3, shape) / 2,
    "wide": lambda rng, shape: rng.standard_normal(shape) * 8,
    "constant": lambda rng, shape: np.full(shape, rng.integers(-1, 2)),
    "sparse": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.4),
    "positive": lambda rng, shape: rng.uniform(0.3, 2.5, shape),
    "positive ties": lambda rng, shape: rng.integers(1, 5, shape) / 2,
    "not negative": lambda rng, shape: np.abs(rng.integers(-2, 3, shape)) / 2,
    "integers": lambda rng, shape: rng.integers(-3, 4, shape).astype(float),
}
ANY = ["normal", "ties and zeros", "wide", "constant", "sparse"]
POSITIVE = ["positive", "positive ties"]
GENERIC = ["normal"]


@st.composite
def arrays(draw, shape, dtype="float64", values=ANY):
    """An array of drawn values in a drawn memory order."""
    made = VALUES[draw(st.sampled_from(values))]
    array = np.array(made(np.random.default_rng(draw(seeds)), shape), dtype)
    return ANY_LAYOUT[draw(st.sampled_from(list(ANY_LAYOUT)))](array)


# --- options -----------------------------------------------------------------------------------


def axes_of(ndim):
    """One axis of a tensor, counted from either end; a tensor of rank 0 has 0 and −1."""
    return st.integers(-max(ndim, 1), max(ndim, 1) - 1)


def dims_of(ndim):
    """None, an axis, or several of them, each once."""
    several = st.lists(axes_of(ndim), min_size=1, max_size=ndim, unique_by=lambda i: i % ndim)
    return st.none() | axes_of(ndim) | (several.map(tuple) if ndim else st.none())


def pairs(least, most):
    """A number for both axes, or one for each."""
    numbers = st.integers(least, most)
    return numbers | st.tuples(numbers, numbers)


def both(value):
    return value if isinstance(value, tuple) else (value, value)


@st.composite
def factors(draw, size, most=4):
    """A shape of that many elements, perhaps with one axis given as −1."""
    shape, left = [], size
    while left > 1 and len(shape) < most - 1:
        shape.append(draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0])))
        left //= shape[-1]
    shape.append(left)
    if size and draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return tuple(shape)


@st.composite
def indices(draw, shape):
    """Integers, slices, None, …, index arrays and masks, in the ways that PyTorch has too.

    Left out, as the README says that indexing is NumPy's: slices with a negative step, which
    PyTorch has not; and an integer beside an index array or a mask, which in NumPy counts as one.
    """
    parts, axis, array = [], 0, None
    other = draw(st.sampled_from([["integer"], ["array", "array", "mask"]]))
    kinds = ["slice", "slice", "None", *other]
    while axis < len(shape) and len(parts) < 5 and draw(st.integers(0, 5)):
        kind, n = draw(st.sampled_from(kinds)), shape[axis]
        rng = np.random.default_rng(draw(seeds))
        if kind == "None":
            parts.append(None)
            continue
        if kind == "mask":
            wide = draw(st.integers(1, min(2, len(shape) - axis)))
            if array is None:
                parts.append(rng.random(shape[axis : axis + wide]) < 0.5)
                array, axis = np.argwhere(parts[-1])[:, 0], axis + wide
                continue
        elif kind == "array" and n:
            if array is None:
                array = np.empty(draw(hnp.array_shapes(max_dims=2, max_side=3, min_side=0)))
            form = array.shape if draw(st.booleans()) else (1,) * array.ndim
            parts.append(rng.integers(-n, n, form))
            axis += 1
            continue
        elif kind == "integer" and n:
            parts.append(int(rng.integers(-n, n)))
            axis += 1
            continue
        ends = st.none() | st.integers(-n - 1, n + 1)
        parts.append(slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3))))
        axis += 1
    if draw(st.booleans()):
        parts.append(Ellipsis)
        rest = draw(st.integers(0, len(shape) - axis))
        parts += [slice(draw(st.none() | st.integers(0, 2)), None) for _ in range(rest)]
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


@st.composite
def sliding(draw, channels=4, same=False, kernel=3):
    """A window that fits: image size, kernel, stride, padding, dilation."""
    k, s = draw(pairs(1, kernel)), draw(pairs(1, 3))
    d = draw(st.just(1) | pairs(1, 3))
    p = draw(pairs(0, 3) | st.sampled_from(["same", "valid"]) if same else st.just(0))
    if p == "same":
        s = draw(st.sampled_from([1, (1, 1)]))
    reach = [b * (a - 1) + 1 for a, b in zip(both(k), both(d), strict=True)]
    margin = (0, 0) if isinstance(p, str) else both(p)
    least = [1 if p == "same" else max(1, n - 2 * m) for n, m in zip(reach, margin, strict=True)]
    image = tuple(draw(st.integers(n, n + 4)) for n in least)
    return image, k, s, p, d


def product(sizes):
    return math.prod(sizes)
