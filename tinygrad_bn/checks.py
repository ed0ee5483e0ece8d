"""[2] What is refused: dtypes, axes, sizes and ranges, each with a sentence that says why.

Nothing is computed here. The chapters call these functions first, so that a mistake is named where
it is made and before anything has changed, and so that the ideas stand apart from the tests that
protect them. Read on with chapter 3, and come back when a message sends you here.

ValueError is for values, TypeError for types, IndexError for axes, RuntimeError for a graph.
"""

import math
import operator
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .engine import Array, Shape, recording
from .kernels.window import Window, is_integer

float32 = np.dtype("float32")
float64 = np.dtype("float64")
int64 = np.dtype("int64")
bool_ = np.dtype("bool")
DType = np.dtype[Any]
Given = Any  # what was given where a tensor, or None, is meant
State = dict[str, Any]  # by name: what is saved of an object, or a group of parameters

# --- dtypes ---------------------------------------------------------------------------------------


SUPPORTED = [bool_, int64, float32, float64]  # two of them combined: the later one


def supported_dtype(dtype: Any) -> DType:
    """`dtype` as NumPy's; TypeError unless it is one of the four."""
    try:
        found: DType = np.dtype(dtype)
    except TypeError:  # of NumPy, for what is no dtype at all
        found = dtype
    if found in SUPPORTED:
        return found
    raise TypeError(f"dtype {found}: convert to float32, float64, int64 or bool (with .astype)")


def rank(dtype: DType) -> int:
    """Its place among the four; TypeError for another one, such as uint8."""
    return SUPPORTED.index(supported_dtype(dtype))


def holds_float64(data: Any) -> bool:
    """Whether among nested lists there are float64 numbers of NumPy's, which keep their dtype."""
    if not isinstance(data, list | tuple):
        return bool(getattr(data, "dtype", float32) == float64)  # None would stand for float64
    types = set(map(type, data))
    if types <= {int, float, bool}:
        return False
    return any(holds_float64(part) for part in data)


def only_cpu(device: Any) -> None:
    """ValueError for any device but the processor, which need not be given."""
    if device is not None and str(device) != "cpu":
        raise ValueError(f"device {device!r}: CPU only: leave it out, or give 'cpu'")


def dtype_to(args: tuple[Any, ...], dtype: Any, device: Any) -> Any:
    """The dtype that `to(...)` was given, among a device, another tensor, or by name; or None."""
    for value in args:
        if isinstance(value, bool):
            raise TypeError(f"to(..., {value}): PyTorch's non_blocking and copy are left out")
        if hasattr(value, "grad_fn"):
            dtype = value.dtype
        elif isinstance(value, str) and value not in np.sctypeDict:
            device = value
        else:
            dtype = value
    only_cpu(device)
    return dtype


def number_dtype(value: Any) -> DType:
    """The dtype that a Python number stands for; TypeError for anything else."""
    for kind, dtype in ((bool, bool_), (int, int64), (float, float32)):
        if isinstance(value, kind):
            return dtype
    raise TypeError(f"cannot combine a tensor with {type(value).__name__} {value!r}")


def no_bools(function: str, *operands: Any) -> None:
    """TypeError if an operand is True, False or of bools, where PyTorch refuses it too."""
    for operand in operands:
        if isinstance(operand, bool) or getattr(operand, "dtype", None) == bool_:
            raise TypeError(f"{function} is not for bools: convert them first, as with .float()")


def are_tensors(function: str, **tensors: Given) -> None:
    """TypeError unless those that are given are tensors."""
    for name, value in tensors.items():
        if value is not None and not hasattr(value, "grad_fn"):
            raise TypeError(
                f"{function}: {name} must be a Tensor, not {type(value).__name__}: use tensor(...)"
            )


