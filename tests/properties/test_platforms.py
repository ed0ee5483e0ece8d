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


# --- messages ---------------------------------------------------------------------------------


def texts_of_messages(code):
    """Every text inside `raise ...`, `warnings.warn(...)` and parser.error(...)."""
    for node in ast.walk(ast.parse(code)):
        is_warning = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("warn", ".error")
        )
        if isinstance(node, ast.Raise) or is_warning:
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


@pytest.mark.parametrize("name", source.files())
def test_messages_are_plain_ascii(name):
    for text in texts_of_messages(source.files()[name]):
        assert text.isascii(), text


@pytest.mark.parametrize("name", SCRIPTS)
def test_messages_of_examples_are_plain_ascii(name):
    for text in texts_of_messages(SCRIPTS[name]):
        assert text.isascii(), text


def test_the_texts_of_messages_are_found():
    code = "raise E(f'a {b} c' 'd')\nwarnings.warn('e')\nparser.error('f')\nprint('g')"
    assert list(texts_of_messages(code)) == ["a ", " cd", "e", "f"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "command", [["bn/by_hand.py"], ["bn/lessons.py", "drift"], ["mnist_cnn.py", "-h"]], ids=str
)
def test_an_example_prints_on_a_console_that_knows_few_characters(encoding, command):
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(TOP), "PATH": ""}
    script, *options = command
    done = subprocess.run(
        [sys.executable, TOP / "examples" / script, *options],
        capture_output=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    text = done.stdout.decode(encoding)
    assert len(text) > 200
    assert "?" not in text.replace("how?", "")
    if script == "bn/by_hand.py":
        assert "gamma" in text
        assert "x_hat" in text


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
