"""PyTorch's own samples for each operation, layer and optimizer that exists here, in both.

PyTorch tests itself with them: each operation's usual arguments, its corners, and what it must
refuse. Each is given in every way in which the operation exists in both, as a method, a function,
an operator and in place; values, dtypes, first and second derivatives must agree, and what PyTorch
refuses is refused here. What only PyTorch takes is listed below, by the reason that is given here:
so a new refusal is noticed, and one that is gone.
"""

import operator
import random
import re
from collections import Counter
from functools import cache, partial

import numpy as np
import pytest
from derivatives import FUNCTIONAL, TOLERANCE, derivatives_agree, outputs_of, values
from opinfo import Given, database, tensor
from oracle import array, assert_close
from pytorch import torch

import tinygrad_bn as tg

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:")]
ERRORS = (ValueError, TypeError, IndexError, RuntimeError)  # which our checks raise


DRAWN = ["randn", "nn.functional.dropout"]  # of which only the shape is compared
POWERS = ["pow", "__rpow__"]  # of 0, and to the exponent 0, PyTorch's second derivative is NaN or 0

# What only PyTorch takes, by operation: what is said here, and for how many samples.
REFUSED = {
    "abs": {},
    "add": {},
    "item": {},
    "arange": {},
    "mul": {},
    "sub": {},
    "clone": {"Tensor.clone(#) got an unexpected keyword argument 'memory_format'": 136},
    "clamp": {
        "clamp: min must be a number, not Tensor: where(#) takes tensors": 112,
        "clamp: max must be a number, not Tensor: where(#) takes tensors": 6,
        "dtype int32: convert to float32, float64, int64 or bool (with .astype)": 12,
    },
    "div no_rounding_mode": {},
    "div trunc_rounding": {
        "Tensor.div_(#) got an unexpected keyword argument 'rounding_mode'": 254
    },
    "div floor_rounding": {
        "Tensor.div_(#) got an unexpected keyword argument 'rounding_mode'": 254
    },
    "true_divide": {},
    "exp": {},
    "expand": {},
    "eq": {},
    "ge": {},
    "gt": {},
    "le": {},
    "log": {},
    "lt": {},
    "matmul": {"@: one dtype of numbers is needed, not bool and bool: use .to(#)": 3},
    "max reduction_with_dim": {},
    "max reduction_no_dim": {},
    "min reduction_with_dim": {},
    "min reduction_no_dim": {},
    "max binary": {"max takes an axis, not a tensor: where(a > b, a, b) takes two": 388},
    "min binary": {"min takes an axis, not a tensor: where(a > b, a, b) takes two": 388},
    "softmax": {
        "log_softmax needs one floating-point dtype, not input int64: use .to(dty": 1,
        "log_softmax needs one floating-point dtype, not input bool: use .to(dtyp": 1,
    },
    "softmax with_dtype": {"softmax(#) got an unexpected keyword argument 'dtype'": 28},
    "nn.functional.cross_entropy": {},
    "nn.functional.relu": {},
    "nn.functional.conv2d": {
        "conv2d needs one floating-point dtype, not input int64, weight int64, bi": 24,
        "conv2d needs one floating-point dtype, not input int64, weight int64: us": 6,
    },
    "nn.functional.avg_pool2d": {
        "avg_pool2d(#) takes from # to # positional arguments but # were given": 18,
        "avg_pool2d needs one floating-point dtype, not input int64: use .to(dtyp": 1,
    },
    "nn.functional.max_pool2d": {
        "max_pool2d(#) got an unexpected keyword argument 'return_indices'": 2160,
        "max_pool2d needs one floating-point dtype, not input int64: use .to(dtyp": 720,
    },
    "nn.functional.linear": {
        "linear needs one floating-point dtype, not input int64, weight int64, bi": 9,
        "linear needs one floating-point dtype, not input int64, weight int64: us": 9,
        "linear needs one floating-point dtype, not input bool, weight bool, bias": 2,
        "linear needs one floating-point dtype, not input bool, weight bool: use ": 2,
    },
    "to": {
        "to(..., True): PyTorch's non_blocking and copy are left out": 24,
        "Tensor.to(#) got an unexpected keyword argument 'memory_format'": 48,
        "to(..., False): PyTorch's non_blocking and copy are left out": 24,
    },
    "nn.functional.batch_norm": {
        "batch_norm needs one floating-point dtype, not input bool, running_mean ": 2,
        "batch_norm needs one floating-point dtype, not input int64, running_mean": 2,
        "batch_norm: input must be (N, C, ...), not (#)": 4,
    },
    "nn.functional.batch_norm without_cudnn": {
        "batch_norm needs one floating-point dtype, not input bool, running_mean ": 2,
        "batch_norm needs one floating-point dtype, not input int64, running_mean": 2,
        "batch_norm: input must be (N, C, ...), not (#)": 4,
    },
    "ne": {},
    "neg": {},
    "permute": {},
    "pow": {
        "**: negative powers of integers are no integers: use .float(#)": 4,
        "** is not for bools: convert them first, as with .float(#)": 10,
    },
    "__radd__": {},
    "__rdiv__": {},
    "__rmul__": {},
    "__rmatmul__": {"@: one dtype of numbers is needed, not bool and bool: use .to(#)": 3},
    "__rpow__": {"**: negative powers of integers are no integers: use .float(#)": 90},
    "__rsub__": {},
    "tanh": {},
    "sqrt": {},
    "reshape": {},
    "view": {},
    "flatten": {},
    "__getitem__": {},
    "double": {"Tensor.double(#) got an unexpected keyword argument 'memory_format'": 24},
    "float": {"Tensor.float(#) got an unexpected keyword argument 'memory_format'": 24},
    "randn": {},
    "ones": {},
    "zeros": {},
    "stack": {},
    "cat": {
        "dim # is out of range for a tensor of # dimensions": 4,
        "dtype float16: convert to float32, float64, int64 or bool (with .astype)": 4,
        "cat: shapes [(#), (#), (#)] cannot be joined: all the input arrays must ": 4,
    },
    "squeeze": {},
    "squeeze multiple": {},
    "fill": {},
    "unsqueeze": {},
    "zero_": {},
    "transpose": {},
    "T": {},
    "sigmoid": {},
    "log_softmax": {
        "log_softmax needs one floating-point dtype, not input int64: use .to(dty": 1,
        "log_softmax needs one floating-point dtype, not input bool: use .to(dtyp": 1,
    },
    "log_softmax with_dtype": {"log_softmax(#) got an unexpected keyword argument 'dtype'": 28},
    "where": {
        "cannot combine a tensor with complex 2j": 6,
        "dtype complex128: convert to float32, float64, int64 or bool (with .asty": 2,
    },
    "nn.functional.dropout": {
        "dropout needs one floating-point dtype, not input int64: use .to(dtype)": 15,
        "dropout needs one floating-point dtype, not input bool: use .to(dtype)": 15,
    },
    "nn.functional.mse_loss": {},
    "argmax": {},
    "mean": {},
    "var": {"Tensor.var(#) got an unexpected keyword argument 'unbiased'": 6},
    "var unbiased": {
        "var(True): for PyTorch's unbiased=True give correction=#": 2,
        "var(False): for PyTorch's unbiased=False give correction=#": 2,
    },
    "sum": {},
}

