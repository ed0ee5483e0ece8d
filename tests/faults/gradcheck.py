"""Faults of gradcheck.py: a check that lets wrong gradients pass is none."""

FAULTS = {
    "difference_quotients": {
        "one-sided": ("kept - eps", "kept"),
        "half-the-step": ("2 * eps", "eps"),
        "element-left-moved": ("array[i] = kept", "pass"),
        "rounded-to-float32": ("np.empty(array.shape)", "np.empty(array.shape, np.float32)"),
    },
    "checked_inputs": {
        "nothing-to-check": ("not checked", "False"),
        "float32-accepted": ("tensors[i].dtype != float64", "False"),
        "constants-too": ("tensor.requires_grad", "True"),
    },
    "compare": {
        "nan-passes": ("(error <= atol).all()", "not (error > atol).any()"),
        "one-right-element-is-enough": ("(error <= atol).all()", "(error <= atol).any()"),
        "anything-passes": ("(error <= atol).all()", "True"),
        "rtol-of-1": ("rtol * np.abs(expected)", "np.abs(expected)"),
        "no-rtol": ("rtol * np.abs(expected)", "0"),
        "best-element-named": ("error.argmax()", "error.argmin()"),
        "nan-not-named": ("error.argmax()", "np.nan_to_num(error, nan=-np.inf).argmax()"),
        "values-exchanged": (
            'f"input {i}, element {worst}: the gradient is {found[worst]:.10g}, "\n'
            'f"finite differences give {expected[worst]:.10g}"',
            'f"input {i}, element {worst}: the gradient is {expected[worst]:.10g}, "\n'
            'f"finite differences give {found[worst]:.10g}"',
        ),
    },
    "random_weights": {
        "weights-of-1": ("rng.standard_normal(output.shape)", "np.ones(output.shape)"),
        "weights-are-constants": (
            "Tensor(rng.standard_normal(output.shape), True)",
            "Tensor(rng.standard_normal(output.shape))",
        ),
        "any-seed": ("np.random.default_rng(seed)", "np.random.default_rng(0)"),
    },
    "weighted_sum": {"first-output-only": ("stack(terms).sum()", "terms[0]")},
    "gradcheck.<locals>.loss": {
        "always-the-same-weights": ("random_weights(outputs, seed)", "random_weights(outputs, 0)"),
    },
    "gradcheck": {
        "unused-input-is-an-error": ("allow_unused=True", "allow_unused=False"),
        "unused-input-is-right": (
            "np.zeros(array.shape) if g is None else g.data",
            "expected if g is None else g.data",
        ),
    },
    "gradgradcheck": {
        "no-weights-checked": ("[*tensors, *weights]", "[*tensors, *map(Tensor, weights)]"),
        "options-ignored": (
            "gradcheck(first_derivatives, [*tensors, *weights], seed=seed, **options)",
            "gradcheck(first_derivatives, [*tensors, *weights], seed=seed)",
        ),
    },
    "gradgradcheck.<locals>.recorded": {"constant-outputs-too": ("y.requires_grad", "True")},
    "gradgradcheck.<locals>.first_derivatives": {
        "first-derivatives-only": ("create_graph=True", "create_graph=False"),
        "constants-asked-for": ("x.requires_grad", "True"),
    },
}
