"""First and second derivatives as difference quotients: what the chapters do not check so.

Whole layers with their parameters, in training and in evaluation; losses with every kind of target;
options in combination; and empty inputs.
"""

import numpy as np
import pytest
from oracle import normal

import tinygrad_bn as tg
from tinygrad_bn.autograd import gradcheck, gradgradcheck

LAYERS = {
    "Linear": (lambda nn: nn.Linear(3, 2), (2, 3)),
    "Linear, one sample": (lambda nn: nn.Linear(3, 2), (3,)),
    "Linear, no bias": (lambda nn: nn.Linear(3, 2, bias=False), (2, 2, 3)),
    "Conv2d": (lambda nn: nn.Conv2d(4, 2, (2, 3), (2, 1), (1, 2), (1, 2), 2), (1, 4, 4, 4)),
    "Conv2d same": (lambda nn: nn.Conv2d(1, 2, (2, 3), padding="same", dilation=(2, 1)), (1, 4, 3)),
    "Conv2d depthwise": (lambda nn: nn.Conv2d(3, 3, 2, groups=3, bias=False), (2, 3, 3, 2)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(2), (4, 2)),
    "BatchNorm1d on signals": (lambda nn: nn.BatchNorm1d(2, momentum=None), (2, 2, 3)),
    "BatchNorm1d, no bias": (lambda nn: nn.BatchNorm1d(2, bias=False), (4, 2)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(2, eps=0.1), (2, 2, 2, 2)),
    "BatchNorm2d, not affine": (lambda nn: nn.BatchNorm2d(2, affine=False), (2, 2, 2, 2)),
    "BatchNorm2d, own": (lambda nn: nn.BatchNorm2d(2, track_running_stats=False), (2, 2, 2, 2)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d((2, 3), 1, (1, 0)), (2, 3, 4)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d((2, 3), 1, (1, 1), (2, 1)), (2, 3, 4)),
    "Softmax": (lambda nn: nn.Softmax(1), (2, 3, 2)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(0), (3, 2)),
    "ReLU": (lambda nn: nn.ReLU(), (3, 2)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (3, 2)),
    "Tanh": (lambda nn: nn.Tanh(), (3, 2)),
    "Flatten": (lambda nn: nn.Flatten(0, 1), (2, 3, 2)),
    "Identity": (lambda nn: nn.Identity(), (2, 3)),
    "Dropout": (lambda nn: nn.Dropout(0.4), (3, 4)),
    "a network": (
        lambda nn: nn.Sequential(
            nn.Conv2d(1, 2, 2, bias=False),
            nn.BatchNorm2d(2, eps=0.1),
            nn.Tanh(),
            nn.AvgPool2d(2, 1),
            nn.Flatten(),
            nn.Linear(8, 2),
            nn.BatchNorm1d(2, eps=0.1),
        ),
        (3, 1, 4, 4),
    ),
}


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_of_a_layer_by_input_and_parameters_are_difference_quotients(name, mode):
    make, shape = LAYERS[name]
    layer = make(tg.nn).double().train(mode == "training")
    x = tg.tensor(normal(*shape, seed=3), requires_grad=True)

    def forward(x, *_):
        tg.manual_seed(4)  # for dropout
        return layer(x * x)  # squared: linear layers have a second derivative too

    inputs = [x, *layer.parameters()]
    assert gradcheck(forward, inputs)
    assert gradgradcheck(forward, inputs, atol=1e-6, rtol=1e-5)


labels = np.array([1, 0, 3, 1])
LOSSES = {
    "cross-entropy": {},
    "weighted": {"weight": tg.tensor(np.array([0.5, 2.0, 0.0, 1.0]))},
    "smoothed": {"label_smoothing": 0.3, "weight": tg.tensor(np.array([0.5, 2.0, 0.1, 1.0]))},
    "ignoring": {"ignore_index": 1, "reduction": "sum"},
    "not reduced": {"reduction": "none", "label_smoothing": 0.2},
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (2, 4, 1, 2), (4,)])
def test_derivatives_of_cross_entropy_of_indices_are_difference_quotients(name, shape):
    target = tg.tensor(labels.reshape(*shape[:1], *shape[2:]) if len(shape) > 1 else labels[2])
    scores = tg.tensor(normal(*shape, seed=2), requires_grad=True)
    loss = tg.nn.CrossEntropyLoss(**LOSSES[name])
    assert gradcheck(lambda x: loss(x, target), scores)
    assert gradgradcheck(lambda x: loss(x, target), scores)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ignoring"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 4, 2), (4,)])
