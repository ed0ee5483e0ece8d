"""[1] What is changed in place between the forward computation and `backward`.

A derivative that needs the old values must refuse; one that does not must give the gradient it
would have given. Which is which, PyTorch says: every expression below is computed under both
libraries, and each tensor that takes part is changed once.
"""

import dis
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from oracle import assert_close

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.engine import OUTPUT, Node

F = nn.functional

# What x, y, w, … are: name -> shape. All require gradients, and are results, not leaves.
SHAPES = {
    "x": (3, 4),
    "y": (3, 4),
    "row": (4,),
    "w": (5, 4),
    "v": (4, 2),
    "image": (2, 2, 4, 4),
    "kernel": (3, 2, 2, 2),
    "gamma": (2,),
}
EXPRESSIONS = [
    *(f"x.{name}()" for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs")),
    *("x.clamp(0.8, 1.5)", "-x", "x + y", "x - y", "x * y", "x / y", "x ** y", "x @ v"),
    *("x + row", "x * row", "x ** 2", "2 ** x", "2 / x", "x * 3", "x / 3"),
    *("x.sum(0)", "x.mean(1)", "x.var(0)", "x.max(1).values", "x.min(0).values", "x.max()"),
    *("x.reshape(4, 3)", "x.permute(1, 0)", "x.transpose(0, 1)", "x.T", "row.expand(3, 4)"),
    *("x[1]", "x[:, 1:3]", "x[[0, 0, 2]]", "x.flatten()", "x.unsqueeze(0)", "x.clone()"),
    *("x.double()", "m.cat([x, y])", "m.stack([x, y])", "m.where(x > 1.0, x, y)"),
    *("F.linear(x, w)", "F.linear(x, w, w[:, 0])", "F.conv2d(image, kernel)"),
    *("F.max_pool2d(image, 2)", "F.avg_pool2d(image, 2)"),
    *("F.log_softmax(x, 1)", "F.softmax(x, 0)", "F.mse_loss(x, y)"),
    *("F.cross_entropy(x, m.tensor([0, 3, 1]))", "F.cross_entropy(x, y)"),
    "F.batch_norm(image, None, None, gamma, gamma * 2, training=True)",
    "F.batch_norm(image, gamma.detach(), gamma.detach(), gamma, gamma * 2)",
]
# Where this package refuses and PyTorch goes on: the derivative uses the output, where PyTorch's
# divides once more, or keeps the winners' places.
REFUSED_HERE_ONLY = {
    ("F.max_pool2d(image, 2)", "result"),
    ("x.clamp(0.8, 1.5)", "result"),
    ("x / y", "result"),
    ("2 / x", "result"),
    ("2 / x", "x"),  # the derivative of a reciprocal in PyTorch uses the output alone
}


def names_for(m, arrays):
    """The library's tensors by name, each a result of a leaf of its own."""
    leaves = {name: m.tensor(array, requires_grad=True) for name, array in arrays.items()}
    results = {name: leaf * 1 for name, leaf in leaves.items()}
    functions = F if m is tg else m.nn.functional
    return leaves, {"m": m, "F": functions, **results}


def gradients(m, expression, changed, arrays, rng):
    """The leaves' gradients after `changed` was multiplied by 3 in place; None if refused."""
    leaves, names = names_for(m, arrays)
    result = eval(expression, names)
    weights = m.tensor(rng.standard_normal(tuple(result.shape)))
    total = (result.double() * weights).sum()
    if changed is not None:
        target = result if changed == "result" else names[changed]
        with m.no_grad():
            target.mul_(3)
    try:
        total.backward()
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        return None
    return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def parts_of(expression):
    code = compile(expression, "", "eval")
    return [*(name for name in SHAPES if name in code.co_names), "result"]


CASES = [(expression, part) for expression in EXPRESSIONS for part in parts_of(expression)]


@pytest.fixture
def arrays(rng):
    return {name: rng.uniform(0.5, 2, shape) for name, shape in SHAPES.items()}


@pytest.mark.parametrize(("expression", "changed"), CASES)
def test_what_is_changed_before_backward_is_refused_where_pytorch_refuses(
    torch, arrays, expression, changed
):
    if changed == "result" and "double" not in expression and "expand" in expression:
        pytest.skip("neither library writes into an expanded tensor")
    ours = gradients(tg, expression, changed, arrays, np.random.default_rng(1))
    theirs = gradients(torch, expression, changed, arrays, np.random.default_rng(1))
    right = gradients(torch, expression, None, arrays, np.random.default_rng(1))
    if ours is None:
        assert theirs is None or (expression, changed) in REFUSED_HERE_ONLY
        return
    assert ours.keys() == right.keys()
    for name, grad in ours.items():  # not refused, so it must be right, whatever PyTorch says
        assert_close(grad, right[name])


# --- the same, by reading the derivatives -----------------------------------------------------


def values_used(derivative):
    """Names of the variables around a derivative whose values it uses, not just their shapes."""
    steps = [step for step in dis.get_instructions(derivative) if step.opname != "CACHE"]
    code = derivative.__code__
    output = code.co_varnames[1]
    used = set()
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        loaded = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if not step.opname.startswith("LOAD") or step.opname.startswith("LOAD_ATTR"):
            continue
        for name in loaded:
            shape_only = after is not None and after.argval in {"shape", "dtype"}
            if (name in code.co_freevars or name == output) and not shape_only:
                used.add(name)
    return used, output


def nodes_behind(tensor):
    found, stack = {}, [tensor.grad_fn]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and id(node) not in found:
            found[id(node)] = node
            stack += node.parents
    return list(found.values())


PRIVATE = {"logp"}  # made inside a function, where nobody else can change it


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_derivative_says_whose_values_it_uses(arrays, expression):
    _, names = names_for(tg, arrays)
    result = eval(expression, names)
    nodes = nodes_behind(result)
    assert nodes
    for node in nodes:
        if not isinstance(node.derivative, tuple):
            continue
        for i, derivative in enumerate(node.derivative):
            if derivative is None:  # of an input that requires no gradient
                continue
            stated = [tensor for place, tensor, _ in node.used if place == i]
            cells = derivative.__closure__ or ()
            free = dict(zip(derivative.__code__.co_freevars, cells, strict=True))
            used, output = values_used(derivative)
            tensors = [
                free[name].cell_contents
                for name in used - PRIVATE - {output}
                if isinstance(free[name].cell_contents, tg.Tensor)
            ]
            assert {id(t) for t in tensors} == {id(t) for t in stated if t is not OUTPUT}, node
            assert (output in used) == (OUTPUT in [t for t in stated if t is OUTPUT]), node


# --- whose memory it is -----------------------------------------------------------------------


def test_the_message_names_the_operation_and_the_tensor():
    a, b = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in "ab")
    product = a * b
    with tg.no_grad():
        b += 1
    with pytest.raises(RuntimeError, match=r"^mul: input 1, float32 \(2,\), has been modified"):
        product.sum().backward()
    e = a.exp()
    with tg.no_grad():
        e += 1
    with pytest.raises(RuntimeError, match=r"^exp: its output, float32"):
        e.sum().backward()
    assert a.grad is None


