"""tinygrad with its JIT, on its CPU device, which compiles with clang."""

from collections.abc import Callable
from typing import Any

from tinygrad import Context, Device, Tensor, TinyJit, nn
from workloads import SGD, Work


def build(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
    make = {
        "conv": lambda n, m: nn.Conv2d(n, m, 3, padding=1, bias=False),
        "linear": lambda n, m, bias: nn.Linear(n, m, bias=bias),
        "bn1d": nn.BatchNorm,
        "bn2d": nn.BatchNorm,
        "relu": lambda: Tensor.relu,
        "sigmoid": lambda: Tensor.sigmoid,
        "pool": lambda: Tensor.max_pool2d,
        "flatten": lambda: lambda x: x.flatten(1),
        "dropout": lambda p: lambda x: x.dropout(p),
    }
    layers = [make[kind](*sizes) for kind, *sizes in work.layers]
    arrays = {name: Tensor(array).realize() for name, array in weights.items()}
    nn.state.load_state_dict(layers, arrays, verbose=False)
    x, y = Tensor(x).realize(), Tensor(y).realize()
    optimizer = nn.optim.SGD(nn.state.get_parameters(layers), **SGD)

    @TinyJit
    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = x.sequential(layers).sparse_categorical_crossentropy(y).backward()
        return loss.realize(*optimizer.schedule_step())

    @TinyJit
    def apply(x: Any) -> Any:
        return x.sequential(layers).realize()

    def call() -> Any:
        with Context(TRAINING=int(work.training)):
            result = train(x, y) if work.training else apply(x)
        Device[Device.DEFAULT].synchronize()
        return result

    return call
