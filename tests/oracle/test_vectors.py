"""Everything against numbers that PyTorch 2.13 computed, wherever PyTorch is not installed too.

vectors/ holds the inputs and PyTorch's results; make_vectors.py wrote them. Each case is run
as it was there: outputs, gradients under a random cotangent, and the buffers after the call agree,
in float64 to 1e-10 and in float32 to 1e-5.
"""

import inspect
import re
import warnings

import numpy as np
import pytest
from make_vectors import FOLDER, GRIDS, VERSION, computed, read, run
from oracle import TOLERANCES, assert_same_results

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.nn import functional as F
from tinygrad_bn.optim import lr_scheduler

FILES = sorted(FOLDER.glob("*.npz"))
VERSIONS, CASES = zip(*map(read, FILES), strict=True)
ALL = [
    pytest.param(case, dtype, id=f"{path.stem}-{case['code']}-{dtype}")
    for path, cases in zip(FILES, CASES, strict=True)
    for case in cases
    for dtype in case["expected"]
]
CODE = " ".join(case["code"] for cases in CASES for case in cases)


@pytest.mark.parametrize(("case", "dtype"), ALL)
def test_the_results_are_those_of_pytorch(case, dtype):
    before = {name: array.copy() for name, array in case["given"].items()}
    expected = dict(case["expected"][dtype])
    if case.get("empty batch in training"):  # the one difference: PyTorch counts it
        counts = [name for name in expected if "num_batches_tracked" in name]
        expected |= dict.fromkeys(counts, before["state num_batches_tracked"])
    undefined = any(np.isnan(array).any() for array in expected.values())
    asked_for = "ignore" if undefined else "warn"  # the mean of nothing is 0/0
    with np.errstate(invalid=asked_for, divide=asked_for):
        found = run(case, case["given"], tg, dtype)
    assert_same_results(found, expected)
    for name, array in case["given"].items():
        np.testing.assert_array_equal(array, before[name])


# --- are these all the vectors there should be? ---------------------------------------------------


def test_pytorch_of_the_right_version_made_them_and_they_are_small():
    assert [path.stem for path in FILES] == sorted(grid.__name__ for grid in GRIDS)
    assert set(VERSIONS) == {VERSION}
    assert sum(path.stat().st_size for path in FILES) < 1_500_000


BESIDE_THE_POINT = {  # what computes no tensor of floats, or only with other methods
    "backward", "check_reduction", "dim", "is_floating_point", "item", "numel", "numpy",
    "requires_grad_", "size", "tolist",
    # In place: compared with PyTorch as it runs, in chapters/test_03_in_place.py.
    "add_", "copy_", "div_", "fill_", "mul_", "sub_", "zero_",
    # The same as another: reshape, itself, and the layers in the list.
    "view", "cpu", "ModuleList",
}  # fmt: skip


def test_every_layer_function_method_optimizer_and_schedule_has_its_vectors():
    def classes(module, base):
        return {k for k, v in vars(module).items() if inspect.isclass(v) and issubclass(v, base)}

    wanted = {f"F.{k}" for k in F.__all__} | {"optim.SGD"}
    wanted |= {f"nn.{k}" for k in classes(nn, nn.Module) - {"Module"} if k[0] != "_"}
    wanted |= {f"S.{k}" for k in classes(lr_scheduler, lr_scheduler.LRScheduler) - {"LRScheduler"}}
    wanted |= {f"m.{k}" for k in tg.__all__ if k in {"where", "cat", "stack", "tensor", "zeros"}}
    methods = {k for k, v in vars(tg.Tensor).items() if k[0] != "_" and callable(v)}
    methods |= {"float", "double", "max", "min"}  # made by partialmethod
    wanted |= {f".{k}" for k in methods}
    assert len(wanted) > 70
    missing = {k for k in wanted if not re.search(rf"{re.escape(k)}\b", CODE)}
    assert not {k for k in missing if k.split(".")[1] not in BESIDE_THE_POINT}


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_comparison_notices_a_number_a_shape_and_a_dtype(dtype):
    expected = CASES[0][0]["expected"][dtype]
    assert_same_results(expected, expected)
    for name, array in expected.items():
        off = array.copy()
        off += 1 if off.dtype == "int64" else 3 * TOLERANCES[dtype] * (1 + abs(off)).max()
        for wrong in (off, array[None], array.astype("float16")):
            with pytest.raises(AssertionError):
                assert_same_results(expected | {name: wrong}, expected)
    with pytest.raises(AssertionError):
        assert_same_results({}, expected)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.__name__)
def test_the_files_are_what_the_script_makes(torch, grid):
    """Where PyTorch is installed: the same cases and inputs, and its results again."""
    if torch.__version__.partition("+")[0] != VERSION:
        pytest.skip(f"the vectors are those of PyTorch {VERSION}")
    with warnings.catch_warnings(action="ignore"):
        made = [computed(case, torch) for case in grid()]
    stored = CASES[[path.stem for path in FILES].index(grid.__name__)]
    assert [case["code"] for case in made] == [case["code"] for case in stored]
    for new, old in zip(made, stored, strict=True):
        assert set(new) == set(old)
        assert list(new["given"]) == list(old["given"])
        options = set(new) - {"given", "expected"}
        assert [new[k] for k in options] == [old[k] for k in options]
        assert all(np.array_equal(v, old["given"][k]) for k, v in new["given"].items())
        for dtype, expected in old["expected"].items():
            assert_same_results(new["expected"][dtype], expected)
