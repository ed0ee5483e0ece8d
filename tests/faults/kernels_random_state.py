"""Faults of kernels/random_state.py: numbers that are forgotten, bytes that no generator has."""

FAULTS = {
    "state_bytes": {
        "half-a-word-forgotten": ("state['has_uint32']", "0"),
        "word-forgotten": ("state['uinteger']", "0"),
    },
    "set_state": {
        "increment-for-state": ("number", "increment", 1),
        "half-a-word-dropped": ("has_uint32", "0", 1),
        "state-that-stands-still": ("data[16] % 2 == 1", "True"),
        "state-of-any-size": ("state.shape == (64,)", "True"),
        "half-a-word-of-two": ("data[32] > 1", "False"),
        "state-with-bytes-beyond": ("any(too_large)", "False"),
    },
}
