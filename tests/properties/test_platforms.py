"""What must not depend on the platform: consoles that know few characters, memory, libraries."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import source
from layouts import LAYOUTS
from safetensors.numpy import load_file, save_file

import tinygrad_bn as tg
from tinygrad_bn import nn

TOP = Path(tg.__file__).parents[1]
SCRIPTS = {
    path.relative_to(TOP).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((TOP / "examples").rglob("*.py"))
}


# --- messages and consoles ----------------------------------------------------------------------


def texts(code):
    """Every text in a program but the docstrings: whatever may become a message, or be printed."""
    tree = ast.parse(code)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("name", source.files())
def test_messages_are_plain_ascii(name):
    """Also those that are put together before they are raised."""
    for text in texts(source.files()[name]):
        assert text.isascii(), text


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_has_plain_texts_or_prepares_the_console(name):
    if name in ("examples/bn/console.py", "examples/benchmarks/plots.py"):  # nothing is printed
        return
    special = [text for text in texts(SCRIPTS[name]) if not text.isascii()]
    assert not special or "    any_console()\n    main()\n" in SCRIPTS[name], special


def test_texts_are_found_wherever_they_stand():
    code = '"""doc"""\nm = f"a {b} c" "d"\ndef f(x="e"):\n    "doc"\n    raise E(m, 1)'
    assert sorted(texts(code)) == [" cd", "a ", "e"]


RUNS = ["bn/by_hand.py", "bn/lessons.py drift"]
HELP = [
    f"{name.removeprefix('examples/')} -h"
    for name, code in SCRIPTS.items()
    if "ArgumentParser(" in code and "__main__" in code
]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", RUNS + HELP + ["mnist_mlp.py -h", "mnist_cnn.py -h"])
def test_an_example_prints_on_a_console_that_knows_few_characters(encoding, command):
    script, *options = command.split()
    done = run_python(TOP / "examples" / script, *options, encoding=encoding)
    assert len(done) > 200
    assert "?" not in done.replace("how?", "").replace("the same?", "")
    if script == "bn/by_hand.py":
        assert "gamma" in done
        assert "x_hat" in done


def test_the_figures_numbers_print_on_a_console_that_knows_few_characters():
    """The whole of it takes too long here."""
    program = (
        f"import sys; sys.path.insert(0, {str(TOP / 'examples' / 'bn')!r})\n"
        "import figure1, numpy; figure1.any_console()\n"
        "print(figure1.spread(numpy.array([1.0, 2.0])))"
    )
    assert run_python("-c", program, encoding="ascii").strip() == "1.50 +- 0.71"


def run_python(*arguments, encoding):
    """What a program prints."""
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(TOP), "PATH": ""}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode(encoding)


# --- saving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_every_memory_order_are_saved_as_they_are(layout, tmp_path, rng):
    """In the README's way, by which PyTorch and others read them too."""
    layer = nn.Conv2d(3, 4, (2, 5))
    values = rng.standard_normal((4, 3, 2, 5)).astype(np.float32)
    layer.weight.data = LAYOUTS[layout](values)
    state = layer.state_dict().items()
    save_file({name: t.numpy().copy() for name, t in state}, tmp_path / "weights")
    again = nn.Conv2d(3, 4, (2, 5))
    again.load_state_dict(load_file(tmp_path / "weights"))
    np.testing.assert_array_equal(again.weight.data, values)


def test_whatever_is_saved_is_contiguous():
    """Each place where the package, an example or the README hands arrays to safetensors."""
    texts = {**SCRIPTS, **source.files(), "README.md": (TOP / "README.md").read_text("utf-8")}
    found = [
        (name, call)
        for name, text in texts.items()
        for call in re.findall(r"(?m)^.*\bsave(?:_file)?\(\{.*$", text)
    ]
    assert len(found) >= 2
    for name, call in found:
        assert ".copy()" in call, (name, call)


# --- libraries --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", source.files())
def test_no_file_of_one_platforms_numpy_is_looked_for(name):
    assert not re.search(r"numpy\.libs|\.dylib|\.dll|openblas|libscipy", source.files()[name])
