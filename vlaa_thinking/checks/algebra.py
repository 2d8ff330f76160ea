"""Whether two answers of mathematics are the same: values, solutions, points, intervals, equations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.checks.equations import named, same_equations
from vlaa_thinking.checks.expression import Tree, read
from vlaa_thinking.checks.rational import exact, names
from vlaa_thinking.checks.tokens import TooMuch
from vlaa_thinking.checks.values import same_value

if TYPE_CHECKING:
    from collections.abc import Iterable

_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_BUILT = re.compile(r"\\\{\s*[a-z]\s*(?:\||\\mid\b)(.*)\\\}$")  # { x | x > 2 }
_INFINITY: Tree = ("inf",)


@dataclass(frozen=True, slots=True)
class Value:
    """One formula."""

    tree: Tree
    sign: int = 1
    """What "plus or minus" stands for in it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A point, an interval or a matrix's row: the order counts."""

    brackets: str
    items: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """Solutions, a set, a union: the order does not count."""

    items: tuple[Shape, ...]
    bare: bool = False
    """Whether only commas hold it together: then it may also be meant in order."""


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, or more, that are equal."""

    sides: tuple[Tree, ...]


Shape = Value | Row | Many | Equation


def same(prediction: str, gold: str, tolerance: float = 0.0) -> bool | None:
    """Compare two plain texts; None if one of them cannot be read here, or if it stays open.

    Raises `TooMuch` at what is too deep or too large to reckon.
    """
    mine, right = shape(prediction), shape(gold)
    if mine is None or right is None:
        return None
    return _same(mine, right, tolerance)


@lru_cache(maxsize=4096)
def shape(text: str) -> Shape | None:
    """Read a plain text as an answer."""
    tree = read(_BUILT.sub(r"\1", text))
    return None if tree is None else _shape(tree)


def _shape(tree: Tree) -> Shape | None:  # noqa: PLR0911 - one line for each kind of node
    match tree[0]:
        case "list" | "set" | "cup":
            return _many(tree[1:], bare=tree[0] == "list")
        case "matrix":
            return _row("matrix", tree[1:])
        case "row":
            return _row(tree[1], tree[2:])
        case "in":
            return _shape(tree[2])
        case "rel":
            return Equation(tree[2:]) if set(tree[1]) == {"="} else _region(tree[1], tree[2:])
        case "*" if len(tree) == 3 and tree[1][0] == "s" and tree[2][0] == "row":  # A(1, 2)
            return _shape(tree[2])
        case _:
            if _holds(tree, "pm"):
                return Many((Value(tree, 1), Value(tree, -1)))
            return Value(tree)


def _row(brackets: str, trees: Iterable[Tree]) -> Row | None:
    items = [_shape(tree) for tree in trees]
    return None if None in items else Row(brackets, tuple(item for item in items if item is not None))


def _many(trees: tuple[Tree, ...], *, bare: bool) -> Shape | None:
    """Read several answers: solutions of one name lose it, one each of several names is a point."""
    found = [named(tree) for tree in trees]
    labels = [name for name, _ in found]
    if all(labels):
        kinds = {name.partition("_")[0] for name in labels}
        if len(kinds) == 1:
            return _merged([value for _, value in found], bare=False)
        if len(set(labels)) == len(labels):
            return _row("()", [value for _, value in sorted(found, key=lambda pair: pair[0])])
        return None
    if labels[0] and not any(labels[1:]):  # x = 1, 2
        return _merged([value for _, value in found], bare=False)
    return _merged(list(trees), bare=bare)


def _merged(trees: list[Tree], *, bare: bool) -> Shape | None:
    """Put several answers into one, a set inside it with its elements."""
    items: list[Shape] = []
    for tree in trees:
        item = _shape(tree)
        if item is None:
            return None
        items += item.items if isinstance(item, Many) else (item,)
    return items[0] if len(items) == 1 else Many(tuple(items), bare=bare)


def _region(signs: str, sides: tuple[Tree, ...]) -> Shape | None:
    """Read `a < x`, `a < x <= b` as an interval; None for other inequalities."""
    if len(sides) == 2:
        (left, right), sign = sides, signs
        if right[0] == "s" and left[0] != "s":
            left, right, sign = right, left, _FLIPPED.get(signs, "")
        if left[0] != "s" or names(right) or sign not in _FLIPPED:
            return None
        closed = sign in "≤≥"
        if sign in "<≤":
            return _row("(" + ("]" if closed else ")"), (("-", _INFINITY), right))
        return _row(("[" if closed else "(") + ")", (right, _INFINITY))
    if len(sides) == 3 and sides[1][0] == "s" and not names(sides[0]) | names(sides[2]):
        if set(signs) <= set(">≥"):
            sides, signs = sides[::-1], "".join(_FLIPPED[sign] for sign in reversed(signs))
        if set(signs) <= set("<≤"):
            brackets = ("[" if signs[0] == "≤" else "(") + ("]" if signs[1] == "≤" else ")")
            return _row(brackets, (sides[0], sides[2]))
    return None


def _same(mine: Shape, right: Shape, tolerance: float) -> bool | None:  # noqa: PLR0911 - one line for each pair
    match mine, right:
        case Value(), Value():
            return _same_values(mine, right, tolerance)
        case Many(), Many():
            return _same_sets(mine, right, tolerance)
        case Row(), Row():
            if len(mine.items) != len(right.items) or mine.brackets != right.brackets:
                return False
            return _all(_same(a, b, tolerance) for a, b in zip(mine.items, right.items, strict=True))
        case Equation(), Equation():
            return same_equations(mine.sides, right.sides)
        case (Many(bare=True), Row()) | (Row(), Many(bare=True)):
            return None
        case (Equation(), _) | (_, Equation()):
            return _same_unnamed(mine, right, tolerance)
        case _:
            return False


def _same_unnamed(mine: Shape, right: Shape, tolerance: float) -> bool | None:
    """Compare `x = 1` with what is no equation; None for an equation that names nothing."""
    left, target = _unnamed(mine), _unnamed(right)
    return None if left is None or target is None else _same(left, target, tolerance)


def _unnamed(shape_: Shape) -> Shape | None:
    """Take the name off `x = 1`; None for an equation that names nothing."""
    if not isinstance(shape_, Equation):
        return shape_
    name, value = named(("rel", "=", *shape_.sides)) if len(shape_.sides) == 2 else ("", ("inf",))
    found = _shape(value) if name else None
    return None if isinstance(found, Equation) else found


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """Tell whether all hold: a False decides, a None leaves it open."""
    found = list(verdicts)
    return False if False in found else None if None in found else True


def _same_sets(mine: Many, right: Many, tolerance: float) -> bool | None:
    """Compare without order, each element once."""
    left = _distinct(right)
    items = _distinct(mine)
    if left is None or items is None:
        return None
    if len(items) != len(left):
        return False
    for item in items:
        verdicts = [_same(item, other, tolerance) for other in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        else:
            return None if None in verdicts else False
    return True


def _distinct(many: Many) -> list[Shape] | None:
    """Leave out elements that were there before; None if there are too many to tell."""
    found: list[Shape] = []
    if len(many.items) > 30:
        return list(many.items) if len(set(many.items)) == len(many.items) <= 60 else None
    for item in many.items:
        if not any(_same(item, other, 0.0) for other in found):
            found.append(item)
    return found


def _same_values(mine: Value, right: Value, tolerance: float) -> bool | None:
    """Compare two formulas; degrees with a number as numbers, with a multiple of pi as angles."""
    verdict = _finite(mine, right, tolerance)
    if verdict is False and (mine.tree[0] == "deg") != (right.tree[0] == "deg"):
        degrees, other = (mine, right) if mine.tree[0] == "deg" else (right, mine)
        if _holds(other.tree, "pi"):
            turned = Value(("*", degrees.tree[1], ("/", ("s", "pi"), ("n", Fraction(180)))))
            return _finite(turned, other, tolerance)
    return verdict


def _finite(mine: Value, right: Value, tolerance: float) -> bool | None:
    """Compare two formulas, of which one may be infinity."""
    ends = [_end(value.tree) for value in (mine, right)]
    if ends != [0, 0]:
        return None if None in ends else ends[0] == ends[1]
    return same_value(_bare(mine.tree), _bare(right.tree), tolerance, mine.sign, right.sign)


def _end(tree: Tree) -> int | None:
    """Return 1 or -1 for infinity and minus infinity, 0 for what holds none, None for other uses."""
    if tree in (_INFINITY, ("+", _INFINITY)):
        return 1
    if tree == ("-", _INFINITY):
        return -1
    return None if _holds(tree, "inf") else 0


def _bare(tree: Tree) -> Tree:
    """Take away the degree sign of a whole value."""
    return tree[1] if tree[0] == "deg" else tree


def _holds(tree: Tree, what: str) -> bool:
    """Tell whether a node of a kind, or a constant of a name, is in a formula."""
    return tree[0] == what or any(
        node == what or (isinstance(node, tuple) and _holds(node, what)) for node in tree[1:]
    )


def is_number(text: str) -> bool:
    """Tell whether a plain text is a value without names in it."""
    found = shape(text)
    return isinstance(found, Value) and not names(found.tree)


def constant(text: str) -> Fraction | None:
    """Reckon a plain text that is a sum of numbers ("4 - 1", "2^3"); None for others, and for one that is too large."""
    try:
        tree = read(text)
        value = None if tree is None else exact(tree)
    except TooMuch:
        return None
    return None if value is None else Fraction(value)
