"""Faults of kernels/pooling.py: who wins, ties, overlaps, memory that is not filled."""

FAULTS = {
    "patches_of": {"padding-wins": ("-np.inf", "0")},
    "blocks_of_channels": {"channels-left-out": ("len(patches)", "max(len(patches) - 1, 1)")},
    "max_pool2d": {
        "maximum-of-old-values": ("out[...] = first", "pass"),
        "maximum-of-0": ("out[...] = first", "out[...] = 0"),
        "maximum-without-nan": (
            "np.maximum(out, shifted, out=out)",
            "np.fmax(out, shifted, out=out)",
        ),
        "minimum": ("np.maximum(out, shifted, out=out)", "np.minimum(out, shifted, out=out)"),
        "first-channels-again": (
            "window.by_offset(patches[channels])",
            "window.by_offset(patches[: len(y[channels])])",
        ),
        "to-the-first-channels": ("y[channels]", "y[: channels.stop - channels.start]"),
        "dtype": ("x.dtype", "float"),
        "batch-stays-last": ("batch_first(y)", "y"),
    },
    "winners": {
        "ties": ("won &= undecided", "pass"),
        "ties-with-the-last": ("yield undecided", "yield patches[:, -1, -1] == y"),
        "always-undecided": ("undecided ^= won", "pass"),
        "nobody-wins-a-nan": ("yield undecided", "yield undecided & (patches[:, -1, -1] == y)"),
        "last-in-reverse": ("window.by_offset(patches)", "[*window.by_offset(patches)][::-1]"),
    },
    "max_pool2d_route": {
        "frame-left-as-found": (
            "not window.is_disjoint or places.size < frame.size",
            "not window.is_disjoint",
        ),
        "overlap-left-as-found": (
            "not window.is_disjoint or places.size < frame.size",
            "places.size < frame.size",
        ),
        "frame-of-old-values": ("frame[...] = 0", "pass"),
        "first-channels-win-again": (
            "winners(patches[channels], y[channels], window)",
            "winners(patches[channels], y[: len(patches[channels])], window)",
        ),
        "winners-of-first-channels": (
            "winners(patches[channels], y[channels], window)",
            "winners(patches[: len(y[channels])], y[channels], window)",
        ),
        "slopes-of-first-channels": ("g[channels] * won", "g[: len(won)] * won"),
        "slopes-of-first-channels-disjoint": (
            "np.multiply(g[channels], won, out=place)",
            "np.multiply(g[: len(won)], won, out=place)",
        ),
        "to-first-channels": ("places[channels]", "places[: len(y[channels])]"),
        "overlap-overwritten": ("window.is_disjoint", "True", 1),
        "padding-handed-back": ("inside", "frame[:, : window.image[0], : window.image[1]]", 1),
        "dtype-of-gradient": ("g.dtype", "float"),
    },
}