REFUSED_BY_LAYERS = {
    "nn.AvgPool2d": {
        "AvgPool2d.__init__(#) got an unexpected keyword argument 'divisor_overri": 12
    },
    "nn.BatchNorm1d": {"batch_norm eps must be positive during training, but got #": 2},
    "nn.BatchNorm2d": {"batch_norm eps must be positive during training, but got #": 2},
    "nn.Conv2d": {},
    "nn.Linear": {},
    "nn.MaxPool2d": {"MaxPool2d.__init__(#) got an unexpected keyword argument 'return_indices": 4},
    "nn.MSELoss": {},
    "nn.CrossEntropyLoss": {},
    "nn.ReLU": {},
    "nn.Sigmoid": {},
    "nn.Softmax": {},
    "nn.LogSoftmax": {},
    "nn.Tanh": {},
}
REFUSED_BY_SGD = {"parameter #, shape (#), is optimised already": 1}


@cache
def samples_of(module, name):
    """A list of PyTorch's; the test is left out where there is none."""
    try:
        return database(module, name)
    except ImportError as error:
        pytest.skip(f"this PyTorch has no samples of its own: {error}")


@cache
def operations():
    """PyTorch's operations that exist here, by name."""
    found = {}
    for op in samples_of("common_methods_invocations", "op_db"):
        if ways(op):
            found.setdefault(f"{op.name} {op.variant_test_name}".strip(), op)
    return found


# --- the ways in which an operation can be called -----------------------------------------------

PYTHONS = {"div": "truediv", "true_divide": "truediv", "__rdiv__": "__rtruediv__"}


def method(name, m, x, *args, **kwargs):
    found = getattr(x, name)
    return found(*args, **kwargs) if callable(found) else found


def function(name, m, *args, **kwargs):
    return getattr(m, name)(*args, **kwargs)


def where(name, m, x, condition, other):
    return m.where(condition, x, other)


def functional(name, m, *args, **kwargs):
    return getattr(FUNCTIONAL[m], name)(*args, **kwargs)


