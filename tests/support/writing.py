"""Programs that are written at random, as Python source, and what both libraries make of them.

A program is a list of lines over leaves p0, p1 … of drawn values. Its steps are operations on
anything computed before, so that results are shared, viewed and broadcast; some leaves are changed
in place before, between and after. The shapes that a step can have are those that PyTorch finds.
"""

import random
import re

import numpy as np
from derivatives import FUNCTIONAL, derivatives_agree, values
from oracle import assert_close
from pytorch import torch

import tinygrad_bn as tg


class Undecided(Exception):  # noqa: N818  # not an error
    """A step with kinks, where rounding alone decides on the side."""


# --- what a step can be ---------------------------------------------------------------------------
# Functions of (writer, name of a tensor): the source of an expression, or None where there is none.


def same(text):
    return lambda w, x: text.format(x=x)


SMOOTH = [
    same(text)
    for text in (
        "{x}.tanh()", "F.sigmoid({x})", "{x}.tanh().exp()", "({x} * {x} + 1).log()",
        "({x} * {x} + 0.5).sqrt()", "{x}.tanh() ** 2", "1.5 ** {x}.tanh()", "0.5 * {x} - {x} / 3",
        "-{x}", "1 / ({x} * {x} + 1)", "{x}.clone()", "2 - {x}", "{x} * 1.0",
        "({x} * {x} + 1) ** -0.5",
    )
]  # fmt: skip
KINKED = [
    same(text)
    for text in (
        "F.relu({x})", "abs({x})", "{x}.clamp(-0.5, 0.75)", "{x}.clamp(min=0.25)",
        "{x}.clamp(max=0)", "m.where({x} > 0, {x} * {x}, -0.5 * {x})",
        "({x} > 0.1) * {x}", "{x} * ({x} <= 0)",
        "{x}[{x} > 0].sum() * {x}", "{x}.max()", "{x}.min()",
    )
]  # fmt: skip


def along(w, x):
    """A reduction, an extreme or a softmax over drawn axes."""
    dim = w.choice(range(-w.ndim(x), w.ndim(x))) if w.ndim(x) else -1
    keep = w.choice([True, False])
    some = tuple(w.sample(range(w.ndim(x)), w.choice(range(1, w.ndim(x) + 1)))) if w.ndim(x) else -1
    which = w.choice([dim, dim, some, None])
    return w.choice(
        [
            f"{x}.sum({which}, keepdim={keep})",
            f"{x}.mean({which}, {keep})",
            f"{x}.var({which}, correction=0, keepdim={keep})",
            f"F.softmax({x}, {dim})",
            f"F.log_softmax({x}, {dim})",
        ]
    )


def extreme(w, x):
    dim, keep = w.choice(range(-w.ndim(x), w.ndim(x))) if w.ndim(x) else -1, w.choice([True, False])
    return f"{x}.{w.choice(['max', 'min'])}({dim}, keepdim={keep})[0]"


def shaped(w, x):
    """Another shape: a view wherever it can be one."""
    n, shape = w.ndim(x), w.shape(x)
    axes = [w.choice(range(-n, n)) for _ in range(2)] if n else [0, -1]
    order = w.sample(range(n), n)
    return w.choice(
        [
            f"{x}.transpose({axes[0]}, {axes[1]})",
            f"{x}.permute({tuple(order)})",
            f"{x}.flatten()",
            f"{x}.reshape(-1, 1)",
            f"{x}.reshape({shape[::-1]})",
            f"{x}.unsqueeze({w.choice(range(-n - 1, n + 1))})",
            f"{x}.squeeze()",
            f"{x}.expand({w.choice([2, 3])}, {', '.join(['-1'] * n)})" if n else f"{x}.expand(3)",
        ]
    )


def indexed(w, x):
    if not w.ndim(x):
        return f"{x}[None]"
    i, n = w.choice(range(w.shape(x)[0])), w.shape(x)[-1]
    j = w.choice(range(-n, n))
    return w.choice(
        [
            f"{x}[{i}]", f"{x}[{i}:]", f"{x}[::2]", f"{x}[[{i}, 0, {i}]]", f"{x}[..., {j}]",
            f"{x}[..., None]", f"{x}[..., {j % n}:]", f"{x}[m.tensor([[0, {i}]])]",
        ]
    )  # fmt: skip


def joined(w, x):
    """With another tensor, or itself, which can be broadcast with it."""
    y = w.choice(w.fitting(x))
    return w.choice(
        [
            f"{x} + {y}", f"{x} - {y}", f"{x} * {y}.tanh()", f"{x} / ({y} * {y} + 1)",
            f"m.stack([{x} + 0 * {y}, {y} + 0 * {x}], {w.choice([0, -1])})",
            f"m.cat([{x}.flatten(), {y}.flatten()])",
            f"({x} * {x} + 1) ** ({y}.tanh() + 1.5)", f"F.mse_loss({x} + 0 * {y}, {y} + 0 * {x})",
            f"{x}.reshape(-1, 1)[:4] @ {y}.reshape(1, -1)[:, :4]",
            f"{x}.detach() * {y}", f"{x} + {y}.double()", f"{x}.float() * {y}.float()",
        ]
    )  # fmt: skip


