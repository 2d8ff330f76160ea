"""Whether two formulas are equal: exactly where they are rational, else by their values at a few fixed points.

Roots, powers and functions are reckoned in floating point; what then lies between equal and different is left open.
"""

from __future__ import annotations

import cmath
import hashlib
import math
from fractions import Fraction
from functools import lru_cache, reduce
from operator import mul
from typing import TYPE_CHECKING

from vlaa_thinking.checks.rational import CONSTANTS, exact, names, residues

if TYPE_CHECKING:
    from vlaa_thinking.checks.expression import Tree

SAMPLES = 5
"""Points at which functions are compared: two positive ones, the others of mixed signs."""


def same_value(a: Tree, b: Tree, tolerance: float = 0.0, sign: int = 1, other_sign: int = 1) -> bool | None:
    """Tell whether two formulas have one value wherever both are real; None if that stays open.

    `tolerance` is relative; it holds between constants of which one at least is no whole number. The signs are
    those that "plus or minus" stands for.
    """
    left, right = exact(a, sign), exact(b, other_sign)
    if left is not None and right is not None:
        return left == right or _near(left, right, tolerance)
    mine, theirs = residues(a, sign), residues(b, other_sign)
    if mine is not None and theirs is not None:
        return mine == theirs
    return _alike(points(a, sign), points(b, other_sign), 0.0 if names(a) or names(b) else tolerance)


def _near(a: Fraction, b: Fraction, tolerance: float) -> bool:
    """Compare two numbers within a tolerance, which two whole numbers have none of."""
    if not tolerance or (a.denominator == 1 and b.denominator == 1):
        return False
    return abs(a - b) <= Fraction(str(tolerance)) * abs(b)


def _alike(a: tuple[complex, ...], b: tuple[complex, ...], tolerance: float) -> bool | None:
    """Compare values at the points where both are real; where those are too few, wherever there are any."""
    both = [
        (left, right)
        for left, right in zip(a, b, strict=True)
        if cmath.isfinite(left) and cmath.isfinite(right)
    ]
    real = [(left, right) for left, right in both if _is_real(left) and _is_real(right)]
    if len(real) < 2:
        real = both
    if len(real) < 2:
        return None
    apart = max(abs(left - right) / (max(abs(left), abs(right)) + 1e-9) for left, right in real)
    if apart <= max(1e-10, tolerance):
        size = max(abs(left) + abs(right) for left, right in real)
        return True if tolerance or 1e-6 < size < 1e9 else None  # beyond, a small term could hide
    return False if apart > 1e-7 else None


def _is_real(value: complex) -> bool:
    return abs(value.imag) <= 1e-12 * (1 + abs(value))


@lru_cache(maxsize=1024)
def _value(name: str, sample: int) -> complex:
    """Return where a name lies at a point, as a number between 0.4 and 2.6; some are negative."""
    if name in CONSTANTS:
        return CONSTANTS[name]
    digest = hashlib.sha256(f"{name} {sample}".encode()).digest()
    size = 0.4 + 2.2 * int.from_bytes(digest[:6], "big") / (1 << 48)
    return complex(-size if sample > 1 and (sample == 2 or digest[6] % 2) else size)


@lru_cache(maxsize=4096)
def points(tree: Tree, sign: int = 1) -> tuple[complex, ...]:
    """Reckon a formula at the points in floating point; not a number where it has no value."""
    if not names(tree):
        return (_at(tree, 0, sign),) * SAMPLES
    return tuple(_at(tree, sample, sign) for sample in range(SAMPLES))


def _at(tree: Tree, sample: int, sign: int) -> complex:
    try:
        return _float(tree, sample, sign)
    except (ZeroDivisionError, OverflowError, ValueError):
        return complex(math.nan)


def _float(tree: Tree, sample: int, sign: int) -> complex:  # noqa: C901, PLR0911, PLR0912
    match tree[0]:
        case "n":
            return complex(tree[1])
        case "s":
            return _value(tree[1], sample)
        case "+":
            return sum((_float(term, sample, sign) for term in tree[1:]), 0j)
        case "*":
            return reduce(mul, (_float(factor, sample, sign) for factor in tree[1:]))
        case "/":
            return _float(tree[1], sample, sign) / _float(tree[2], sample, sign)
        case "-":
            return -_float(tree[1], sample, sign)
        case "pm":
            return sign * _float(tree[1], sample, sign)
        case "^":
            return _float(tree[1], sample, sign) ** _float(tree[2], sample, sign)
        case "root":
            return _float_root(_float(tree[2], sample, sign), _float(tree[1], sample, sign))
        case "deg":
            return _float(tree[1], sample, sign)
        case "f":
            return _function(tree[1], tree[2], sample, sign)
        case "log":
            return cmath.log(_float(tree[2], sample, sign)) / cmath.log(_float(tree[1], sample, sign))
        case "!" | "choose":
            number = exact(tree, sign)
            if number is None:
                raise ValueError
            return complex(number)
        case _:
            raise ValueError


def _float_root(number: complex, index: complex) -> complex:
    """Take a root: of a negative number, an odd one is real."""
    if _is_real(number) and number.real < 0 and _is_real(index) and index.real % 2 == 1:
        return complex(-((-number.real) ** (1 / index.real)))
    return cmath.sqrt(number) if index == 2 else number ** (1 / index)


def _function(name: str, argument: Tree, sample: int, sign: int) -> complex:
    """Reckon a function; degrees inside an angle's function are degrees."""
    value = _float(argument, sample, sign)
    if name == "abs":
        return complex(abs(value))
    if name in ("ln", "exp"):
        return cmath.log(value) if name == "ln" else cmath.exp(value)
    if _in_degrees(argument):
        value *= math.pi / 180
    match name:
        case "cot":
            return 1 / cmath.tan(value)
        case "sec":
            return 1 / cmath.cos(value)
        case "csc":
            return 1 / cmath.sin(value)
        case _:
            function = getattr(
                cmath, {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(name, name), None
            )
            if function is None:
                raise ValueError
            return complex(function(value))


def _in_degrees(tree: Tree) -> bool:
    return tree[0] == "deg" or (
        tree[0] in ("+", "-", "*", "/") and any(_in_degrees(node) for node in tree[1:])
    )
