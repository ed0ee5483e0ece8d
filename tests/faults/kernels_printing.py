"""Faults of kernels/printing.py: widths, edges, the three styles."""

FAULTS = {
    "": {
        "line-of-79": ("80", "79"),
        "line-of-82": ("80", "82"),
        "long-at-999": ("1000", "999"),
        "long-at-1001": ("1000", "1001"),
        "edges-of-2": ("3", "2"),
    },
    "tensor_text": {
        "long-is-not-cut": ("array.size > LONG", "False"),
        "long-includes-the-limit": ("array.size > LONG", "array.size >= LONG"),
        "style-of-what-is-hidden": ("style_for(shown)", "style_for(array)"),
        "empty-is-nested": ("array.size > 0", "True"),
        "suffixes-on-one-line": ("last_line + len(suffix) + 2 > LINE", "False"),
        "suffixes-on-new-lines": ("last_line + len(suffix) + 2 > LINE", "True"),
        "suffix-of-a-full-line": (
            "last_line + len(suffix) + 2 > LINE",
            "last_line + len(suffix) + 2 >= LINE",
        ),
        "line-not-counted": ("last_line += len(suffix) + 2", "pass"),
        "new-line-not-counted": ("last_line = INDENT + len(suffix)", "pass"),
        "first-line-counted": ("text.rfind('\\n')", "-1"),
        "brackets-of-whole-width": (
            "nested(shown, array.shape, INDENT, write, width)",
            "nested(shown, array.shape, 0, write, width)",
        ),
    },
    "edges_of": {
        "edges-of-long-axes-only": ("size > 2 * EDGE", "size > 3 * EDGE"),
        "first-edge-twice": (
            "[*range(EDGE), *range(size - EDGE, size)]",
            "[*range(EDGE), *range(EDGE)]",
        ),
        "edges-of-the-last-axis": ("array.take(edges, axis)", "array.take(edges, -1)"),
    },
    "nested": {
        "numbers-not-in-columns": ("write(array.item()).rjust(width)", "write(array.item())"),
        "numbers-to-the-left": (
            "write(array.item()).rjust(width)",
            "write(array.item()).ljust(width)",
        ),
        "margin-of-outer-brackets": ("indent + 1", "indent", 0),
        "margin": ("indent + 1", "indent", 1),
        "one-number-more-in-a-line": (
            "max(1, (LINE - indent) // (width + 2))",
            "max(1, (LINE - indent) // (width + 2) + 1)",
        ),
        "one-number-a-line": ("array.ndim == 1", "False", 0),
        "nothing-in-a-line": (
            "max(1, (LINE - indent) // (width + 2))",
            "(LINE - indent) // (width + 2)",
        ),
        "no-dots": ("len(array) < shape[0]", "False"),
        "dots-of-numbers": ("' ...'", "'...'"),
        "dots-at-the-end": (
            "parts.insert(EDGE, ' ...' if array.ndim == 1 else '...')",
            "parts.append(' ...' if array.ndim == 1 else '...')",
        ),
        "blocks-not-apart": ("max(array.ndim - 1, 1)", "1"),
        "blocks-too-far-apart": ("max(array.ndim - 1, 1)", "array.ndim"),
    },
    "style_for": {
        "infinite-is-large": ("np.isfinite(array) & (array != 0)", "array != 0"),
        "zero-is-small": ("np.isfinite(array) & (array != 0)", "np.isfinite(array)"),
        "negative-is-small": ("np.abs(array)", "array"),
        "style-in-float32": ("np.abs(array).astype(np.float64)", "np.abs(array)"),
        "width-of-the-first": ("max(widths, default=1)", "widths[0] if widths else 1"),
        "width-of-nothing": ("max(widths, default=1)", "max(widths, default=0)"),
        "integers-with-a-point": ("array.dtype.kind == 'f'", "True"),
    },
    "float_style": {
        "ratio": ("largest > 1000 * smallest", "largest > 10000 * smallest"),
        "ratio-reached": ("largest > 1000 * smallest", "largest >= 1000 * smallest"),
        "large": ("largest > 1e8", "False"),
        "large-reached": ("largest > 1e8", "largest >= 1e8"),
        "small": ("smallest < 1e-4", "False"),
        "small-reached": ("smallest < 1e-4", "smallest <= 1e-4"),
        "whole-by-one": ("(sizes == np.floor(sizes)).all()", "(sizes == np.floor(sizes)).any()"),
        "never-whole": ("(sizes == np.floor(sizes)).all()", "False"),
        "nothing-to-measure": ("sizes.size == 0", "False"),
        "five-digits": ("'{:.4f}'", "'{:.5f}'"),
        "five-digits-of-exponents": ("'{:.4e}'", "'{:.5e}'"),
    },
    "whole_number": {
        "point-of-infinity": ("math.isfinite(value)", "True"),
        "no-point": ('f"{value:.0f}."', 'f"{value:.0f}"'),
    },
}
