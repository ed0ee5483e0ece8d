"""Write tests/oracle/vectors/*.npz: inputs, and what PyTorch 2.13 makes of them. Needs PyTorch.

    python tests/support/make_vectors.py

A case is a line of code that means the same in both libraries, with the arrays it is run on. `run`
runs it under either: here under PyTorch, in test_vectors.py under tinygrad_bn, where the results
must be those in the file. Inputs are float32 numbers, so that the same ones serve both dtypes.

A file holds the cases as JSON, and for each dtype one flat array in which the arrays of that dtype
follow each other: thousands of small files in one archive would be mostly headers.
"""

import itertools
import json
import math
import random
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "oracle" / "vectors"
VERSION = "2.13.0"
FLOATS = ("float32", "float64")


# --- one case under one library -------------------------------------------------------------------


def run(case, given, library, dtype):
    """The results by name, as arrays. `given`: the input arrays by name, floats in any dtype."""
    arrays = {
        k: v.astype(dtype, copy=False) if v.dtype.kind == "f" else v for k, v in given.items()
    }
    return KINDS[case["kind"]](case, arrays, library)


def names(m):
    """What the code of a case can refer to, beside its arrays."""
    return {"m": m, "nn": m.nn, "F": m.nn.functional, "optim": m.optim}


def copied(tensor):
    return np.array(tensor.detach().numpy())


def run_function(case, arrays, m):
    """The output; if it can have one, the gradient of every floating-point input."""
    constant = case.get("constant", [])
    inputs = {
        k: m.tensor(v, requires_grad=bool(v.dtype.kind == "f" and k not in constant))
        for k, v in arrays.items()
        if k != "cotangent"
    }
    y = eval(case["code"], names(m) | inputs)
    results = {"y": copied(y)}
    if "cotangent" in arrays:
        y.backward(m.tensor(arrays["cotangent"]).to(y.dtype))
        results |= {f"d{k}": copied(x.grad) for k, x in inputs.items() if x.requires_grad}
        results |= {f"{k} after": copied(inputs[k]) for k in case.get("buffers", [])}
    return results


def run_layer(case, arrays, m):
    """Calls of one layer, in train or eval mode; after those to `show`, all that there is to see.

    "x 0", "x 1", …: the input of each call, which may need no cotangent if it is not shown.
    """
    state = {k.split()[1]: v for k, v in arrays.items() if k.startswith("state ")}
    layer = eval(case["code"], names(m))
    layer = layer.double() if "float64" in {str(v.dtype) for v in arrays.values()} else layer
    layer.load_state_dict({k: m.tensor(v) for k, v in state.items()})
    results = {}
    for call, mode in enumerate(case["modes"]):
        getattr(layer, mode)()
        x = m.tensor(arrays[f"x {call}"], requires_grad=True)
        layer.zero_grad()
        y = layer(x)
        if call in case["show"]:
            y.backward(m.tensor(arrays[f"cotangent {call}"]))
            shown = {"y": y, "dx": x.grad}
            shown |= {f"d {k}": p.grad for k, p in layer.named_parameters()}
            shown |= {f"state {k}": v for k, v in layer.state_dict().items()}
            results |= {f"{k} {call}": copied(v) for k, v in shown.items()}
    return results


def run_optimizer(case, arrays, m):
    """The parameters p0, p1, … after each step, for given gradients; some may be missing."""
    start = [v for k, v in arrays.items() if k.startswith("p")]
    params = [m.tensor(v) for v in start]
    optimizer = eval(case["code"], names(m) | {"p": params})
    results = {}
    for step in range(case["steps"]):
        for i, p in enumerate(params):
            g = arrays.get(f"g{i} {step}")
            p.grad = None if g is None else m.tensor(g)
        optimizer.step()
        results |= {f"p{i} {step}": copied(p) for i, p in enumerate(params)}
    return results


def run_schedule(case, arrays, m):
    """A table: after each step the rates of both groups, then their momenta."""
    groups = [{"params": [m.zeros(1)], "lr": 0.7}, {"params": [m.zeros(2)], "lr": 0.3}]
    optimizer = m.optim.SGD(groups, lr=0.1, momentum=0.6)
    schedule = eval(case["code"], {"S": m.optim.lr_scheduler, "optimizer": optimizer})
    table = []
    for _ in range(case["steps"]):
        both = optimizer.param_groups
        assert schedule.get_last_lr() == [group["lr"] for group in both]
        table.append([group[k] for k in ("lr", "momentum") for group in both])
        optimizer.step()
        schedule.step()
    return {"table": np.array(table)}