def by_operator(name, m, x, y=None):
    found = getattr(operator, name)
    return found(x) if y is None else found(x, y)


def ways(op):
    """Functions of (module, *arguments), by how they call it, for each way that exists here."""
    name = op.name.removeprefix("nn.functional.")
    python, ours = PYTHONS.get(name, name), vars(tg.Tensor)
    found = {}
    if python in ours:
        found["method"] = partial(method, python)
    if name in tg.__all__ and callable(getattr(tg, name)):
        found["function"] = partial(where if name == "where" else function, name)
    if name in FUNCTIONAL[tg].__all__:
        found["functional"] = partial(functional, name)
    if f"__{python}__" in ours and hasattr(operator, python):
        found["operator"] = partial(by_operator, python)
    if f"__i{python}__" in ours:
        found["operator in place"] = partial(by_operator, f"i{python}")
    if f"{name}_" in ours:
        found["method in place"] = partial(method, f"{name}_")
    return found


def fits(how, sample):
    """An operator has no options, and a method belongs to a tensor."""
    if "operator" in how:
        return not sample.kwargs and len(sample.args) < 2
    return "method" not in how or isinstance(sample.input, torch.Tensor)


# --- one sample, in one way -----------------------------------------------------------------------


class Refused(Exception):  # noqa: N818  # no error of the test's
    """By us, and not by PyTorch: for this reason."""


class Accepted(Exception):  # noqa: N818
    """By us, and not by PyTorch, which gave this reason."""


USUAL = {"memory_format": [torch and torch.preserve_format], "return_indices": [False]}


def both(call, given):
    """What a call gives under both libraries: Refused or Accepted if it fails in one of them.

    None if it fails in both, as it should.
    """
    results, errors = {}, {}
    for m, arguments, expected in ((torch, given.theirs, Exception), (tg, None, ERRORS)):
        try:
            results[m] = call(m, *(given.ours() if arguments is None else arguments))
        except expected as error:
            errors[m] = error
    if set(errors) == {tg}:
        raise Refused(reason(errors[tg]))
    if set(errors) == {torch}:
        raise Accepted(reason(errors[torch]))
    return (results[tg], results[torch]) if results else None


def agree(call, sample, second, in_place=False, drawn=False):
    """The call under both libraries. second: second derivatives too; drawn: shapes alone."""
    options = {k: v for k, v in sample.kwargs.items() if v not in USUAL.get(k, [])}
    given = Given(([sample.input, *sample.args], options), in_place)
    found = both(lambda m, args, options: outputs_of(call(m, *args, **options)), given)
    if found is None:
        return
    (ys, zs), (xs, ts) = found, given.leaves()
    if drawn:
        ys, zs, xs, ts = [y.detach() * 0 for y in ys], [z.detach() * 0 for z in zs], [], []
    compare(ys, zs, xs, ts, second)


def compare(ys, zs, xs, ts, second):
    """Outputs ys and zs, and their derivatives by the leaves xs and ts."""
    tolerance = max([TOLERANCE.get(str(getattr(y, "dtype", "")), 0) for y in ys])
    for k, (y, z) in enumerate(zip(ys, zs, strict=True)):
        if isinstance(z, torch.Tensor):
            assert_close(values(y), values(z), tolerance, f"output {k}")
            assert y.requires_grad == z.requires_grad, f"output {k}"
        else:
            np.testing.assert_equal(y, z)
    ys, zs = ([t for t in given if getattr(t, "requires_grad", False)] for given in (ys, zs))
    derivatives_agree(ys, zs, xs, ts, tolerance, second)


def reason(error):
    """What an error says first, without its numbers."""
    text = str(error).split("\n")[0]
    text = re.sub(r"-?\b\d+(\.\d+)?(e[-+]?\d+)?\b", "#", text)
    return re.sub(r"\((#,? ?)*\)", "(#)", text)[:72]


# --- all samples ----------------------------------------------------------------------------------


