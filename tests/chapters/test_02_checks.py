"""What is refused, and how the message says so: sizes, ranges, options, positions.

The checks stand in one chapter, apart from the ideas that they protect; what they protect comes
later, and so these tests call the layers and functions of later chapters.
"""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn

F = tg.nn.functional


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.Linear(0, 3), "in_features.*0"),
        (lambda: nn.Linear(3, -1), "out_features.*-1"),
        (lambda: nn.Linear(2.5, 3), r"in_features.*2\.5"),
        (lambda: nn.Conv2d(0, 3, 1), "in_channels.*0"),
        (lambda: nn.Conv2d(3, 0, 1), "out_channels.*0"),
        (lambda: nn.Conv2d(3, 3, 0), "kernel_size.*0"),
        (lambda: nn.Conv2d(3, 3, (1, 2, 3)), r"kernel_size.*\(1, 2, 3\)"),
        (lambda: nn.Conv2d(3, 3, 1, stride=0), "stride.*0"),
        (lambda: nn.Conv2d(3, 3, 1, padding=-1), "padding.*-1"),
        (lambda: nn.Conv2d(3, 3, 1, padding="full"), "padding.*full"),
        (lambda: nn.Conv2d(3, 3, 3, padding="same", stride=2), "same.*stride"),
        (lambda: nn.Conv2d(3, 3, 1, dilation=0), "dilation.*0"),
        (lambda: nn.Conv2d(4, 3, 1, groups=2), r"(?=.*groups=2)(?=.*out_channels=3)"),
        (lambda: nn.Conv2d(3, 4, 1, groups=2), r"(?=.*groups=2)(?=.*in_channels=3)"),
        (lambda: nn.Conv2d(3, 3, 1, padding_mode="reflect"), "padding_mode.*reflect"),
        (lambda: nn.BatchNorm1d(0), "num_features.*0"),
        (lambda: nn.BatchNorm1d(3, eps=-1.0), r"eps.*-1\.0"),
        (lambda: nn.BatchNorm1d(3, eps=math.nan), "eps.*nan"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), r"momentum.*1\.5"),
        (lambda: nn.BatchNorm2d(3, momentum=math.nan), "momentum.*nan"),
        (lambda: nn.Dropout(1.5), r"p .*1\.5"),
        (lambda: nn.Dropout(-0.1), r"p .*-0\.1"),
        (lambda: nn.MaxPool2d(0), "kernel_size.*0"),
        (lambda: nn.MaxPool2d(2, stride=0), "stride.*0"),
        (lambda: nn.MaxPool2d(2, padding=2), "padding.*2"),
        (lambda: nn.MaxPool2d(2, dilation=0), "dilation.*0"),
        (lambda: nn.AvgPool2d(-1), "kernel_size.*-1"),
        (lambda: nn.AvgPool2d(2, stride=(1, 0)), r"stride.*\(1, 0\)"),
        (lambda: nn.AvgPool2d(2, padding=2), "padding.*2"),
        (lambda: nn.CrossEntropyLoss(reduction="avg"), "'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing.*2"),
        (lambda: nn.MSELoss(reduction="avg"), "'avg'"),
        (lambda: nn.Sequential(nn.ReLU(), F.relu), "argument 1.*relu"),
        (lambda: nn.Sequential([nn.ReLU()]), "argument 0"),
    ],
)
def test_a_constructor_refuses_a_wrong_value_by_name(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


LEFT_OUT = [  # options of PyTorch's: (what takes it there, with its right arguments, the option)
    (F.max_pool2d, (tg.zeros(1, 1, 4, 4), 2), "return_indices"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "divisor_override"),
    (F.dropout, (tg.zeros(1),), "inplace"),
    (F.relu, (tg.zeros(1),), "inplace"),
    (nn.MaxPool2d, (2,), "return_indices"),
    (nn.AvgPool2d, (2,), "divisor_override"),
    (nn.Dropout, (), "inplace"),
    (nn.ReLU, (), "inplace"),
    (nn.Conv2d, (1, 1, 1), "device"),
    (nn.Conv2d, (1, 1, 1), "dtype"),
    (nn.Linear, (1, 1), "device"),
    (nn.Linear, (1, 1), "dtype"),
    (nn.BatchNorm1d, (1,), "device"),
    (nn.BatchNorm1d, (1,), "dtype"),
    (nn.BatchNorm2d, (1,), "device"),
    (nn.BatchNorm2d, (1,), "dtype"),
]


@pytest.mark.parametrize(("make", "right", "option"), LEFT_OUT)
def test_an_option_of_pytorchs_that_is_left_out_is_refused_by_name(make, right, option):
    make(*right)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        make(*right, **{option: None})


def test_sizes_are_integers_of_python_or_numpy_but_not_truth_values():
    conv = nn.Conv2d(np.int64(2), 3, np.int32(3), stride=(np.int64(2), 1))
    assert repr(conv) == "Conv2d(2, 3, kernel_size=(3, 3), stride=(2, 1))"
    assert nn.MaxPool2d(np.int64(1))(tg.ones(1, 1, 2, 2)).shape == (1, 1, 2, 2)
    for make in (
        lambda: nn.Conv2d(2, 3, True),
        lambda: nn.Conv2d(True, 3, 1),
        lambda: nn.MaxPool2d((2, True)),
        lambda: nn.Conv2d(2, 3, 2.0),
        lambda: nn.MaxPool2d(np.int64(0)),
    ):
        with pytest.raises(ValueError, match=r"True|2\.0|\(0\)"):
            make()


def ones(*shape, **options):
    return tg.ones(*shape, **options)


def scheduled(max_lr, **options):
    groups = [{"params": [tg.zeros(1)]} for _ in range(2)]
    opt = tg.optim.SGD(groups, momentum=0.9)
    return tg.optim.lr_scheduler.OneCycleLR(opt, max_lr, 10, **options)


class Plain(tg.optim.Optimizer):
    """Without a momentum."""

    def __init__(self):
        super().__init__([tg.zeros(1)], {"lr": 0.1})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MSELoss(reduction="a"), ValueError, "must be 'mean', 'sum' or 'none', not 'a'"),
        (lambda: F.linear(ones(2), ones(1, 1, 2)), ValueError, r"weight must be \(out, in\), not"),
        (lambda: F.conv2d(ones(1, 1, 2, 2), ones(1, 2, 2)), ValueError, "kernels are.*not"),
        (lambda: F.conv2d(ones(1, 2, 2), ones(1, 2, 2)), ValueError, "kernels are.*not"),
        (lambda: F.conv2d(ones(1, 0, 2, 2), ones(1, 0, 1, 1)), ValueError, "none.*may be 0"),
        (lambda: F.conv2d(ones(1, 2, 2, 2), ones(0, 2, 1, 1)), ValueError, "none.*may be 0"),
        (lambda: nn.Conv2d(4, 4, 1, groups=0), ValueError, "groups must be.*not 0"),
        (lambda: nn.MaxPool2d((4, 2), padding=(0, 2)), ValueError, r"padding \(0, 2\) is more"),
        (lambda: nn.MaxPool2d((2, 4), padding=(2, 0)), ValueError, r"padding \(2, 0\) is more"),
        (lambda: F.cross_entropy(ones(2, 3), ones(2, 2)), ValueError, r"shape \(2, 3\), not \(2,"),
        (
            lambda: F.cross_entropy(ones(2, 3), ones(2, 3), ignore_index=0),
            ValueError,
            "ignore_index=0 is of no use",
        ),
        (
            lambda: F.batch_norm(ones(2, 1), *[ones(1, dtype=tg.float64)] * 2),
            TypeError,
            "input float32.*running_mean float64",
        ),
        (lambda: tg.optim.lr_scheduler.OneCycleLR(Plain(), 1.0, 9), ValueError, "Plain has no mom"),
        (lambda: scheduled([2.0, -1.0]), ValueError, "max_lr must be.*-1"),
        (lambda: scheduled((1.0, 2.0, 3.0)), ValueError, "2 groups"),
        (lambda: nn.Conv2d(1, 1, 1, padding="reflect"), ValueError, "'same' or 'valid'"),
        (lambda: nn.Conv2d(1, 1, 3, (2, 1), "same"), ValueError, r"needs stride 1, not \(2, 1\)"),
        (lambda: nn.Conv2d(1, 1, 3, (1, 2), "same"), ValueError, r"needs stride 1, not \(1, 2\)"),
    ],
)
def test_a_message_says_which_condition_was_broken(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_list_or_a_tuple_has_one_value_for_each_group():
    for values in ([1.0, 2.0], (1.0, 2.0)):
        schedule = scheduled(values)
        assert [group["max_lr"] for group in schedule.optimizer.param_groups] == [1.0, 2.0]


def test_a_pair_may_be_a_list():
    assert nn.Conv2d(1, 1, [2, 3], [1, 2]).kernel_size == (2, 3)
    assert F.max_pool2d(tg.ones(1, 1, 4, 6), [2, 3]).shape == (1, 1, 2, 2)


def test_a_gradient_may_be_asked_of_a_result_that_has_one():
    y = tg.ones(1, requires_grad=True) * 2
    assert y.requires_grad_(True) is y
    with pytest.raises(RuntimeError, match="leaves only"):
        y.requires_grad = False
