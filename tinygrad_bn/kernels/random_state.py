"""The state of a PCG64 generator as 64 bytes, four numbers of 16 each, lowest byte first.

State and increment have 128 bits. The generator draws 64 at a time; has_uint32 says (0 or 1)
whether half of them are left for the next 32 bits that are asked for, and uinteger is that half.
"""

import numpy as np

from .layout import Array


def state_bytes(generator: np.random.Generator) -> Array:  # (64,), uint8
    """The state now."""
    state = generator.bit_generator.state
    numbers = [
        *state["state"].values(),
        state["has_uint32"],
        state["uinteger"],
    ]
    data = b"".join([number.to_bytes(16, "little") for number in numbers])
    return np.array(bytearray(data), np.uint8)


def set_state(
    generator: np.random.Generator,
    state: Array,  # (64,), uint8
) -> None:
    """Put the generator into a state; ValueError for bytes that `state_bytes` cannot have given."""
    data = state.tobytes()
    too_large = data[33:48] + data[52:]  # for has_uint32, and for 32 bits
    known = state.shape == (64,) and data[16] % 2 == 1  # the increment is odd
    if not known or data[32] > 1 or any(too_large):
        raise ValueError(f"these {state.shape} bytes are not from get_rng_state()")
    places = range(0, 64, 16)
    number, increment, has_uint32, uinteger = [
        int.from_bytes(data[i : i + 16], "little") for i in places
    ]
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": number, "inc": increment},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
