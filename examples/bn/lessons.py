"""Nine short experiments on batch normalization (BN), each printing its evidence.

    python examples/bn/lessons.py                  # all of them, in about two minutes
    python examples/bn/lessons.py drift depth      # only these

Sections are those of the paper (Ioffe & Szegedy 2015, arXiv 1502.03167). What BN does is measured
here. *Why* it makes training faster is disputed; where that is at stake, the text says so.
"""

import argparse
import copy
import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from inspect import getdoc

import numpy as np
from console import any_console

from tinygrad_bn import Tensor, grad, manual_seed, nn, no_grad, population_statistics, randn, tensor
from tinygrad_bn.data import MNIST
from tinygrad_bn.nn.functional import batch_norm, cross_entropy
from tinygrad_bn.optim import SGD

BN = partial(nn.BatchNorm1d, 100)  # makes the BN of a hidden layer


def network(*after: Callable[[], nn.Module], seed: int = 0) -> nn.Sequential:
    """784 → 100 → 100 → 100 → 10, each hidden Linear followed by the layers that `after` makes."""
    manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs in (784, 100, 100):
        layers += [nn.Linear(inputs, 100), *(make() for make in after)]
    return nn.Sequential(*layers, nn.Linear(100, 10))


@lru_cache
def digits(train: bool) -> tuple[np.ndarray, np.ndarray]:
    images, labels = MNIST(train=train)[:]
    return images.numpy().reshape(-1, 784), labels.numpy()


def batch(rng: np.random.Generator, size: int = 60) -> tuple[Tensor, Tensor]:
    """So many training images, drawn at random, and their labels."""
    images, labels = digits(train=True)
    chosen = rng.integers(len(labels), size=size)
    return tensor(images[chosen]), tensor(labels[chosen])


def learn(model: nn.Module, lr: float, steps: int, seed: int = 0, size: int = 60) -> Iterator:
    """Plain SGD: gives the number and the loss of each step as it is taken."""
    rng, optimizer = np.random.default_rng(seed), SGD(model.parameters(), lr=lr)
    for step in range(1, steps + 1):
        images, labels = batch(rng, size)
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        yield step, loss.item()


@no_grad()
def accuracy(model: nn.Module, size: int = 10_000) -> float:
    """In percent on the test images, `size` at a time, in the mode that the model is in."""
    images, labels = digits(train=False)
    scores = [model(tensor(images[i : i + size])).numpy() for i in range(0, len(labels), size)]
    return 100 * (np.concatenate(scores).argmax(1) == labels).mean()


