"""The state of a random generator as bytes: the text (JSON) of what NumPy says it is."""

import json

import numpy as np

from .layout import Array


def state_bytes(generator: np.random.Generator) -> Array:  # (bytes,), uint8
    """The state now."""
    text = json.dumps(generator.bit_generator.state)
    return np.array(bytearray(text, "ascii"), np.uint8)


def set_state(
    generator: np.random.Generator,
    state: Array,
) -> None:
    """Put the generator into a state of bytes; ValueError if `state_bytes` did not give them."""
    if state.dtype != np.uint8:
        raise TypeError(f"a state of the generator is uint8, not {state.dtype}")
    try:
        generator.bit_generator.state = json.loads(state.tobytes())
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"these {state.shape} bytes are not from get_rng_state()") from error