def one_float_dtype(function: str, **tensors: Given) -> None:
    """TypeError unless those that are given are all float32, or all float64."""
    try:
        dtypes = [t.data.dtype for t in tensors.values() if t is not None]
    except AttributeError:
        are_tensors(function, **tensors)
        raise
    first = dtypes[0]
    if first not in (float32, float64) or dtypes.count(first) != len(dtypes):
        given = ", ".join([f"{name} {t.dtype}" for name, t in tensors.items() if t is not None])
        raise TypeError(f"{function} needs one floating-point dtype, not {given}: use .to(dtype)")


def module_dtype(dtype: Any) -> None:
    """TypeError unless a module can be of this dtype."""
    if np.dtype(dtype) not in (float32, float64):
        raise TypeError(f"a module can be of dtype float32 or float64, not {dtype}")


def may_require_grad(tensor: Given, value: bool) -> None:
    """TypeError or RuntimeError unless `tensor.requires_grad = value` makes sense."""
    flag(requires_grad=value)
    if value and tensor.dtype.kind != "f":
        raise RuntimeError(f"{tensor.dtype} cannot require a gradient: use .float()")
    if not value and tensor.grad_fn is not None:
        raise RuntimeError("requires_grad can be switched off on leaves only; use .detach()")


def can_be_an_index(tensor: Given) -> None:
    """TypeError unless it is a single integer, or bool."""
    if tensor.data.size != 1 or tensor.data.dtype.kind == "f":
        raise TypeError(
            f"only a single integer can be an index, not {tensor.dtype} of shape {tensor.shape}"
        )


def has_no_graph(tensor: Given) -> None:
    """RuntimeError if a tensor was computed from others: a copy would need copies of all these."""
    if tensor.grad_fn is not None:
        raise RuntimeError(
            f"a result with its graph (grad_fn={tensor.grad_fn.name}) cannot be copied or pickled, "
            "only a leaf: use .detach() or .clone()"
        )


# --- numbers --------------------------------------------------------------------------------------


def positive_integers(**sizes: Any) -> None:
    """ValueError unless all are integers >= 1."""
    for name, size in sizes.items():
        if not is_integer(size, 1):
            raise ValueError(f"{name} must be a positive integer, not {size!r}")


def in_range(least: float, most: float, **values: float) -> None:
    """ValueError unless all are between the two; TypeError for what is no number."""
    for name, value in values.items():
        if not hasattr(value, "__float__"):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not least <= value <= most:  # so is NaN: it compares as False
            raise ValueError(f"{name} must be between {least} and {most}, not {value}")


def integer(name: str, value: Any) -> int:
    """`value` as an int of Python's; TypeError for True, for 1.0, and for what is no number."""
    if type(value) is int:  # the usual case: nothing to do
        return value
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    return operator.index(value)


