"""Would the tests notice? Plants faults in a copy of the package, one by one, and runs the tests.

    python tests/mutants.py                   all faults, about twenty minutes
    python tests/mutants.py --jobs 2          two at a time
    python tests/mutants.py --only conv-bias  one fault; may be given again
    python tests/mutants.py --list            their names and texts

Every fault in the list changes a result: a number, a shape, a dtype, an error, or whose memory it
is. None is a mere change of speed. One that no test notices is a test that is missing: the exit
status is then 1. It is 2 if the list itself is wrong (a text that is not in the package exactly
once, or the n-th time that the fault says), or if the tests fail without a fault.

test_habits.py and test_costs.py stay out: that a line grew too long, or that a step makes one array
more, does not tell that a result is wrong.
"""

import argparse
import multiprocessing
import os
import queue
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
IGNORED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
PYTEST = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
PYTEST += ["--ignore=tests/test_habits.py", "--ignore=tests/test_costs.py"]
FAILED = re.compile(r"(?:FAILED|ERROR) (?:tests/)?([^\[\s]+(?:\[.*?\](?= - |$))?)")

# Each run is a fork of one process that has imported what is slow to import, but not the package.
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
PROCESSES = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
PROCESSES.set_forkserver_preload(["numpy", "torch"])
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before they are imported

# The tests to run first, by file of the package; the others follow only if these pass.
FIRST = {
    "engine": ["test_01_engine.py", "test_12_gaps.py"],
    "machine": ["test_machine_results.py", "test_machine.py"],
    "tensor": ["test_02_tensor.py", "test_03_gradcheck.py", "test_12_gaps.py"],
    "conv": ["test_04_conv.py", "test_machine_results.py", "test_12_gaps.py"],
    "batchnorm": ["test_05_batchnorm.py", "test_05_bn_population.py", "test_machine_results.py"],
    "functional": ["test_06_functional.py", "test_12_gaps.py"],
    "nn": ["test_07_nn.py", "test_12_gaps.py"],
    "lr_scheduler": ["test_08_lr_scheduler.py", "test_12_gaps.py"],
    "optim": ["test_09_optim.py", "test_12_gaps.py"],
    "data": ["test_10_data.py", "test_12_gaps.py"],
}


class Fault(NamedTuple):
    """In `file`, `wrong` in the place of `right`: of its only occurrence, or the nth (from 0)."""

    name: str
    file: str
    right: str
    wrong: str
    nth: int | None = None


