"""Every public name beside its PyTorch counterpart: the same signature, but for what is listed.

TABLE has a row for each. The first tests need no PyTorch: no name is missing from the table and
none in it is gone. The others compare signatures: our parameters are a subset of PyTorch's, in the
same order, at the same positions and with the same defaults, except as the row says; and what a
row says must be so, so that it cannot outlive the difference.
"""

import ast
import functools
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn

F = nn.functional

MODULES = {
    "": tg,
    "nn.": nn,
    "nn.functional.": F,
    "optim.": tg.optim,
    "optim.lr_scheduler.": tg.optim.lr_scheduler,
    "data.": tg.data,
}


@dataclass(frozen=True)
class Row:
    """A counterpart, and the differences in its parameters, each as names separated by blanks.

    theirs: its path in PyTorch, "" if it is the same, None if there is no counterpart.
    documented: the parameters, where PyTorch gives neither a signature nor one that can be read.
    left_out: theirs that are not ours; refused by name. extra: ours that are not theirs.
    moved: at another position among the positional ones, or keyword-only in one of the two.
    defaults: with another default, or with one where the other has none.
    says: what differs beyond the signature.
    """

    theirs: str | None = ""
    documented: str | None = None
    left_out: str = ""
    extra: str = ""
    moved: str = ""
    defaults: str = ""
    says: str = ""

    def differences(self):
        names = ("left_out", "extra", "moved", "defaults")
        return {name: set(getattr(self, name).split()) for name in names}


