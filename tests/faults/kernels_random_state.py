"""Faults of kernels/random_state.py: bytes that no generator has given."""

ERRORS = "(ValueError, TypeError, KeyError, OverflowError)"
FAULTS = {
    "set_state": {
        "state-of-any-dtype": ("state.dtype != np.uint8", "False"),
        "any-text": (ERRORS, "(TypeError, KeyError, OverflowError)"),
        "any-json": (ERRORS, "(ValueError, KeyError, OverflowError)"),
        "state-without-parts": (ERRORS, "(ValueError, TypeError, OverflowError)"),
        "numbers-of-any-size": (ERRORS, "(ValueError, TypeError, KeyError)"),
    },
}
