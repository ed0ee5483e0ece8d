"""What tinygrad_bn and PyTorch do alike, since the one takes its names from the other."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import SGD, Work, example_cnn, weights


def network(nn: Any, work: Work) -> Any:
    """The network, from the layers of either library."""
    make = {
        "conv": lambda n, m: nn.Conv2d(n, m, 3, padding=1, bias=False),
        "linear": lambda n, m, bias: nn.Linear(n, m, bias=bias),
        "bn1d": nn.BatchNorm1d,
        "bn2d": nn.BatchNorm2d,
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "pool": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
        "dropout": nn.Dropout,
    }
    return nn.Sequential(*(make[kind](*sizes) for kind, *sizes in work.layers))


class Library:
    """Either of the two: its module, and what makes its own of an array or a model.

    prepare: what is done once to the function that computes the gradients, or to the inference.
    """

    def __init__(
        self,
        lib: Any,
        convert: Callable[[Any], Any],
        prepare: Callable[[Any], Any] = lambda function: function,
    ) -> None:
        self.lib, self.convert, self.prepare = lib, convert, prepare

    def model(self, work: Work, weights: dict[str, Any]) -> Any:
        model = network(self.lib.nn, work)
        model.load_state_dict({name: self.convert(array) for name, array in weights.items()})
        return self.convert(model)

    def build(self, work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
        model, x, y = self.model(work, weights), self.convert(x), self.convert(y)
        model.train(work.training)
        optimizer = self.lib.optim.SGD(model.parameters(), **SGD)
        gradients, no_grad = self.gradients(model, optimizer), self.lib.no_grad

        def step() -> Any:
            loss = gradients(x, y)
            optimizer.step()
            return loss

        @self.prepare
        def scores(x: Any) -> Any:
            with no_grad():
                return model(x)

        return step if work.training else lambda: scores(x)

    def gradients(self, model: Any, optimizer: Any) -> Callable[[Any, Any], Any]:
        """A function that leaves the gradients for a batch in the model, and returns the loss."""
        cross_entropy = self.lib.nn.functional.cross_entropy

        @self.prepare
        def gradients(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            return loss

        return gradients

    def share(self, indices: Any) -> Any:
        """Those of the samples that this process works on: all, where there are no others."""
        return indices

    def in_all(self, number: float) -> float:
        """The sum over all processes."""
        return number

    def learn(self, seed: int, goals: list[float]) -> list[tuple[float, int]]:
        """Train the example CNN by the recipe of examples/mnist_cnn.py, with 4 tests in each epoch.

        Given is when each goal, an accuracy in percent, was reached: by the clock, and after how
        many steps; infinity if it never was.
        """
        from tinygrad_bn.data import MNIST

        epochs, size, lr = 5, 64, 0.1
        lib, rng = self.lib, np.random.default_rng(seed)
        train_set, test_set = MNIST(train=True), MNIST(train=False)
        work = Work("example CNN", example_cnn(), size)
        model = self.model(work, weights(work, seed))
        optimizer = lib.optim.SGD(model.parameters(), **(SGD | {"lr": lr}))
        gradients = self.gradients(model, optimizer)
        per_epoch = -(-len(train_set) // size)
        schedule = lib.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * per_epoch)

        def batch(dataset: Any, chosen: Any) -> Any:
            return [self.convert(tensor.numpy()) for tensor in dataset[self.share(chosen)]]

        def accuracy() -> float:
            model.eval()
            right = 0
            with lib.no_grad():
                for i in range(0, len(test_set), 1000):
                    images, labels = batch(test_set, np.arange(i, min(i + 1000, len(test_set))))
                    right += (model(images).argmax(1) == labels).sum().item()
            model.train()
            return 100 * self.in_all(right) / len(test_set)

        reached: list[tuple[float, int]] = []
        for step in range(epochs * per_epoch):
            place = step % per_epoch
            if place == 0:
                order = rng.permutation(len(train_set))
            images, labels = batch(train_set, order[place * size : (place + 1) * size])
            gradients(images, labels)
            optimizer.step()
            schedule.step()
            if (place + 1) % (per_epoch // 4) == 0:
                found = accuracy()
                while len(reached) < len(goals) and found >= goals[len(reached)]:
                    reached.append((time.perf_counter(), step + 1))
            if len(reached) == len(goals):
                break
        return reached + [(float("inf"), 0)] * (len(goals) - len(reached))