SAME_MEMORY = {
    "detach": lambda x: x.detach(),
    "a view of a row": lambda x: x.detach()[0],
    "reshape": lambda x: x.detach().reshape(4),
    "reshape of transposed": lambda x: x.detach().T.reshape(2, 2).T,
    "permute": lambda x: x.detach().permute(1, 0),
    "transpose": lambda x: x.detach().transpose(0, 1),
    "T": lambda x: x.detach().T,
    "iteration": lambda x: next(iter(x.detach())),
    "flatten": lambda x: x.detach().flatten(),
    "unsqueeze": lambda x: x.detach().unsqueeze(0),
    "Parameter": lambda x: nn.Parameter(x.detach()),
}


@pytest.mark.parametrize("way", SAME_MEMORY)
@pytest.mark.parametrize("change", ["+=", "setitem", "zero_"])
def test_a_change_is_noticed_through_every_name_of_the_memory(way, change):
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = (x * x).sum()
    other = SAME_MEMORY[way](x)
    shares = np.shares_memory(other.data, x.data)
    assert shares or way == "reshape of transposed"
    with tg.no_grad():
        if change == "+=":
            other += 1
        elif change == "setitem":
            other[...] = 5.0
        else:
            other.zero_()
    if shares:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()
    else:
        y.backward()


def test_a_copy_has_a_version_of_its_own():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for copy in (
        x.detach().clone(),
        x.detach().T.reshape(4),
        x.detach()[[0, 1]],
        tg.Tensor(x),
        x.double().detach(),
    ):
        y = (x * x).sum()
        copy.zero_()
        y.backward()
        assert_array_equal(x.grad.numpy(), 2 * x.detach().numpy())
        x.grad = None


