"""Formulas on consoles that know no Greek: γ is printed as "gamma" there, and x² as "x^2"."""

import codecs
import sys
import unicodedata

SPELLED = {
    "Σ": "sum ", "∂": "d", "²": "^2", "−": "-", "\u0302": "_hat", "‖": "|", "→": "->", "·": "*",
    "√": "sqrt", "–": "-", "×": "x", "±": "+-", "…": "...", "÷": "/", "½": "1/2",
}  # fmt: skip


def spelled(error: UnicodeError) -> tuple[str, int]:
    """What stands for the characters that the console lacks: a Greek letter's name, or a sign."""
    assert isinstance(error, UnicodeEncodeError)
    text = ""
    for character in error.object[error.start : error.end]:
        name = unicodedata.name(character, "?").split()[-1].lower()
        text += SPELLED.get(character, name)
    return text, error.end


def any_console() -> None:
    """Let standard output take every character."""
    codecs.register_error("spelled", spelled)
    if hasattr(sys.stdout, "reconfigure"):  # not if somebody reads it within Python
        sys.stdout.reconfigure(errors="spelled")