def all_samples(op, dtype):
    """Usual arguments, corners, and what PyTorch refuses, of any of the four dtypes."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    differentiable = op.supports_autograd and dtype.is_floating_point
    try:
        yield from op.reference_inputs("cpu", dtype, requires_grad=differentiable)
    except ValueError:  # some integers among them cannot require a gradient
        yield from op.reference_inputs("cpu", dtype)
    if op.error_inputs_func is not None and dtype == torch.float64:
        yield from [error.sample_input for error in op.error_inputs("cpu")]


def has_zeros(sample):
    return any((array(value) == 0).any() for value in (sample.input, *sample.args))


@pytest.mark.parametrize("name", REFUSED)
def test_operations(name):
    op = operations()[name]
    refused = Counter()
    for dtype in (torch.float64, torch.float32, torch.int64, torch.bool):
        second = dtype == torch.float64 and op.supports_gradgrad
        for i, sample in enumerate(all_samples(op, dtype)):
            for how, call in ways(op).items():
                if not fits(how, sample):
                    continue
                try:
                    with np.errstate(all="ignore"):
                        exact = second and not (name in POWERS and has_zeros(sample))
                        agree(call, sample, exact, "in place" in how, name in DRAWN)
                except Refused as error:
                    refused[str(error)] += 1
                except Exception as error:
                    error.add_note(f"{name}, {how}: sample {i} of {dtype}: {sample}")
                    raise
    assert refused == REFUSED[name]


def test_each_operation_that_exists_here_is_tried():
    assert list(REFUSED) == list(operations())


# --- layers and optimizers ------------------------------------------------------------------------

DTYPES = [torch.float64, torch.float32] if torch else []


def layers():
    """PyTorch's samples of the layers that exist here, by name."""
    infos = samples_of("common_modules", "module_db")
    return {m.name: m for m in infos if m.name.removeprefix("nn.") in tg.nn.__all__}


def layer_samples(info, dtype, training):
    """Usual inputs of a layer, then what PyTorch refuses."""
    torch.manual_seed(0)
    wanted = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
    yield from info.module_inputs_func(info, **wanted)
    if info.module_error_inputs_func is not None:
        errors = info.module_error_inputs_func(info, **wanted)
        yield from [error.module_error_input for error in errors]


def agree_on_a_layer(name, sample, dtype, training):
    """As `agree`, by the inputs and parameters; and the buffers afterwards."""
    parts = [sample.constructor_input, sample.forward_input]
    given = Given((*[(part.args, part.kwargs) for part in parts], dtype, training))
    state = {}

    def call(m, options, inputs, dtype, training):
        layer = getattr(m.nn, name)(*options[0], **options[1]).to(dtype).train(training)
        if m is torch:
            state.update({key: tensor(value) for key, value in layer.state_dict().items()})
        else:
            layer.load_state_dict(state)
        return layer, outputs_of(layer(*inputs[0], **inputs[1]))

    found = both(call, given)
    if found is None:
        return
    (ours, ys), (theirs, zs) = found
    xs, ts = given.leaves()
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    for (key, parameter), (expected, reference) in pairs:
        assert key == expected
        xs.append(parameter)
        ts.append(reference)
    compare(ys, zs, xs, ts, dtype == torch.float64)
    if ys[0].numel() > 0:  # an empty batch is not counted here
        for buffer, expected in zip(ours.buffers(), theirs.buffers(), strict=True):
            assert_close(values(buffer), values(expected), TOLERANCE["float32"])


@pytest.mark.parametrize("name", REFUSED_BY_LAYERS)
def test_layers(name):
    refused = Counter()
    for dtype in DTYPES:
        for training in (True, False):
            for i, sample in enumerate(layer_samples(layers()[name], dtype, training)):
                try:
                    with np.errstate(all="ignore"):
                        agree_on_a_layer(name.removeprefix("nn."), sample, dtype, training)
                except (Refused, Accepted) as error:
                    refused[str(error)] += 1
                except Exception as error:
                    error.add_note(f"sample {i} of {dtype}, training={training}: {sample.desc}")
                    raise
    assert refused == REFUSED_BY_LAYERS[name]


def test_each_layer_that_exists_here_is_tried():
    assert list(REFUSED_BY_LAYERS) == list(layers())


def optimizer_samples():
    """Options of SGD, then what PyTorch refuses."""
    (info,) = [i for i in samples_of("common_optimizers", "optim_db") if i.name == "SGD"]
    yield from info.optim_inputs_func("cpu", torch.float64)
    for error in info.optim_error_inputs_func("cpu", torch.float64):
        yield error.optimizer_error_input


def test_sgd():
    refused = Counter()
    for sample in optimizer_samples():
        start = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in ((3, 2), ())]
        given = Given((start if sample.params is None else sample.params, sample.kwargs), True)

        def call(m, params, options):
            [p.requires_grad_() for p in params if hasattr(p, "requires_grad_")]
            optimizer = m.optim.SGD(params, **options)
            for step in range(4):
                for p in params:
                    p.grad = (p * step - 1).detach()
                optimizer.step()
            return [p.detach() for p in params]

        try:
            found = both(call, given)
            if found is not None:
                compare(*found, [], [], False)
        except (Refused, Accepted) as error:
            refused[str(error)] += 1
        except Exception as error:
            error.add_note(sample.desc)
            raise
    assert refused == REFUSED_BY_SGD
