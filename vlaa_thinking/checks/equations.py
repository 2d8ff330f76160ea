"""Whether two equations have the same solutions, for rational ones."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from vlaa_thinking.checks.rational import PRIME, NotRational, names, residue

if TYPE_CHECKING:
    from vlaa_thinking.checks.expression import Tree


def named(tree: Tree) -> tuple[str, Tree]:
    """Split `x = 1` into its name and value; the name is empty if there is none."""
    if tree[0] == "rel" and tree[1] == "=":
        left, right = tree[2:]
        if left[0] == "s" and left[1] not in names(right):
            return left[1], right
        if right[0] == "s" and left[0] != "s":
            return right[1], left
    return "", tree


def same_equations(mine: tuple[Tree, ...], right: tuple[Tree, ...]) -> bool | None:
    """Compare the solutions of two equations: of one and the other side, the differences are proportional."""
    if len(mine) != 2 or len(right) != 2:
        return None
    a, b = (("+", sides[0], ("-", sides[1])) for sides in (mine, right))
    try:
        if _proportional(a, b):
            return True
        for name, value in (named(("rel", "=", *sides)) for sides in (right, mine)):
            other = a if value is right[0] or value is right[1] else b
            if name and name in names(other) and _solves(other, name, value):
                return True
        return False if _degree(a) == _degree(b) is not None else None
    except NotRational:
        return None if names(a) == names(b) else False
    except ZeroDivisionError:
        return None


def _proportional(a: Tree, b: Tree) -> bool:
    """Tell whether one formula is a multiple of the other."""
    left, right = ([residue(tree, sample) for sample in range(3)] for tree in (a, b))
    if 0 in left or 0 in right:
        return False
    return all((left[0] * right[place] - left[place] * right[0]) % PRIME == 0 for place in (1, 2))


def _solves(equation: Tree, name: str, value: Tree) -> bool:
    """Tell whether an equation is of the first degree in `name`, with this one solution."""
    for sample in range(2):
        solution = residue(value, sample)
        if residue(equation, sample, given={name: solution}):
            return False
        here, step, twice = (
            residue(equation, sample, given={name: place}) for place in (11, 1_234_578, 2_469_145)
        )
        if not here or (here - 2 * step + twice) % PRIME:
            return False
    return True


def _degree(tree: Tree) -> int | None:
    """Return the degree of a polynomial, up to 6, by differences along a line; None if it is none."""
    every = sorted(names(tree))
    start, step = ({name: residue(("s", name), sample) for name in every} for sample in (5, 6))
    row = [
        residue(tree, 0, given={name: (start[name] + turn * step[name]) % PRIME for name in every})
        for turn in range(9)
    ]
    for degree in range(-1, 7):
        if not any(row):
            return degree
        row = [(later - earlier) % PRIME for earlier, later in pairwise(row)]
    return None
