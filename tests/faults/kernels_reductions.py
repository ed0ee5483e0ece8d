"""Faults of kernels/reductions.py: numbers added one by one, pieces of a row left out."""

FAULTS = {
    "sum_over": {
        "sums-in-their-own-dtype": ("np.float64", "x.dtype"),
        "sums-stay-wide": (
            "x.sum(axes, np.float64, keepdims=keepdims).astype(x.dtype, copy=False)",
            "x.sum(axes, np.float64, keepdims=keepdims)",
        ),
        "integers-as-floats": ("x.dtype.kind != 'f'", "False"),
        "sums-without-their-axes": ("keepdims=keepdims", "keepdims=False", 1),
    },
    "row_sums": {
        "rows-in-one-piece": ("m <= SHORT", "True"),
        "ones-of-a-whole-piece": ("min(m, PIECE)", "PIECE"),
    },
    "row_products": {
        "products-in-one-piece": ("m <= PIECE", "True"),
        "pieces-one-by-one": (
            "np.vecdot(a_pieces, b_pieces).sum(1, np.float64)",
            "np.add.accumulate(np.vecdot(a_pieces, b_pieces), 1)[:, -1].astype(np.float64)",
        ),
        "rest-left-out": ("rest", "False", 2),
        "rest-of-the-first": (
            "np.vecdot(a[:, whole:], b[:, -rest:])",
            "np.vecdot(a[:, whole:], a[:, -rest:])",
        ),
        "pieces-of-the-first": ("b[:, :whole]", "a[:, :whole]"),
        "products-stay-wide": ("total.astype(a.dtype)", "total"),
    },
}