def flag(**values: Any) -> None:
    """TypeError unless all are True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {value!r}")


def bound(name: str, value: Any) -> None:
    """TypeError unless a bound of `clamp` is a number or None."""
    if not isinstance(value, int | float | np.number | None):
        raise TypeError(
            f"clamp: {name} must be a number, not {type(value).__name__}: where() takes tensors"
        )


def has_powers(a: Given, b: Given) -> None:
    """ValueError for integers to a negative power, which is no integer."""
    if a.data.dtype == int64 and (b.data < 0).any():
        raise ValueError("**: negative powers of integers are no integers: use .float()")


def steps(start: Any, end: Any, step: Any, dtype: DType, whole: bool) -> None:
    """TypeError or ValueError unless `arange` can go from start to end in steps, all finite."""
    if dtype == bool_:
        raise TypeError("arange: there are no steps between bools: give another dtype")
    most = np.iinfo(int64).max if whole else sys.float_info.max
    in_range(-most, most, start=start, end=end, step=step)
    if whole and int(step) == 0:
        raise ValueError(f"arange: steps of {step} are no steps between integers")
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: steps of {step} do not lead from {start} to {end}")


def single_number(value: Any) -> Any:
    """`value`, if it is one number, for `fill_`; ValueError if it has axes."""
    if getattr(value, "ndim", 0) > 0:
        raise ValueError(f"fill_ takes one number, not {value!r}: use copy_")
    return value


PerGroup = float | list[float]  # one value for all parameter groups, or a list with one for each


def one_for_each(groups: Sequence[Any], **options: PerGroup) -> list[State]:
    """For each parameter group its options, none of them negative; a dict by their names."""
    found: list[State] = [{} for _ in groups]
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [value] * len(groups)
        if len(values) != len(groups):
            raise ValueError(f"{name}: {values} are not one value for each of {len(groups)} groups")
        for own, one in zip(found, values, strict=True):
            in_range(0, math.inf, **{name: one})
            own[name] = one
    return found


# --- axes and sizes -------------------------------------------------------------------------------


def axis(dim: Any, ndim: int) -> int:
    """`dim` as a non-negative axis; a tensor without axes is treated as if it had one."""
    place = integer("dim", dim)
    existing = max(ndim, 1)
    if not -existing <= place < existing:
        raise IndexError(f"dim {dim} is out of range for a tensor of {ndim} dimensions")
    return place % existing


def axes(dim: Any, ndim: int) -> Shape:
    """`dim`, an axis or several (None for all), as non-negative axes."""
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, (tuple, list)) else [dim]
    found = tuple([axis(one, ndim) for one in dims])
    if len(set(found)) != len(found):
        raise ValueError(f"dim {dim} names an axis twice")
    return found if ndim else ()  # dim 0 of a tensor without axes names none


def reduced_axes(dim: Any, ndim: int) -> Shape:
    """The axes of a sum: as in PyTorch, an empty list means all of them, like None."""
    return axes(dim, ndim) or tuple(range(ndim))


def every_axis(dims: Shape, ndim: int) -> Shape:
    """`dims`, which must name each axis once, for `permute`."""
    if len(dims) != ndim:
        raise ValueError(f"permute{dims}: {ndim} axes are needed, each once")
    return axes(dims, ndim)


def integers(name: str, given: tuple[Any, ...]) -> Shape:
    """Integers given as `f(2, 3)` or as `f((2, 3))`."""
    in_brackets = len(given) == 1 and isinstance(given[0], (tuple, list))
    values = tuple(given[0]) if in_brackets else given
    if set(map(type, values)) <= {int}:  # the usual case: nothing to do
        return values
    return tuple([integer(name, value) for value in values])


def sizes(given: tuple[Any, ...], least: int = 0) -> Shape:
    """Sizes, each at least 0, or -1 where it stands for what is there; else ValueError."""
    found = integers("a size", given)
    if min(found, default=0) < least:
        raise ValueError(f"sizes must be >= {least}, not {found}")
    return found


def axis_with_elements(function: str, tensor: Given, dim: Any) -> int | None:
    """`dim` as an axis, or None; IndexError if there is nothing on it to take the largest of."""
    place = None if dim is None else axis(dim, tensor.ndim)
    if tensor.numel() == 0 and (place is None or tensor.shape[place] == 0):
        raise IndexError(f"{function}(dim={dim}) of no values: the shape is {tensor.shape}")
    return place


def extreme(function: str, dim: Any, keepdim: Any) -> None:
    """TypeError unless `max` or `min` is told one axis, or None; without one, none can be kept."""
    flag(keepdim=keepdim)
    if hasattr(dim, "grad_fn"):
        raise TypeError(f"{function} takes an axis, not a tensor: where(a > b, a, b) takes two")
    if keepdim and dim is None:
        raise TypeError(f"{function}: keepdim=True needs a dim")


def condition(mask: Any) -> Array:
    """The condition of `where` as an array of booleans."""
    array = np.array(mask)  # a copy: it may be changed before the gradient needs it
    if array.dtype != bool_:
        raise TypeError(f"where() needs a bool condition, not {array.dtype}")
    return array


def joinable(tensors: Sequence[Any], kind: type) -> None:
    """For `cat` and `stack`: ValueError without any, TypeError if something else is among them."""
    if isinstance(tensors, kind):
        raise TypeError("a list of tensors is needed, not one tensor")
    if len(tensors) == 0:
        raise ValueError("at least one tensor is needed")
    for tensor in tensors:
        if not isinstance(tensor, kind):
            raise TypeError(f"only tensors can be joined, not {type(tensor).__name__}")


def equal_shapes(tensors: Sequence[Given]) -> None:
    """ValueError unless all are of one shape."""
    if len({tensor.shape for tensor in tensors}) > 1:
        raise ValueError(f"stack() needs equal shapes, not {[t.shape for t in tensors]}")


def matmul_dtype(a: Given, b: Any) -> None:
    """TypeError unless two tensors are of one dtype, and none of bools; an array is converted."""
    dtype = a.data.dtype
    other = b.data.dtype if hasattr(b, "grad_fn") else dtype
    if other != dtype or dtype == bool_:
        raise TypeError(f"@: one dtype of numbers is needed, not {dtype} and {other}: use .to()")


def matmul_shapes(a: Array, b: Array) -> None:
    """ValueError unless the columns of `a` are as many as the rows of `b`."""
    rows_of_b = -2 if b.ndim > 1 else -1
    if min(a.ndim, b.ndim) == 0 or a.shape[-1] != b.shape[rows_of_b]:
        raise ValueError(f"@: shapes {a.shape} and {b.shape} do not fit: (..., n, k) @ (..., k, m)")


# --- in place -------------------------------------------------------------------------------------


def not_recorded(name: str, target: Given, result: Given) -> None:
    """RuntimeError where a change in place would have to be recorded."""
    if not recording.get():
        return
    if target.requires_grad and target.grad_fn is None:
        raise RuntimeError(
            f"{name}: a leaf Variable that requires grad is being used in an in-place operation: "
            "put it under `with no_grad():`"
        )
    if target.requires_grad or result.requires_grad:
        raise RuntimeError(
            f"{name}: what is changed in place cannot be differentiated: compute a new tensor"
        )


def can_hold(name: str, target: Given, result: Given) -> None:
    """RuntimeError unless `target` has the room, the dtype and the memory for `result`."""
    if np.broadcast_shapes(target.shape, result.shape) != target.shape:
        raise RuntimeError(
            f"{name}: output with shape {target.shape} doesn't match the "
            f"result's shape {result.shape}"
        )
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):  # such as floats to integers
        raise RuntimeError(
            f"{name}: result type {result.dtype} can't be cast to {target.dtype}: use a new tensor"
        )
    if not target.data.flags.writeable:
        raise RuntimeError(f"{name}: its elements share memory: use .clone() first")


# --- modules --------------------------------------------------------------------------------------


def stays(owner: object, name: str, value: Any, kind: type) -> None:
    """TypeError if what is assigned to a parameter, buffer or submodule is not one, or None."""
    if not isinstance(value, kind | None):
        raise TypeError(
            f"cannot assign a {type(value).__name__} as {type(owner).__name__}.{name} "
            f"({kind.__name__} or None expected): wrap it in one, or delete the attribute first"
        )


def new_buffer(owner: Any, name: str, value: Any, kind: type) -> None:
    """TypeError unless it is a tensor, or None; ValueError if the name will not do."""
    stays(owner, name, value, kind)
    if "." in name:
        raise ValueError(f"a buffer's name has no dot: {name!r}")
    if hasattr(owner, name) and name not in owner._buffers:
        raise ValueError(f"{type(owner).__name__}.{name} exists, and is not a buffer")


def saved(owner: object, state: Any, *needed: str) -> None:
    """TypeError unless it is a dict, as `state_dict` gives; ValueError if a key is missing."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{type(owner).__name__}: a state_dict is a dict, not {type(state).__name__}"
        )
    for name in needed:
        if name not in state:
            raise ValueError(
                f"{type(owner).__name__}: no {name!r} in {list(state)}: the state of something else"
            )


