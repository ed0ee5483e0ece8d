"""No dtype is invented, no input changed, and no result depends on how arrays lie in memory.

The cases are those of the vectors (make_vectors.py): every operation, layer, loss and optimizer.
Here their inputs, parameters, cotangents and gradients come in each memory layout, read-only, with
NaN around them; the results must be the stored ones all the same. test_vectors.py has held the
dtypes of all results against PyTorch's; below are those that a NumPy number could change.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from layouts import LAYOUTS, repeated
from make_vectors import FOLDER, read, run
from oracle import around, assert_same_results, normal

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.nn import functional as F

FILES = {path.stem: read(path)[1] for path in sorted(FOLDER.glob("*.npz"))}
FLOATS = [np.float32, np.float64]
both = pytest.mark.parametrize("dtype", FLOATS)


# --- memory order ---------------------------------------------------------------------------------


def as_it_is(data, *, requires_grad=False, **options):
    """A tensor around an array, in the array's own memory."""
    t = around(data) if isinstance(data, np.ndarray) else tg.tensor(data, **options)
    t.requires_grad = requires_grad
    return t


LIBRARY = SimpleNamespace(**vars(tg) | {"tensor": as_it_is})


def is_changed(case, name):
    """Whether the case is there to change this array: a parameter, or a running statistic."""
    return name in case.get("buffers", ()) or (case["kind"] == "optimizer" and name[0] == "p")


def undisturbed(case, given, dtype):
    """The results, after making sure that nothing was written where nothing should be."""
    whole = {k: v if v.base is None else v.base for k, v in given.items()}
    kept = {k: v.copy() for k, v in whole.items() if not is_changed(case, k)}
    for name, array in given.items():
        array.flags.writeable = is_changed(case, name)
    undefined = any(np.isnan(v).any() for v in case["expected"]["float64"].values())
    asked_for = "ignore" if undefined else "warn"
    with np.errstate(invalid=asked_for, divide=asked_for):
        results = run(case, given, LIBRARY, dtype)
    for name, copy in kept.items():
        np.testing.assert_array_equal(whole[name], copy, err_msg=name)
    return results


def uncounted(found, expected):
    """What is expected, but for the count of batches: PyTorch counts the empty ones too."""
    counts = {name: value for name, value in found.items() if "num_batches_tracked" in name}
    return expected | counts


def typed(array, dtype):
    """In memory of its own, in that dtype if it is of floats."""
    return np.array(array, dtype if array.dtype.kind == "f" else None)