KINDS = {
    "function": run_function,
    "layer": run_layer,
    "optimizer": run_optimizer,
    "schedule": run_schedule,
}


# --- the files ------------------------------------------------------------------------------------


def read(path):
    """(PyTorch's version, cases): in each case its inputs `given`, and `expected` by dtype."""
    with np.load(path) as file:
        flat = dict(file)
    header = json.loads(str(flat["cases"]))
    at = Counter()

    def take(layout):
        found = {}
        for name, dtype, shape in layout:
            size = math.prod(shape)
            found[name] = flat[dtype][at[dtype] : at[dtype] + size].reshape(shape)
            at[dtype] += size
        return found

    for case in header["cases"]:
        case["given"] = take(case["given"])
        case["expected"] = {d: take(layout) for d, layout in case["expected"].items()}
    assert all(at[dtype] == len(flat[dtype]) for dtype in at)
    return header["torch"], header["cases"]


def write(path, version, cases):
    flat = {}

    def put(arrays):
        for array in arrays.values():
            flat.setdefault(str(array.dtype), []).append(array.ravel())
        return [(name, str(array.dtype), array.shape) for name, array in arrays.items()]

    header = [
        case
        | {"given": put(case["given"])}
        | {"expected": {dtype: put(arrays) for dtype, arrays in case["expected"].items()}}
        for case in cases
    ]
    text = json.dumps({"torch": version, "cases": header}, separators=(",", ":"))
    joined = {dtype: np.concatenate(arrays) for dtype, arrays in flat.items()}
    np.savez_compressed(path, cases=np.array(text), **joined)


# --- the grids ------------------------------------------------------------------------------------


def covering(strength, **options):
    """Some of all combinations, in which any `strength` options meet in each of their values."""
    rows = list(itertools.product(*(range(len(values)) for values in options.values())))
    random.Random(1).shuffle(rows)
    meetings = {
        row: {
            tuple((i, row[i]) for i in at)
            for at in itertools.combinations(range(len(row)), strength)
        }
        for row in rows
    }
    missing, chosen = set().union(*meetings.values()), []
    for least in range(math.comb(len(options), strength), 0, -1):
        for row in rows:
            if len(meetings[row] & missing) >= least:
                missing -= meetings[row]
                chosen.append(row)
    for row in chosen:
        yield {k: options[k][i] for k, i in zip(options, row, strict=True)}


def each(text):
    """The expressions in a text, separated by semicolons."""
    return [expression.strip() for expression in text.split(";")]


def call(function, *arguments, **options):
    """The code of a call, without the options that are None."""
    given = [f"{k}={v!r}" for k, v in options.items() if v is not None]
    return f"{function}({', '.join([*arguments, *given])})"


def used(code):
    """The names in an expression."""
    return set(compile(code, code, "eval").co_names)


def numbers(code, name, *shape):
    """Standard normal, but positive if the name begins with p; the same at each run."""
    found = np.random.default_rng(zlib.crc32(f"{code} {name}".encode())).standard_normal(shape)
    return (np.abs(found) + 0.5 if name.startswith("p") else found).astype(np.float32)


def function(code, constant=(), buffers=(), given=None, **shapes):
    arrays = {k: numbers(code, k, *shape) for k, shape in shapes.items()} | (given or {})
    extra = {"constant": list(constant), "buffers": list(buffers)}
    return {"kind": "function", "code": code, "given": arrays} | {
        k: v for k, v in extra.items() if v
    }


def layer(code, *shapes, modes=("train",), show=None, given=None, **state):
    arrays = {f"x {i}": numbers(code, f"x {i}", *s) for i, s in enumerate(shapes)}
    for k, shape in state.items():
        arrays[f"state {k}"] = numbers(code, f"p {k}" if k.endswith("var") else k, *shape)
    shown = list(range(len(modes))) if show is None else list(show)
    case = {"kind": "layer", "code": code, "modes": list(modes), "show": shown}
    return case | {"given": arrays | (given or {})}


