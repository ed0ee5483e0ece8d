"""Planting a fault in a source text: what to change is named by function and expression.

A fault says in which function it lies and what stands there, as Python source. Both sides are
compared as syntax trees, so comments, line breaks, brackets, quotes and formatting play no part:
they can change in the package without a fault going stale. Only the text of the one node that is
found is replaced; all other text stays as it is.
"""

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Place = tuple[ast.AST, str]  # a node and its shape


class Fault(NamedTuple):
    """In `file`, within `function`, `wrong` in the place of `right`.

    function: the qualified name inside the file, such as "Tensor.exp" or "conv2d.<locals>.to_x";
    the name of a class means what stands in it outside its methods, and "" what stands outside all
    functions and classes. What is in an inner function belongs to that alone.
    right, wrong: an expression, a statement, or a keyword argument (`axis=0`).
    nth: which one it is (from 0), if `right` stands there several times.
    """

    name: str
    file: str
    function: str
    right: str
    wrong: str
    nth: int | None = None


def planted(fault: Fault, source: str) -> str:
    """`source` with the fault in it; ValueError if it does not say exactly where."""
    scopes = scopes_of(source)
    if fault.function not in scopes:
        raise ValueError(f"{fault.name}: there is no {fault.function!r} in {fault.file}")
    found = occurrences(fault.right, scopes[fault.function])
    check_where(fault, len(found), scopes)
    text = replaced(source, found[fault.nth or 0], fault.wrong)
    try:
        compile(text, fault.name, "exec")
    except SyntaxError as error:
        raise ValueError(f"{fault.name}: with {fault.wrong!r} it is no Python: {error}") from error
    if readings(fault.right) & readings(fault.wrong):
        raise ValueError(f"{fault.name}: {fault.wrong!r} changes nothing")
    return text


def check_where(fault: Fault, count: int, scopes: dict[str, list[Place]]) -> None:
    """ValueError unless the fault means exactly one of `count` places."""
    where = f"{fault.right!r} in {fault.function or 'the module'!r} of {fault.file}"
    if fault.nth is not None and not 0 <= fault.nth < count:
        raise ValueError(f"{fault.name}: there is no number {fault.nth} of {count} × {where}")
    if fault.nth is None and count != 1:
        names = sorted(name for name, places in scopes.items() if occurrences(fault.right, places))
        elsewhere = f"; it is in {', '.join(map(repr, names))}" if names and not count else ""
        raise ValueError(f"{fault.name}: {count} × {where}{elsewhere}")


# --- where it is ------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def scopes_of(source: str) -> dict[str, list[Place]]:
    """What stands in each function, by its qualified name, in the order of the source."""
    scopes: dict[str, list[Place]] = {}
    for name, scope in definitions(ast.parse(source)):
        places = [(node, shape(node)) for node in own_nodes(scope) if hasattr(node, "lineno")]
        scopes.setdefault(name, []).extend(places)
    for places in scopes.values():
        places.sort(key=lambda place: (place[0].lineno, place[0].col_offset))
    return scopes


def definitions(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Every function and class with its qualified name; first of all "", for what is in none."""
    return [("", tree), *inner_definitions(tree, "")]


def inner_definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            name = prefix + child.name
            yield name, child
            inner = "." if isinstance(child, ast.ClassDef) else ".<locals>."
            yield from inner_definitions(child, name + inner)
        else:
            yield from inner_definitions(child, prefix)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, class or module, without inner functions and classes.

    Nor what is in an f-string, whose places Python 3.11 does not tell: name the whole string.
    """
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, Definition):
            yield node
            if not isinstance(node, ast.JoinedStr):
                yield from own_nodes(node)


def shape(node: ast.AST) -> str:
    """A text that is equal for nodes that mean the same, wherever they stand."""
    return ast.dump(node).replace("ctx=Store()", "ctx=Load()").replace("ctx=Del()", "ctx=Load()")


def readings(text: str) -> set[str]:
    """The shapes of all that a source text can be: an expression, a statement, an argument."""
    found = set()
    for around in ("(\n{}\n)", "{}", "f({})"):
        try:
            statements = ast.parse(around.format(text)).body
        except SyntaxError:
            continue
        if len(statements) != 1:
            continue
        (node,) = statements
        if around == "{}":
            found.add(shape(node))
        elif around == "f({})":
            found |= {shape(k) for k in node.value.keywords if not node.value.args}
        else:
            found.add(shape(node.value))
    return found


def occurrences(right: str, places: list[Place]) -> list[ast.AST]:
    """The nodes among those places that `right` can be."""
    wanted = readings(right)
    if not wanted:
        raise ValueError(f"{right!r} is no Python")
    found = [node for node, its_shape in places if its_shape in wanted]
    # The statement `f()` and the expression `f()` in it are the same text: one place.
    inside = {id(node.value) for node in found if isinstance(node, ast.Expr)}
    return [node for node in found if id(node) not in inside]


# --- what stands there instead ----------------------------------------------------------------


def replaced(source: str, node: ast.AST, wrong: str) -> str:
    """The source with the text of the node replaced; in brackets, where it is an expression."""
    lines = source.encode().splitlines(keepends=True)  # columns count bytes
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    if isinstance(node, ast.expr):
        wrong = f"({wrong})"
    elif isinstance(node, ast.stmt):
        wrong = wrong.replace("\n", "\n" + " " * node.col_offset)
    whole = source.encode()
    return (whole[:start] + wrong.encode() + whole[end:]).decode()


# --- in a package that is already imported ----------------------------------------------------


def live_codes(
    fault: Fault, source: str, module: ModuleType
) -> list[tuple[FunctionType, CodeType]]:
    """The functions in `module` that the fault changes, each with its faulty code.

    None, if it is in no function's code, but in a constant, a default or the body of a class.
    """
    outer = fault.function.partition(".<locals>")[0]
    right, wrong = codes(source, outer), codes(planted(fault, source), outer)
    found = []
    for function in functions_called(outer, module):
        line = function.__code__.co_firstlineno
        before, after = right.get(line), wrong.get(line)
        if before is None or after is None or len(before.co_freevars) != len(after.co_freevars):
            return []
        if not same_code(before, after):
            found.append((function, after))
    return found


@lru_cache(maxsize=4)
def codes(source: str, function: str) -> dict[int, CodeType]:
    """What stands in a source by the name of that function, by its first line."""
    found = {}
    stack = [compile(source, "planted", "exec")]
    while stack:
        code = stack.pop()
        stack += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_qualname == function:
            found[code.co_firstlineno] = code
    return found


def same_code(a: CodeType, b: CodeType) -> bool:
    """Whether they do the same, wherever they stand."""

    def what(code: CodeType) -> tuple[Any, ...]:
        constants = [c for c in code.co_consts if not isinstance(c, CodeType)]
        return code.co_code, code.co_names, code.co_varnames, code.co_freevars, repr(constants)

    inside = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (a, b)]
    return what(a) == what(b) and len(inside[0]) == len(inside[1]) and all(map(same_code, *inside))


def functions_called(name: str, module: ModuleType) -> list[FunctionType]:
    """The functions of that qualified name: two, where a property can also be set."""
    found: Any = module
    for part in name.split(".") if name else ():
        found = inspect.getattr_static(found, part)
    kept = [getattr(found, inside, None) for inside in ("fget", "fset", "func", "__func__")]
    functions = [inspect.unwrap(each) for each in [found, *kept] if callable(each)]
    return [each for each in functions if isinstance(each, FunctionType)]