def module(owner: object, number: int, value: Any, kind: type) -> Any:
    """`value`; TypeError unless it is a module."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(owner).__name__} takes modules; argument {number} is {value!r}")
    return value


# --- layers ---------------------------------------------------------------------------------------


def has_shape(function: str, shape: Shape, **tensors: Given) -> None:
    """ValueError unless those that are given have this shape."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.data.shape != shape:
            raise ValueError(f"{function}: {name} must have shape {shape}, not {tensor.shape}")


def is_constant(function: str, **tensors: Given) -> None:
    """ValueError if one of those that are given requires a gradient: it would get none."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.requires_grad:
            raise ValueError(f"{function}: {name} must be constant, but requires_grad=True")


def linear(input: Given, weight: Given, bias: Given) -> None:
    """Shapes (..., in), (out, in) and (out,), of one dtype."""
    one_float_dtype("linear", input=input, weight=weight, bias=bias)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight must be (out, in), not {weight.shape}")
    if input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: input {input.shape} does not fit weight {weight.shape}")
    has_shape("linear", weight.shape[:1], bias=bias)


def images(function: str, input: Given, **others: Given) -> None:
    """Images (N, C, H, W), or one (C, H, W), of one dtype with the others."""
    one_float_dtype(function, input=input, **others)
    if input.ndim not in (3, 4):
        raise ValueError(
            f"{function}: input must be images (N, C, H, W) or (C, H, W), not {input.shape}"
        )


def conv2d(input: Given, weight: Given, bias: Given, groups: int) -> None:
    """Images (N, C, H, W), kernels (O, C/groups, KH, KW) and a bias (O,)."""
    positive_integers(groups=groups)
    if weight.ndim != 4:
        raise ValueError(f"conv2d: kernels are (O, C/groups, KH, KW), not {weight.shape}")
    channels, outputs = input.shape[1], len(weight)
    given = f"conv2d: {channels} channels do not fit {weight.shape}, {groups=}"
    if channels != weight.shape[1] * groups:
        raise ValueError(f"{given}: weight.shape[1] must be channels / groups")
    if min(channels, outputs) < 1:
        raise ValueError(f"{given}: none of them may be 0")
    if outputs % groups:
        raise ValueError(f"{given}: weight.shape[0] must be a multiple of groups")
    has_shape("conv2d", (outputs,), bias=bias)


def conv2d_layer(channels: Any, outputs: Any, groups: Any, padding_mode: str) -> None:
    """The options of a Conv2d."""
    positive_integers(in_channels=channels, out_channels=outputs, groups=groups)
    if channels % groups or outputs % groups:
        raise ValueError(
            f"groups={groups} must divide in_channels={channels} and out_channels={outputs}"
        )
    if padding_mode != "zeros":
        raise ValueError(f"padding_mode must be 'zeros', not {padding_mode!r}")


def kernel_fits(window: Window) -> None:
    """ValueError unless there is a place for the kernel in the padded image, and pixels in it."""
    if min(window.output + window.image) < 1:
        raise ValueError(f"the kernel does not fit into the padded image: {window}")


def pool_padding(window: Window) -> None:
    """ValueError if a window could lie in the padding altogether."""
    (top, _), (left, _) = window.padding
    if 2 * top > window.kernel[0] or 2 * left > window.kernel[1]:
        raise ValueError(f"padding {(top, left)} is more than half of kernel_size {window.kernel}")


# --- losses ---------------------------------------------------------------------------------------


def loss_options(reduction: str, label_smoothing: float = 0.0) -> None:
    """ValueError unless the losses are averaged, summed or left alone, and s is in [0, 1]."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    in_range(0, 1, label_smoothing=label_smoothing)


