"""Faults of kernels/idx.py: the IDX format."""

FAULTS = {
    "read_idx": {
        "never-unzipped": ("file.read(2) == b'\\x1f\\x8b'", "not file.read(2)"),
        "damage-not-named": ("(EOFError, OSError, zlib.error)", "()"),
        "end-not-named": ("(EOFError, OSError, zlib.error)", "(OSError, zlib.error)"),
        "bad-block-not-named": ("(EOFError, OSError, zlib.error)", "(EOFError, OSError)"),
        "bad-sum-not-named": ("(EOFError, OSError, zlib.error)", "(EOFError, zlib.error)"),
        "anything-opened": ("path.exists() and not path.is_file()", "False"),
    },
    "idx_array": {
        "byte-order": ('f">{axes}I"', 'f"<{axes}I"'),
        "other-types": ("start[:3] != b'\\x00\\x00\\x08'", "start[:2] != b'\\x00\\x00'"),
        "empty-file": ("len(start) < 4", "False"),
        "ends-in-the-header": ("len(header) < 4 * axes", "False"),
        "too-long": ("len(values) != expected", "len(values) < expected"),
        "too-short": ("len(values) != expected", "len(values) > expected"),
        "signed-bytes": ("np.uint8", "np.int8"),
        "flat": (
            "np.frombuffer(values, np.uint8).reshape(shape)",
            "np.frombuffer(values, np.uint8)",
        ),
        "reads-all": ("min(CHUNK, expected + 1 - len(values))", "CHUNK"),
        "stops-at-what-is-expected": ("expected + 1 - len(values)", "expected - len(values)"),
        "many-axes-not-named": ("ValueError", "TypeError", 2),
    },
}
