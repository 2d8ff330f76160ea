"""Formulas, solutions, points, intervals and equations are compared without Math-Verify where that is sure."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sympy  # type: ignore[import-untyped]

from vlaa_thinking.checks.algebra import constant, is_number, same
from vlaa_thinking.checks.expression import read
from vlaa_thinking.checks.plain import plain
from vlaa_thinking.checks.tokens import TooMuch

EQUAL = [
    ("2x+3", "3 + 2x"), ("(x-2)(x-3)", "x^2-5x+6"), (r"\frac{x^2-1}{x-1}", "x+1"), ("1/2x", r"\frac{x}{2}"), ("2|x-1|", "|2-2x|"),
    (r"3\sqrt{2}", "√18"), (r"\sqrt[3]{8}", "2"), (r"\sqrt{1/n}", r"\frac{1}{\sqrt{n}}"), ("e^{2x}", r"\exp(2x)"), ("2^{-1}", "0.5"),
    (r"\sin 2x", r"2\sin x\cos x"), (r"\sin^2 x + \cos^2 x", "1"), (r"\sin^{-1} x", r"\arcsin x"), (r"\sin 30°", "1/2"), (r"\log_2 8", "3"),
    (r"\log 100", "2"), (r"\binom{5}{2}", "10"), ("5!", "120"), (r"1\frac{1}{2}", "1.5"), ("1,234x", "1234x"), ("(1+i)^2", "2i"),
    ("60°", "60"), ("150°", r"\frac{5\pi}{6}"), ("1, 2", r"\{2, 1\}"), ("x = 1 or x = 2", "2, 1"), ("x_1 = 1, x_2 = 2", "x = 2, x = 1"),
    (r"2 \pm \sqrt{3}", r"2-\sqrt{3}, 2+\sqrt{3}"), ("x = 1, y = 2", "(1, 2)"), ("y = 2, x = 1", "(1, 2)"), ("A(1, 2)", "(1, 2)"),
    ("(1,200)", "(1, 200)"), ("0 < x \\le 1", "(0, 1]"), ("1 > x > 0", "(0, 1)"), ("x < 3", r"(-\infty, 3)"), ("3 \\le x", r"[3, \infty)"),
    (r"x \in [0, 1)", "[0, 1)"), (r"\{x | x > 2\}", "x > 2"), ("x < 1 or x > 2", r"(2, \infty) \cup (-\infty, 1)"),
    (r"\begin{pmatrix}1 & 2\\ 3 & 4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"), (r"\overline{AB}", "BA"), (r"\angle ABC", r"\angle CBA"),
    ("2x+4y-3=0", r"y = -\frac{1}{2}x+\frac{3}{4}"), ("xy=3", r"y=\frac{3}{x}"), ("x^2+y^2=25", "25 - x^2 = y^2"), (r"\frac{x^2}{4}+\frac{y^2}{3}=1", "3x^2+4y^2=12"),
    (r"\langle 1, 2 \rangle", "(1, 2)"), ("sinx", r"\sin x"), ("2(3)", "6"), (r"\ln 8", r"3\ln 2"), (r"\sqrt{x^2}", "|x|"),
]  # fmt: skip
DIFFERENT = [
    ("2x+3", "2x+4"), ("e^2x", "e^{2x}"), (r"\sin^2 x", r"\sin x^2"), (r"\sqrt{x^2}", "x"), ("|x-1|", "x-1"), (r"\log x", r"\ln x"), (r"\sin 30", "1/2"),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"), (r"\frac{1}{2004!}", r"\frac{1}{2006!}"), ("(1, 2)", "(2, 1)"), ("(1, 2)", "[1, 2]"), ("(1, 2)", r"\{1, 2\}"),
    (r"\{1, 2\}", r"\{1, 2, 3\}"), ("x = 1", "x = 1, x = 2"), ("x < 3", "x \\le 3"), ("x < 3", "x > 3"), (r"\pm 3", "3"), ("3(1/2)", "3.5"), ("ab^2", "a^2b"),
    ("3x - y + 13 = 0", "3x + 4y + 14 = 0"), ("x^2+y^2=25", "x^2+y^2=5"), ("x^2+y^2=25", "x^2-y^2=25"), (r"\pi", "22/7"), ("3i", "3"), (r"\infty", r"-\infty"),
    (r"\vec{AB}", r"\vec{BA}"), (r"y = \sin x", "a = 2"), ("x_1 + x_2", "x_1 + x_1"), ("e^{15} + 1", "e^{15}"),
]  # fmt: skip
OPEN = [
    (r"\sum_{k=1}^{3} k", "6"), (r"\int_0^1 x dx", "1/2"), ("no formula at all", "x"), ("3 4", "7"), ("x2", "2x"), (r"\sin(x)^2", r"\sin^2 x"),
    ("2^3^2", "512"), ("1/0", "1/0 + 1"), ("1, 2", "(1, 2)"), (r"e^{81} + \cos 1", "e^{81}"), ("", ""), ("3 cm", "3 kg"), ("12:00", "1:00"),
    ("x^2 = 4", r"x = \pm 2"), ("(1", "1)"), (r"\frac{1}{2", "1"), ("f(x+1", "1"), ("2.3.4", "2"),
]  # fmt: skip
HUGE = ["9^{9^{9^{9}}}", "2^{10^{9}}", "100000!", "x^{100000}", "(" * 60 + "1" + ")" * 60, "1" + "/1" * 60]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left: str, right: str) -> None:
    assert same(plain(left), plain(right)) is True


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different(left: str, right: str) -> None:
    assert same(plain(left), plain(right)) is False


@pytest.mark.parametrize(("left", "right"), OPEN)
def test_what_is_not_sure_stays_open(left: str, right: str) -> None:
    assert same(plain(left), plain(right)) is None


def test_a_tolerance_holds_between_numbers_but_not_between_whole_ones() -> None:
    assert same("4.2426", r"3\sqrt{2}", 0.0001) is True
    assert same("4.2426", r"3\sqrt{2}") is False
    assert same("(0.33333333, 1)", r"(\frac{1}{3}, 1)", 0.0001) is True
    assert same("1000", "1001", 0.01) is False
    assert same("1.00001x", "x", 0.01) is False


@pytest.mark.parametrize("text", HUGE)
def test_what_is_too_large_is_not_reckoned(text: str) -> None:
    with pytest.raises(TooMuch):
        same(text, "x")


def test_constants() -> None:
    assert constant("2^3 - 1") == 7
    assert constant("x") is None
    assert constant("10^{10^{10}}") is None
    assert is_number(r"3\sqrt{2}")
    assert not is_number("3a")
    assert read("3√2") == ("*", ("n", 3), ("root", ("n", 2), ("n", 2)))


def drawn(rng: random.Random, depth: int) -> Any:
    """Draw a formula."""
    x, y = sympy.symbols("x y")
    if depth == 0:
        numbers = [
            sympy.Integer(rng.randint(1, 9)),
            sympy.Rational(rng.randint(1, 9), 7),
            sympy.pi,
            sympy.sqrt(3),
        ]
        return rng.choice([x, y, x, *numbers])
    a, b = drawn(rng, depth - 1), drawn(rng, depth - 1)
    makers = [
        lambda: a + b,
        lambda: a - b,
        lambda: a * b,
        lambda: a / b if b != 0 else a,
        lambda: a**2,
        lambda: sympy.sin(a),
    ]
    return rng.choice(makers)()


def test_formulas_that_sympy_rewrites_stay_equal_and_changed_ones_do_not() -> None:
    rng = random.Random(4)
    decided = 0
    for _ in range(300):
        formula = drawn(rng, rng.randint(1, 3))
        rewritten: Any = rng.choice([sympy.expand, sympy.factor, sympy.together, sympy.expand_trig])(formula)
        right = rng.random() < 0.5
        other = rewritten if right else rewritten + rng.choice([1, sympy.symbols("x"), sympy.Rational(1, 9)])
        verdict = same(plain(sympy.latex(other)), plain(sympy.latex(formula)))
        assert verdict in (right, None), (formula, other)
        decided += verdict is not None
    assert decided > 270