def class_scores(input: Given, weight: Given) -> int:
    """The number of classes C of scores (N, C, ...), with a weight (C,) for each, or none."""
    one_float_dtype("cross_entropy", input=input, weight=weight)
    if input.ndim < 2 or input.shape[1] == 0:
        raise ValueError(f"cross_entropy: input {input.shape} has no axis of at least one class")
    has_shape("cross_entropy", input.shape[1:2], weight=weight)
    is_constant("cross_entropy", weight=weight)
    return int(input.shape[1])


def class_probabilities(input: Given, target: Given, ignore_index: int) -> None:
    """A target of probabilities has the shape of the scores, and no index to ignore."""
    if target.shape != input.shape:
        raise ValueError(
            f"cross_entropy: a target of floats holds class probabilities, of shape {input.shape}, "
            f"not {target.shape}; class indices are int64"
        )
    if ignore_index >= 0:
        raise ValueError(f"cross_entropy: {ignore_index=} is of no use to probabilities")


def class_indices(input: Given, target: Given) -> None:
    """A target of class indices is int64, and of the scores' shape without the classes."""
    if target.dtype != int64:
        raise ValueError(f"cross_entropy: class indices must be int64, not {target.dtype}")
    has_shape("cross_entropy", (input.shape[0], *input.shape[2:]), target=target)