def conv():
    w = {1: (1, 1), 3: (3, 3), (1, 3): (1, 3), (3, 2): (3, 2)}
    for o in covering(
        3, kernel=list(w), stride=[None, 2, (2, 1)], padding=[None, 1, (1, 2), "same", "valid"],
        dilation=[None, 2, (1, 2)], groups=[None, 2, 4], bias=[False, True],
    ):  # fmt: skip
        if o["padding"] == "same" and o["stride"]:
            continue
        shapes = {
            "x": (2, 4, 5, 6),
            "w": (4, 4 // (o["groups"] or 1), *w[o.pop("kernel")]),
        }
        bias = {"b": (4,)} if o.pop("bias") else {}
        code = call("F.conv2d", "x", "w", *bias, **o)
        # every option meets both kinds of image in turn
        shapes["x"] = (1, 4, 6, 5) if zlib.crc32(code.encode()) % 2 else (2, 4, 5, 6)
        yield function(code, **shapes, **bias)
    yield function("F.conv2d(x, w, b, padding=1)", x=(3, 5, 4), w=(2, 3, 3, 3), b=(2,))
    yield function("F.conv2d(x, w, b, groups=3)", x=(2, 3, 4, 4), w=(6, 1, 2, 2), b=(6,))
    yield function("F.conv2d(x, w, padding=2)", x=(2, 1, 1, 1), w=(2, 1, 3, 3))
    yield function("F.conv2d(x, w, b, 2, 3, 1)", x=(1, 1, 2, 9), w=(1, 1, 5, 4), b=(1,))
    for code, x, weight, bias in [
        ("nn.Conv2d(3, 4, 3)", (2, 3, 5, 4), (4, 3, 3, 3), True),
        (
            "nn.Conv2d(4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2)",
            (2, 4, 5, 5),
            (6, 2, 2, 3),
            True,
        ),
        (
            "nn.Conv2d(2, 4, 3, padding='same', groups=2, bias=False)",
            (2, 2, 4, 3),
            (4, 1, 3, 3),
            0,
        ),
        (
            "nn.Conv2d(1, 2, (3, 1), stride=2, padding=(1, 0))",
            (1, 5, 4),
            (2, 1, 3, 1),
            True,
        ),
    ]:
        state = {"weight": weight} | ({"bias": weight[:1]} if bias else {})
        yield layer(code, x, **state)


def pooling():
    kernels, strides = [2, 3, (2, 3)], [None, 1, 2, (3, 1)]
    paddings = [None, 1, (0, 1)]
    shapes = [(2, 2, 5, 7), (1, 1, 6, 6), (2, 7, 5)]
    for o in covering(
        2, shape=shapes, kernel_size=kernels, stride=strides, padding=paddings,
        dilation=[None, 2, (1, 2)], form=["F", "nn"],
    ):  # fmt: skip
        shape, form = o.pop("shape"), o.pop("form")
        if form == "F":
            yield function(call("F.max_pool2d", "x", **o), x=shape)
        else:
            yield layer(call("nn.MaxPool2d", **o), shape, shape, modes=["train", "eval"])
    for o in covering(
        2,
        shape=shapes,
        kernel_size=kernels,
        stride=strides,
        padding=paddings,
        form=["F", "nn"],
    ):
        shape, form = o.pop("shape"), o.pop("form")
        if form == "F":
            yield function(call("F.avg_pool2d", "x", **o), x=shape)
        else:
            yield layer(call("nn.AvgPool2d", **o), shape, shape, modes=["train", "eval"])


def batchnorm():
    """Five batches in training, then one in evaluation; seen after the first, the last and it."""
    for i, o in enumerate(
        itertools.product(
            [(5, 2), (3, 2, 3), (3, 2, 2, 2)], [None, 0.03], [0.1, None, 0.7],
            ["both", "weight", "none"], [True, False],
        )
    ):  # fmt: skip
        shape, eps, momentum, affine, track = o
        code = f"nn.BatchNorm{max(len(shape) - 2, 1)}d(2"
        code += (f", eps={eps}" if eps else "") + (
            "" if momentum == 0.1 else f", momentum={momentum}"
        )
        code += {"both": "", "weight": ", bias=False", "none": ", affine=False"}[affine]
        code += "" if track else ", track_running_stats=False"
        state = {"weight": (2,)} if affine != "none" else {}
        state |= {"bias": (2,)} if affine == "both" else {}
        state |= {"running_mean": (2,), "running_var": (2,)} if track else {}
        count = {"state num_batches_tracked": np.array(i % 3)} if track else {}
        case = layer(
            code + ")", *[shape] * 6, modes=["train"] * 5 + ["eval"], show=[0, 4, 5], given=count,
            **state,
        )  # fmt: skip
        for k in range(6):  # the batches differ in mean and deviation, or the statistics would not
            case["given"][f"x {k}"] *= np.float32(1 + k / 4)
            case["given"][f"x {k}"] += np.float32(k / 2)
        yield case
    mean, running = ["rm", "pv"], {"rm": (3,), "pv": (3,)}
    for shape, training, affine, extra in itertools.product(
        [(6, 3), (2, 3, 3), (2, 3, 2, 2)],
        [True, False],
        [True, False],
        ["", ", momentum=0.4, eps=0.1"],
    ):
        weights = {"w": (3,), "b": (3,)} if affine else {}
        given = "w, b" if affine else "None, None"
        code = f"F.batch_norm(x, rm, pv, {given}, {training}{extra})"
        yield function(code, mean, mean, x=shape, **running, **weights)
    yield function("F.batch_norm(x, None, None, training=True)", x=(6, 3))
    yield function("F.batch_norm(x, None, None, w, training=True)", x=(6, 3), w=(3,))
    yield function("F.batch_norm(x, rm, pv, bias=b)", mean, mean, x=(6, 3), b=(3,), **running)


def losses():
    for o in itertools.product(
        [(3,), (4, 3), (2, 3, 4)], ["index", "ignored", "probabilities"], [False, True],
        ["mean", "sum", "none"], [0.0, 0.15],
    ):  # fmt: skip
        shape, kind, weighted, reduction, smoothing = o
        if len(shape) == 1 and kind == "ignored":
            continue
        options = {"reduction": reduction, "label_smoothing": smoothing}
        options |= {"ignore_index": 1} if kind == "ignored" else {}
        code = call("F.cross_entropy", "x", "t", *["pw"] * weighted, **options)
        given, shapes = {}, {"x": shape} | ({"pw": (3,)} if weighted else {})
        if kind == "probabilities":
            t = np.abs(numbers(code, "t", *shape))
            given = {"t": t / t.sum(0 if len(shape) == 1 else 1, keepdims=True)}
        else:
            places = shape[:1] * (len(shape) > 1) + shape[2:]
            t = np.random.default_rng(zlib.crc32(code.encode())).integers(0, 3, places)
            t[(0,) * t.ndim] = 2  # never are all of them ignored
            given = {"t": t}
        yield function(code, ["pw"], given=given, **shapes)
    labels = {"t": np.array([0, -100, 2, 1])}
    yield function("F.cross_entropy(x, t)", given=labels, x=(4, 3))
    yield function("nn.CrossEntropyLoss()(x, t)", given=labels, x=(4, 3))
    yield function(
        "nn.CrossEntropyLoss(pw, ignore_index=1, reduction='sum', label_smoothing=0.2)(x, t)",
        ["pw"], given=labels | {"t": labels["t"] % 3}, x=(4, 3), pw=(3,),
    )  # fmt: skip
    for shape, reduction in itertools.product([(), (3,), (2, 3)], ["mean", "sum", "none"]):
        yield function(f"F.mse_loss(x, t, reduction={reduction!r})", x=shape, t=shape)
    yield function("nn.MSELoss()(x, t)", x=(2, 3), t=(2, 3))
    yield function("nn.MSELoss(reduction='sum')(x, t)", x=(2, 3), t=(2, 3))


def functions():
    for shape in [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)]:
        yield function("F.linear(x, w, b)", x=shape, w=(2, 4), b=(2,))
        yield function("F.linear(x, w)", x=shape, w=(2, 4))
    yield function("F.linear(x, w, b)", x=(3, 1), w=(1, 1), b=(1,))
    yield layer("nn.Linear(4, 3)", (2, 4), (4,), modes=["train"] * 2, weight=(3, 4), bias=(3,))
    yield layer("nn.Linear(4, 3, bias=False)", (2, 3, 4), weight=(3, 4))
    for name, module in [("relu", "ReLU"), ("sigmoid", "Sigmoid"), ("tanh", "Tanh")]:
        for shape in [(), (5,), (3, 4)]:
            yield function(f"F.{name}(x)", x=shape)
        yield function(f"F.{name}(10 * x)", x=(3, 4))
        yield layer(f"nn.{module}()", (3, 4), (3, 4), modes=["train", "eval"])
    for name, module in [("softmax", "Softmax"), ("log_softmax", "LogSoftmax")]:
        for shape, dim in [
            ((5,), 0),
            ((3, 4), 0),
            ((3, 4), 1),
            ((2, 3, 2), 1),
            ((2, 3, 2), -1),
        ]:
            yield function(f"F.{name}(x, dim={dim})", x=shape)
            yield layer(f"nn.{module}({dim})", shape)
        yield function(f"F.{name}(30 * x, 1)", x=(3, 4))
    yield layer("nn.Flatten()", (2, 3, 2), (4, 1, 2, 2), modes=["train"] * 2)
    yield layer("nn.Flatten(0, 1)", (2, 3, 2))
    yield layer("nn.Flatten(start_dim=-2)", (2, 3, 2))
    yield layer("nn.Identity(7, unused=1)", (2, 3))
    yield layer("nn.Dropout(0.0)", (2, 3))
    yield layer("nn.Dropout(1.0)", (2, 3))
    yield layer("nn.Dropout(0.7)", (2, 3), modes=["eval"])
    yield function("F.dropout(x, 0.3, training=False)", x=(2, 3))
    yield function("F.dropout(x, 1.0)", x=(2, 3))
    code = "nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))"
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    shapes = [(2, 3), (2,), (1, 2), (1,)]
    yield layer(code, (4, 3), **dict(zip(names, shapes, strict=True)))
    yield layer("nn.Sequential()", (4, 3))