FAULTS = [
    # --- engine -----------------------------------------------------------------------------------
    Fault("engine-oldest-first", "engine", "tensor.grad_fn.number)", "-tensor.grad_fn.number)"),
    Fault("engine-last-path-only", "engine", "grads[key] + part if key in grads else part", "part"),
    Fault("engine-paths-subtracted", "engine", "grads[key] + part if", "grads[key] - part if"),
    Fault(
        "engine-same-output-twice",
        "engine",
        "grads[id(out)] + seed if id(out) in grads else seed",
        "seed",
    ),
    Fault("engine-unaligned-broadcast", "engine", "g.data.shape[new + i])", "g.data.shape[i])"),
    Fault("engine-leading-axes-kept", "engine", "(*range(new), *stretched)", "(*stretched,)"),
    Fault("engine-gradient-dtype", "engine", "if g.data.dtype != parent.data.dtype:", "if False:"),
    Fault("engine-no-accumulation", "engine", "g = leaf.grad + g", "pass"),
    Fault("engine-shared-grads", "engine", " or id(g.data) in owned", ""),
    Fault("engine-read-only-grads", "engine", "g.data.base is not None or", ""),
    Fault(
        "engine-views-as-grads", "engine", "g.data.base is not None", "not g.data.flags.writeable"
    ),
    Fault("engine-never-released", "engine", "if not retain_graph:", "if False:"),
    Fault("engine-always-released", "engine", "if not retain_graph:", "if True:"),
    Fault("engine-create-releases", "engine", "retain_graph or create_graph,", "retain_graph,"),
    Fault(
        "engine-retain-by-default", "engine", "create_graph if retain_graph is None", "True if 1"
    ),
    Fault("engine-no-grad-nested", "engine", "recording.reset(token)", "recording.set(True)"),
    Fault("engine-always-recorded", "engine", "grad_mode(create_graph)", "grad_mode(True)", 0),
    Fault("engine-inner-input-lost", "engine", "grads[key] if key in wanted else grads", "grads"),
    Fault("engine-vector-of-one", "engine", "if out.data.size != 1:", "if out.data.ndim:"),
    Fault("engine-seed-of-caller", "engine", "return gradient.clone()", "return gradient"),
    Fault("engine-input-behind-release", "engine", "elif id(tensor) not in inputs:", "else:"),
    Fault("engine-grads-for-constants", "engine", "if t._requires_grad and t", "if t"),
    Fault("engine-vjp-swapped", "engine", "vjp(g, out)", "vjp(out, g)"),
    Fault("engine-grad-reversed", "engine", "for tensor in ins)", "for tensor in ins[::-1])"),
    Fault("engine-unused-is-an-error", "engine", "and not allow_unused", ""),
    Fault("engine-seed-of-zeros", "engine", "np.ones_like(out.data)", "np.zeros_like(out.data)"),
    # --- machine ----------------------------------------------------------------------------------
    Fault("machine-matmul-operands", "machine", "np.matmul(a, b)", "np.matmul(b, a)"),
    Fault("machine-matmul-flipped-operands", "machine", "a, b = b.T, a.T", "a, b = b, a"),
    Fault("machine-matmul-not-back", "machine", "y.T if flip else y", "y"),
    Fault("machine-matmul-always-back", "machine", "y.T if flip else y", "y.T"),
    Fault(
        "machine-matmul-first-rows", "machine", "out=y[rows])", "out=y[: rows.stop - rows.start])"
    ),
    Fault("machine-matmul-dtype", "machine", "b.shape[1]), a.dtype)", "b.shape[1]), float)"),
    Fault("machine-share-left-out", "machine", "(first, *rest[len(others) :])", "(first,)"),
    Fault(
        "machine-shares-overlap", "machine", "(i + 1) * count // n)", "(i + 1) * count // n + 1)"
    ),
    Fault(
        "machine-shares-start-late",
        "machine",
        "slice(i * count // n,",
        "slice(i * count // n + (i > 0),",
    ),
    Fault(
        "machine-shares-end-early", "machine", "(i + 1) * count // n)", "(i + 1) * (count // n))"
    ),
    Fault(
        "machine-results-out-of-order",
        "machine",
        "return [mine[0], *(other.result() for other in others), *mine[1:]]",
        "return [*(other.result() for other in others), *mine]",
    ),
    Fault(
        "machine-results-of-others-lost",
        "machine",
        "*(other.result() for other in others), *mine[1:]",
        "*mine[1:]",
    ),
    Fault("machine-shares-done-twice", "machine", "rest[len(others) :]", "rest"),
    Fault(
        "machine-no-threads-at-the-end",
        "machine",
        "with suppress(RuntimeError):",
        "with suppress():",
    ),
    Fault(
        "machine-error-waits-for-nobody",
        "machine",
        "            other.exception()",
        "            pass",
    ),
    Fault(
        "machine-errstate-of-caller",
        "machine",
        "submit(copy_context().run, work, share)",
        "submit(work, share)",
    ),
    Fault("machine-threads-of-parent", "machine", "=_helpers.cache_clear)", "=_helpers)"),
    Fault(
        "machine-blocks-last-item",
        "machine",
        "min(start + step, share.stop))",
        "min(start + step, share.stop - 1))",
    ),
    Fault(
        "machine-blocks-last-block",
        "machine",
        "range(share.start, share.stop, step)",
        "range(share.start, share.stop - step + 1, step)",
    ),
    Fault(
        "machine-blocks-past-the-share",
        "machine",
        "min(start + step, share.stop))",
        "start + step)",
    ),
    Fault(
        "machine-blocks-from-0",
        "machine",
        "range(share.start, share.stop, step)",
        "range(0, share.stop, step)",
    ),
    Fault(
        "machine-first-block-only",
        "machine",
        "[work(b) for b in blocks(share, nbytes, 4 * _CACHE)]",
        "work(next(blocks(share, nbytes, 4 * _CACHE)))",
    ),
    # --- tensor -----------------------------------------------------------------------------------
    Fault("tensor-any-seed", "tensor", "np.random.PCG64(seed)", "np.random.PCG64(0)"),
    Fault(
        "tensor-cat-first-dtype",
        "tensor",
        "for t in tensors), key",
        "for t in tensors[:1]), key",
    ),
    Fault("tensor-0d-promotes", "tensor", "if late.ndim == 0 < early.ndim and", "if False and"),
    Fault("tensor-0d-with-0d", "tensor", "late.ndim == 0 < early.ndim", "late.ndim == 0"),
    Fault(
        "tensor-0d-float-with-ints", "tensor", "_RANK[early.dtype] == 2", "_RANK[early.dtype] < 3"
    ),
    Fault("tensor-true-is-an-integer", "tensor", "int(not isinstance(b, bool))", "1"),
    Fault("tensor-first-negative-axis", "tensor", "-max(ndim, 1) <= axis", "-max(ndim, 1) < axis"),
    Fault("tensor-axis-after-last", "tensor", "<= axis < max(ndim, 1)", "<= axis <= max(ndim, 1)"),
    Fault(
        "tensor-no-axes", "tensor", "return axes if axes or ndim == 0 else", "return axes if 1 else"
    ),
    Fault("tensor-axis-twice", "tensor", "if len(set(axes)) != len(axes):", "if False:"),
    Fault("tensor-gate-again", "tensor", "gate(gg, mask)", "gg"),
    Fault("tensor-gate-open", "tensor", "np.less_equal(mask, 0)", "np.less(mask, 0)"),
    Fault(
        "tensor-reflected",
        "tensor",
        "operation(_operands(self, other)[1], self)",
        "operation(self, other)",
    ),
    Fault("tensor-exp", "tensor", "np.exp, lambda g, x, y: g * y", "np.exp, lambda g, x, y: g * x"),
    Fault("tensor-log", "tensor", "np.log, lambda g, x, y: g / x", "np.log, lambda g, x, y: g / y"),
    Fault("tensor-sqrt", "tensor", "g / (2.0 * y)", "g / y"),
    Fault("tensor-tanh", "tensor", "1.0 - y * y", "1.0 - y"),
    Fault("tensor-sub", "tensor", "g, lambda g, a, b, y: -g)", "g, lambda g, a, b, y: g)"),
    Fault(
        "tensor-mul", "tensor", "g * b, lambda g, a, b, y: g * a", "g * a, lambda g, a, b, y: g * b"
    ),
    Fault("tensor-div-sign", "tensor", "-g * y / b", "g * y / b"),
    Fault("tensor-div-term", "tensor", "-g * y / b", "-g * y"),
    Fault("tensor-pow-off-by-one", "tensor", "1.0, b - 1)", "1.0, b)"),
    Fault(
        "tensor-pow-zero-exponent", "tensor", "where((a == 0) * (b == 0), 1.0, b - 1)", "(b - 1)"
    ),
    Fault("tensor-pow-of-zero", "tensor", "where((a == 0) * (b >= 0), 1.0, a).log()", "a.log()"),
    Fault("tensor-pow-of-zero-negative", "tensor", "(a == 0) * (b >= 0)", "a == 0"),
    Fault("tensor-matmul-a", "tensor", "g @ b.transpose(-1, -2)", "g @ b"),
    Fault("tensor-matmul-b", "tensor", "a.transpose(-1, -2) @ g)", "a @ g)"),
    Fault("tensor-matmul-row", "tensor", "squeeze(-2 if b.ndim > 1 else 0)", "squeeze(0)"),
    Fault("tensor-abs", "tensor", "g * sign", "g"),
    Fault("tensor-sigmoid", "tensor", "g * y * (1.0 - y)", "g * y * (1.0 + y)"),
    Fault("tensor-relu-at-0", "tensor", "gate(g, y.data)", "gate(g, ~(y.data < 0))"),
    Fault("tensor-relu-nan", "tensor", "gate(g, y.data)", "gate(g, y.data > 0)"),
    Fault("tensor-clamp-low-border", "tensor", "(x.data >= lo)", "(x.data > lo)"),
    Fault("tensor-clamp-high-border", "tensor", "(x.data <= hi)", "(x.data < hi)"),
    Fault(
        "tensor-clamp-order",
        "tensor",
        "np.minimum(np.maximum(x.data, lo), hi)",
        "np.maximum(np.minimum(x.data, hi), lo)",
    ),
    Fault("tensor-var-correction", "tensor", "max(n - correction, 0)", "max(n, 0)"),
    Fault("tensor-var-of-too-few", "tensor", "max(n - correction, 0)", "(n - correction)"),
    Fault(
        "tensor-mean-over-all",
        "tensor",
        "keepdims=keepdim) / n",
        "keepdims=keepdim) / self.numel()",
    ),
    Fault("tensor-mean-gradient", "tensor", "(g / max(n, 1))", "g"),
    Fault("tensor-max-ties", "tensor", "(g / count)", "g"),
    Fault("tensor-max-nan", "tensor", "np.isnan(x) if np.isnan(y) else x == y", "x == y"),
    Fault("tensor-max-wrong-axis", "tensor", "(x.ndim - 1 - axis)", "axis"),
    Fault(
        "tensor-min-is-max",
        "tensor",
        "partialmethod(_extreme, np.argmin)",
        "partialmethod(_extreme, np.argmax)",
    ),
    Fault("tensor-argmax-keepdim", "tensor", "axis=axis, keepdims=keepdim)", "axis=axis)"),
    Fault(
        "tensor-permute-back", "tensor", "g.permute(*np.argsort(axes).tolist())", "g.permute(*axes)"
    ),
    Fault(
        "tensor-T-of-two-axes",
        "tensor",
        'record("T", self.data.T,',
        'record("T", np.moveaxis(self.data, -1, 0),',
    ),
    Fault("tensor-flatten-one-axis", "tensor", "if i > j:", "if i >= j:"),
    Fault("tensor-squeeze-empty", "tensor", "if self.shape[i] == 1]", "if self.shape[i] <= 1]"),
    Fault("tensor-unsqueeze-last", "tensor", "_axis(dim, self.ndim + 1)", "_axis(dim, self.ndim)"),
    Fault("tensor-index-twice", "tensor", "np.add.at(y, index, g.data)", "y[index] = g.data"),
    Fault("tensor-where-other", "tensor", "gate(g, ~mask)", "gate(g, mask)"),
    Fault(
        "tensor-cat-parts", "tensor", "map(part, tensors, ends)", "map(part, tensors, ends[::-1])"
    ),
    Fault("tensor-cat-dtype", "tensor", "dtype = max((t.dtype", "dtype = min((t.dtype"),
    Fault(
        "tensor-stack-dim",
        "tensor",
        "t.unsqueeze(dim) for t in tensors], dim",
        "t.unsqueeze(dim) for t in tensors], 0",
    ),
    Fault("tensor-arange-dtype", "tensor", "integers = all(", "integers = any("),
    Fault("tensor-clone-shares", "tensor", 'self.data.copy(order="K")', "self.data"),
    Fault(
        "tensor-shares-memory",
        "tensor",
        "self.data: Array = np.array(",
        "self.data: Array = np.asarray(",
    ),
    Fault("tensor-cast-gradient", "tensor", "g.to(self.dtype)))", "g))"),
    Fault("tensor-expand-keeps", "tensor", "o if n == -1 else n for", "1 if n == -1 else n for"),
    Fault("where-small-mask", "tensor", "mask = np.broadcast_to(mask, y.shape)", "pass"),
    # --- conv -------------------------------------------------------------------------------------
    Fault(
        "conv-size-off-by-one",
        "conv",
        "- d * (k - 1) - 1) // s + 1 for",
        "- d * (k - 1)) // s + 1 for",
    ),
    Fault("conv-size-one-margin", "conv", "(n + sum(p) - d", "(n + p[0] - d"),
    Fault(
        "conv-margin-sides",
        "conv",
        "frame[:, top : top + h, left : left + w]",
        "frame[:, bottom : bottom + h, right : right + w]",
    ),
    Fault("conv-taps-dilation-axis", "conv", "w * dw, h * sh", "w * dh, h * sh"),
    Fault("conv-taps-stride-axis", "conv", "h * sh, w * sw", "h * sw, w * sw"),
    Fault(
        "conv-taps-row-column", "conv", "c, h, w, n = frame.strides", "c, w, h, n = frame.strides"
    ),
    Fault(
        "conv-taps-stride-and-dilation",
        "conv",
        "h * dh, w * dw, h * sh, w * sw",
        "h * sh, w * sw, h * dh, w * dw",
    ),
    Fault(
        "conv-taps-kernel-axes",
        "conv",
        "*self.kernel, *self.output, frame",
        "*self.kernel[::-1], *self.output, frame",
    ),
    Fault(
        "conv-first-rows-again",
        "conv",
        "((taps[:, :, :, r], r) for r",
        "((taps[:, :, :, : r.stop - r.start], r) for r",
    ),
    Fault(
        "conv-values-of-first-rows",
        "conv",
        "((taps[:, :, :, r], r) for r",
        "((taps[:, :, :, r], slice(0, r.stop - r.start)) for r",
    ),
    Fault(
        "conv-groups-of-weights",
        "conv",
        "w.data.reshape(self.groups, 1, len(w) // self.groups, -1)",
        "w.data.reshape(len(w) // self.groups, 1, self.groups, -1).swapaxes(0, 2)",
    ),
    Fault(
        "conv-groups-of-columns",
        "conv",
        "met.reshape(self.groups, k, met.shape[3], values)",
        "met.reshape(k, self.groups, met.shape[3], values).swapaxes(0, 1)",
    ),
    Fault("conv-first-group-of-weights", "conv", "weights[i, :, share]", "weights[0, :, share]"),
    Fault("conv-first-group-of-slopes", "conv", "slopes[i, here]", "slopes[0, here]"),
    Fault(
        "conv-first-channels-of-weights",
        "conv",
        "weights[i, :, share]",
        "weights[i, :, : len(frames[i, share])]",
    ),
    Fault("conv-frame-of-old-values", "conv", "frames[i, share] = 0", "pass"),
    Fault("conv-frame-of-others", "conv", "frames[i, share] = 0", "frames[i] = 0"),
    Fault(
        "conv-padding-above",
        "conv",
        "frame[:, :top] = frame[:, top + h :] =",
        "frame[:, top + h :] =",
    ),
    Fault(
        "conv-padding-below", "conv", "frame[:, :top] = frame[:, top + h :] =", "frame[:, :top] ="
    ),
    Fault(
        "conv-padding-left",
        "conv",
        "frame[:, :, :left] = frame[:, :, left + w :] = fill",
        "frame[:, :, left + w :] = fill",
    ),
    Fault(
        "conv-padding-right",
        "conv",
        "frame[:, :, :left] = frame[:, :, left + w :] = fill",
        "frame[:, :, :left] = fill",
    ),
    Fault(
        "conv-padding-fill",
        "conv",
        "self.window.framed(x.data, 0)",
        "self.window.framed(x.data, 1)",
        0,
    ),
    Fault(
        "conv-padding-fill-of-weight-gradient",
        "conv",
        "self.window.framed(x.data, 0)",
        "self.window.framed(x.data, 1)",
        1,
    ),
    Fault(
        "conv-last-rows-only",
        "conv",
        "sum((self._columns(met) @ slopes[:, r]).sum(1) for met, r in _by_row(taps, rows))",
        "[(self._columns(met) @ slopes[:, r]).sum(1) for met, r in _by_row(taps, rows)][-1]",
    ),
    Fault(
        "conv-last-share-only",
        "conv",
        "sum(parallel(work, taps.shape[3], 4 * taps[:, :, :, :1].nbytes))",
        "parallel(work, taps.shape[3], 4 * taps[:, :, :, :1].nbytes)[-1]",
    ),
    Fault("conv-weight-gradient-axes", "conv", "total.swapaxes(1, 2).reshape(", "total.reshape("),
    Fault(
        "conv-second-wx",
        "conv",
        "lambda h, y: self.input_gradient(h, g)",
        "lambda h, y: -self.input_gradient(h, g)",
    ),
    Fault(
        "conv-second-wg",
        "conv",
        "lambda h, y: self.output(x, h)",
        "lambda h, y: -self.output(x, h)",
    ),
    Fault(
        "conv-second-xw",
        "conv",
        "lambda h, y: self.weight_gradient(h, g)",
        "lambda h, y: -self.weight_gradient(h, g)",
    ),
    Fault(
        "conv-second-xg",
        "conv",
        "lambda h, y: self.output(h, w)",
        "lambda h, y: -self.output(h, w)",
    ),
    Fault("conv-overlap-lost", "conv", "tap += part", "tap[...] = part"),
    Fault(
        "conv-input-gradient-taps",
        "conv",
        "zip(_each(met), _each(columns), strict",
        "zip(_each(met), [*_each(columns)][::-1], strict",
    ),
    Fault("conv-same-extra-row", "conv", "(h // 2, h - h // 2)", "(h - h // 2, h // 2)"),
    Fault("conv-same-extra-column", "conv", "(w // 2, w - w // 2)", "(w - w // 2, w // 2)"),
    Fault("conv-same-dilation", "conv", "(d * (k - 1) for d, k in zip", "(k - 1 for d, k in zip"),
    Fault("conv-padding-axes", "conv", "return (h, h), (w, w)", "return (w, w), (h, h)"),
    Fault("conv-bias", "conv", "y + bias.reshape(-1, 1, 1)", "y - bias.reshape(-1, 1, 1)"),
    Fault(
        "conv-unbatched-options",
        "conv",
        "weight, bias, stride, padding, dilation, groups)",
        "weight, bias, dilation, padding, stride, groups)",
    ),
    Fault(
        "conv-naive-dilation",
        "conv",
        "i * stride[0] + u * dilation[0]",
        "i * stride[0] + u * dilation[1]",
    ),
    Fault("conv-naive-groups", "conv", "* per_group + k", "+ k"),
    Fault("pool-ties", "conv", "won &= undecided", "pass"),
    Fault("pool-ties-with-the-last", "conv", "yield undecided", "yield taps[:, -1, -1] == y"),
    Fault("pool-overlap-by-one", "conv", "s > d * (k - 1)", "s >= d * (k - 1)"),
    Fault(
        "pool-padding-wins",
        "conv",
        "window.framed(input.data, -np.inf)",
        "window.framed(input.data, 0)",
    ),
    Fault("pool-second-order", "conv", "y[channels] += tap * won", "y[channels] = tap * won"),
    Fault("pool-sum-of-old-values", "conv", "y[channels] = 0", "pass"),
    Fault("pool-maximum-of-old-values", "conv", "y[channels] = first", "pass"),
    Fault(
        "pool-frame-left-as-found", "conv", "not disjoint or taps.size < frame.size", "not disjoint"
    ),
    Fault("pool-overlap-left-as-found", "conv", "not disjoint or taps.size", "taps.size"),
    Fault("pool-maximum-of-0", "conv", "y[channels] = first", "y[channels] = 0"),
    Fault("pool-frame-of-old-values", "conv", "frame[channels] = 0", "pass"),
    Fault(
        "pool-first-channels-win-again",
        "conv",
        "_winners(taps[part], y[part])",
        "_winners(taps[part], y[: part.stop - part.start])",
    ),
    Fault(
        "pool-slopes-of-first-channels",
        "conv",
        "tap += slopes[channels] * won",
        "tap += slopes[: len(tap)] * won",
    ),
    Fault(
        "pool-padded-sideways",
        "conv",
        "self.padding == ((0, 0), (0, 0))",
        "self.padding[0] == (0, 0)",
    ),
    Fault("pool-default-stride", "conv", "step = kernel if stride", "step = (1, 1) if stride"),
    Fault("pool-half-of-kernel", "conv", "2 * h > kernel[0]", "2 * h >= kernel[0]"),
    Fault(
        "pool-unbatched-dilation",
        "conv",
        "kernel_size, stride, padding, dilation).squeeze(0)",
        "kernel_size, stride, padding).squeeze(0)",
    ),
    Fault("pool-average", "conv", "1 / math.prod(window.kernel)", "1 / sum(window.kernel)"),
    # --- batchnorm --------------------------------------------------------------------------------
    Fault("bn-composed-unbiased", "batchnorm", "correction=0", "correction=1"),
    Fault("bn-composed-axes", "batchnorm", "if i != 1)", "if i != 0)"),
    Fault(
        "bn-eps-outside",
        "batchnorm",
        "1 / np.sqrt(var[channels] + eps)",
        "1 / (np.sqrt(var[channels]) + eps)",
    ),
    Fault(
        "bn-train-unbiased",
        "batchnorm",
        "np.vecdot(centred, centred)[:, None] / m",
        "np.vecdot(centred, centred)[:, None] / (m - 1)",
    ),
    Fault(
        "bn-large-offset",
        "batchnorm",
        "first = rows[channels, :1]",
        "first = 0 * rows[channels, :1]",
    ),
    Fault(
        "bn-mean-term", "batchnorm", "mean[channels] = first + offset", "mean[channels] = offset"
    ),
    Fault(
        "bn-train-bias",
        "batchnorm",
        "centred += bias.data[channels, None]",
        "centred -= bias.data[channels, None]",
    ),
    Fault(
        "bn-train-gamma",
        "batchnorm",
        "centred *= gamma[channels] * inv_std[channels]",
        "centred *= inv_std[channels]",
    ),
    Fault(
        "bn-x-hat-sign", "batchnorm", "d *= -inv_std_here * dgamma", "d *= inv_std_here * dgamma"
    ),
    Fault(
        "bn-mean-sign",
        "batchnorm",
        "d -= dbeta[channels, None] / m",
        "d += dbeta[channels, None] / m",
    ),
    Fault("bn-mean-term-dropped", "batchnorm", "d -= dbeta[channels, None] / m", "pass"),
    Fault("bn-one-inv-std", "batchnorm", "d *= -inv_std_here * dgamma", "d *= -dgamma"),
    Fault(
        "bn-dgamma",
        "batchnorm",
        "np.vecdot(g_here, d) * inv_std_here[:, 0]",
        "np.vecdot(g_here, d)",
    ),
    Fault(
        "bn-offset-m",
        "batchnorm",
        "(centred @ ones)[:, None] / m",
        "(centred @ ones)[:, None] / (m - 1)",
    ),
    Fault("bn-offset-kept", "batchnorm", "centred -= offset", "pass"),
    Fault(
        "bn-first-of-first-block",
        "batchnorm",
        "first = rows[channels, :1]",
        "first = rows[: len(y[channels]), :1]",
    ),
    Fault(
        "bn-gamma-of-first-block",
        "batchnorm",
        "centred *= gamma[channels] *",
        "centred *= gamma[: len(centred)] *",
    ),
    Fault(
        "bn-bias-of-first-block",
        "batchnorm",
        "bias.data[channels, None]",
        "bias.data[: len(centred), None]",
    ),
    Fault(
        "bn-dbeta-of-first-block",
        "batchnorm",
        "d -= dbeta[channels, None]",
        "d -= dbeta[: len(d), None]",
    ),
    Fault(
        "bn-gamma-of-gradient",
        "batchnorm",
        "d *= gamma[channels] * inv_std_here",
        "d *= inv_std_here",
    ),
    Fault("bn-gradient-of-another", "batchnorm", "if g not in known:", "if not known:"),
    Fault("bn-second-derivative-of-0", "batchnorm", "if is_grad_enabled():", "if False:"),
    Fault("bn-dgamma-dbeta", "batchnorm", "return dx, dgamma, dbeta", "return dx, dbeta, dgamma"),
    Fault(
        "bn-image-axes",
        "conv",
        ".transpose(*range(1, x.ndim), 0)",
        ".transpose(1, *range(2, x.ndim)[::-1], 0)",
    ),
    Fault(
        "bn-channels-mixed",
        "conv",
        ", 0)).reshape(x.shape[1], -1)",
        ", 0)).reshape(-1, x.shape[1]).T.copy()",
    ),
    Fault("bn-eval-eps", "batchnorm", "1 / np.sqrt(var.data + eps)", "1 / np.sqrt(var.data)"),
    Fault("bn-eval-mean", "batchnorm", "(x - per_channel(mean, x))", "(x + per_channel(mean, x))"),
    Fault(
        "bn-eval-bias",
        "batchnorm",
        "else y + per_channel(bias, x)",
        "else y - per_channel(bias, x)",
        1,
    ),
    Fault("bn-gradient-nobody-asks-for", "batchnorm", "if to_x:", "if not to_x:"),
    Fault(
        "bn-composed-bias",
        "batchnorm",
        "else y + per_channel(bias, x)",
        "else y - per_channel(bias, x)",
        0,
    ),
    Fault("bn-one-image", "batchnorm", "shape[0] * math.prod(shape[2:]) == 1", "shape[0] == 1"),
    Fault("bn-one-value-accepted", "batchnorm", "shape[0] * math.prod(shape[2:]) == 1", "False"),
    Fault("bn-running-biased", "batchnorm", "var * (m / (m - 1))", "var"),
    Fault("bn-running-m", "batchnorm", "m = input.numel() // c", "m = input.shape[0]"),
    Fault(
        "bn-momentum-old", "batchnorm", "running.data *= 1 - momentum", "running.data *= momentum"
    ),
    Fault("bn-momentum-new", "batchnorm", "+= momentum * batch", "+= (1 - momentum) * batch"),
    Fault("bn-empty-batch", "batchnorm", "if input.numel() == 0:", "if False:"),
    Fault("bn-six-power", "batchnorm", "** -1.5", "** -0.5"),
    Fault("bn-six-mean", "batchnorm", "+ d_mean / m", ""),
    Fault("bn-six-two", "batchnorm", "d_var * 2 * (x - mean)", "d_var * (x - mean)"),
    Fault(
        "bn-population-weights",
        "batchnorm",
        "seen.get(layer, 0) + x.numel()",
        "seen.get(layer, 0) + 2 * x.numel()",
    ),
    Fault(
        "bn-population-order",
        "batchnorm",
        "for layer in list(seen):",
        "for layer in list(seen)[::-1]:",
    ),
    Fault(
        "bn-population-mode", "batchnorm", "            layer.eval()", "            layer.train()"
    ),
    Fault("bn-population-in-place", "batchnorm", "copy.deepcopy(model).eval()", "model.eval()"),
    Fault("bn-population-restart", "batchnorm", "seen[layer] = 0", "pass"),
    Fault("bn-population-reset", "batchnorm", ".train().reset_running_stats()", ".train()"),
    Fault("bn-fold-mean", "batchnorm", "- bn.running_mean.data", "+ bn.running_mean.data"),
    Fault(
        "bn-fold-eps",
        "batchnorm",
        "np.sqrt(bn.running_var.data + bn.eps)",
        "np.sqrt(bn.running_var.data)",
    ),
    Fault("bn-fold-shift", "batchnorm", "shift = shift * scale +", "shift = shift +"),
    Fault("bn-fold-gamma", "batchnorm", "else bn.weight.data", "else 1"),
    Fault(
        "bn-fold-axis",
        "batchnorm",
        "scale.reshape(-1, *(1,) * (w.ndim - 1))",
        "scale.reshape(1, -1, *(1,) * (w.ndim - 2))",
    ),
    Fault(
        "bn-fold-in-no-order", "batchnorm", 'child if _says(module, "in_order") else None', "child"
    ),
    Fault("bn-fold-shared", "batchnorm", "uses[before.weight] > 1 or", ""),
    # --- functional -------------------------------------------------------------------------------
    Fault("linear-bias", "functional", "y += bias.data", "y -= bias.data"),
    Fault(
        "linear-one-row",
        "functional",
        "y = matmul(weight.data, input.data.T).T",
        "y = matmul(weight.data, input.data[-1:].T).T",
    ),
    Fault(
        "linear-bias-gradient",
        "functional",
        "[(bias, lambda g, y: g)]",
        "[(bias, lambda g, y: -g)]",
    ),
    Fault("linear-input-gradient", "functional", "g @ weight)", "-g @ weight)"),
    Fault("log-softmax-overflow", "functional", "- input.data.max(dim, keepdims=True)", ""),
    Fault("log-softmax-term", "functional", "* g.sum(dim, keepdim=True)", ""),
    Fault("cross-entropy-mean", "functional", "losses.sum() / divisor", "losses.mean()"),
    Fault(
        "cross-entropy-wrong-class",
        "functional",
        "if np.count_nonzero(one_hot) != np.count_nonzero(used):",
        "if (labels > classes).any():",
    ),
    Fault("cross-entropy-ignored-class", "functional", "one_hot &= used", "pass"),
    Fault(
        "cross-entropy-some-ignored",
        "functional",
        "or np.count_nonzero(used) < max(used.size, 1):",
        "or not used.any():",
    ),
    Fault("cross-entropy-no-samples", "functional", "max(used.size, 1)", "used.size"),
    Fault("cross-entropy-error-of-ignored", "functional", "labels[used & ~", "labels[~"),
    Fault(
        "cross-entropy-probabilities-dtype",
        "functional",
        "target.to(input.dtype) * (1",
        "target * (1",
    ),
    Fault("linear-many-axes", "functional", ".reshape(*input.shape[:-1], len(weight))", ""),
    Fault(
        "tensor-operands-usual-case", "tensor", "b.data.dtype and least is bool_:", "b.data.dtype:"
    ),
    Fault("tensor-T-gradient", "tensor", "(self, lambda g, y: g.T)", "(self, lambda g, y: g)"),
    Fault(
        "cross-entropy-class-axis",
        "functional",
        "labels = target.data[:, None]",
        "labels = target.data[..., None]",
    ),
    Fault(
        "cross-entropy-ignored-gradient",
        "functional",
        "input = where(wrap(used), input, 0.0)",
        "pass",
    ),
    Fault("cross-entropy-zero-weight", "functional", ", where=weights.data != 0)", ")"),
    Fault(
        "cross-entropy-gradient",
        "functional",
        "weights.sum(1, keepdim=True) - weights",
        "weights.sum(1, keepdim=True) + weights",
    ),
    Fault(
        "cross-entropy-target-gradient",
        "functional",
        "-g.unsqueeze(1) * logp",
        "g.unsqueeze(1) * logp",
    ),
    Fault(
        "cross-entropy-gradient-of-weights",
        "functional",
        "logp.exp() * weights.sum(1, keepdim=True)",
        "logp.exp()",
    ),
    Fault("cross-entropy-smoothing", "functional", "(one_hot * (1 - label_smoothing)", "(one_hot"),
    Fault("cross-entropy-smooth-share", "functional", " + used * share", ""),
    Fault("cross-entropy-smooth-ignored", "functional", " + used * share", " + share"),
    Fault(
        "cross-entropy-smooth-given",
        "functional",
        "(1 - label_smoothing) + share",
        "(1 - label_smoothing)",
    ),
    Fault(
        "cross-entropy-weighted-mean",
        "functional",
        "float((one_hot * w).sum())",
        "float(one_hot.sum())",
    ),
    Fault("cross-entropy-unbatched-row", "functional", "losses.squeeze(0) if one else", ""),
    Fault("cross-entropy-no-classes", "functional", "or input.shape[1] == 0:", ":"),
    Fault(
        "mse-by-position", "functional", "target: Tensor, *, reduction", "target: Tensor, reduction"
    ),
    Fault("batch-norm-moving-statistic", "batchnorm", "name in state and v.requires_grad", "False"),
    Fault("size-true", "tensor", "value is not True and", ""),
    Fault("extreme-of-nothing", "tensor", "self._check_some(name, dim)", "pass"),
    Fault("argmax-of-nothing", "tensor", 'self._check_some("argmax", dim)', "pass"),
    Fault("conv-no-channels", "conv", "min(groups, channels, outputs) < 1 or", ""),
    Fault("dropout-inverted", "functional", "np.greater_equal(drawn", "np.less(drawn"),
    Fault("dropout-share", "functional", "round(p * (1 << 16))", "round(p * (1 << 15))"),
    Fault("dropout-scale", "functional", "1 / (1 - p)", "1.0"),
    Fault("dropout-in-eval", "functional", "if not training or p == 0:", "if p == 0:"),
    # --- nn ---------------------------------------------------------------------------------------
    Fault("nn-train-only-self", "nn", "module.training = mode", "self.training = mode"),
    Fault("nn-load-rebinds", "nn", "own[name].data[...] = array", "own[name].data = array"),
    Fault("nn-load-not-strict", "nn", "        if strict:", "        if False:"),
    Fault(
        "nn-state-is-a-copy", "nn", "name: value.detach() for", "name: value.detach().clone() for"
    ),
    Fault("nn-initial-range", "nn", "1 / math.sqrt(fan_in)", "1 / fan_in"),
    Fault(
        "nn-conv-fan-in", "nn", "_uniform(shape, math.prod(shape[1:]))", "_uniform(shape, shape[1])"
    ),
    Fault(
        "nn-bias-fan-in",
        "nn",
        "_uniform((out_features,), in_features)",
        "_uniform((out_features,), out_features)",
    ),
    Fault("nn-bn-count", "nn", "1 / (int(count) + 1)", "1 / max(int(count), 1)"),
    Fault("nn-bn-counts-empty", "nn", "+= input.numel() > 0", "+= 1"),
    Fault(
        "nn-bn-counts-in-eval",
        "nn",
        "if self.training and count is not None:",
        "if count is not None:",
    ),
    Fault(
        "nn-bn-untracked-eval", "nn", "self.training or self.running_mean is None", "self.training"
    ),
    Fault("nn-bn-reset", "nn", "= buffer is self.running_var", "= buffer is self.running_mean"),
    Fault(
        "nn-bn-statistics-swapped",
        "nn",
        "(self.running_mean, self.running_var)",
        "(self.running_var, self.running_mean)",
    ),
    Fault(
        "nn-bn-gamma-zero", "nn", "Parameter(ones(num_features))", "Parameter(zeros(num_features))"
    ),
    Fault("nn-dropout-mode", "nn", "self.p, self.training)", "self.p, True)"),
    Fault("nn-zero-grad", "nn", "None if set_to_none or p.grad is None", "None if p.grad is None"),
    Fault(
        "nn-to-forgets-grads", "nn", "for tensor in (value, value.grad):", "for tensor in (value,):"
    ),
    Fault(
        "nn-conv-options",
        "nn",
        "self.stride, self.padding, self.dilation, self.groups",
        "self.dilation, self.padding, self.stride, self.groups",
    ),
    Fault(
        "nn-shared-parameter-twice", "nn", "first.setdefault(tensor, name)", "first[tensor] = name"
    ),
    Fault("nn-buffers-are-parameters", "nn", "if not isinstance(tensor, Parameter))", ")"),
    Fault(
        "nn-pool-stride",
        "nn",
        "self.kernel_size if self.stride is None",
        "1 if self.stride is None",
    ),
    Fault(
        "nn-apply-order", "nn", "list(self.children())[index]", "list(self.children())[::-1][index]"
    ),
    # --- lr_scheduler -----------------------------------------------------------------------------
    Fault("step-lr-at-0", "lr_scheduler", "self.last_epoch > 0 and", ""),
    Fault("step-lr-off-by-one", "lr_scheduler", "% self.step_size == 0", "% self.step_size == 1"),
    Fault(
        "cosine-sign",
        "lr_scheduler",
        "(1 + math.cos(math.pi * self",
        "(1 - math.cos(math.pi * self",
    ),
    Fault("cosine-floor", "lr_scheduler", "self.eta_min + (base", "(base"),
    Fault("cosine-span", "lr_scheduler", "(base - self.eta_min) * height", "base * height"),
    Fault(
        "one-cycle-top", "lr_scheduler", "pct_start * total_steps - 1", "pct_start * total_steps"
    ),
    Fault(
        "one-cycle-end", "lr_scheduler", "self.total_steps - 1, at_top", "self.total_steps, at_top"
    ),
    Fault(
        "one-cycle-last-rate", "lr_scheduler", "start / final_div_factor", "peak / final_div_factor"
    ),
    Fault("one-cycle-momentum", "lr_scheduler", "(high, low, high)", "(low, high, low)"),
    Fault("one-cycle-linear", "lr_scheduler", "a + (b - a) * done", "b + (a - b) * done"),
    Fault("one-cycle-cos", "lr_scheduler", "return b + (a - b) / 2", "return b + (b - a) / 2"),
    Fault(
        "one-cycle-one-step-more",
        "lr_scheduler",
        "self.last_epoch >= self.total_steps",
        "self.last_epoch > self.total_steps",
    ),
    Fault(
        "one-cycle-epochs",
        "lr_scheduler",
        "epochs * steps_per_epoch\n",
        "epochs + steps_per_epoch\n",
    ),
    Fault(
        "schedule-on-a-schedule",
        "lr_scheduler",
        'g.setdefault("initial_lr", g["lr"])',
        'g["lr"]',
    ),
    # --- optim ------------------------------------------------------------------------------------
    Fault("sgd-ascends", "optim", "p.data -= g * lr", "p.data += g * lr"),
    Fault("sgd-rebinds", "optim", "p.data -= g * lr", "p.data = p.data - g * lr"),
    Fault("sgd-maximize", "optim", "if maximize:", "if not maximize:"),
    Fault("sgd-decay-sign", "optim", "p.data * weight_decay + g", "g - p.data * weight_decay"),
    Fault(
        "sgd-decay-in-the-gradient",
        "optim",
        "g = p.data * weight_decay + g",
        "g += p.data * weight_decay",
    ),
    Fault("sgd-negative-gradient", "optim", "g = -g", "g *= -1"),
    Fault("sgd-options-of-all-groups", "optim", "float(group[name])", "float(self.defaults[name])"),
    Fault("sgd-rate-promotes", "optim", "float(group[name])", "group[name]"),
    Fault("sgd-no-decay", "optim", "if weight_decay:", "if False:"),
    Fault("sgd-momentum-sum", "optim", "v *= momentum", "pass"),
    Fault("sgd-dampening", "optim", "1 - dampening) if", "dampening) if"),
    Fault("sgd-first-step-dampened", "optim", "np.array(g)", "np.array(g) * (1 - dampening)"),
    Fault("sgd-buffer-is-the-gradient", "optim", "= np.array(g)", "= g"),
    Fault("sgd-nesterov-always", "optim", "+ g if nesterov else v", "+ g if True else v"),
    Fault("sgd-nesterov-term", "optim", "v * momentum + g if", "v + g if"),
    Fault(
        "sgd-group-options", "optim", "self.defaults | param_group", "param_group | self.defaults"
    ),
    Fault("sgd-closure-unrecorded", "optim", "grad_mode(True)", "grad_mode(False)"),
    Fault("sgd-closure-value", "optim", "return loss", "return None"),
    Fault("sgd-twice-the-same", "optim", "known.add(id(p))", "pass"),
    # --- data -------------------------------------------------------------------------------------
    Fault("idx-byte-order", "data", 'f">{axes}I"', 'f"<{axes}I"'),
    Fault(
        "idx-other-types",
        "data",
        'content[:3] != b"\\x00\\x00\\x08"',
        'content[:2] != b"\\x00\\x00"',
    ),
    Fault(
        "idx-too-long",
        "data",
        "len(content) - header != math.prod",
        "len(content) - header < math.prod",
    ),
    Fault("mnist-mean", "data", "pixels -= self.mean", "pixels += self.mean"),
    Fault("mnist-255", "data", "(255 * self.std)", "(256 * self.std)"),
    Fault("mnist-channel-axis", "data", "np.expand_dims(pixels, -3)", "np.expand_dims(pixels, 0)"),
    Fault("mnist-test-set", "data", '"train" if train else', '"train" if not train else'),
    Fault("mnist-part-of-labels", "data", "labels[part].astype", "labels.astype"),
    Fault("mnist-nine", "data", "labels.max() > 9", "labels.max() >= 9"),
    Fault("loader-last-batch", "data", "rest and not self.drop_last", "rest and self.drop_last"),
    Fault("loader-one-batch-more", "data", "bool(rest and", "bool(not"),
    Fault(
        "loader-short-batches",
        "data",
        "(i + 1) * self.batch_size]",
        "(i + 1) * self.batch_size - 1]",
    ),
    Fault("loader-order", "data", "if self.shuffle else", "if not self.shuffle else"),
    Fault(
        "loader-other-generator",
        "data",
        "generator.permutation(n)",
        "np.random.default_rng().permutation(n)",
    ),
]


