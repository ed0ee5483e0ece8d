"""Whole trainings, 200 steps in step with PyTorch: the examples' networks and a residual one.

Both libraries run the same code on the same batches from the same weights. After every step the
losses, all gradients, weights and running statistics agree, in float64 to 1e-9; so the
first step at which they do not is the one that is named. The rates are small enough that rounding
is not amplified: at large ones PyTorch does not agree with itself on another machine either.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_same_results

import tinygrad_bn
from tinygrad_bn.data import MNIST

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS, BATCH = 200, 8
EXACT = {"float64": 1e-9}


def example(name):
    """A function nn -> model: the `build` of an example, on either library, without dropout."""

    def build(nn):
        pytest.importorskip("safetensors")  # the examples import both
        pytest.importorskip("tqdm")
        specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        module.nn = nn
        model = module.build()
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        return model

    build.__name__ = name
    return build


def residual(nn):
    """Two blocks; the second halves the image, and so its shortcut is a convolution of stride 2."""

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, padding="same", bias=False)
            self.bn2 = nn.BatchNorm2d(after, momentum=None)
            self.relu = nn.ReLU()
            self.shortcut = nn.Identity()
            if stride != 1 or before != after:
                convolution = nn.Conv2d(before, after, 1, stride, bias=False)
                self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(after))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 4, 4, 4, bias=False), nn.BatchNorm2d(4))
            self.blocks = nn.Sequential(Block(4, 4, 1), Block(4, 8, 2))
            self.head = nn.Linear(8, 10)

        def forward(self, x):
            return self.head(self.blocks(self.stem(x)).mean((2, 3)))

    return Residual()


PROGRAMS = {  # name: (model function, highest learning rate)
    "MLP": (example("mnist_mlp"), 0.01),
    "CNN": (example("mnist_cnn"), 0.01),
    "residual": (residual, 0.05),
}
programs = pytest.mark.parametrize("name", PROGRAMS)


def copies(named):
    return {name: np.array(value.detach().numpy()) for name, value in named}


def model_of(m, name, initial=None):
    model = PROGRAMS[name][0](m.nn).double()
    if initial is not None:
        model.load_state_dict({k: m.tensor(v) for k, v in initial.items()})
    return model


def train(m, model, lr, batches):
    """The program, which is that of the examples. After each step: all that should agree."""
    optimizer = m.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = m.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=STEPS)
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss = m.nn.functional.cross_entropy(model(m.tensor(x)), m.tensor(y))
        loss.backward()
        gradients = copies((f"d {k}", p.grad) for k, p in model.named_parameters())
        optimizer.step()
        schedule.step()
        yield {"loss": np.array(loss.item())} | gradients | copies(model.state_dict().items())


@pytest.fixture(scope="module")
def batches():
    images, labels = MNIST()[: STEPS * BATCH]
    shape = (STEPS, BATCH, 1, 28, 28)
    pixels = images.numpy().astype("float64").reshape(shape)
    return list(zip(pixels, labels.numpy().reshape(STEPS, BATCH), strict=True))


def scores(m, model, images):
    model.eval()
    with m.no_grad():
        return np.array(model(m.tensor(images)).numpy())


def exchanged(ours, theirs, torch, folder, way):
    """The state of each model, as the other library would load it."""
    if way == "in memory":
        return ours.state_dict(), theirs.state_dict()
    arrays_in_files = pytest.importorskip("safetensors.numpy")
    from safetensors.torch import load_file, save_file

    save_file(theirs.state_dict(), folder / "theirs")
    arrays = {k: v.numpy() for k, v in ours.state_dict().items()}
    arrays_in_files.save_file(arrays, folder / "ours")
    return load_file(folder / "ours"), arrays_in_files.load_file(folder / "theirs")


@programs
def test_200_steps_agree_with_pytorch_and_the_models_can_be_exchanged(
    torch, batches, name, tmp_path
):
    ours = model_of(tinygrad_bn, name)
    theirs = model_of(torch, name, copies(ours.state_dict().items()))
    lr, losses = PROGRAMS[name][1], []
    both = (train(m, model, lr, batches) for m, model in ((tinygrad_bn, ours), (torch, theirs)))
    for step, (found, expected) in enumerate(zip(*both, strict=True)):
        assert_same_results(found, expected, EXACT, f"at step {step}")
        losses.append(found["loss"])
    assert len(losses) == STEPS
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])  # so that this is a training

    images = batches[0][0]
    expected = scores(torch, theirs, images)
    np.testing.assert_allclose(scores(tinygrad_bn, ours, images), expected, rtol=1e-9, atol=1e-9)
    for way in ("in memory", "in a file"):
        for_them, for_us = exchanged(ours, theirs, torch, tmp_path, way)
        if way == "in memory":
            for_them = {k: torch.tensor(v.numpy()) for k, v in for_them.items()}
        new_ours, new_theirs = model_of(tinygrad_bn, name), model_of(torch, name)
        new_ours.load_state_dict(for_us)
        new_theirs.load_state_dict(for_them)
        states = (copies(model.state_dict().items()) for model in (new_ours, theirs))
        assert_same_results(*states, EXACT, way)
        np.testing.assert_allclose(scores(tinygrad_bn, new_ours, images), expected, rtol=1e-9)
        np.testing.assert_allclose(scores(torch, new_theirs, images), expected, rtol=1e-9)


@programs
def test_the_program_learns_without_pytorch_too(batches, name):
    """20 steps over the same batch: the loss falls, and every parameter has moved."""
    model = model_of(tinygrad_bn, name)
    start = copies(model.named_parameters())
    run = list(train(tinygrad_bn, model, PROGRAMS[name][1], batches[:1] * 20))
    assert run[-1]["loss"] < 0.9 * run[0]["loss"]
    assert all((run[-1][k] != v).any() for k, v in start.items())