def test_derivatives_of_cross_entropy_of_probabilities_are_difference_quotients(name, shape):
    scores = tg.tensor(normal(*shape, seed=2), requires_grad=True)
    target = tg.tensor(abs(normal(*shape, seed=3)), requires_grad=True)
    loss = tg.nn.CrossEntropyLoss(**LOSSES[name])
    assert gradcheck(loss, [scores, target])
    assert gradgradcheck(loss, [scores, target])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_derivatives_of_the_squared_error_are_difference_quotients(reduction):
    x, t = (tg.tensor(normal(2, 3, seed=s), requires_grad=True) for s in (1, 2))
    loss = tg.nn.MSELoss(reduction=reduction)
    assert gradcheck(loss, [x, t])
    assert gradgradcheck(loss, [x, t])


w = tg.tensor(normal(2, 3, 2, 2, seed=8), requires_grad=True)
EMPTY = {  # what PyTorch allows to be empty
    "arithmetic": (lambda x, w: (x * w[0, 0, 0, 0] + 1) / 2 - x**2, (0, 3)),
    "elementwise": (lambda x, w: (x.exp() + x.tanh() + x.sigmoid() + abs(x)).relu(), (2, 0)),
    "clamp, where": (lambda x, w: tg.where(x > 0, x.clamp(0, 1), x), (0,)),
    "sum": (lambda x, w: x.sum(0), (0, 3)),
    "max of none": (lambda x, w: x.max(1).values, (0, 3)),
    "shapes": (lambda x, w: x.reshape(3, 0).T.unsqueeze(1).expand(0, 2, 3).flatten(1), (0, 3)),
    "index": (lambda x, w: x[:, [0, 2, 0]][..., 1:], (0, 3)),
    "cat": (lambda x, w: tg.cat([x, w[0, :, 0, :1].T]) ** 2, (0, 3)),
    "matmul": (lambda x, w: x @ w[0, :, 0], (0, 3)),
    "matmul over none": (lambda x, w: x.T @ x + w[0, :, 0, :1], (0, 3)),
    "softmax": (lambda x, w: tg.nn.functional.softmax(x, 1), (0, 3)),
    "linear": (lambda x, w: tg.nn.functional.linear(x, w[0, :, 0].T), (0, 3)),
    "conv2d": (lambda x, w: tg.nn.functional.conv2d(x, w, padding=1), (0, 3, 4, 4)),
    "max_pool2d": (lambda x, w: tg.nn.functional.max_pool2d(x, 2), (0, 3, 4, 4)),
    "avg_pool2d": (lambda x, w: tg.nn.functional.avg_pool2d(x, 2), (0, 3, 4, 4)),
    "batch_norm": (
        lambda x, w: tg.nn.functional.batch_norm(x, None, None, w[0, :, 0, 0], training=True),
        (0, 3, 2),
    ),
    "cross_entropy": (
        lambda x, w: tg.nn.functional.cross_entropy(x, tg.tensor(labels[:0]), reduction="sum"),
        (0, 3),
    ),
    "mse_loss": (lambda x, w: tg.nn.functional.mse_loss(x, x * x, reduction="sum"), (0, 3)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_derivatives_with_empty_inputs_are_difference_quotients(name):
    function, shape = EMPTY[name]
    x = tg.Tensor(np.zeros(shape), requires_grad=True)
    assert gradcheck(function, [x, w])
    found = tg.grad(function(x, w).sum(), x)[0]
    assert (found.shape, found.dtype) == (shape, tg.float64)

    def squared(x, w):
        y = function(x, w * w)
        return y * y

    assert gradgradcheck_if_varying(squared, [x, w])


def gradgradcheck_if_varying(function, inputs):
    """For outputs that depend on both inputs, or on the (empty) one alone."""
    found = tg.grad(function(*inputs).sum(), inputs, allow_unused=True)
    used = [t for t, g in zip(inputs, found, strict=True) if g is not None]
    if len(used) == len(inputs):
        return gradgradcheck(function, inputs)
    return gradgradcheck(lambda x: function(x, inputs[1]), used)