def planted(fault: Fault, source: str) -> str:
    """`source` with the fault in it; ValueError if it does not say exactly where."""
    count = source.count(fault.right)
    if fault.nth is None and count != 1:
        raise ValueError(f"{fault.name}: {fault.right!r} is {count} times in {fault.file}.py")
    if fault.nth is not None and not 0 <= fault.nth < count:
        raise ValueError(f"{fault.name}: {fault.right!r} has no number {fault.nth} of {count}")
    pieces = source.split(fault.right)
    here = (fault.nth or 0) + 1
    before, after = fault.right.join(pieces[:here]), fault.right.join(pieces[here:])
    text = before + fault.wrong + after
    try:
        compile(text, fault.name, "exec")
    except SyntaxError as error:
        raise ValueError(f"{fault.name}: {error}") from error
    return text


def mistakes_in_the_list(faults: list[Fault]) -> list[str]:
    found = []
    for fault in faults:
        try:
            planted(fault, (ROOT / "tinygrad_bn" / f"{fault.file}.py").read_text())
        except ValueError as error:
            found.append(str(error))
    names = [fault.name for fault in faults]
    return found + [f"{name}: twice" for name in {n for n in names if names.count(n) > 1}]


def run_tests(root: Path, arguments: list[str], output: Path) -> None:
    """In a process of its own: pytest on the copy at `root`."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    sys.dont_write_bytecode = False
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import pytest

    status = pytest.main([*PYTEST, *arguments])
    package = sys.modules.get("tinygrad_bn")
    print(f"\nimported from {package and package.__file__}", flush=True)
    sys.exit(status)


class Copy:
    """The working tree once more, where the package can be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.root, self.output = folder / "tree", folder / "output"
        shutil.copytree(ROOT, self.root, ignore=IGNORED)

    def failing_test(self, *arguments: str, limit: float) -> str | None:
        """The first test that fails; None if all pass."""
        run = PROCESSES.Process(target=run_tests, args=(self.root, [*arguments], self.output))
        run.start()
        run.join(limit)
        if run.is_alive():
            run.kill()
            run.join()
            return f"the time limit of {limit:.0f} s"
        if run.exitcode < 0:
            return f"a crash by signal {-run.exitcode}"
        lines = self.output.read_text().splitlines()
        failed = [line for line in lines if FAILED.match(line)]
        if run.exitcode not in (0, 1, 2) or bool(failed) != (run.exitcode > 0):
            raise RuntimeError(f"pytest ended with {run.exitcode}:\n" + "\n".join(lines))
        # The copy must be what the tests import: to be seen, not believed.
        if not failed and lines[-1] != f"imported from {self.root / 'tinygrad_bn/__init__.py'}":
            raise RuntimeError(f"the tests do not import the copy in {self.root}: {lines[-1]}")
        return FAILED.match(failed[0])[1] if failed else None

    def caught_by(self, fault: Fault, limit: float) -> str | None:
        """The first test that notices the fault; None if it survives the whole suite."""
        package = self.root / "tinygrad_bn"
        file = package / f"{fault.file}.py"
        right = file.read_text()
        shutil.rmtree(package / "__pycache__", ignore_errors=True)  # the new text may be as old
        file.write_text(planted(fault, right))
        try:
            first = [f"tests/{n}" for n in FIRST[fault.file] if (self.root / "tests" / n).exists()]
            others = [f"--ignore={name}" for name in first]
            found = self.failing_test(*first, limit=limit)
            return found or self.failing_test("tests", *others, limit=limit)
        finally:
            file.write_text(right)