def known_classes(labels: Array, used: Array, one_hot: Array) -> None:
    """ValueError unless each label in use is a class index, and so has its True in `one_hot`."""
    if np.count_nonzero(one_hot) != np.count_nonzero(used):
        wrong = labels[used & ~one_hot.any(1, keepdims=True)][0]
        raise ValueError(f"cross_entropy: {wrong} is no class index in [0, {one_hot.shape[1]})")


# --- batch normalization --------------------------------------------------------------------------


def batch_norm(
    input: Given, eps: float, affine: dict[str, Given], statistics: dict[str, Given]
) -> None:
    """Input (N, C, ...); the others are (C,) or None, and the statistics constant."""
    one_float_dtype("batch_norm", input=input, **affine, **statistics)
    if input.ndim < 2:
        raise ValueError(f"batch_norm: input must be (N, C, ...), not {input.shape}")
    in_range(0, math.inf, eps=eps)
    has_shape("batch_norm", input.shape[1:2], **affine, **statistics)
    is_constant("batch_norm", **statistics)


def values_per_channel(shape: Shape, layer: object) -> int:
    """How many; ValueError if it is one: normalizing would make it 0, whatever it is."""
    count = shape[0] * math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"{layer}: training needs more than 1 value per channel, not {shape}. Is it a last "
            "batch of one sample? Use drop_last=True, or .eval() for inference"
        )
    return count


def channels(layer: Any, input: Given, kinds: dict[int, str]) -> None:
    """ValueError unless the layer takes inputs of this rank and as many channels."""
    are_tensors(type(layer).__name__, input=input)
    if input.ndim not in kinds or input.shape[1] != layer.num_features:
        raise ValueError(
            f"{layer!r} takes {' or '.join(kinds.values())}, C = "
            f"{layer.num_features}, not {input.shape}"
        )


def features_are_channels(input: Given) -> None:
    """ValueError unless the last axis is axis 1, for a batch normalization folded into a Linear."""
    if input.ndim != 2:
        raise ValueError(
            f"a batch normalization was folded into the Linear before it: that takes (N, C), not "
            f"{input.shape}, whose axis 1 is not its last; use the model as it was"
        )


# --- data -----------------------------------------------------------------------------------------


def dataset(data: Any) -> None:
    """TypeError unless it has a length and samples."""
    for method in ("__len__", "__getitem__"):
        if not hasattr(data, method):
            raise TypeError(
                f"a dataset has a length and gives a sample for an index: {type(data).__name__} "
                f"has no {method}"
            )