TABLE = {
    "Tensor": Row(says="no signature there; `tensor(data)` is what to call in both"),
    "Tensor.T": Row(),
    "Tensor.abs": Row(),
    "Tensor.add_": Row(documented="other, *, alpha=1"),
    "Tensor.argmax": Row(),
    "Tensor.backward": Row(
        left_out="inputs",
        defaults="retain_graph",
        says="its default, None, means False or create_graph there",
    ),
    "Tensor.clamp": Row(),
    "Tensor.clone": Row(left_out="memory_format"),
    "Tensor.copy_": Row(documented="src, non_blocking=False", left_out="non_blocking"),
    "Tensor.data": Row(says="a NumPy array"),
    "Tensor.detach": Row(documented=""),
    "Tensor.dim": Row(),
    "Tensor.div_": Row(documented="other, *, rounding_mode=None", left_out="rounding_mode"),
    "Tensor.double": Row(left_out="memory_format"),
    "Tensor.dtype": Row(says="a NumPy dtype"),
    "Tensor.exp": Row(),
    "Tensor.expand": Row(),
    "Tensor.fill_": Row(documented="value"),
    "Tensor.flatten": Row(),
    "Tensor.float": Row(left_out="memory_format"),
    "Tensor.grad": Row(),
    "Tensor.grad_fn": Row(says="a record of this package's own"),
    "Tensor.is_floating_point": Row(),
    "Tensor.is_leaf": Row(),
    "Tensor.item": Row(),
    "Tensor.log": Row(),
    "Tensor.max": Row(says="dim is one axis; no second tensor instead of it"),
    "Tensor.mean": Row(left_out="dtype"),
    "Tensor.min": Row(says="dim is one axis; no second tensor instead of it"),
    "Tensor.mul_": Row(documented="other"),
    "Tensor.ndim": Row(),
    "Tensor.numel": Row(),
    "Tensor.numpy": Row(left_out="force"),
    "Tensor.permute": Row(),
    "Tensor.relu": Row(documented=""),
    "Tensor.requires_grad": Row(),
    "Tensor.requires_grad_": Row(),
    "Tensor.reshape": Row(),
    "Tensor.shape": Row(says="a tuple"),
    "Tensor.sigmoid": Row(),
    "Tensor.size": Row(says="a tuple"),
    "Tensor.sqrt": Row(),
    "Tensor.squeeze": Row(),
    "Tensor.sub_": Row(documented="other, *, alpha=1"),
    "Tensor.sum": Row(left_out="dtype"),
    "Tensor.tanh": Row(),
    "Tensor.cpu": Row(left_out="memory_format"),
    "Tensor.device": Row(),
    "Tensor.view": Row(),
    "Tensor.to": Row(
        documented="*args, dtype=None, device=None, non_blocking=False, copy=False,"
        " memory_format=torch.preserve_format",
        left_out="non_blocking copy memory_format",
        says="the arguments are a dtype, a device or another tensor",
    ),
    "Tensor.tolist": Row(),
    "Tensor.transpose": Row(),
    "Tensor.unsqueeze": Row(),
    "Tensor.var": Row(moved="correction keepdim", says="both by name only there"),
    "arange": Row(
        documented="start, end=None, step=1, *, out=None, dtype=None, layout=torch.strided,"
        " device=None, requires_grad=False",
        left_out="out layout",
    ),
    "bool": Row(),
    "cat": Row(left_out="out"),
    "data": Row("utils.data"),
    "float32": Row(),
    "float64": Row(),
    "compile": Row(
        left_out="fullgraph dynamic backend mode options name disable recompile_limit "
        "isolate_recompiles shapes_spec",
        defaults="model",
        says="a module, not any function",
    ),
    "fold_batch_norm": Row(None, says="PyTorch has torch.nn.utils.fusion for one pair of layers"),
    "grad": Row(
        "autograd.grad",
        left_out="only_inputs is_grads_batched materialize_grads",
        moved="allow_unused",
        defaults="allow_unused",
        says="only_inputs is deprecated; the default of allow_unused, None, means False there",
    ),
    "int64": Row(),
    "is_grad_enabled": Row(),
    "manual_seed": Row(says="returns None; other numbers follow than in PyTorch"),
    "nn": Row(),
    "no_grad": Row(says="a function, not a class; always called with brackets"),
    "ones": Row(left_out="layout out"),
    "optim": Row(),
    "population_statistics": Row(
        None,
        says="as torch.optim.swa_utils.update_bn, but Algorithm 2: layer by layer, the mean",
    ),
    "randn": Row(left_out="generator layout out pin_memory"),
    "get_rng_state": Row(),
    "set_rng_state": Row(),
    "stack": Row(left_out="out"),
    "tensor": Row(left_out="pin_memory"),
    "where": Row(left_out="out", says="with three arguments only"),
    "zeros": Row(left_out="layout out"),
    "nn.AvgPool2d": Row(left_out="divisor_override"),
    "nn.AvgPool2d.forward": Row(),
    "Tensor.version": Row(None, says="PyTorch's _version, an object that memory shares"),
    "nn.BatchNorm1d.kinds": Row(None, says="the inputs that it takes, by their number of axes"),
    "nn.BatchNorm2d.kinds": Row(None, says="the inputs that it takes, by their number of axes"),
    "nn.CrossEntropyLoss.weight": Row(None, says="of each class, or None"),
    "nn.BatchNorm1d": Row(left_out="device dtype"),
    "nn.BatchNorm2d": Row(left_out="device dtype"),
    "nn.Conv2d": Row(left_out="device dtype", says="padding_mode must be zeros"),
    "nn.Conv2d.forward": Row(),
    "nn.CrossEntropyLoss": Row(
        left_out="size_average reduce",
        moved="ignore_index reduction label_smoothing",
        says="the two, deprecated there, would stand before the moved ones",
    ),
    "nn.CrossEntropyLoss.forward": Row(),
    "nn.Dropout": Row(left_out="inplace"),
    "nn.Dropout.forward": Row(),
    "nn.Flatten": Row(),
    "nn.Flatten.forward": Row(),
    "nn.Identity": Row(),
    "nn.Identity.forward": Row(),
    "nn.Linear": Row(left_out="device dtype"),
    "nn.Linear.forward": Row(),
    "nn.LogSoftmax": Row(defaults="dim", says="None, deprecated there, is refused: name the axis"),
    "nn.MSELoss": Row(
        left_out="size_average reduce",
        moved="reduction",
        says="the two, deprecated there, would stand before it",
    ),
    "nn.MSELoss.forward": Row(),
    "nn.MaxPool2d": Row(left_out="return_indices", moved="ceil_mode"),
    "nn.MaxPool2d.forward": Row(),
    "nn.Module": Row(documented=""),
    "nn.ModuleList": Row(defaults="modules"),
    "nn.Module.optional": Row(None, says="which of its tensors a checkpoint may lack"),
    "nn.Module.apply": Row(),
    "nn.Module.buffers": Row(left_out="recurse"),
    "nn.Module.children": Row(),
    "nn.Module.double": Row(),
    "nn.Module.eval": Row(),
    "nn.Module.extra_repr": Row(),
    "nn.Module.float": Row(),
    "nn.Module.forward": Row(),
    "nn.Module.load_state_dict": Row(left_out="assign"),
    "nn.Module.modules": Row(left_out="remove_duplicate"),
    "nn.Module.named_children": Row(),
    "nn.Module.named_parameters": Row(left_out="prefix recurse remove_duplicate"),
    "nn.Module.parameters": Row(left_out="recurse"),
    "nn.Module.register_buffer": Row(left_out="persistent"),
    "nn.Module.register_forward_hook": Row(left_out="prepend with_kwargs always_call"),
    "nn.Module.state_dict": Row(
        documented="*, destination=None, prefix='', keep_vars=False",
        left_out="destination prefix keep_vars",
    ),
    "nn.Module.to": Row(
        documented="*args, dtype=None, device=None, non_blocking=False",
        left_out="non_blocking",
        says="the arguments are a dtype, a device or a tensor",
    ),
    "nn.Module.cpu": Row(),
    "nn.Module.train": Row(),
    "nn.Module.training": Row(
        None,
        says="PyTorch sets it on each instance; here the class has the default, True",
    ),
    "nn.Module.zero_grad": Row(),
    "nn.Parameter": Row(defaults="data", says="there is no empty parameter"),
    "nn.ReLU": Row(left_out="inplace"),
    "nn.ReLU.forward": Row(),
    "nn.Sequential": Row(),
    "nn.Sequential.forward": Row(),
    "nn.Sigmoid": Row(documented=""),
    "nn.Sigmoid.forward": Row(),
    "nn.Softmax": Row(defaults="dim", says="None, deprecated there, is refused: name the axis"),
    "nn.Softmax.forward": Row(),
    "nn.Tanh": Row(documented=""),
    "nn.Tanh.forward": Row(),
    "nn.functional": Row(),
    "nn.functional.avg_pool2d": Row(left_out="divisor_override"),
    "nn.functional.batch_norm": Row(),
    "nn.functional.conv2d": Row(),
    "nn.functional.cross_entropy": Row(
        left_out="size_average reduce",
        moved="ignore_index reduction label_smoothing",
        says="the two, deprecated there, would stand before the moved ones",
    ),
    "nn.functional.dropout": Row(left_out="inplace"),
    "nn.functional.linear": Row(),
    "nn.functional.log_softmax": Row(
        left_out="_stacklevel dtype",
        defaults="dim",
        says="None, deprecated there, is refused",
    ),
    "nn.functional.max_pool2d": Row(
        documented="input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,"
        " return_indices=False",
        left_out="return_indices",
    ),
    "nn.functional.mse_loss": Row(
        left_out="size_average reduce weight",
        moved="reduction",
        says="the first two, deprecated there, would stand before it; no broadcasting",
    ),
    "nn.functional.relu": Row(left_out="inplace"),
    "nn.functional.sigmoid": Row(),
    "nn.functional.softmax": Row(
        left_out="_stacklevel dtype",
        defaults="dim",
        says="None, deprecated there, is refused",
    ),
    "nn.functional.tanh": Row(),
    "optim.Optimizer": Row(),
    "optim.Optimizer.add_param_group": Row(),
    "optim.Optimizer.check_options": Row(
        None, says="for subclasses: raise an error for an option out of range"
    ),
    "optim.Optimizer.check_names": Row(None, says="raises an error for an unknown option"),
    "optim.Optimizer.load_state_dict": Row(),
    "optim.Optimizer.state_dict": Row(),
    "optim.Optimizer.step": Row(),
    "optim.Optimizer.zero_grad": Row(),
    "optim.SGD.direction": Row(None, says="where one parameter is moved to, before the rate"),
    "optim.lr_scheduler": Row(),
    "optim.SGD": Row(
        left_out="differentiable foreach fused",
        says="lr is a number; parameters have no names",
    ),
    "optim.lr_scheduler.CosineAnnealingLR": Row(left_out="last_epoch"),
    "optim.lr_scheduler.CosineAnnealingLR.get_lr": Row(),
    "optim.lr_scheduler.LRScheduler": Row(left_out="last_epoch"),
    "optim.lr_scheduler.LRScheduler.get_last_lr": Row(),
    "optim.lr_scheduler.LRScheduler.get_lr": Row(),
    "optim.lr_scheduler.LRScheduler.load_state_dict": Row(),
    "optim.lr_scheduler.LRScheduler.state_dict": Row(),
    "optim.lr_scheduler.LRScheduler.step": Row(left_out="epoch"),
    "optim.lr_scheduler.LRScheduler.total_steps": Row(
        None, says="when step() refuses: never, but in OneCycleLR"
    ),
    "optim.lr_scheduler.OneCycleLR": Row(left_out="last_epoch three_phase"),
    "optim.lr_scheduler.OneCycleLR.between": Row(None, says="where an option of a group is now"),
    "optim.lr_scheduler.OneCycleLR.get_lr": Row(),
    "optim.lr_scheduler.StepLR": Row(left_out="last_epoch"),
    "optim.lr_scheduler.StepLR.get_lr": Row(),
    "data.DataLoader": Row(
        left_out="batch_sampler collate_fn generator in_order multiprocessing_context"
        " num_workers persistent_workers pin_memory pin_memory_device prefetch_factor"
        " timeout worker_init_fn",
        moved="drop_last",
        defaults="shuffle",
    ),
    "data.DataLoader.batch": Row(None, says="the samples of some indices, put together"),
    "data.TensorDataset": Row(None, says="torch.utils.data.TensorDataset"),
    "data.MNIST": Row(None, says="as torchvision.datasets.MNIST, but in tensors, and with a part"),
    "data.MNIST.mean": Row(None, says="of the training pixels"),
    "data.MNIST.std": Row(None, says="of the training pixels"),
    "data.read_idx": Row(None, says="as torchvision's private reader of MNIST"),
    "Tensor.zero_": Row(documented=""),
    "autograd": Row(),
}