def check(faults: list[Fault], jobs: int) -> list[Fault]:
    """Plant each fault and report on it; returns those that survive."""
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()

    def verdict(fault: Fault) -> str | None:
        copy = copies.get()
        try:
            return copy.caught_by(fault, limit)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        for number in range(jobs):
            copies.put(Copy(Path(folder).resolve() / str(number)))
        copy = copies.get()
        print(f"in copies such as {copy.root}", flush=True)
        start = time.perf_counter()
        if found := copy.failing_test("tests", limit=3600):
            print(f"without any fault, the suite fails: {found}")
            sys.exit(2)
        copies.put(copy)
        taken = time.perf_counter() - start
        limit = 60 + 5 * jobs * taken
        print(
            f"without a fault the suite passes, in {taken:.0f} s; limit {limit:.0f} s", flush=True
        )
        survivors = []
        for fault, test in zip(faults, pool.map(verdict, faults), strict=True):
            print(f"{fault.name:34} {test or 'SURVIVES'}", flush=True)
            if test is None:
                survivors.append(fault)
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(description="Plants faults in a copy; runs the tests on it.")
    parser.add_argument("--only", action="append", metavar="NAME", help="this fault alone")
    parser.add_argument("--list", action="store_true", help="print the faults, and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (1)")
    options = parser.parse_args()
    if mistakes := mistakes_in_the_list(FAULTS):
        print("the list of faults does not fit the package:", *mistakes, sep="\n  ")
        return 2
    faults = [fault for fault in FAULTS if options.only is None or fault.name in options.only]
    if unknown := set(options.only or ()) - {fault.name for fault in faults}:
        print(f"no fault is called {', '.join(sorted(unknown))}: see --list")
        return 2
    if options.list:
        for fault in faults:
            print(f"{fault.name:34} {fault.file:12} {fault.right!r} → {fault.wrong!r}")
        return 0
    start = time.perf_counter()
    survivors = check(faults, options.jobs)
    taken = time.perf_counter() - start
    print(f"{len(faults)} faults, {len(faults) - len(survivors)} caught, in {taken:.0f} s")
    for fault in survivors:
        print(f"SURVIVES {fault.name}: {fault.file}.py: {fault.right!r} → {fault.wrong!r}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