def equal_lengths(tensors: Sequence[Any], kind: type) -> None:
    """TypeError or ValueError unless there are tensors, all of as many rows."""
    joinable(tensors, kind)
    shapes = [tensor.shape for tensor in tensors]
    if len({shape[:1] for shape in shapes}) > 1 or () in shapes:
        raise ValueError(f"TensorDataset: tensors of one length are needed, not {shapes}")


def equal_samples(samples: Sequence[Any]) -> None:
    """ValueError unless all samples have as many parts."""
    lengths = {len(sample) for sample in samples}
    if len(lengths) > 1:
        raise ValueError(f"the samples of a batch have different numbers of parts: {lengths}")


def can_be_collated(sample: Any) -> None:
    """TypeError unless samples of this kind can be stacked."""
    is_tensor = hasattr(sample, "grad_fn")
    if not is_tensor and not isinstance(sample, int | float | np.ndarray | np.generic):
        raise TypeError(
            f"the dataset's samples hold a {type(sample).__name__}: give tensors, arrays, numbers, "
            "text, or tuples and dicts of these"
        )


# --- optimizers -----------------------------------------------------------------------------------


def param_group(group: Any) -> None:
    """TypeError or ValueError unless it is a dict with its "params" in an order."""
    if not isinstance(group, dict):
        raise TypeError(f"a parameter group is a dict, not a {type(group).__name__}")
    if "params" not in group:
        raise ValueError(f"a parameter group needs 'params', beside {sorted(group)}")
    if isinstance(group["params"], set):
        raise TypeError("params must be a list: a set has no order, by which states are saved")


def parameters(given: Sequence[Any], known: set[int], kind: type[Any]) -> None:
    """What an optimizer changes: tensors that were not computed, each in one group only."""
    for i, parameter in enumerate(given):
        if not isinstance(parameter, kind):
            raise TypeError(f"parameter {i} is {parameter!r}, not a tensor")
        which = f"parameter {i}, shape {parameter.shape},"
        if parameter.grad_fn is not None:
            raise ValueError(f"{which} is not a leaf")
        if id(parameter) in known:
            raise ValueError(f"{which} is optimised already")
        known.add(id(parameter))


def schedule_state(schedule: object, state: State) -> None:
    """ValueError if a saved state is not that of such a schedule, but of another one."""
    saved(schedule, state, "base_lrs", "last_epoch")
    public = [option for option, value in state.items() if value and not option.startswith("_")]
    unknown = sorted(set(public) - set(vars(schedule)))
    if unknown:
        raise ValueError(
            f"{type(schedule).__name__} has no {', '.join(unknown)}: the state of another schedule"
        )


def has_a_cycle(groups: Sequence[State]) -> None:
    """ValueError if a group has been added since a OneCycleLR was made, and has no max_lr."""
    for i, group in enumerate(groups):
        if "max_lr" not in group:
            raise ValueError(
                f"group {i} was added after this OneCycleLR was made, which so has no max_lr for "
                "it: make a new schedule for all groups"
            )


def saved_groups(groups: Sequence[State], saved: Sequence[State]) -> None:
    """ValueError unless there are as many groups as were saved, each of as many tensors."""
    sizes, saved_sizes = [[len(group["params"]) for group in both] for both in (groups, saved)]
    if sizes != saved_sizes:
        raise ValueError(
            f"the saved groups have {saved_sizes} parameters, this optimizer's have {sizes}"
        )


def remembered(name: str, array: Array, parameter: Given) -> None:
    """ValueError unless what an optimizer has saved is of the parameter's shape, or one number."""
    if array.ndim > 0 and array.shape != parameter.shape:
        raise ValueError(f"{name}: {array.shape} was saved for a parameter of {parameter.shape}")


def has_momentum(optimizer: Any) -> None:
    """ValueError unless there is a momentum for a schedule to change."""
    if "momentum" not in optimizer.defaults:
        raise ValueError(f"{type(optimizer).__name__} has no momentum: use cycle_momentum=False")
