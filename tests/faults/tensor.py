"""Faults of tensor.py: values, derivatives, dtypes, shapes, and whose memory it is."""

FAULTS = {
    "manual_seed": {"any-seed": ("np.random.PCG64(seed)", "np.random.PCG64(0)")},
    "wrap": {"scalars-stay-scalars": ("np.asarray(array)", "array")},
    "record": {
        "recorded-without-need": ("any(required)", "True"),
        "recorded-under-no-grad": ("recording.get()", "True"),
        "result-needs-no-grad": ("out._requires_grad = True", "pass"),
        "used-lost": ("used.append((i, other, other.version.number))", "pass"),
        "arguments-lost": (
            "Node(name, arguments, tensors, tuple(derivatives), used, output)",
            "Node(name, {}, tensors, tuple(derivatives), used, output)",
        ),
        "derivatives-that-nobody-needs": ("derivative if required[i] else None", "derivative"),
        "output-of-other-changes": ("output.version = out.version", "pass"),
    },
    "record_joint": {
        "joint-recorded-without-need": (
            "any([tensor._requires_grad for tensor in parents])",
            "True",
        ),
        "joint-recorded-under-no-grad": ("recording.get()", "True"),
        "joint-result-needs-no-grad": ("out._requires_grad = True", "pass"),
        "joint-used-lost": ("[(None, tensor, tensor.version.number) for tensor in used]", "[]"),
        "joint-arguments-lost": (
            "Node(name, arguments, parents, derivative, by_all, output)",
            "Node(name, {}, parents, derivative, by_all, output)",
        ),
    },
    "promoted": {
        "0d-promotes": ("(a.ndim == 0) != (b.ndim == 0)", "False"),
        "0d-with-0d": ("(a.ndim == 0) != (b.ndim == 0)", "a.ndim == 0 or b.ndim == 0"),
        "0d-float-with-ints": ("first.kind == second.kind == 'f'", "second.kind == 'f'"),
        "0d-first-decides": ("second if a.ndim == 0 else first", "first"),
        "first-dtype-decides": ("max(first, second, key=checks.rank)", "first"),
        "number-has-no-dtype": (
            "max(first, checks.number_dtype(b), key=checks.rank)",
            "first",
        ),
        "number-of-any-kind": ("checks.number_dtype(b)", "np.asarray(b).dtype"),
    },
    "operands": {
        "usual-of-any-two-tensors": (
            "isinstance(b, Tensor) and b.data.dtype is dtype",
            "isinstance(b, Tensor)",
        ),
        "numpy-number-promotes": ("isinstance(b, np.generic)", "False"),
        "number-in-its-own-dtype": ("np.array(b, dtype)", "np.array(b)", 1),
        "first-in-its-own-dtype": ("converted(a, dtype)", "a"),
        "second-in-its-own-dtype": ("converted(b, dtype)", "b"),
        "float-beside-integers-cut-off": ("dtype.kind == 'f'", "True"),
        "number-beside-floats-in-its-own-dtype": ("np.array(b, dtype)", "np.array(b)", 0),
    },
    "converted": {
        "to-always-copies": ("dtype is before", "False"),
        "cast-gradient": ("converted(g, before)", "g"),
        "integers-with-history": ("dtype.kind != 'f'", "False"),
    },
    "as_tensor": {"a-tensor-is-copied": ("isinstance(value, Tensor)", "False")},
    "compared": {
        "compared-without-promotion": ("operands(a, b)", "(a, as_tensor(b))"),
        "compared-with-anything": (
            "isinstance(b, (Tensor, np.ndarray, np.number, np.bool_, int, float))",
            "b is not None",
        ),
    },
    "Tensor.__init__": {
        "shares-memory": (
            "np.array(source, checks.supported_dtype(dtype), order='C')",
            "np.asarray(array, checks.supported_dtype(dtype))",
        ),
        "order-of-the-array": ("order='C'", "order='K'"),
        "float64-arrays-narrowed": ("not isinstance(source, np.ndarray | np.generic)", "True"),
        "python-floats-wide": ("not isinstance(source, np.ndarray | np.generic)", "False"),
        "any-dtype": ("checks.supported_dtype(dtype)", "dtype"),
        "grad-not-required": ("self.requires_grad = requires_grad", "pass"),
        "grad-of-integers": (
            "self.requires_grad = requires_grad",
            "self._requires_grad = requires_grad",
        ),
        "tensor-is-a-sequence": ("data.data if isinstance(data, Tensor) else data", "data"),
    },
    "Tensor.requires_grad": {
        "may-always-require-grad": ("checks.may_require_grad(self, value)", "pass"),
    },
    "Tensor.requires_grad_": {
        "requires-grad-in-place": (
            "self.requires_grad = requires_grad",
            "self.requires_grad = True",
        )
    },
    "Tensor.is_leaf": {
        "constants-are-no-leaves": (
            "self.grad_fn is None",
            "self.grad_fn is None and self._requires_grad",
        )
    },
    "Tensor.size": {
        "size-of-axis-0": ("dim is None", "not dim"),
        "size-outside": ("checks.axis(dim, self.ndim)", "dim % max(self.ndim, 1)"),
    },
    "Tensor.is_floating_point": {
        "float64-is-no-float": ("self.dtype.kind == 'f'", "self.data.dtype == float32")
    },
    "Tensor.numpy": {
        "gradient-lost": ("self.requires_grad", "False"),
        "numpy-is-a-copy": ("return self.data", "return self.data.copy()"),
    },
    "Tensor.__array__": {
        "array-dtype": ("dtype=dtype", "dtype=None"),
        "array-always-copied": ("copy=copy", "copy=True"),
        "array-of-what-requires-grad": ("self.numpy()", "self.data"),
    },
    "Tensor.item": {"item-of-many": ("self.data.size != 1", "False")},
    "Tensor.__bool__": {"truth-of-many": ("bool(self.item())", "bool(self.data.all())")},
    "Tensor.__int__": {"int-rounds": ("int(self.item())", "round(self.item())")},
    "Tensor.__float__": {
        "float-is-float32": ("float(self.item())", "float(float32.type(self.item()))")
    },
    "Tensor.__len__": {"length-of-all": ("len(self.data)", "self.data.size")},
    "Tensor.__iter__": {"iterates-over-arrays": ("self[i]", "wrap(self.data[i])")},
    "Tensor.__format__": {
        "format-of-one-element": ("self.ndim == 0", "self.data.size == 1"),
        "format-of-0d": ("self.ndim == 0", "False"),
    },
    "Tensor.__repr__": {
        "size-of-empty-vectors": ("self.data.size == 0 and self.ndim != 1", "self.data.size == 0"),
        "size-not-printed": ("self.data.size == 0 and self.ndim != 1", "False"),
        "dtype-not-printed": ("self.dtype == float64", "False"),
        "dtype-of-empty-not-printed": ("self.data.size == 0 and self.dtype != float32", "False"),
        "dtype-of-empty-always-printed": (
            "self.data.size == 0 and self.dtype != float32",
            "self.data.size == 0",
        ),
        "operation-not-printed": ("self.grad_fn is not None", "False"),
        "requires-grad-not-printed": ("self.requires_grad", "False"),
        "suffixes-exchanged": (
            "kernels.tensor_text(self.data, suffixes)",
            "kernels.tensor_text(self.data, suffixes[::-1])",
        ),
    },
    "default_dtype": {
        "default-of-32-bits": ("int64 if dtype.kind == 'i' else dtype", "dtype"),
        "default-narrows": ("checks.holds_float64(data)", "False"),
    },
    "Tensor.__array_ufunc__": {
        "any-numpy-function": ("reflected is None", "False"),
        "numpy-into-an-array": ("options", "False"),
        "numpys-reductions": ("method != '__call__'", "False"),
        "numpy-with-the-tensor-first": ("inputs[-1] is not self", "False"),
    },
    "Tensor.__index__": {"any-index": ("checks.can_be_an_index(self)", "pass")},
    "Tensor.detach": {
        "detach-copies": ("wrap(self.data)", "wrap(self.data.copy())"),
        "detached-version": ("out.version = self.version", "pass"),
    },
    "Tensor.grad": {
        "any-gradient": ("check_gradient(value, self)", "pass"),
    },
    "Tensor.__getstate__": {
        "results-copied": ("checks.has_no_graph(self)", "pass"),
        "gradients-graph-copied": ("self.grad.grad_fn is not None", "False"),
        "no-gradient-copied": ("self.grad.grad_fn is not None", "True"),
    },
    "record_view": {
        "views-of-the-base-only": ("owner is x.data.base", "False"),
        "views-of-the-array-only": ("owner is x.data", "False"),
        "copies-share-a-version": ("owner is not None", "True"),
    },
    "index_array": {
        "index-not-copied": ("part.copy()", "part"),
        "index-list-not-copied": ("isinstance(part, list)", "False"),
        "empty-index-of-floats": ("None if part else int64", "None"),
    },
    "Tensor.clone": {
        "clone-shares": ("self.data.copy(order='K')", "self.data"),
        "clone-gradient": ("lambda g, y: g", "lambda g, y: -g"),
        "clone-detaches": ("self", "self.detach()", 1),
    },
    "Tensor.to": {
        "to-any-dtype": ("checks.supported_dtype(dtype)", "np.dtype(dtype)"),
    },
    "Tensor.float": {"float-is-double": ("float32", "float64")},
    "Tensor.double": {"double-is-float": ("float64", "float32")},
    "Tensor._floats": {
        "integers-as-float64": ("converted(self, float32)", "converted(self, float64)")
    },
    "Tensor.exp": {"exp": ("g * y", "g * x")},
    "Tensor.log": {"log": ("g / x", "g / y")},
    "Tensor.sqrt": {"sqrt": ("g / (2.0 * y)", "g / y")},
    "Tensor.tanh": {"tanh": ("1.0 - y * y", "1.0 - y")},
    "Tensor.sigmoid": {
        "sigmoid": ("g * y * (1.0 - y)", "g * y * (1.0 + y)"),
        "sigmoid-warns": ("over='ignore'", "over='warn'"),
    },
    "Tensor.relu": {
        "relu-at-0": ("y.data <= 0", "y.data < 0"),
        "relu-gradient-of-nan": ("y.data <= 0", "~(y.data > 0)"),
        "relu-of-bools": ("checks.no_bools('relu', self)", "pass"),
    },
    "Tensor.abs": {
        "abs": ("g * wrap(np.nan_to_num(np.sign(self.data)))", "g"),
        "abs-gradient-of-nan": ("np.nan_to_num(np.sign(self.data))", "np.sign(self.data)"),
        "abs-of-bools": ("checks.no_bools('abs', self)", "pass"),
    },
    "Tensor.clamp": {
        "clamp-borders": ("y.data != x.data", "(y.data == min) | (y.data == max)"),
        "clamp-outside": ("y.data != x.data", "y.data == x.data"),
        "clamp-order": (
            "np.clip(x.data, min, max)",
            "np.maximum(np.minimum(x.data, np.inf if max is None else max), -np.inf if min is None else min)",
        ),
        "clamp-without-limits": ("min is None and max is None", "False"),
        "clamp-dtype": (
            "y = np.clip(x.data, min, max).astype(x.dtype, copy=False)",
            "y = np.clip(x.data, min, max)",
        ),
        "clamp-of-integers": ("operands(x, bound)", "(x, None)"),
        "clamp-last-bound-decides": ("operands(x, bound)", "operands(self, bound)"),
        "clamp-min-of-anything": ("checks.bound('min', min)", "pass"),
        "clamp-max-of-anything": ("checks.bound('max', max)", "pass"),
    },
    "Tensor.__neg__": {"neg": ("-g", "g")},
    "Tensor.__add__": {
        "add-first": ("lambda g, y: g", "lambda g, y: -g", 0),
        "add-second": ("lambda g, y: g", "lambda g, y: -g", 1),
    },
    "Tensor.__sub__": {
        "sub": ("-g", "g"),
        "sub-values": ("combined('-', np.subtract, a, b)", "combined('-', np.subtract, b, a)"),
        "sub-of-bools": ("checks.no_bools('-', self, other)", "pass"),
    },
    "Tensor.__mul__": {"mul-first": ("g * b", "g * a"), "mul-second": ("g * a", "g * b")},
    "Tensor.__truediv__": {
        "div-sign": ("-g * y / b", "g * y / b"),
        "div-term": ("-g * y / b", "-g * y"),
        "div-first": ("g / b", "g * b"),
        "div-of-integers": ("a.data.dtype.kind != 'f'", "False"),
    },
    "Tensor.__pow__": {
        "pow-of-bools": ("checks.no_bools('**', a)", "pass"),
        "pow-not-checked": ("checks.has_powers(a, b)", "pass"),
    },
    "Tensor.__pow__.<locals>.by_a": {
        "pow-off-by-one": ("b - 1", "b"),
        "pow-zero-exponent": ("where((a == 0) * (b == 0), 1.0, b - 1)", "b - 1"),
    },
    "Tensor.__pow__.<locals>.by_b": {
        "pow-of-zero": ("where((a == 0) * (b >= 0), 1.0, a)", "a"),
        "pow-of-zero-negative": ("(a == 0) * (b >= 0)", "a == 0"),
        "pow-log": ("base.log()", "base"),
    },
    "Tensor.__rsub__": {
        "sub-reflected": ("operands(self, other)[1] - self", "self - operands(self, other)[1]")
    },
    "Tensor.__rtruediv__": {
        "div-reflected": ("operands(self, other)[1] / self", "self / operands(self, other)[1]")
    },
    "Tensor.__rpow__": {
        "pow-reflected": ("operands(self, other)[1] ** self", "self ** operands(self, other)[1]")
    },
    "Tensor.__rmatmul__": {
        "matmul-reflected": ("a @ b", "b @ a"),
    },
    "Tensor.__matmul__": {
        "matmul-of-any-dtypes": ("checks.matmul_dtype(self, other)", "pass"),
        "matmul-first": ("g @ b.transpose(-1, -2)", "g @ b"),
        "matmul-second": ("a.transpose(-1, -2) @ g", "a @ g"),
        "matmul-row": ("(a.unsqueeze(0) @ b).squeeze(-2)", "(a.unsqueeze(0) @ b).squeeze(0)"),
        "matmul-column": ("(a @ b.unsqueeze(1)).squeeze(-1)", "a @ b.unsqueeze(1)"),
        "matmul-not-checked": ("checks.matmul_shapes(a.data, b.data)", "pass"),
    },
    "Tensor._write": {
        "recorded-in-place": ("checks.not_recorded(name, self, result)", "pass"),
        "written-unnoticed": ("self.version.number += 1", "pass"),
        "held-by-force": ("checks.can_hold(name, self, result)", "pass"),
        "written-elsewhere": ("self.data[...] = result.data", "self.data = result.data"),
        "nothing-written": ("self.data[...] = result.data", "pass"),
        "result-returned": ("return self", "return result"),
        "with-history": (
            "self.data[...] = result.data",
            "self.data[...] = result.data\nself.grad_fn = result.grad_fn",
        ),
    },
    "Tensor._write_or_rebind": {
        "leaf-rebound": ("self.grad_fn is not None or not self._requires_grad", "True"),
        "constant-refused": ("not self._requires_grad", "False"),
        "recorded-refused": ("self.grad_fn is not None", "False"),
        "always-rebound": ("return self._write(name, result)", "return result"),
        "never-rebound": ("result.grad_fn is not None", "False"),
        "rebound-without-history": ("result.grad_fn is not None", "True"),
        "name-lost": ("self._write(name, result)", "self._write('', result)"),
    },
    "Tensor.__iadd__": {"iadd": ("self + other", "self - other"), "iadd-name": ("'+='", "'-='")},
    "Tensor.__isub__": {"isub": ("self - other", "other - self"), "isub-name": ("'-='", "'+='")},
    "Tensor.__imul__": {"imul": ("self * other", "self + other"), "imul-name": ("'*='", "'/='")},
    "Tensor.__itruediv__": {
        "idiv": ("self / other", "other / self"),
        "idiv-name": ("'/='", "'*='"),
    },
    "Tensor.add_": {
        "add-in-place-alpha": ("other * alpha", "other"),
        "add-in-place": (
            "self + (other if alpha == 1 else other * alpha)",
            "self - (other if alpha == 1 else other * alpha)",
        ),
        "add-in-place-rebinds": ("alpha == 1", "True"),
        "add-in-place-name": ("'add_'", "'+='"),
    },
    "Tensor.sub_": {
        "sub-in-place-alpha": ("other * alpha", "other"),
        "sub-in-place": (
            "self - (other if alpha == 1 else other * alpha)",
            "self + (other if alpha == 1 else other * alpha)",
        ),
        "sub-in-place-name": ("'sub_'", "'add_'"),
    },
    "Tensor.mul_": {
        "mul-in-place": ("self * other", "self + other"),
        "mul-in-place-rebinds": (
            "self._write('mul_', self * other)",
            "self._write_or_rebind('mul_', self * other)",
        ),
        "mul-in-place-name": ("'mul_'", "'*='"),
    },
    "Tensor.div_": {
        "div-in-place": ("self / other", "other / self"),
        "div-in-place-rounds": ("self / other", "(self / other).to(self.dtype)"),
        "div-in-place-name": ("'div_'", "'/='"),
    },
    "Tensor.copy_": {
        "copy-in-place-dtype": ("as_tensor(src).to(self.dtype)", "as_tensor(src)"),
        "copy-in-place-rebinds": (
            "self._write('copy_', as_tensor(src).to(self.dtype))",
            "as_tensor(src).to(self.dtype)",
        ),
        "copy-in-place-name": ("'copy_'", "'fill_'"),
    },
    "Tensor.fill_": {
        "filled-with-many": ("checks.single_number(value)", "value"),
        "filled-with-its-integer": (
            "checks.single_number(value)",
            "int(checks.single_number(value))",
        ),
    },
    "Tensor.zero_": {"zero-in-place": ("self.fill_(0)", "self.fill_(1)")},
    "Tensor.__setitem__": {
        "set-recorded": (
            "checks.not_recorded('x[...] = y', self, source)",
            "pass",
        ),
        "set-what-is-recorded": (
            "checks.not_recorded('x[...] = y', self, source)",
            "checks.not_recorded('x[...] = y', self, self)",
        ),
        "set-into-what-is-recorded": (
            "checks.not_recorded('x[...] = y', self, source)",
            "checks.not_recorded('x[...] = y', source, source)",
        ),
        "set-unnoticed": ("self.version.number += 1", "pass"),
        "set-nothing": ("self.data[plain_index(index)] = source.data", "pass"),
        "set-in-a-copy": (
            "self.data[plain_index(index)] = source.data",
            "self.data = self.data.copy()\nself.data[plain_index(index)] = source.data",
        ),
    },
    "Tensor.__lt__": {"lt": ("np.less", "np.less_equal")},
    "Tensor.__le__": {"le": ("np.less_equal", "np.less")},
    "Tensor.__gt__": {"gt": ("np.greater", "np.greater_equal")},
    "Tensor.__ge__": {"ge": ("np.greater_equal", "np.greater")},
    "Tensor.__eq__": {"eq": ("np.equal", "np.not_equal")},
    "Tensor.__ne__": {
        "ne": ("np.not_equal", "np.equal"),
    },
    "Tensor.sum": {
        "sum-over-no-axes": ("checks.reduced_axes(dim, self.ndim)", "checks.axes(dim, self.ndim)"),
        "sum-gradient": ("spread(g, shape, axes)", "spread(g, shape, axes) * 2"),
        "sum-keepdim": (
            "kernels.sum_over(self.data, axes, keepdim)",
            "kernels.sum_over(self.data, axes)",
        ),
        "sum-arguments": ("dim=axes", "dim=dim"),
    },
    "Tensor.mean": {
        "mean-over-all": ("self.numel() // max(total.size, 1)", "max(self.numel(), 1)"),
        "mean-gradient": ("g / max(n, 1)", "g"),
        "mean-gradient-of-nothing": ("g / max(n, 1)", "wrap(g.data // n)"),
        "mean-of-integers": ("checks.one_float_dtype('mean', input=self)", "pass"),
        "mean-keepdim": (
            "kernels.sum_over(self.data, axes, keepdim)",
            "kernels.sum_over(self.data, axes)",
        ),
        "mean-of-no-values": ("max(total.size, 1)", "total.size"),
    },
    "Tensor.var": {
        "var-correction": ("max(n - correction, 0)", "n"),
        "var-of-too-few": ("max(n - correction, 0)", "n - correction"),
        "var-keepdim": ("(centred * centred).sum(dim, keepdim)", "(centred * centred).sum(dim)"),
        "var-without-mean": ("self - mean", "self"),
        "var-of-a-rounded-mean": ("centred - centred.mean(dim, keepdim=True)", "centred"),
    },
    "Tensor.max": {
        "max-is-min": (
            "extreme('max', self, np.argmax, dim, keepdim)",
            "extreme('max', self, np.argmin, dim, keepdim)",
        ),
    },
    "Tensor.min": {
        "min-is-max": (
            "extreme('min', self, np.argmin, dim, keepdim)",
            "extreme('min', self, np.argmax, dim, keepdim)",
        ),
    },
    "Tensor.argmax": {
        "argmax-of-nothing": (
            "checks.axis_with_elements('argmax', self, dim)",
            "None if dim is None else checks.axis(dim, self.ndim)",
        ),
        "argmax-keepdim": ("keepdims=keepdim", "keepdims=False"),
        "argmax-over-all": (
            "checks.axis_with_elements('argmax', self, dim)",
            "checks.axis_with_elements('argmax', self, None)",
        ),
    },
    "Tensor.reshape": {
        "reshape-gradient": ("g.reshape(before)", "g"),
        "reshape-arguments": ("shape=y.shape", "shape=shape"),
        "reshape-copies": ("self.data.reshape(sizes)", "self.data.reshape(sizes).copy()"),
        "reshape-below-1": ("least=-1", "least=-9"),
    },
    "Tensor.permute": {
        "permute-back": ("g.permute(back)", "g.permute(axes)"),
        "permute-arguments": ("dims=axes", "dims=dims"),
        "permute-copies": ("self.data.transpose(axes)", "self.data.transpose(axes).copy()"),
    },
    "Tensor.transpose": {
        "transpose-of-0d": (
            "self.data.swapaxes(i, j) if self.ndim else self.data[...]",
            "self.data.swapaxes(i, j)",
        ),
        "transpose-gradient": ("g.transpose(i, j)", "g"),
        "transpose-arguments": ("dim0=i", "dim0=dim0"),
    },
    "Tensor.T": {
        "T-of-two-axes": (
            "self.data.T",
            "np.moveaxis(self.data, -1, 0) if self.ndim else self.data",
        ),
        "T-gradient": ("g.T", "g"),
    },
    "Tensor.flatten": {
        "flatten-one-axis": ("i > j", "i >= j"),
        "flatten-backwards": ("i > j", "False"),
        "flatten-of-0d": (
            "math.prod(self.shape[i : j + 1])",
            "self.shape[i] * math.prod(self.shape[i + 1 : j + 1])",
        ),
        "flatten-without-the-end": ("self.shape[i : j + 1]", "self.shape[i:j]"),
    },
    "Tensor.squeeze": {
        "squeeze-empty": ("size != 1", "size > 1"),
        "squeeze-all": ("checks.axes(dim, self.ndim)", "checks.axes(None, self.ndim)"),
    },
    "Tensor.unsqueeze": {
        "unsqueeze-last": ("checks.axis(dim, self.ndim + 1)", "checks.axis(dim, self.ndim)")
    },
    "Tensor.expand": {
        "expand-keeps-1": ("size == -1", "False"),
        "expand-new-axes-last": (
            "(-1,) * (len(wanted) - self.ndim) + self.shape",
            "self.shape + (-1,) * (len(wanted) - self.ndim)",
        ),
        "expand-gradient": ("lambda g, y: g", "lambda g, y: -g"),
        "expand-can-be-written": (
            "np.broadcast_to(self.data, sizes)",
            "np.broadcast_to(self.data, sizes).copy()",
        ),
        "expand-arguments": ("shape=sizes", "shape=shape"),
    },
    "Tensor.__getitem__": {
        "index-by-tensors": ("plain_index(index)", "index"),
        "index-copies": ("self.data[index]", "np.array(self.data[index])"),
    },
    "masked": {"masked-again": ("masked(h, mask)", "h")},
    "spread": {"spread-one-more": ("axis in axes", "axis in axes[:1]")},
    "scatter": {
        "index-twice": (
            "all(isinstance(part, slice | int | EllipsisType | None) for part in index)",
            "True",
        ),
        "index-again": ("h[index]", "h[index] * 2"),
        "scatter-dtype": ("np.zeros(shape, g.dtype)", "np.zeros(shape)"),
    },
    "plain_index": {"one-index-only": ("(index,)", "index")},
    "extreme_of_all": {
        "extreme-nan": ("np.isnan(y)", "False"),
        "extreme-ties": ("g / count", "g"),
        "extreme-first-tie": (
            "x.data != y",
            "np.arange(x.data.size).reshape(x.shape) != arg(x.data)",
        ),
        "extreme-in-the-memory-of-the-tensor": (
            "x.data.reshape(-1)[arg(x.data)]",
            "x.data.reshape(-1)[arg(x.data) : arg(x.data) + 1].reshape(())",
        ),
        "extreme-named-max": ("name", "'max'"),
    },
    "extreme": {
        "extreme-not-checked": ("checks.extreme(name, dim, keepdim)", "pass"),
        "extreme-of-none": (
            "checks.axis_with_elements(name, x, dim)",
            "None if dim is None else checks.axis(dim, x.ndim)",
        ),
        "extreme-of-0d": ("x.ndim == 0", "False"),
        "extreme-keepdim": (
            "found if keepdim else MinMax(*[part.squeeze(axis) for part in found])",
            "found",
        ),
        "extreme-drops-all": ("part.squeeze(axis)", "part.squeeze()"),
        "extreme-indices-keep": (
            "MinMax(*[part.squeeze(axis) for part in found])",
            "MinMax(found.values.squeeze(axis), found.indices)",
        ),
        "extreme-indices-dtype": ("index.astype(int64, copy=False)", "index.astype(float64)"),
        "extreme-of-0d-shares": (
            "extreme(name, x.reshape(1), arg, 0, keepdim=False)",
            "MinMax(x, wrap(np.zeros((), int64)))",
        ),
    },
    "where": {
        "where-first": ("~mask", "mask"),
        "where-second": ("masked(g, mask)", "masked(g, ~mask)"),
        "where-small-mask": ("np.broadcast_to(mask, y.shape)", "mask"),
        "where-number-decides": (
            "operands(other, input)",
            "(as_tensor(other), as_tensor(input).to(as_tensor(other).dtype))",
        ),
        "where-any-condition": (
            "checks.condition(condition.data if isinstance(condition, Tensor) else condition)",
            "np.asarray(condition.data if isinstance(condition, Tensor) else condition)",
        ),
        "where-exchanged": ("np.where(mask, a.data, b.data)", "np.where(mask, b.data, a.data)"),
        "where-arguments": ("condition=mask", "condition=condition"),
    },
    "cat": {
        "cat-first-dtype": (
            "max([t.dtype for t in tensors], key=checks.rank)",
            "tensors[0].dtype",
        ),
        "cat-least-dtype": (
            "max([t.dtype for t in tensors], key=checks.rank)",
            "min([t.dtype for t in tensors], key=checks.rank)",
        ),
        "cat-parts": (
            "start, end = end, end + t.shape[axis]",
            "start, end = 0, end + t.shape[axis]",
        ),
        "cat-first-axis": ("(slice(None),) * axis + (slice(start, end),)", "(slice(start, end),)"),
        "cat-last-part": ("lambda g, y, part=part: g[part]", "lambda g, y: g[part]"),
        "cat-nothing": ("checks.joinable(tensors, Tensor)", "pass"),
        "cat-negative-axis": ("checks.axis(dim, tensors[0].ndim)", "dim"),
        "cat-arguments": ("dim=axis", "dim=dim"),
    },
    "stack": {
        "stack-dim": (
            "cat([t.unsqueeze(dim) for t in tensors], dim)",
            "cat([t.unsqueeze(dim) for t in tensors], 0)",
        ),
        "stack-of-other-shapes": ("checks.equal_shapes(tensors)", "pass"),
    },
    "tensor": {
        "tensor-dtype": ("Tensor(data, requires_grad, dtype)", "Tensor(data, requires_grad)")
    },
    "zeros": {
        "zeros-dtype": ("dtype or float32", "float32"),
        "zeros-constant": (
            "Tensor(np.zeros(checks.sizes(size), dtype or float32), requires_grad)",
            "Tensor(np.zeros(checks.sizes(size), dtype or float32))",
        ),
    },
    "ones": {
        "ones-dtype": ("dtype or float32", "float32"),
        "ones-constant": (
            "Tensor(np.ones(checks.sizes(size), dtype or float32), requires_grad)",
            "Tensor(np.ones(checks.sizes(size), dtype or float32))",
        ),
    },
    "randn": {
        "randn-dtype": ("dtype or float32", "float32"),
        "randn-uniform": (
            "generator.standard_normal(checks.sizes(size), dtype or float32)",
            "generator.random(checks.sizes(size), dtype or float32)",
        ),
        "randn-of-any-generator": (
            "generator.standard_normal(checks.sizes(size), dtype or float32)",
            "np.random.default_rng().standard_normal(checks.sizes(size), dtype or float32)",
        ),
    },
    "arange": {
        "arange-dtype": (
            "all(isinstance(value, int) for value in (start, end, step))",
            "any(isinstance(value, int) for value in (start, end, step))",
        ),
        "arange-with-numpys-steps": (
            "start + np.arange(math.ceil((end - start) / step)) * step",
            "np.arange(start, end, step, dtype=float64)",
        ),
        "arange-without-its-last": ("math.ceil((end - start) / step)", "int((end - start) / step)"),
        "arange-not-checked": ("checks.steps(start, end, step, wanted, whole)", "pass"),
        "arange-cut-off-last": ("integers or wanted == int64", "integers"),
        "arange-dtype-ignored": (
            "dtype or (int64 if integers else float32)",
            "int64 if integers else float32",
        ),
        "arange-from-1": ("(0, start)", "(1, start)"),
    },
}