def two_layers():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def step(model, loss):
    for parameter in model.parameters():
        parameter.grad = tg.ones(*parameter.shape)
    optim.SGD(model.parameters(), lr=0.1).step()


@pytest.mark.parametrize(
    "change",
    [
        step,
        lambda model, loss: model.load_state_dict(model.state_dict()),
        lambda model, loss: [p.detach().mul_(2) for p in model.parameters()],
        lambda model, loss: [t.zero_() for t in model.state_dict().values()],
    ],
    ids=["step", "load_state_dict", "detach", "state_dict"],
)
def test_weights_changed_before_backward_are_refused(change, rng):
    model = two_layers()
    loss = model(tg.tensor(rng.standard_normal((5, 3)).astype("float32"))).sum()
    change(model, loss)
    with pytest.raises(RuntimeError, match=r"linear: input 1, float32 \(2, 4\), has been modified"):
        loss.backward()


def test_a_step_between_two_walks_of_a_retained_graph_is_refused(rng):
    model = two_layers()
    loss = model(tg.tensor(rng.standard_normal((5, 3)).astype("float32"))).sum()
    loss.backward(retain_graph=True)
    optim.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_running_statistics_that_move_before_backward_do_not_change_the_gradient(torch, rng):
    """PyTorch refuses that; here the evaluating layer has kept what it needs of them."""
    layer = nn.BatchNorm1d(3).eval()
    x = tg.tensor(rng.standard_normal((4, 3)).astype("float32"), requires_grad=True)
    y = layer(x)
    layer.running_var.mul_(4)
    layer.running_mean.add_(1)
    y.backward(tg.ones(4, 3))
    assert_close(x.grad, np.full((4, 3), 1 / np.sqrt(1 + layer.eps), "float32"))


@pytest.mark.parametrize("kind", ["array", "list", "nested list", "tensor"])
def test_an_index_that_the_caller_changes_later_is_not_followed(kind):
    index = {
        "array": np.array([0, 2]),
        "list": [0, 2],
        "nested list": [[0, 2]],
        "tensor": tg.tensor([0, 2]),
    }[kind]
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x[index].sum()
    (index[0] if kind == "nested list" else index)[0] = 1
    y.backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("wrap", [np.array, tg.tensor], ids=["array", "tensor"])
def test_a_mask_that_the_caller_changes_later_is_not_followed(wrap):
    mask = wrap([True, False, True])
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    chosen, picked = tg.where(mask, x, 0.0).sum(), x[mask].sum()
    mask[0] = False
    (chosen + 2 * picked).backward()
    assert x.grad.tolist() == [3.0, 0.0, 3.0]


# --- what required a gradient when it was recorded --------------------------------------------


def test_requiring_a_gradient_later_does_not_change_what_was_recorded(torch):
    grads = []
    for m in (tg, torch):
        w, x = m.tensor([2.0, 3.0], requires_grad=True), m.tensor([5.0, 7.0])
        y = (w * x).sum()
        x.requires_grad_()
        with pytest.raises(RuntimeError):
            (m.autograd.grad)(y, x, retain_graph=True)
        y.backward()
        assert x.grad is None
        grads.append(w.grad.tolist())
    assert grads == [[5.0, 7.0]] * 2


def test_a_leaf_that_no_longer_requires_a_gradient_gets_none(torch):
    for m in (tg, torch):
        w, x = (m.tensor([2.0, 3.0], requires_grad=True) for _ in "wx")
        y = (w * x).sum()
        w.requires_grad_(False)
        y.backward()
        assert w.grad is None
        assert x.grad.tolist() == [2.0, 3.0]


# --- several threads --------------------------------------------------------------------------


def test_threads_that_add_to_one_leaf_lose_nothing():
    leaf = tg.zeros(1000, requires_grad=True)
    start = threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(300):
            (leaf * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_array_equal(leaf.grad.numpy(), 1200)


def test_a_change_is_refused_only_where_the_old_value_is_needed():
    a, b = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in "ab")
    product = (a * b).sum()
    with tg.no_grad():
        a += 1
    (g,) = tg.grad(product, a, retain_graph=True)  # that is b
    assert g.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="mul: input 0"):
        tg.grad(product, b)