@pytest.mark.parametrize("file", [name for name in FILES if name != "schedules"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_results_do_not_depend_on_memory_order_and_inputs_are_left_alone(file, layout):
    for case in FILES[file]:
        given = {k: typed(v, "float64") for k, v in case["given"].items()}
        given = {k: layout(v) if v.ndim else v for k, v in given.items()}
        found = undisturbed(case, given, "float64")
        try:
            assert_same_results(found, uncounted(found, case["expected"]["float64"]))
        except AssertionError as error:
            raise AssertionError(f"{case['code']}: {error}") from error


@pytest.mark.parametrize("file", [name for name in FILES if name != "schedules"])
def test_views_repeated_by_broadcasting_are_as_good_as_copies(file):
    """Stride 0: the same number at every place of the last axis, and none can be written."""
    for case in FILES[file]:
        views = {
            k: repeated(typed(v, "float64"), axis=-1)
            if v.ndim and v.dtype.kind == "f" and not is_changed(case, k)
            else typed(v, "float64")
            for k, v in case["given"].items()
        }
        copies = {k: np.array(v, order="C") for k, v in views.items()}
        found, expected = (undisturbed(case, given, "float64") for given in (views, copies))
        assert_same_results(found, expected)


# --- dtypes that a NumPy number could change ------------------------------------------------------


WITH_NUMBERS = {  # an option as a NumPy number of the other precision
    "BatchNorm eps": lambda k: nn.BatchNorm1d(3, eps=k(1e-3)),
    "BatchNorm momentum": lambda k: nn.BatchNorm1d(3, momentum=k(0.25)),
    "Dropout": lambda k: nn.Dropout(k(0.25)),
    "cross_entropy": lambda k: (
        lambda x: F.cross_entropy(x, tg.tensor([0, 1, 2, 1]), label_smoothing=k(0.25))
    ),
    "cross_entropy, probabilities": lambda k: (
        lambda x: F.cross_entropy(x, F.softmax(x.detach(), 1), label_smoothing=k(0.25))
    ),
    "clamp": lambda k: lambda x: x.clamp(k(-0.5), k(0.5)),
    "where": lambda k: lambda x: tg.where(x > k(0), x, k(0.5)),
    "arithmetic": lambda k: lambda x: (k(2) * x + k(1)) / k(3) - k(0.5) * abs(x) ** k(1.5),
}


@both
@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("make", WITH_NUMBERS.values(), ids=WITH_NUMBERS.keys())
def test_a_numpy_number_as_an_option_does_not_change_the_dtype(make, kind, dtype):
    function = make(kind)
    if isinstance(function, nn.Module):
        function = function.to(dtype)
    x = tg.tensor(normal(4, 3).astype(dtype), requires_grad=True)
    y = function(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    if isinstance(function, nn.Module):
        floats = [t for t in function.state_dict().values() if t.is_floating_point()]
        assert all(t.dtype == dtype for t in floats)


@both
@pytest.mark.parametrize("kind", [float, *FLOATS])
@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "one cycle"])
def test_an_optimizer_and_its_schedule_keep_the_dtype(schedule, kind, dtype):
    p = tg.tensor(normal(3).astype(dtype), requires_grad=True)
    optimizer = optim.SGD(
        [p], lr=kind(0.125), momentum=kind(0.5), dampening=kind(0.25), weight_decay=kind(0.25)
    )
    made = {
        "none": lambda: None,
        "step": lambda: optim.lr_scheduler.StepLR(optimizer, 1, kind(0.5)),
        "cosine": lambda: optim.lr_scheduler.CosineAnnealingLR(optimizer, 5, kind(0.25)),
        "one cycle": lambda: optim.lr_scheduler.OneCycleLR(optimizer, kind(0.5), 5),
    }[schedule]()
    for _ in range(4):
        optimizer.zero_grad()
        (p * p).sum().backward()
        gradient = p.grad.numpy().copy()
        optimizer.step()
        np.testing.assert_array_equal(p.grad.numpy(), gradient)
        if made is not None:
            made.step()
        assert p.dtype == p.grad.dtype == dtype
        assert {state["momentum_buffer"].dtype for state in optimizer.state.values()} == {
            np.dtype(dtype)
        }


@both
def test_a_model_keeps_its_dtype_through_training_saving_and_evaluation(dtype):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same"), nn.BatchNorm2d(2), nn.Tanh(), nn.MaxPool2d(2),
        nn.AvgPool2d(2), nn.Dropout(0.25), nn.Flatten(), nn.Linear(8, 3), nn.Sigmoid(),
        nn.BatchNorm1d(3, momentum=None), nn.LogSoftmax(1),
    ).to(dtype)  # fmt: skip
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    x = tg.tensor(normal(4, 1, 8, 8).astype(dtype), requires_grad=True)
    for _ in range(2):
        y = model.train()(x)
        optimizer.zero_grad()
        nn.MSELoss()(y, tg.zeros(4, 3, dtype=dtype)).backward()
        optimizer.step()
        model.load_state_dict({k: v.numpy() for k, v in model.state_dict().items()})
    tensors = [
        y,
        x.grad,
        model.eval()(x),
        *model.parameters(),
        *(p.grad for p in model.parameters()),
    ]
    assert {t.dtype for t in tensors} == {np.dtype(dtype)}
    state = {k: v.dtype for k, v in model.state_dict().items()}
    assert {v for k, v in state.items() if "num_batches" in k} == {np.dtype("int64")}
    assert {v for k, v in state.items() if "num_batches" not in k} == {np.dtype(dtype)}


# --- images that are too small --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "kernel", "options"),
    [
        ((2, 5), 3, {}), ((5, 2), 3, {}), ((1, 1), 2, {}), ((1, 1), (1, 2), {}),
        ((1, 4), (4, 1), {"padding": (1, 0)}), ((4, 4), 3, {"dilation": 2}),
        ((0, 4), 1, {}), ((4, 0), 1, {}), ((2, 2), 5, {"padding": 1, "stride": 2}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("leading", [(2, 3), (0, 3), (3,)], ids=["batch", "no images", "one image"])
def test_an_image_smaller_than_the_padded_kernel_is_refused_and_says_so(
    image, kernel, options, leading
):
    """In both libraries; here the message says what did not fit into what."""
    x = tg.zeros(*leading, *image)
    message = rf"kernel does not fit into the padded image.*{re.escape(str(image))}"
    layers = [nn.Conv2d(3, 2, kernel, **options)]
    layers += [nn.MaxPool2d(kernel, **options)]
    layers += [] if "dilation" in options else [nn.AvgPool2d(kernel, **options)]
    for layer in layers:
        with pytest.raises(ValueError, match=message):
            layer(x)