def by_three_statistics(model: nn.Module, size: int) -> tuple[float, float, float]:
    """Accuracy by running averages, by Algorithm 2, and by each test batch's own statistics."""
    running, rng = accuracy(model.eval()), np.random.default_rng(1)
    population_statistics(model, [batch(rng, size)[0] for _ in range(3000 // size)])
    return running, accuracy(model), accuracy(model.train(), size)


def line(*cells: str | float) -> None:
    """One line of a table."""
    print("".join(c.rjust(16) if isinstance(c, str) else f"{c:>16.4g}" for c in cells))


@np.errstate(all="ignore")  # a diverging network overflows: here that is a finding
def rates() -> None:
    """Larger learning rates survive with BN (section 3.3).

    BN((aW)u) = BN(Wu), with 1/a of the gradient: weights that one long step made large move less.
    """
    largest = {}
    line("learning rate", "% without BN", "% with BN")
    for lr in (0.03, 0.1, 0.3, 1, 3, 10, 30):
        cells = []
        for name, layers in {"without": [nn.ReLU], "with": [BN, nn.ReLU]}.items():
            model = network(*layers)
            losses = [loss for _, loss in learn(model, lr, 300)]
            right = accuracy(model.eval())
            cells.append(f"{right:.1f}" if math.isfinite(losses[-1]) else "overflow")
            largest |= {name: f"{lr} {name} BN"} if right > 80 else {}
        line(f"{lr}", *cells)
    print(f"The largest rate that gets above 80%: {', '.join(largest.values())}.")


def drift() -> None:
    """Statistics computed outside the gradient make the model drift (section 2).

    x̂ = u + b − mean is the same whatever the bias b is. With the mean taken for a constant, b is
    moved for ever, for a fall of the loss that cannot come; inside, the gradient towards b is 0.
    """
    u, target = np.random.default_rng(0).standard_normal((2, 64))
    line("mean", "step", "b", "loss")
    for where in ("outside", "inside"):
        b = tensor(0.0, requires_grad=True)
        for step in range(1001):
            x = tensor(u) + b
            error = x - (x.mean() if where == "inside" else x.mean().detach()) - tensor(target)
            loss = (error * error).mean()
            if step in (0, 10, 100, 1000):
                line(where, f"{step}", f"{b.item():z.3f}", f"{loss.item():.6f}")
            b.data -= 0.1 * grad(loss, b)[0].data


class Outside(nn.BatchNorm1d):
    """The wrong layer: to the gradient, its mean and variance are constants."""

    def forward(self, input: Tensor) -> Tensor:
        mean, var = input.mean(0).detach(), input.var(0, correction=0).detach()
        return (input - mean) / (var + self.eps).sqrt() * self.weight + self.bias


def drift_layer() -> None:
    """The same with the mean and the variance of each BN in a network.

    ‖W‖, ‖b‖: of the second layer. The loss does not depend on b, nor on W's length, but seems to.
    """
    line("statistics", "step", "loss", "‖W‖", "‖b‖")
    for name, make in {"outside": partial(Outside, 100), "inside": BN}.items():
        model = network(make, nn.ReLU)
        for step, loss in learn(model, 0.1, 1000):
            if step in (1, 10, 100, 1000):
                norms = [np.linalg.norm(p.data) for p in model[3].parameters()]
                line(name, f"{step}", loss, *norms)


def short() -> None:
    """Running averages lag when training was short; Algorithm 2 repairs that (section 3.1).

    Held: the share of the initial mean 0 and variance 1 that is still in the averages. The test
    batch's own statistics are no way out: an answer then depends on its batch-mates.
    """
    line("momentum", "steps", "held", "% by running", "by Algorithm 2", "by test batch")
    for momentum in (0.1, 0.01):
        for steps in (3, 10, 30, 100, 300):
            model = network(partial(BN, momentum=momentum), nn.ReLU)
            list(learn(model, 0.1, steps))
            held = (1 - momentum) ** steps
            line(momentum, f"{steps}", f"{held:.1%}", *by_three_statistics(model, 60))


def small() -> None:
    """Training and inference differ by (1 − 1/m)^(L/2) after L layers of BN on m rows, here 20.

    In training a layer uses the variance σ², for inference σ²·m/(m − 1), measured while the layers
    before it did not yet shrink their outputs. Algorithm 2, layer by layer, measures them shrunk.
    Then a network that learned from m images at a time: its statistics are noise, and it shows.
    """
    line("m", "% that is left", "the formula", "by Algorithm 2")
    for m in (2, 4, 16, 64):
        chain = [nn.BatchNorm1d(8, eps=0, affine=False, momentum=1.0) for _ in range(20)]
        model, x = nn.Sequential(*chain).double(), tensor(np.random.default_rng(0).random((m, 8)))
        train, running = model(x).numpy().std(), model.eval()(x).numpy().std()
        population_statistics(model, [x])
        ratios = running / train, (1 - 1 / m) ** (20 / 2), model(x).numpy().std() / train
        line(f"{m}", *(f"{100 * ratio:.2f}" for ratio in ratios))
    print()
    line("m", "% by running", "by Algorithm 2", "by test batch")
    for m in (2, 4, 16, 64):
        model = network(BN, nn.ReLU)
        list(learn(model, 0.03, 800, size=m))
        line(f"{m}", *by_three_statistics(model, m))


def place() -> None:
    """BN before the ReLU, as in the paper (section 3.2), or after it.

    The order is a choice: the caffenet-benchmark project found after better, on ImageNet.
    """
    orders = {"no BN": [nn.ReLU], "BN, ReLU": [BN, nn.ReLU], "ReLU, BN": [nn.ReLU, BN]}
    right = []
    line("seed", *(f"{name} %" for name in orders))
    for seed in range(5):
        models = [network(*layers, seed=seed) for layers in orders.values()]
        for model in models:
            list(learn(model, 0.1, 600, seed))
        right.append([accuracy(model.eval()) for model in models])
        line(f"{seed}", *right[-1])
    _, before, after = np.transpose(right)
    gap, error = (before - after).mean(), (before - after).std(ddof=1) / math.sqrt(5)
    print(
        f"Before minus after: {gap:.2f}. Chance alone: within ±{2.78 * error:.2f}, 19 times in 20."
    )


class Noise(nn.Module):
    """In training, scales and shifts each unit afresh at each step: a new distribution."""

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = 0.3 * randn(2, x.shape[1])
        return x * (1 + scale) + shift if self.training else x


def noise() -> None:
    """Unsteady inputs, and how fast? After Santurkar et al. 2018 (arXiv 1805.11604). DISPUTED.

    The paper says BN is fast because it keeps the inputs of layers steady. Here noise after BN
    makes them unsteady. Moves: of what enters the last sigmoids, in 10 steps. See the losses.
    """
    kinds = {"no BN": [], "BN": [BN], "BN, noise": [BN, Noise]}
    probe = tensor(digits(train=True)[0][:500])
    line("", "mean moves", "deviation moves", "loss, step 100", "loss, step 950")
    for name, layers in kinds.items():
        model, losses, seen = network(*layers, nn.Sigmoid), [], []
        for step, loss in learn(model, 0.5, 1000):
            losses.append(loss)
            if step % 10 == 0:
                x = model[:-2](probe).detach().numpy()  # what enters the last sigmoids
                seen.append([x.mean(0), x.std(0)])
        moves = np.abs(np.diff(seen, axis=0)).mean((0, 2))
        line(name, *moves, np.mean(losses[50:150]), np.mean(losses[-100:]))


def after_step(model: nn.Module, lr: float) -> tuple[float, float]:
    """For a step of this rate from here: the fall of the loss, and the turn of its gradient."""
    images, labels = batch(np.random.default_rng(1), 500)
    there, looks = copy.deepcopy(model), []
    weights = list(there.parameters())
    for _ in range(2):
        loss = cross_entropy(there(images), labels)
        parts = grad(loss, weights)
        looks.append((loss.item(), np.concatenate([part.numpy().ravel() for part in parts])))
        for w, part in zip(weights, parts, strict=True):
            w.data -= lr * part.data
    (before, g), (after, h) = looks
    return (before - after) / (lr * (g @ g)), np.linalg.norm(h - g) / np.linalg.norm(g)


def smooth() -> None:
    """How far a gradient can be trusted along its step. After Santurkar et al. 2018. DISPUTED.

    They hold that BN helps by smoothing the loss; that is one explanation of several. Fall: of the
    loss, as a share of what the gradient promises. Turn: the gradient's change, as a share of its
    length. Medians of 20 looks at networks of sigmoids while they train at rate 0.5.
    """
    lrs = (0.125, 0.5, 2.0, 8.0)
    line("", "rate of the step", "fall", "turn")
    for name, layers in {"no BN": [nn.Sigmoid], "BN": [BN, nn.Sigmoid]}.items():
        model = network(*layers)
        steps = learn(model, 0.5, 1000)
        looks = [[after_step(model, lr) for lr in lrs] for step, _ in steps if step % 50 == 0]
        for lr, medians in zip(lrs, np.median(looks, 0), strict=True):
            line(name, lr, *medians)


def gradient_norms(depth: int, bn: bool, skip: bool, seed: int) -> np.ndarray:
    """‖∂L/∂x‖ for the input x of each layer of a random ReLU network, 128 units, 64 rows."""
    rng = np.random.default_rng(seed)
    xs = [tensor(rng.standard_normal((64, 128)), requires_grad=True)]
    for _ in range(depth):
        z = xs[-1] @ tensor(rng.standard_normal((128, 128)) * math.sqrt(2 / 128))
        z = (batch_norm(z, None, None, training=True) if bn else z).relu()
        xs.append(xs[-1] + z if skip else z)
    gradients = grad(xs[-1], xs[:-1], tensor(rng.standard_normal((64, 128))))
    return np.array([np.linalg.norm(g.numpy()) for g in gradients])


def depth() -> None:
    """With BN, gradients grow with depth, at initialization. Yang et al. 2019 (arXiv 1902.08129).

    That is against a conjecture of the paper (section 3.3): singular values of Jacobians near 1.
    Ratio: of the gradient's norm at the first layer to that at the last. Growth: per layer, fitted.
    """
    line("", "layers", "ratio", "growth")
    for name, bn, skip in (("no BN", 0, 0), ("BN", 1, 0), ("BN, skips", 1, 1)):
        for layers in (10, 25, 50):
            logs = np.mean([np.log(gradient_norms(layers, bn, skip, s)) for s in range(3)], 0)
            slope = np.polyfit(np.arange(layers), logs, 1)[0]
            line(name, f"{layers}", math.exp(logs[0] - logs[-1]), math.exp(-slope))
    line("wide, in theory", "", "√(π/(π − 1)) =", math.sqrt(math.pi / (math.pi - 1)))


def main() -> None:
    lessons = (rates, drift, drift_layer, short, small, place, noise, smooth, depth)
    names = {lesson.__name__: lesson for lesson in lessons}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", choices=[*names, "all"], default="all")
    chosen = parser.parse_args().lessons
    for name in names if "all" in chosen else chosen:
        print(f"\n{name}: {getdoc(names[name])}\n")
        names[name]()


if __name__ == "__main__":
    any_console()
    main()
