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
    (F.max_pool2d, (tg.zeros(1, 1, 4, 4), 2), "ceil_mode"),
    (F.max_pool2d, (tg.zeros(1, 1, 4, 4), 2), "return_indices"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "ceil_mode"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "count_include_pad"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "divisor_override"),
    (F.dropout, (tg.zeros(1),), "inplace"),
    (F.relu, (tg.zeros(1),), "inplace"),
    (nn.MaxPool2d, (2,), "ceil_mode"),
    (nn.MaxPool2d, (2,), "return_indices"),
    (nn.AvgPool2d, (2,), "ceil_mode"),
    (nn.AvgPool2d, (2,), "count_include_pad"),
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
    for make in (
        lambda: nn.Conv2d(2, 3, True),
        lambda: nn.Conv2d(True, 3, 1),
        lambda: nn.MaxPool2d((2, True)),
        lambda: nn.Conv2d(2, 3, 2.0),
    ):
        with pytest.raises(ValueError, match=r"True|2\.0"):
            make()