def tensors():
    for shapes in [
        ((2, 3), (2, 3)),
        ((2, 1), (1, 3)),
        ((), (2, 3)),
        ((3,), (2, 3)),
        ((), ()),
    ]:
        for code in ["a + p", "a - p", "a * p", "a / p", "p ** a"]:
            yield function(code, a=shapes[0], p=shapes[1])
    for code in each("""1 + a; 2 - a; a - 2; 3 * a; a / 4; 2 / p; p ** 2.5; 2 ** a; a ** 2; a ** 3;
    -a; abs(a); a.abs(); a.exp(); p.log(); p.sqrt(); a.tanh(); a.sigmoid(); a.relu(); a.clone();
    a.clamp(-0.5, 0.5); a.clamp(min=0.1); a.clamp(max=0.3); a.T; a.transpose(0, 1); a.permute(1, 0);
    a.reshape(3, 2); a.reshape(-1); a.flatten(); a.unsqueeze(1); a.unsqueeze(-1).squeeze(-1);
    a.squeeze(); a.expand(4, 2, 3); a[0]; a[:, 1:]; a[..., -1]; a[:, None]; a[::2, [0, 2, 2]];
    a[[1, 0, 1]]; a[a > 0]; a.sum(); a.sum(0); a.sum(1, keepdim=True); a.sum((0, 1)); a.mean();
    a.mean(-1); a.mean((0, 1), keepdim=True); a.var(); a.var(0); a.var(1, correction=0);
    a.var((0, 1), keepdim=True); a.max(); a.min(); a.max(1).values; a.min(0)[0];
    a.max(-1, keepdim=True)[0]; m.where(a > 0, a, 2 * a); m.where(a > 0, a, 0.0);
    m.cat([a, a, 2 * a]); m.cat([a, a[:, :1]], dim=1); m.stack([a, -a]); m.stack([a, -a], dim=-1);
    a.float() * 2; a.double() * 2; a.to(m.float64); a.detach() * a"""):
        yield function(code, **dict.fromkeys(sorted(used(code) & {"a", "p"}), (2, 3)))
    for a, b in [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)),
        ((2, 2, 3), (2, 3, 1)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (2, 3, 2)),
    ]:  # fmt: skip
        yield function("a @ b", a=a, b=b)
    for code in each("""a < b; a <= b; a > b; a >= b; a == b; a != b; a.argmax(); a.argmax(1);
    a.argmax(0, keepdim=True); a.max(1).indices; a.min(0)[1]; (a > 0).sum(); (a > 0).sum(0);
    m.zeros(2, 3); m.ones((2,)); m.arange(5); m.arange(1, 2, 0.25); m.tensor([1.5, 2]);
    m.tensor(3)"""):
        shapes = dict.fromkeys(sorted(used(code) & {"a", "b"}), (2, 3))
        yield function(code, constant=["a", "b"], **shapes)
    i = {"i": np.array([[1, 2, 3], [4, 5, 6]])}
    for code in each("""i + 1; i - 0.5; i * i; i / 2; i ** 2; i.sum(); i.sum(0); i.float(); i.max();
    i.exp(); i @ i.T; -i; i > 2; i.argmax()"""):
        yield function(code, given=i)
    yield function("a * i", given=i, a=(2, 3))
    code = "((a @ p).relu() + p.log()).var(0) / (1 + a.mean().exp())"
    yield function(code, a=(3, 3), p=(3, 3))


