"""What the size rules measure: modules, functions, parameters, opening docstrings.

Pure: source text in, complaints out, so that the rules themselves are tested on small samples
in test_house_rules.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 6
MAX_DOCSTRING_LINES = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Complaint:
    """`place` is `path` or `path::qualified.name`: what an allow-list names."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def complaints_of(path: str, source: str) -> list[Complaint]:
    """Everything in one module that breaks a size rule."""
    tree = ast.parse(source)
    found = list(_module_complaints(path, source, tree))
    for name, function in _functions(tree):
        found.extend(_function_complaints(f"{path}::{name}", function))
    return found


def _module_complaints(path: str, source: str, tree: ast.Module) -> Iterator[Complaint]:
    lines = source.count("\n")
    if lines > MAX_MODULE_LINES:
        yield Complaint(path, f"{lines} lines, at most {MAX_MODULE_LINES}: split it by verb")
    docstring = ast.get_docstring(tree)
    if docstring is None:
        yield Complaint(path, "opens without a docstring: what, why here, what it must not know")
        return
    length = docstring.count("\n") + 1
    # The first module of a package may say its rule in one line; all others need their reason too.
    least = 1 if path.endswith("__init__.py") else 2
    if not least <= length <= MAX_DOCSTRING_LINES:
        yield Complaint(
            path, f"its docstring has {length} lines, wanted {least} to {MAX_DOCSTRING_LINES}"
        )


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(tree, "")


def _function_complaints(place: str, function: Function) -> Iterator[Complaint]:
    lines = code_lines(function)
    if lines > MAX_FUNCTION_LINES:
        yield Complaint(place, f"{lines} lines, at most {MAX_FUNCTION_LINES}")
    count = parameter_count(function)
    # Kernels are compiled over bare arrays: a dataclass is nothing to them.
    if count > MAX_PARAMETERS and "/kernels/" not in place:
        yield Complaint(place, f"{count} parameters, at most {MAX_PARAMETERS}: make it a dataclass")


def code_lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: explaining must not cost."""
    end = function.end_lineno or function.lineno
    lines = end - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def parameter_count(function: Function) -> int:
    """Parameters without self and cls. Keyword-only ones of a public function are named at the call
    and documented as options (the connectors' factories live from them): they do not count."""
    arguments = function.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if positional and positional[0] in ("self", "cls"):
        positional = positional[1:]
    is_public = not function.name.startswith("_") or function.name == "__init__"
    return len(positional) + (0 if is_public else len(arguments.kwonlyargs))
