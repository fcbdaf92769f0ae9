"""The style of generated Python: what ruff's formatter and import sorter would make of it, without needing ruff.

Rules of this file: text in, text out; it knows Python's syntax and nothing of a spec. The output depends on the input
alone, so that generated files are the same on every machine; the tests let ruff confirm the style.
"""

from __future__ import annotations

import ast
import re

LINE = 120
"""Columns of a line."""


def tidy(text: str) -> str:
    """A module as ruff would leave it: long lines broken, unused imports removed, imports sorted, blank lines set."""
    return _space_imports(_prune_imports(_fit(text)))


def sorted_names(items: list[str]) -> list[str]:
    """Names in the order of an `__all__`: as imports, but upper case before lower case."""
    return sorted(items, key=lambda name: (_import_order(name)[0], _natural(name)))


def _space_imports(text: str) -> str:
    """Leave one blank line after the imports, or two before a class or a function."""
    ends = [m.end() for m in re.finditer(r"^from [\w.]+ import (?:\([^)]*\)|[^\n(]+)\n", text, re.M)]
    if not ends:
        return text
    head = re.sub(r"\n{3,}from ", "\n\nfrom ", text[: ends[-1]])
    rest = text[ends[-1] :].lstrip("\n")
    if not rest:
        return head
    return head + ("\n\n" if rest.startswith(("class ", "def ", "@")) else "\n") + rest


def _fit(text: str) -> str:
    """Break lines that are too long at the commas of their outermost brackets; docstrings keep their lines."""
    out: list[str] = []
    inside = False
    for line in text.split("\n"):
        quotes = line.count('"""')
        out += [line.rstrip()] if inside or quotes else _break(line.rstrip())
        inside ^= quotes == 1
    joined = "\n".join(out).strip("\n") + "\n"
    return re.sub(r"\n{4,}", "\n\n\n", joined)


def _break(line: str) -> list[str]:
    """A line of code as lines that fit."""
    if len(line) <= LINE:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    start = line.find("(")
    square = line.find("[")
    if start < 0 or (0 <= square < start and line.lstrip().startswith(("return [", "_ = ["))):
        start = square
    if start < 0:
        return _break_union(line)
    targets, equals, _ = line[:start].partition(" = ")
    if start >= LINE and equals and ", " in targets:
        opening, *names_ = [f"{indent}(", *(f"{indent}    {name}," for name in targets.strip("() ,").split(", "))]
        return [opening, *names_, f"{indent}){equals}{line[len(targets) + len(equals) :]}"]
    depth, pieces, at = 0, [], start + 1
    for i in range(start, len(line)):
        depth += (line[i] in "([{") - (line[i] in ")]}")
        if depth == 1 and line[i] == ",":
            pieces.append(line[at : i + 1].strip())
            at = i + 1
        if depth == 0:
            last = line[at:i].strip()
            called = line[start] == "[" or line[start - 1] != " "
            one = [f"{indent}    {' '.join([*pieces, last])}"]
            many = [f"{indent}    {piece}" for piece in [*pieces, last + "," if last else ""] if piece]
            body = one if len(one[0]) <= LINE and last and called and "def " not in line else many
            return [line[: start + 1], *(part for long in body for part in _break(long)), indent + line[i:]]
    return [line]


def _break_union(line: str) -> list[str]:
    """`Name: TypeAlias = A | B` with the right side in brackets."""
    name, equals, union = line.partition(" = ")
    if " | " not in union:
        return [line]
    body = [f"    {union}"]
    if len(body[0]) > LINE:
        first, *more = union.split(" | ")
        body = [f"    {first}", *(f"    | {case}" for case in more)]
    return [f"{name}{equals}(", *body, ")"]


def _prune_imports(text: str) -> str:
    """Remove from each import the names that the module does not use, and sort the rest.

    Also inside `if TYPE_CHECKING:`, which is removed with its `TYPE_CHECKING = False` if nothing is left in it.
    """
    tree = ast.parse(text)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            used.update(ast.literal_eval(node.value))
    lines = text.splitlines(keepends=True)
    for node in reversed(tree.body):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            kept = [_prune(lines, inner, used) for inner in reversed(node.body)]
            if not any(kept):
                lines[node.lineno - 2] = lines[node.lineno - 1] = ""
        else:
            _prune(lines, node, used)
    return "".join(lines)


def _prune(lines: list[str], node: ast.stmt, used: set[str]) -> bool:
    """Write the import again with what is used of it, in place of its lines. False if nothing is left of it."""
    if not isinstance(node, ast.ImportFrom) or node.module == "__future__":
        return True
    indent = " " * node.col_offset
    wanted = sorted({alias.name for alias in node.names} & used, key=_import_order)
    source = "." * node.level + (node.module or "")
    line = f"{indent}from {source} import {', '.join(wanted)}\n"
    if len(line) - 1 > LINE:
        body = "".join(f"{indent}    {name},\n" for name in wanted)
        line = f"{indent}from {source} import (\n{body}{indent})\n"
    end = node.end_lineno or node.lineno
    lines[node.lineno - 1 : end] = [line if wanted else "", *[""] * (end - node.lineno)]
    return bool(wanted)


def _import_order(name: str) -> tuple[int, list[tuple[str, int]]]:
    """As ruff's isort sorts: CONSTANTS, Classes, functions; numbers inside a name by their value."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, _natural(name.lower()))


def _natural(name: str) -> list[tuple[str, int]]:
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D+)(\d*)", name)]