def sgd():
    rows = [
        row
        for row in itertools.product((0, 0.9), (0, 0.3), (0, 0.05), (False, True), (False, True))
        if not row[3] or (row[0] and not row[1])
    ]
    for row in rows:
        keys = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
        yield optimizer(call("optim.SGD", "p", "lr=0.1", **dict(zip(keys, row, strict=True))))
    yield optimizer("optim.SGD(p)")
    yield optimizer(
        "optim.SGD([{'params': p[:1], 'lr': 0.2, 'nesterov': True},"
        " {'params': p[1], 'momentum': 0, 'maximize': True}], 0.1, 0.9, weight_decay=0.01)"
    )
    late = optimizer("optim.SGD(p, 0.1, 0.9, 0.5, 0.01)")
    del (
        late["given"]["g1 0"],
        late["given"]["g0 2"],
    )  # its momentum starts later, or stands still
    yield late


def optimizer(code, steps=5):
    shapes = [(2, 2), (3,)]
    arrays = {f"p{i}": numbers(code, f"start {i}", *s) for i, s in enumerate(shapes)}
    for step, (i, s) in itertools.product(range(steps), enumerate(shapes)):
        arrays[f"g{i} {step}"] = numbers(code, f"g{i} {step}", *s)
    return {"kind": "optimizer", "code": code, "steps": steps, "given": arrays}


