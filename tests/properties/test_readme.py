"""The README's programs run, one after the other, and print what their comments say."""

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def promised(program):
    """What it says that it prints: a comment behind a print, and those on the lines below it."""
    lines, printing = [], False
    for line in program.splitlines():
        code, _, comment = line.partition("#")
        if code.strip():
            printing = code.lstrip().startswith(("print(", "net("))
        if printing and comment:
            lines.append(comment.strip())
    return lines


def test_what_a_program_promises_is_found():
    program = "x = 1  # not this\nprint(x)  # 1\nprint(y, x)\n# 2\n# 1\nz = 0\n# nor this\n"
    assert promised(program) == ["1", "2", "1"]
    assert sum(len(promised(program)) for program in PROGRAMS) >= 7


def test_every_program_prints_what_it_promises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them saves a file
    names = {}
    for program in PROGRAMS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, names)
        printed = iter(out.getvalue().splitlines())
        for line in promised(program):
            start = line.removesuffix("…")
            found = next((text for text in printed if text.startswith(start)), None)
            assert found is not None, f"{line!r} is not in {out.getvalue()!r}"
            assert start != line or found == line
    assert (tmp_path / "model.safetensors").is_file()
