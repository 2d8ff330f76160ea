"""The field `meta`: an object in some rows, the text of a Python literal in others, and never code to run."""

from __future__ import annotations

import ast
import re
from typing import Any

LIMIT = 200_000
"""Characters of the longest text that is read."""

_NAMES: dict[str, Any] = {
    "nan": float("nan"), "NaN": float("nan"), "inf": float("inf"), "Infinity": float("inf"),
    "null": None, "true": True, "false": False,
}  # fmt: skip
"""Names that stand for values in such texts: what `repr` writes for some floats, and JSON's own words."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = frozenset("\\'\"abfnrtvxuUN0123\n")


def read_meta(value: object) -> tuple[dict[str, Any], str]:
    """Return a row's `meta` with the code of what is wrong with it, "" for nothing; {} where it cannot be read."""
    if value is None or value == "":
        return {}, ""
    if isinstance(value, dict):
        return value, ""
    read = _literal(value) if isinstance(value, str) and len(value) <= LIMIT else None
    return (read, "meta_as_text") if isinstance(read, dict) else ({}, "meta_unreadable")


def _literal(text: str) -> object:
    """Read a literal; None for anything else, a call or a name above all."""
    # A backslash that begins no escape stands for itself, as Python takes it too, but with a warning.
    text = _ESCAPE.sub(lambda found: found[0] if found[1] in _ESCAPES else f"\\{found[0]}", text.strip())
    try:
        tree = _Words().visit(ast.parse(text, mode="eval"))
        read: object = ast.literal_eval(tree)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None
    return read


class _Words(ast.NodeTransformer):
    """Put values in the place of the words that stand for them."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a known word; literal_eval refuses any other."""
        if node.id in _NAMES:
            return ast.copy_location(ast.Constant(_NAMES[node.id]), node)
        return node