def schedules():
    def schedule(code, steps=20):
        return {"kind": "schedule", "code": f"S.{code}", "steps": steps, "given": {}}

    for size, gamma in [(1, 0.1), (3, 0.5), (7, 1.5), (30, 0.1)]:
        yield schedule(f"StepLR(optimizer, {size}, gamma={gamma})")
    for T_max, eta in [(1, 0.0), (5, 0.0), (7, 0.2), (19, 0.01), (40, 0.1)]:
        yield schedule(f"CosineAnnealingLR(optimizer, {T_max}, eta_min={eta})")
    for o in covering(
        2, pct_start=[0.3, 0.25, 0.0, 0.9], anneal_strategy=["cos", "linear"],
        cycle_momentum=[True, False], div_factor=[25.0, 4.0], final_div_factor=[1e4, 7.0],
    ):  # fmt: skip
        yield schedule(call("OneCycleLR", "optimizer", "3.0", "20", **o))
    yield schedule("OneCycleLR(optimizer, [3.0, 0.5], 20, base_momentum=[0.8, 0.1])")
    yield schedule("OneCycleLR(optimizer, 3.0, epochs=4, steps_per_epoch=5, max_momentum=0.9)")
    yield schedule("OneCycleLR(optimizer, 3.0, 2)", steps=2)