def compared(w, x):
    y = w.choice(w.fitting(x))
    return f"m.where({x} < {y}, {x} * {y}, {y})"


def product(w, x):
    if w.ndim(x) < 2:
        return None
    return w.choice([f"{x} @ {x}.transpose(-1, -2) / 4", f"{x}.transpose(-2, -1) @ {x}.tanh()"])


def layered(w, x):
    """A layer: a linear one, a normalization or a loss over axis 1."""
    if w.ndim(x) < 2 or w.shape(x)[0] * w.size(x) == w.shape(x)[1] * w.shape(x)[0]:
        return None
    c, d = w.shape(x)[1], w.shape(x)[-1]
    weight = f"{w.leaf((3, d))}, {w.choice([w.leaf((3,)), None])}"
    scale = f"{w.leaf((c,))}, {w.leaf((c,))}"
    labels = f"m.tensor({[w.choice([*range(c), -100]) for _ in range(w.shape(x)[0])]})"
    choices = [
        f"F.linear({x}, {weight})",
        f"F.batch_norm({x}, None, None, {scale}, True, eps=0.1)",
        f"F.batch_norm({x}, m.zeros({c}, dtype={x}.dtype), m.ones({c}, dtype={x}.dtype))",
        f"F.cross_entropy({x}, F.softmax({x}, 1), label_smoothing=0.1)",
    ]
    if w.ndim(x) == 2 and "-100" not in labels:
        choices.append(f"F.cross_entropy({x}, {labels}, reduction={w.choice(['sum', 'none'])!r})")
    return w.choice(choices)


def image(w, x):
    if w.ndim(x) not in (3, 4):
        return None
    c, padding, stride = w.shape(x)[-3], w.choice([1, "same", (1, 0)]), w.choice([1, 2])
    stride = 1 if padding == "same" else stride
    kernel = w.leaf((2, c, 2, w.choice([1, 2])))
    return w.choice(
        [
            f"F.conv2d({x}, {kernel}, None, {stride}, {padding!r})",
            f"F.avg_pool2d({x}, 2, {stride}, 1, ceil_mode=True)",
        ]
    )


def pooled(w, x):
    options = w.choice(["2", "2, 1", "2, 2, 1", "2, 1, 1, 2", "3, 2, 1, ceil_mode=True"])
    return f"F.max_pool2d({x}, {options})" if w.ndim(x) in (3, 4) else None


def in_place(w, x):
    """What is written into a leaf, or into a view of it."""
    changes = [f"{x}.add_(0.25)", f"{x}.mul_(0.5)", f"{x}.sub_({x}.detach() * 0.1)"]
    changes += [f"{x}.fill_(0.75)", f"{x}.zero_()", f"{x}.div_(2)", f"{x}.detach().mul_(1.5)"]
    changes += [f"{x}.copy_({x}.detach() + 1)"]
    if w.ndim(x):
        changes += [f"{x}[0].add_(0.5)", f"{x}[..., -1:].mul_(2)"]
    return w.choice(changes)


STEPS = [*SMOOTH, *[joined] * 9, *[shaped] * 5, *[indexed] * 4, *[along] * 5, *[layered] * 3, image]
STEPS += [*[product] * 2, image]
WITH_KINKS = [*KINKED, *[extreme] * 3, *[compared] * 2, *[pooled] * 3]


KINKS = [0.0, -0.5, 0.75, 0.25, 0.1]  # of the above, beside ties

# --- one program ----------------------------------------------------------------------------------


class Writer(random.Random):
    """Writes a program: its leaves as arrays, its lines, the kinked of them, and its results."""

    def __init__(self, seed):
        super().__init__(seed)
        self.seed = seed
        self.leaves, self.lines, self.kinks, self.names = {}, [], {}, []
        self.found = {"m": torch, "F": FUNCTIONAL.get(torch)}
        self.numbers = np.random.default_rng(seed)
        self.dtype = self.choice(["float64"] * 7 + ["float32"])
        for _ in range(self.choice([1, 2, 2, 3])):
            shape = [self.choice([1, 2, 3, 4]) for _ in range(self.choice(range(5)))]
            self.names.append(self.leaf(shape))
        for _ in range(self.randint(3, 12)):
            self.step()
        self.results = [self.names[-1], self.choice(self.names)][: self.choice([1, 2])]

    def leaf(self, shape):
        name = f"p{len(self.leaves)}"
        self.leaves[name] = self.numbers.standard_normal(shape).astype(self.dtype)
        self.found[name] = torch.tensor(self.leaves[name], requires_grad=True)
        return name

    def shape(self, x):
        return tuple(self.found[x].shape)

    def ndim(self, x):
        return self.found[x].ndim

    def size(self, x):
        return self.found[x].numel()

    def fitting(self, x):
        def fits(y):
            pairs = zip(self.shape(x)[::-1], self.shape(y)[::-1], strict=False)
            return all(n == k or 1 in (n, k) for n, k in pairs)

        return [y for y in self.names if fits(y)]

    def step(self):
        if self.random() < 0.07:
            changed = self.choice([*self.leaves])
            return self.write(f"with m.no_grad(): {in_place(self, changed)}")
        x = self.choice(self.names[-3:] if self.random() < 0.6 else self.names)
        kinked = self.random() < 0.25
        made = self.choice(WITH_KINKS if kinked else STEPS)(self, x)
        name = f"x{len(self.lines)}"
        if made is not None and self.write(f"{name} = {made}", name):
            self.names.append(name)
            if kinked:
                known = [*self.leaves, *self.names[:-1]]
                read = [word for word in re.findall(r"\w+", made) if word in known]
                self.kinks[len(self.lines) - 1] = read

    def write(self, line, name=None):
        """Whether PyTorch takes it, with a result that is neither empty, large nor a bool."""
        found = {**self.found}
        try:
            exec(line, found)
        except (RuntimeError, IndexError, ValueError, TypeError):
            return False
        if name is not None:
            t = found[name].detach()
            if not 0 < t.numel() <= 200 or not t.is_floating_point() or t.abs().max() >= 50:
                return False
        self.found = found
        self.lines.append(line)
        return True

    def text(self):
        given = [f"{k} = {v.dtype} {v.tolist()}" for k, v in self.leaves.items()]
        return "\n".join([*given, *self.lines, f"results: {self.results}"])