def public_names(module):
    """Its __all__; else what the file binds at its top level, other than by a plain import."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    names = set()
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):  # `import x as x` passes x on
            names |= {alias.name for alias in node.names if alias.name == alias.asname}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return sorted(name for name in names if not name.startswith("_"))


def public_members(cls):
    """The public names that a class adds to those of its base classes, without its options."""
    inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
    options = set(getattr(cls, "__dataclass_fields__", ()))
    found = {**vars(cls), **dict.fromkeys(vars(cls).get("__annotations__", ()))}
    return sorted(name for name in set(found) - inherited - options if not name.startswith("_"))


def everything():
    for prefix, module in MODULES.items():
        for name in public_names(module):
            yield prefix + name
            value = getattr(module, name)
            if inspect.isclass(value) and value.__module__.startswith("tinygrad_bn"):
                yield from (f"{prefix}{name}.{member}" for member in public_members(value))


NAMES = list(everything())
ABSTRACT = {
    "nn.Module.forward",
    "optim.lr_scheduler.LRScheduler.get_lr",
}  # declared, not defined


def test_the_search_finds_every_kind_of_public_name():
    expected = """tensor float32 bool no_grad nn Tensor Tensor.sum Tensor.max Tensor.T Tensor.grad
    nn.Linear nn.Parameter nn.Module.float nn.Module.training nn.Sequential nn.functional
    nn.functional.relu nn.functional.linear nn.functional.conv2d optim.Optimizer.step
    optim.lr_scheduler
    optim.lr_scheduler.StepLR optim.lr_scheduler.LRScheduler.get_last_lr data.MNIST"""
    assert not set(expected.split()) - set(NAMES)
    assert not [name for name in NAMES if re.search(r"\b_", name)]
    assert len(NAMES) == len(set(NAMES))


def test_every_public_name_is_in_the_table_and_no_other():
    assert sorted(set(NAMES) - set(TABLE)) == []
    assert sorted(set(TABLE) - set(NAMES)) == []


@pytest.mark.parametrize("name", TABLE)
def test_what_has_no_counterpart_says_what_it_is(name):
    assert TABLE[name].theirs is not None or TABLE[name].says


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].left_out])
def test_an_option_that_is_left_out_is_refused_by_name(name):
    """By Python itself, as no signature here takes any keyword."""
    signature = inspect.signature(find(tg, name))
    for option in TABLE[name].left_out.split():
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
            signature.bind_partial(**{option: None})


def find(root, path):
    """What the path leads to; None where there is no such thing."""
    return functools.reduce(lambda owner, name: getattr(owner, name, None), path.split("."), root)


def counterpart(torch, name):
    path = TABLE[name].theirs
    if not path:
        path = name.replace("data.", "utils.data.") if name.startswith("data.") else name
    return find(torch, path)


def read_signature(text, torch):
    """The signature that a text such as "dim=None, *, out=None" describes."""
    text = re.sub(r"(\*\w+, )\*, ", r"\1", text)  # torch.ones(*size, *, out=None)
    namespace = {"torch": torch}
    exec(f"def described({text}): ...", namespace)
    return inspect.signature(namespace["described"])


def their_signature(torch, name):
    theirs, row = counterpart(torch, name), TABLE[name]
    if row.documented is not None:
        return read_signature(row.documented, torch)
    try:
        return inspect.signature(theirs)
    except ValueError:
        short = name.rpartition(".")[2]
        lines = [line.strip() for line in theirs.__doc__.splitlines()]
        line = next(line for line in lines if line.startswith(f"{short}("))
        return read_signature(line.partition(") ->")[0].partition("(")[2], torch)


def parameters(signature):
    """Those that can be given: by name, with position (None if there is none) and default.

    The sizes in `reshape(*shape)` count as one parameter named *, whatever it is called.
    """
    found, position = {}, 0
    for p in signature.parameters.values():
        if p.name == "self" or p.kind is p.VAR_KEYWORD:
            continue
        by_position = p.kind is not p.KEYWORD_ONLY
        key = "*" if p.kind is p.VAR_POSITIONAL else p.name
        found[key] = (position if by_position else None, p.default)
        position += by_position
    return found


def differences(ours, theirs):
    common = [name for name in ours if name in theirs]
    assert common == [name for name in theirs if name in ours], "in another order"
    return {
        "left_out": set(theirs) - set(ours),
        "extra": set(ours) - set(theirs),
        "moved": {name for name in common if ours[name][0] != theirs[name][0]},
        "defaults": {name for name in common if ours[name][1] != theirs[name][1]},
    }


def has_signature(name):
    value = None if name in ABSTRACT else find(tg, name)
    described = callable(value) and not isinstance(value, type(tg))
    return described and TABLE[name].theirs is not None and "no signature" not in TABLE[name].says


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].theirs is not None])
def test_the_counterpart_exists_and_is_of_the_same_kind(torch, name):
    theirs = counterpart(torch, name)
    if name not in ABSTRACT:
        ours = find(tg, name)
        assert inspect.ismodule(ours) == inspect.ismodule(theirs)
        assert callable(ours) == callable(theirs)


@pytest.mark.parametrize("name", [name for name in TABLE if has_signature(name)])
def test_the_signature_differs_from_pytorchs_only_as_the_table_says(torch, name):
    ours, theirs = inspect.signature(find(tg, name)), their_signature(torch, name)
    assert differences(parameters(ours), parameters(theirs)) == TABLE[name].differences()
    if name != "nn.Identity":  # PyTorch's takes anything too
        assert not [p for p in ours.parameters.values() if p.kind is p.VAR_KEYWORD], "swallows all"


def test_the_comparison_of_signatures_notices_each_kind_of_difference():
    def ours(a, b=1, *, c=None, e=0): ...

    def theirs(a, d=0, b=2, c=None): ...

    mine, others = (parameters(inspect.signature(f)) for f in (ours, theirs))
    assert differences(mine, others) == {
        "left_out": {"d"},
        "extra": {"e"},
        "moved": {"b", "c"},
        "defaults": {"b"},
    }
    assert not any(differences(mine, mine).values())
    with pytest.raises(AssertionError, match="another order"):
        differences(mine, dict(reversed(mine.items())))


# --- what is taken must not be ignored ------------------------------------------------------------


def scores_and_probabilities():
    values = [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]
    scores = tg.tensor(values, requires_grad=True)
    return scores, F.softmax(tg.tensor(values), 1)


def test_probabilities_have_no_class_to_ignore():
    """PyTorch: "ignore_index is not supported for floating point target"."""
    with pytest.raises((TypeError, ValueError, RuntimeError), match="ignore_index"):
        F.cross_entropy(*scores_and_probabilities(), ignore_index=1)


def test_class_weights_of_probabilities_get_their_gradient_or_are_refused():
    """PyTorch gives −Σ t log softmax."""
    scores, probabilities = scores_and_probabilities()
    weight, refused = tg.ones(3, requires_grad=True), ""
    try:
        F.cross_entropy(scores, probabilities, weight, reduction="sum").backward()
    except (ValueError, RuntimeError) as error:
        refused = str(error)
    if weight.grad is None:
        assert "weight" in refused, "the gradient of the weights was left out silently"
    else:
        expected = -(probabilities * F.log_softmax(scores.detach(), 1)).sum(0)
        assert weight.grad.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_class_weights_of_indices_that_require_a_gradient_are_refused():
    """PyTorch: "not differentiable with respect to argument 'weight'"."""
    weight = tg.ones(3, requires_grad=True)
    scores, _ = scores_and_probabilities()
    with pytest.raises((TypeError, ValueError, RuntimeError), match="weight"):
        F.cross_entropy(scores, tg.tensor([0, 2]), weight).backward()


# --- where names and arguments stand --------------------------------------------------------------


def test_convolution_pooling_and_batch_normalization_are_found_here_as_in_pytorch():
    for name in ("conv2d", "max_pool2d", "avg_pool2d", "batch_norm"):
        assert callable(getattr(F, name))
    assert sys.modules["tinygrad_bn.nn.functional"] is F


def test_a_star_import_brings_the_layers_and_the_functions():
    names: dict[str, object] = {}
    exec("from tinygrad_bn.nn import *\nfrom tinygrad_bn.nn.functional import *", names)
    assert {
        "Linear",
        "Conv2d",
        "BatchNorm2d",
        "Sequential",
        "Module",
        "relu",
        "conv2d",
    } <= set(names)


@pytest.mark.parametrize(
    "misread",
    [
        lambda: F.cross_entropy(tg.ones(2, 3), tg.zeros(2, dtype=tg.int64), None, 1),
        lambda: nn.CrossEntropyLoss(None, 1),
        lambda: F.mse_loss(tg.ones(2), tg.ones(2), "sum"),
        lambda: nn.MSELoss("sum"),
        lambda: tg.data.DataLoader(range(4), 2, False, None, True),
        lambda: tg.grad(tg.ones(()), tg.ones(()), None, None, False, True),
    ],
)
def test_an_argument_that_stands_elsewhere_in_pytorch_is_not_taken_by_position(misread):
    with pytest.raises(TypeError, match="positional argument"):
        misread()