def corners():
    """Nothing, one row, one pixel."""
    both = {"modes": ["train", "eval"]}
    norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (2,))
    once = {"given": {"state num_batches_tracked": np.array(3)}}
    for shape in [(0, 3), (1, 3), (3,), (2, 0, 3), (0, 0, 3)]:
        yield layer("nn.Linear(3, 2)", shape, weight=(2, 3), bias=(2,))
    for n in [0, 1]:
        images = (n, 2, 4, 4)
        yield layer("nn.Conv2d(2, 3, 3, padding=1)", images, weight=(3, 2, 3, 3), bias=(3,))
        yield layer("nn.Conv2d(2, 2, 2, 2, groups=2)", images, weight=(2, 1, 2, 2), bias=(2,))
        yield layer("nn.MaxPool2d(2)", images)
        yield layer("nn.MaxPool2d(3, 2, 1)", images)
        yield layer("nn.AvgPool2d(2)", images)
        yield layer("nn.BatchNorm1d(2)", (n, 2), modes=["eval"], **once, **norm)
        for case in (
            layer("nn.BatchNorm1d(2)", (n, 2, 3), (n, 2, 3), **both, **once, **norm),
            layer("nn.BatchNorm2d(2)", images, images, **both, **once, **norm),
        ):
            yield case | ({"empty batch in training": True} if n == 0 else {})
        for name in [
            "ReLU()",
            "Sigmoid()",
            "Tanh()",
            "Softmax(1)",
            "LogSoftmax(-1)",
            "Flatten()",
        ]:
            yield layer(f"nn.{name}", (n, 3))
        yield layer("nn.Flatten()", (n, 2, 3, 1))
        yield layer("nn.Dropout(1.0)", (n, 3))
    for pixel in [(1, 2, 1, 1), (3, 2, 1, 1), (2, 1, 1)]:
        yield layer("nn.Conv2d(2, 3, 1)", pixel, weight=(3, 2, 1, 1), bias=(3,))
        yield layer("nn.Conv2d(2, 3, 3, 2, 1)", pixel, weight=(3, 2, 3, 3), bias=(3,))
        yield layer("nn.Conv2d(2, 3, 2, padding='same')", pixel, weight=(3, 2, 2, 2), bias=(3,))
        for name in [
            "MaxPool2d(1)",
            "MaxPool2d(3, 1, 1)",
            "AvgPool2d(1)",
            "AvgPool2d(2, 2, 1)",
        ]:
            yield layer(f"nn.{name}", pixel)
    yield layer("nn.BatchNorm2d(2)", (1, 2, 1, 1), modes=["eval"], **once, **norm)
    yield layer("nn.BatchNorm2d(2)", (2, 2, 1, 1), **once, **norm)
    yield layer("nn.BatchNorm2d(2)", (1, 2, 1, 2), **once, **norm)
    for n, reduction in itertools.product([0, 1], ["mean", "sum", "none"]):
        code = f"F.cross_entropy(x, t, reduction={reduction!r})"
        yield function(code, x=(n, 3), given={"t": np.full(n, 2)})
        yield function(f"F.mse_loss(x, t, reduction={reduction!r})", x=(n, 3), t=(n, 3))
    for code in each("""a.sum(); a.sum(0); a.sum(1); a.mean(); a.mean(0); a.mean(1); a.exp(); -a;
    a.max(1).values; a.var(1); a + 1; a * a; a[a > 0]; a[:0]; a.T; a.reshape(3, 0); a.flatten();
    a.unsqueeze(0); a.expand(2, 0, 3); m.cat([a, a]); m.stack([a, a]); m.where(a > 0, a, -a);
    a @ a.T; a.T @ a; a.clamp(0, 1); a.relu(); a.argmax(1)"""):
        yield function(code, a=(0, 3))


GRIDS = (corners, conv, pooling, batchnorm, losses, functions, tensors, sgd, schedules)


def computed(case, torch):
    """The case with its cotangents, which have the shape of the outputs, and PyTorch's results."""
    given, code = case["given"], case["code"]
    if case["kind"] == "function":
        y = run(case, given, torch, "float64")["y"]
        inputs = [v for k, v in given.items() if k not in case.get("constant", [])]
        if y.dtype.kind == "f" and any(v.dtype.kind == "f" for v in inputs):
            given["cotangent"] = numbers(code, "cotangent", *y.shape)
    if case["kind"] == "layer":
        silent = run(case | {"show": []}, given, torch, "float64")
        assert not silent
        for k in case["show"]:
            at = eval(code, names(torch)).double().eval()(torch.tensor(given[f"x {k}"]).double())
            given[f"cotangent {k}"] = numbers(code, f"cotangent {k}", *at.shape)
    dtypes = ["float64"] if case["kind"] == "schedule" else FLOATS
    return case | {"expected": {dtype: run(case, given, torch, dtype) for dtype in dtypes}}


def main():
    import torch

    version = torch.__version__.partition("+")[0]
    if version != VERSION:
        raise SystemExit(f"PyTorch {VERSION} is needed, not {version}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # 'same' with an even kernel copies, says PyTorch
    FOLDER.mkdir(exist_ok=True)
    for grid in GRIDS:
        cases = [computed(case, torch) for case in grid()]
        path = FOLDER / f"{grid.__name__}.npz"
        write(path, version, cases)
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
