"""One training program, run under tinygrad_bn and under PyTorch: only the import differs.

From the same initial weights, on the same images, every loss agrees over 50 steps.
"""

import numpy as np
import pytest

import tinygrad_bn
from tinygrad_bn.data import MNIST

STEPS = 50


def build_mlp(nn):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 32, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def build_cnn(nn):
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.BatchNorm2d(8, momentum=None),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 6 * 6, 10),
    )


def train(torch, build, initial, images, labels, is_compiled=False):
    """The program. `torch` is what it imported: PyTorch, or `import tinygrad_bn as torch`."""
    model = build(torch.nn)
    if images.dtype == "float64":
        model = model.double()
    model.load_state_dict({name: torch.tensor(value) for name, value in initial.items()})
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 1e-3}, {"params": others}],
        lr=0.03,
        momentum=0.9,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.03, total_steps=STEPS)
    loss_function = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    called = torch.compile(model) if is_compiled else model

    losses = []
    called.train()
    for x, y in zip(images, labels, strict=True):
        loss = loss_function(called(torch.tensor(x)), torch.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())

    called.eval()
    with torch.no_grad():
        scores = called(torch.tensor(images[0]))
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels[0]))
        right = (scores.argmax(1) == torch.tensor(labels[0])).sum().item()
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    return losses, loss.item(), right, state


@pytest.fixture(scope="module")
def batches():
    """The first rows of the training set, 50 batches of 16, as arrays."""
    images, labels = MNIST()[: STEPS * 16]
    return images.numpy().reshape(STEPS, 16, 1, 28, 28), labels.numpy().reshape(STEPS, 16)


programs = pytest.mark.parametrize("build", [build_mlp, build_cnn])


@programs
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # In float32 they agree to some 1e-6, until a maximum or a ReLU is decided by the last digit:
    # so does PyTorch with itself in float64. At twice this rate that happens within 50 steps.
    [("float64", {"rtol": 1e-9, "atol": 1e-9}), ("float32", {"rtol": 1e-3, "atol": 1e-3})],
)
def test_the_same_program_trains_the_same_model(torch, batches, build, dtype, tolerance):
    initial = {name: value.numpy() for name, value in build(tinygrad_bn.nn).state_dict().items()}
    images, labels = batches[0].astype(dtype), batches[1]
    losses, loss, right, state = train(tinygrad_bn, build, initial, images, labels)
    other_losses, other_loss, other_right, other_state = train(
        torch, build, initial, images, labels
    )
    np.testing.assert_allclose(losses, other_losses, **tolerance)
    np.testing.assert_allclose(loss, other_loss, **tolerance)
    assert right == other_right
    assert list(state) == list(other_state)
    for name, value in state.items():
        assert value.dtype == other_state[name].dtype
        np.testing.assert_allclose(value, other_state[name], **tolerance, err_msg=name)


@programs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own
def test_the_same_line_compiles_the_model(torch, batches, build):
    """PyTorch's compiler is switched off: it would need one for C++, and much time."""
    initial = {name: value.numpy() for name, value in build(tinygrad_bn.nn).state_dict().items()}
    images, labels = batches[0].astype("float64"), batches[1]
    ours = train(tinygrad_bn, build, initial, images, labels, is_compiled=True)
    torch.compiler.set_stance("force_eager")
    try:
        theirs = train(torch, build, initial, images, labels, is_compiled=True)
    finally:
        torch.compiler.set_stance("default")
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9)
    assert ours[2] == theirs[2]
    for name, value in ours[3].items():
        np.testing.assert_allclose(value, theirs[3][name], rtol=1e-9, atol=1e-9, err_msg=name)


@programs
def test_the_program_learns(batches, build):
    """So that the agreement is about training, and also where PyTorch is not installed."""
    initial = {name: value.numpy() for name, value in build(tinygrad_bn.nn).state_dict().items()}
    losses, loss, right, _ = train(tinygrad_bn, build, initial, *batches)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert loss < 1
    assert right >= 13
