"""The training step of an MLP with batch normalization and sigmoid in plain NumPy: no framework.

    python examples/benchmarks/by_hand.py      # shows that it computes what tinygrad_bn computes

What is left of a step if nothing is recorded, checked or allocated that could be known beforehand:
the price of a framework is the difference. All parameters lie in one vector, and so do all
gradients, so that the update is a few operations on two long arrays.
"""

from typing import Any

import numpy as np

LR, MOMENTUM, DECAY, EPS, NEWEST = 0.01, 0.9, 5e-4, 1e-5, 0.1


class MLP:
    """784-100-100-100-10 and the like; `step` trains on one batch and returns the loss.

    Of each hidden layer l: z = a W, x̂ = (z − μ)/σ, a' = sigmoid(γ x̂ + β).
    """

    def __init__(self, widths: list[int], batch: int, weights: dict[str, Any]) -> None:
        """weights: PyTorch's names for (Linear, BatchNorm1d, Sigmoid) × hidden layers, Linear."""
        self.hidden, self.batch = len(widths) - 2, batch
        layers = [3 * i for i in range(self.hidden + 1)]
        self.names = [f"{i}.weight" for i in layers] + [f"{layers[-1]}.bias"]
        self.names += [f"{i + 1}.{name}" for name in ("weight", "bias") for i in layers[:-1]]
        arrays = [weights[name] for name in self.names]
        self.parameters = np.concatenate([array.ravel() for array in arrays])
        self.gradients, self.velocity = np.zeros((2, self.parameters.size), np.float32)
        self.scratch = np.empty_like(self.parameters)
        self.W, self.b, self.gamma, self.beta = self._split(self.parameters, arrays)
        self.dW, self.db, self.dgamma, self.dbeta = self._split(self.gradients, arrays)
        self.mean = [weights[f"{i + 1}.running_mean"].copy() for i in layers[:-1]]
        self.var = [weights[f"{i + 1}.running_var"].copy() for i in layers[:-1]]
        sizes = [(batch, m) for m in widths[1:]]
        self.z, self.xhat, self.a, self.g = (
            [np.empty(size, np.float32) for size in sizes] for _ in range(4)
        )
        self.sigma = [np.empty(m, np.float32) for m in widths[1:-1]]
        self.rows = np.arange(batch)

    def _split(self, vector: Any, like: list[Any]) -> tuple[Any, ...]:
        """Views of a long vector: the weights, the last bias, each γ, each β."""
        ends = np.cumsum([array.size for array in like])
        views = [
            part.reshape(array.shape)
            for part, array in zip(np.split(vector, ends[:-1]), like, strict=True)
        ]
        n = self.hidden
        return views[: n + 1], views[n + 1], views[n + 2 : 2 * n + 2], views[2 * n + 2 :]

    def step(self, x: Any, labels: Any) -> Any:
        loss = self.forward(x, labels)
        self.backward(x)
        self.update()
        return loss

    def forward(self, x: Any, labels: Any) -> Any:
        """The loss; leaves in g[-1] its gradient by the scores, (softmax − one-hot) / batch."""
        for i in range(self.hidden):
            z, xhat, a = self.z[i], self.xhat[i], self.a[i]
            np.matmul(x, self.W[i].T, out=z)
            mu = z.mean(0)
            np.subtract(z, mu, out=xhat)
            var = np.einsum("ij,ij->j", xhat, xhat) / self.batch
            np.sqrt(var + EPS, out=self.sigma[i])
            xhat /= self.sigma[i]
            self.mean[i] += NEWEST * (mu - self.mean[i])
            self.var[i] += NEWEST * (var * (self.batch / (self.batch - 1)) - self.var[i])
            np.multiply(xhat, -self.gamma[i], out=a)  # sigmoid(y) = 1 / (1 + e^(−y))
            a -= self.beta[i]
            np.exp(a, out=a)
            a += 1
            np.reciprocal(a, out=a)
            x = a
        scores, p = self.z[-1], self.g[-1]
        np.matmul(x, self.W[-1].T, out=scores)
        scores += self.b
        scores -= scores.max(1, keepdims=True)
        np.exp(scores, out=p)
        total = p.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[self.rows, labels]).mean()
        p /= total
        p[self.rows, labels] -= 1
        p /= self.batch
        return loss

    def backward(self, x: Any) -> None:
        """Every gradient; with ĝ = γ ∂L/∂y, that of z is (ĝ − mean ĝ − x̂ mean(ĝ x̂)) / σ."""
        self.g[-1].sum(0, out=self.db)
        for i in reversed(range(self.hidden + 1)):
            below = self.a[i - 1] if i else x
            np.matmul(self.g[i].T, below, out=self.dW[i])
            if not i:
                return
            g, a, xhat, free = self.g[i - 1], self.a[i - 1], self.xhat[i - 1], self.z[i - 1]
            np.matmul(self.g[i], self.W[i], out=g)
            g *= a  # through the sigmoid: a (1 − a)
            np.subtract(1, a, out=free)
            g *= free
            g.sum(0, out=self.dbeta[i - 1])
            np.einsum("ij,ij->j", g, xhat, out=self.dgamma[i - 1])
            g -= self.dbeta[i - 1] / self.batch
            np.multiply(xhat, self.dgamma[i - 1] / self.batch, out=free)
            g -= free
            g *= self.gamma[i - 1] / self.sigma[i - 1]

    def update(self) -> None:
        """SGD with Nesterov momentum and weight decay, on all parameters at once."""
        g, v, scratch = self.gradients, self.velocity, self.scratch
        np.multiply(self.parameters, DECAY, out=scratch)
        g += scratch
        v *= MOMENTUM
        v += g
        np.multiply(v, MOMENTUM, out=scratch)
        scratch += g
        scratch *= LR
        self.parameters -= scratch


def check(steps: int = 5) -> None:
    """The losses and the updates are those of tinygrad_bn; AssertionError if not."""
    from peers import SGD, network
    from work import PAPER_MLP, batch, weights

    import tinygrad_bn as tg

    (x, y), start = batch(PAPER_MLP), weights(PAPER_MLP)
    mlp, model = MLP([784, 100, 100, 100, 10], len(x), start), network(tg.nn, PAPER_MLP)
    model.load_state_dict(start)
    optimizer = tg.optim.SGD(model.parameters(), **SGD)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = tg.nn.functional.cross_entropy(model(tg.tensor(x)), tg.tensor(y))
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(mlp.step(x, y), loss.item(), rtol=1e-4)
    after = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    views = [*mlp.W, mlp.b, *mlp.gamma, *mlp.beta]
    for name, view in zip(mlp.names, views, strict=True):
        moved, expected = view - start[name], after[name] - start[name]
        difference = np.abs(moved - expected).max() / np.abs(expected).max()
        assert difference < 1e-4, f"{name} differs by {difference:.1e} of its largest update"
    for i in range(mlp.hidden):
        for mine, name in ((mlp.mean, "running_mean"), (mlp.var, "running_var")):
            np.testing.assert_allclose(mine[i], after[f"{3 * i + 1}.{name}"], rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    check()
    print("by hand and by tinygrad_bn: the same losses and updates, to 1e-4")