def run(m, leaves, lines):
    """Line by line: the number of each, and what there is before it; at last, after all."""
    found = {"m": m, "F": FUNCTIONAL[m]}
    found |= {name: m.tensor(array, requires_grad=True) for name, array in leaves.items()}
    for i, line in enumerate(lines):
        yield i, found
        exec(line, found)
    yield len(lines), found


def decided(x, t, points=KINKS):
    """Undecided, if rounding decides which of two numbers in these is the larger."""
    a, b = (np.append(values(y).ravel(), points) for y in (x, t))
    if not np.array_equal(np.sign(a[:, None] - a), np.sign(b[:, None] - b)):
        raise Undecided


def results_of(program, lines_of_pytorch):
    """What both libraries have computed at the end, by name."""
    both = (run(tg, program.leaves, program.lines), run(torch, program.leaves, lines_of_pytorch))
    for (i, ours), (_, theirs) in zip(*both, strict=True):
        if read := program.kinks.get(i):
            decided(*[together([found[name] for name in read], found) for found in (ours, theirs)])
    return ours, theirs


def together(tensors, found):
    return found["m"].cat([t.detach().flatten() for t in tensors])


def agree(program):
    """Values, first and second derivatives of a program; how it ended, as a word.

    Undecided, if rounding decides. What a derivative needs may have been changed in place: where
    PyTorch alone refuses, ours are compared with those of the program on copies of the leaves, if
    that gives the same values (a view of a leaf sees what is changed, and one of a copy does not).
    """
    rounded = program.dtype == "float32" or ".float()" in "".join(program.lines)
    tolerance = 2e-3 if rounded else 1e-9
    ours, theirs = results_of(program, program.lines)
    values_agree(program, ours, theirs, tolerance)
    refused, by_pytorch = refusal(program, ours), refusal(program, theirs)
    if refused:
        return "refused by both" if by_pytorch else f"refused here alone: {refused.split(':')[0]}"
    lines = [copying(program, line) if by_pytorch else line for line in program.lines]
    ours, theirs = results_of(program, lines)
    if by_pytorch:
        try:
            values_agree(program, ours, theirs, tolerance)
        except AssertionError:
            return "refused by PyTorch alone, and not compared"
    results = [name for name in program.results if ours[name].requires_grad]
    ys, zs = ([found[name] for name in results] for found in (ours, theirs))
    xs, ts = ([found[name] for name in program.leaves] for found in (ours, theirs))
    derivatives_agree(ys, zs, xs, ts, tolerance)
    return "refused by PyTorch alone" if by_pytorch else "agrees"


def values_agree(program, ours, theirs, tolerance):
    for name in [*program.leaves, *program.names]:
        assert_close(values(ours[name]), values(theirs[name]), tolerance, name)
        assert ours[name].requires_grad == theirs[name].requires_grad, name


def refusal(program, found):
    """The message, if a library refuses to differentiate because of a change in place."""
    grad = tg.grad if found["m"] is tg else torch.autograd.grad
    leaves = [found[name] for name in program.leaves]
    ys = [found[name] for name in program.results if found[name].requires_grad]
    try:
        for _ in ("first", "second"):
            if ys:
                ones = [(y.detach() * 0 + 1).requires_grad_() for y in ys]
                gs = grad(ys, leaves, ones, create_graph=True, allow_unused=True)
                ys = [g for g in gs if g is not None and g.requires_grad]
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            raise
        return str(error)
    return ""


def copying(program, line):
    """The line with copies of what is changed, which is left as it is for derivatives."""
    if line.startswith("with"):
        return line
    leaves = "|".join(program.leaves)
    return re.sub(rf"(?<![\w.])({leaves})(?![\w=])", r"\1.clone()", line)
