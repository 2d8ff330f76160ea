"""Rational formulas, reckoned exactly: constants as fractions, those with names modulo a large prime.

So "equal" and "not equal" are as good as proven: two different polynomials of degree d agree at such a point with
a chance of d in 10^18.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from functools import lru_cache, reduce
from operator import mul
from typing import TYPE_CHECKING

from vlaa_thinking.checks.tokens import TooMuch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.checks.expression import Tree

PRIME = 2**61 - 1
BITS = 1 << 16
"""Of the largest number that is reckoned."""
CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j}
"""Names that are no variables."""


class NotRational(Exception):  # noqa: N818 - a fact about a formula
    """A formula with a root, a function or a constant that is no fraction."""


@lru_cache(maxsize=4096)
def exact(tree: Tree, sign: int = 1) -> Fraction | None:
    """Reckon a constant as a fraction; None if it is no rational constant. `TooMuch` if it is too large."""
    try:
        return _exact(tree, sign)
    except (NotRational, ZeroDivisionError):
        return None


def _exact(tree: Tree, sign: int) -> Fraction:  # noqa: C901, PLR0911 - one line for each kind of node
    match tree[0]:
        case "n":
            return _held(tree[1])
        case "+":
            return _held(sum((_exact(term, sign) for term in tree[1:]), Fraction(0)))
        case "*":
            return _held(reduce(mul, (_exact(factor, sign) for factor in tree[1:])))
        case "/":
            return _held(_exact(tree[1], sign) / _exact(tree[2], sign))
        case "-":
            return -_exact(tree[1], sign)
        case "pm":
            return sign * _exact(tree[1], sign)
        case "^":
            return _power(_exact(tree[1], sign), _exact(tree[2], sign))
        case "!":
            number = _exact(tree[1], sign)
            return Fraction(math.factorial(_small(number)))
        case "choose":
            upper, lower = _exact(tree[1], sign), _exact(tree[2], sign)
            return Fraction(math.comb(_small(upper), _small(lower)))
        case "root":
            return _root(_exact(tree[2], sign), _exact(tree[1], sign))
        case _:
            raise NotRational


def _held(number: Fraction) -> Fraction:
    """Refuse a number that is too large to reckon with."""
    if number.numerator.bit_length() + number.denominator.bit_length() > BITS:
        raise TooMuch
    return number


def _small(number: Fraction) -> int:
    """Return a whole number that a factorial can be taken of."""
    if number.denominator != 1 or number < 0:
        raise NotRational
    if number > 5_000:
        raise TooMuch
    return int(number)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    """Raise to a power, if that gives a fraction."""
    if exponent.denominator != 1:
        if abs(exponent) > 1_000 or exponent.denominator > 100:
            raise NotRational
        return _power(_root(base, Fraction(exponent.denominator)), Fraction(exponent.numerator))
    if base in (0, 1):
        return base if exponent > 0 else Fraction(1) / base if exponent else Fraction(1)
    size = base.numerator.bit_length() + base.denominator.bit_length()
    if abs(exponent) * size > BITS:
        raise TooMuch
    return base ** int(exponent)


def _root(number: Fraction, index: Fraction) -> Fraction:
    """Take a root that comes out."""
    degree = _small(index)
    if degree < 2 or degree > 100 or number < 0:
        raise NotRational
    parts = [_whole_root(part, degree) for part in (number.numerator, number.denominator)]
    return Fraction(*parts)


def _whole_root(number: int, degree: int) -> int:
    """Take a whole root that comes out."""
    if degree == 2:
        root = math.isqrt(number)
    else:
        if number.bit_length() > 500:
            raise NotRational
        root = round(number ** (1 / degree))
    if root**degree != number:
        raise NotRational
    return root


@lru_cache(maxsize=4096)
def residues(tree: Tree, sign: int = 1) -> tuple[int, ...] | None:
    """Reckon a rational formula at two points modulo the prime; None if it is not rational."""
    try:
        return tuple(residue(tree, sample, sign) for sample in range(2))
    except (NotRational, ZeroDivisionError):
        return None


def residue(tree: Tree, sample: int, sign: int = 1, given: Mapping[str, int] | None = None) -> int:  # noqa: C901, PLR0911, PLR0912
    """Reckon a rational formula at one point modulo the prime, some names with given values."""
    match tree[0]:
        case "n":
            number: Fraction = tree[1]
            if number.denominator == 1:
                return number.numerator % PRIME
            return number.numerator * _inverse(number.denominator) % PRIME
        case "s":
            if given and tree[1] in given:
                return given[tree[1]]
            if tree[1] in CONSTANTS:
                raise NotRational
            return _place(tree[1], sample)
        case "+":
            return sum(residue(term, sample, sign, given) for term in tree[1:]) % PRIME
        case "*":
            product = 1
            for factor in tree[1:]:
                product = product * residue(factor, sample, sign, given) % PRIME
            return product
        case "/":
            return (
                residue(tree[1], sample, sign, given)
                * _inverse(residue(tree[2], sample, sign, given))
                % PRIME
            )
        case "-":
            return -residue(tree[1], sample, sign, given) % PRIME
        case "pm":
            return sign * residue(tree[1], sample, sign, given) % PRIME
        case "^":
            exponent = exact(tree[2], sign)
            if exponent is None or exponent.denominator != 1:
                raise NotRational
            if abs(exponent) > 10_000:
                raise TooMuch
            base = residue(tree[1], sample, sign, given)
            return (
                pow(base, int(exponent), PRIME)
                if exponent >= 0
                else pow(_inverse(base), -int(exponent), PRIME)
            )
        case _:
            number_ = exact(tree, sign)
            if number_ is None:
                raise NotRational
            return number_.numerator * _inverse(number_.denominator) % PRIME


def _inverse(number: int) -> int:
    """Divide one by a number, modulo the prime."""
    if number % PRIME == 0:
        raise ZeroDivisionError
    return pow(number, -1, PRIME)


@lru_cache(maxsize=1024)
def _place(name: str, sample: int) -> int:
    """Return where a name lies at a point, modulo the prime."""
    return int.from_bytes(hashlib.sha256(f"{name} {sample}".encode()).digest()[:8], "big") % PRIME


@lru_cache(maxsize=4096)
def names(tree: Tree) -> frozenset[str]:
    """Return the names in a formula, constants aside."""
    if tree[0] == "s":
        return frozenset() if tree[1] in CONSTANTS else frozenset((tree[1],))
    return frozenset().union(*(names(node) for node in tree[1:] if isinstance(node, tuple)))
