"""Pairs of gold answer and prediction that are right or wrong by the way they are made; nothing here asks a check.

Plain answers, no traps: what most replies look like. A wrong pair is the right form of another answer. The
same seed gives the same pairs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from vlaa_thinking.record import ANSWER_TYPES, AnswerType, Box, Gold

if TYPE_CHECKING:
    from collections.abc import Callable

Label = Literal["right", "wrong", "undecided"] | Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A prediction, and what a careful person would say of it."""

    gold: Gold
    prediction: str
    label: Label
    """What is right; for boxes, their intersection over union."""
    why: str = ""
    """Why it is a trap; empty for a plain answer."""
    aside: bool = False
    """Whether it was kept aside until the checks were finished."""


def _listed(text: str) -> list[str]:
    """Split at vertical bars."""
    return text.split("|")


SMALL = _listed(
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen"
)
TENS = _listed("twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety")
THINGS = _listed("cubes|spheres|chairs|people|windows|birds|bottles|boats")
WORDS = _listed(
    "river|bridge|harbour|engine|lantern|garden|copper|marble|window|ladder|saddle|anchor|basket|candle|feather|mirror"
)
PLACES = _listed("north|south|centre|corner|middle|edge|border|front|back")
COUNTING = _listed(
    "{0}|{0}.|There are {0} {1}.|{0} {1}|${0}$|\\boxed{{{0}}}|Answer: {0}|The answer is {0}.|**{0}**|{2}"
)
CHOOSING = _listed("{0}|({0})|{1}|{0}. {2}|{0}) {2}|{2}|The answer is {0}.|Option {0}|\\boxed{{{0}}}|**{0}**")
BOXING = _listed(
    "[{}, {}, {}, {}]|({}, {}, {}, {})|[[{}, {}, {}, {}]]|({}, {}), ({}, {})|<box>({},{}),({},{})</box>"
    "|x1={}, y1={}, x2={}, y2={}|The box is [{}, {}, {}, {}]."
)
SAYING = _listed('{0}|{0}.|"{0}"|**{0}**|The {0}|{1}|{2}|\\text{{{0}}}')


def constructed(answer_type: AnswerType, count: int, seed: int = 0) -> list[Pair]:
    """Make `count` pairs, about half of them right."""
    rng = random.Random(f"{seed} {answer_type}")
    make = _MAKERS[answer_type]
    return [make(rng) for _ in range(count)]


def in_words(number: int) -> str:
    """Spell a number from 0 to 99."""
    if number < 20:
        return SMALL[number]
    return TENS[number // 10 - 2] + (f"-{SMALL[number % 10]}" if number % 10 else "")


def _another(rng: random.Random, number: int, reach: int) -> int:
    """Draw a number that is not this one."""
    return rng.choice([other for other in range(max(0, number - reach), number + reach) if other != number])


def _digit(rng: random.Random) -> Pair:
    gold = rng.choice([rng.randint(0, 12), rng.randint(0, 90)])
    right = rng.random() < 0.5
    said = gold if right else _another(rng, gold, 6)
    text = rng.choice(COUNTING).format(said, rng.choice(THINGS), in_words(said))
    return Pair(gold=Gold(answer_type="digit", answer=str(gold)), prediction=text, label=_label(right=right))


def _choice(rng: random.Random) -> Pair:
    options = rng.sample(WORDS, rng.randint(3, 5))
    if rng.random() < 0.3:
        options = [
            f"the {word} at the {place}" for word, place in zip(options, rng.sample(PLACES, 5), strict=False)
        ]
    gold = rng.randrange(len(options))
    right = rng.random() < 0.5
    said = gold if right else rng.choice([other for other in range(len(options)) if other != gold])
    text = rng.choice(CHOOSING).format(chr(65 + said), chr(97 + said), options[said])
    choices = tuple(options)
    return Pair(
        gold=Gold(answer_type="choice", answer=chr(65 + gold), choices=choices),
        prediction=text,
        label=_label(right=right),
    )


def _iou(rng: random.Random) -> Pair:
    """Boxes on a grid of 20 by 20 cells, whose cells are counted."""
    first = _cells(rng)
    second = first if rng.random() < 0.3 else _cells(rng, near=first)
    shared, either = _inside(first) & _inside(second), _inside(first) | _inside(second)
    frame, scale = rng.choice([("unit", (0.05, 0.05)), ("thousand", (50, 50)), ("pixels", (32, 24))])
    numbers = [round(cell * scale[place % 2], 2) for place, cell in enumerate(second)]
    box: Box = (first[0] / 20, first[1] / 20, first[2] / 20, first[3] / 20)
    size = (640, 480) if frame == "pixels" else None
    gold = Gold(answer_type="iou", answer=str(list(box)), boxes=(box,), frame=frame, size=size)  # type: ignore[arg-type]
    text = rng.choice(BOXING).format(*numbers)
    return Pair(gold=gold, prediction=text, label=Fraction(len(shared), len(either)))


def _cells(rng: random.Random, near: tuple[int, ...] | None = None) -> tuple[int, int, int, int]:
    if near is None:
        left, top = rng.randint(0, 15), rng.randint(0, 15)
        return left, top, rng.randint(left + 2, 20), rng.randint(top + 2, 20)
    left, top = (min(17, max(0, start + rng.randint(-4, 4))) for start in near[:2])
    right, bottom = (
        min(20, max(start + 1, end + rng.randint(-4, 4)))
        for start, end in zip((left, top), near[2:], strict=True)
    )
    return left, top, right, bottom


def _inside(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


def _open(rng: random.Random) -> Pair:
    name = f"{rng.choice(WORDS)} {rng.choice(PLACES)}"
    numbered = rng.random() < 0.4
    answer = f"{name} {rng.randint(10, 99)}" if numbered else name
    listed = rng.random() < 0.7
    gold = Gold(answer_type="open", answer=answer, answers=(answer, f"{answer} house") if listed else ())
    draw = rng.random()
    if draw < 0.5:
        return Pair(gold=gold, prediction=_said(rng, answer), label="right")
    if draw < 0.7 and numbered and listed:
        other = answer[:-2] + str(_another(rng, int(answer[-2:]), 9))
        return Pair(gold=gold, prediction=_said(rng, other), label="wrong")
    if draw < 0.8:
        return Pair(gold=gold, prediction="", label="wrong")
    around = rng.choice(
        [f"It says {answer} on the sign.", f"I can read {answer}", "nobody can read this at all"]
    )
    return Pair(gold=gold, prediction=around, label="undecided")


def _said(rng: random.Random, text: str) -> str:
    return rng.choice(SAYING).format(text, text.upper(), text.title())


def _math(rng: random.Random) -> Pair:
    """One of the kinds below, in the shares in which they stand there."""
    kind = rng.choices([kind for _, kind in KINDS], [share for share, _ in KINDS])[0]
    gold, rights, wrongs = kind(rng)
    right = rng.random() < 0.5
    text = rng.choice(rights if right else wrongs)
    if rng.random() < 0.3:
        text = rng.choice(["${}$", "\\boxed{{{}}}", "\\({}\\)", "The answer is ${}$."]).format(text)
    tolerance = 0.0001
    return Pair(
        gold=Gold(answer_type="math", answer=gold, tolerance=tolerance),
        prediction=text,
        label=_label(right=right),
    )


Forms = tuple[str, list[str], list[str]]
"""A gold answer, right forms of it, wrong ones."""


def _integer(rng: random.Random) -> Forms:
    n, k = rng.randint(2, 60), rng.randint(2, 9)
    rights = [f"{n}", f"x = {n}", f"{n}.0", rf"\frac{{{k * n}}}{{{k}}}", f"{n - 1} + 1", rf"{n} \times 1"]
    return (
        str(n),
        rights,
        [str(n + k), f"x = {n - 1}", f"-{n}", f"{n}.5", rf"\frac{{{n}}}{{{k}}}", f"{n} + {k}"],
    )


def _fraction(rng: random.Random) -> Forms:
    q = rng.choice([2, 4, 5, 8, 10])
    p, k = rng.choice([n for n in range(1, 30) if n % 2 and n % 5]), rng.randint(2, 6)
    rights = [
        rf"\frac{{{p * k}}}{{{q * k}}}",
        f"{p}/{q}",
        f"{p / q}",
        rf"\dfrac{{{p}}}{{{q}}}",
        f"x = {p}/{q}",
    ]
    wrongs = [
        rf"\frac{{{p + 1}}}{{{q}}}",
        f"{q}/{p}" if p != q else "7",
        f"{p / q + 1}",
        rf"-\frac{{{p}}}{{{q}}}",
    ]
    return rf"\frac{{{p}}}{{{q}}}", rights, wrongs


def _surd(rng: random.Random) -> Forms:
    a, b = rng.randint(2, 9), rng.choice([2, 3, 5, 6, 7])
    rights = [
        rf"\sqrt{{{a * a * b}}}",
        rf"{a}\sqrt{b}",
        f"{a}√{b}",
        rf"\frac{{{a * b}}}{{\sqrt{{{b}}}}}",
        f"{a}*sqrt({b})",
    ]
    return (
        rf"{a}\sqrt{{{b}}}",
        rights,
        [rf"{a}\sqrt{{{b + 5}}}", rf"{a + 1}\sqrt{{{b}}}", str(a), rf"\sqrt{{{a * b}}}"],
    )


def _circle(rng: random.Random) -> Forms:
    a = rng.randint(2, 30)
    rights = [rf"{a}\pi", f"{a}π", rf"\pi \cdot {a}", rf"\frac{{{2 * a}\pi}}{{2}}", rf"{a} \pi \text{{ cm}}"]
    return rf"{a}\pi", rights, [rf"{a + 1}\pi", str(a), rf"\frac{{{a}}}{{\pi}}", rf"{a}\pi^2", f"{3 * a}"]


def _length(rng: random.Random) -> Forms:
    a = rng.randint(2, 90)
    rights = [f"{a} cm", f"{a}", rf"{a} \text{{ cm}}", f"{a * 10} mm", f"{a}cm", f"{a} centimeters"]
    return f"{a} cm", rights, [f"{a} m", f"{a + 1} cm", f"{a} mm", f"{a}0 cm", f"{a} kg"]


def _angle(rng: random.Random) -> Forms:
    a = rng.randint(11, 89)
    rights = [f"{a}°", rf"{a}^{{\circ}}", f"{a} degrees", f"{a}", rf"\angle A = {a}°"]
    return (
        rf"{a}^\circ",
        rights,
        [f"{180 - a}°", f"{a + 1}°", rf"{90 - a if a != 45 else 44}^\circ", f"{a} rad"],
    )


def _line(rng: random.Random) -> Forms:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    rights = [
        f"y = {a}x + {b}",
        f"{a}x + {b}",
        f"y = {b} + {a}x",
        f"y - {b} = {a}x",
        f"{a}x - y + {b} = 0",
        f"f(x) = {a}x+{b}",
    ]
    wrongs = [
        f"y = {a + 1}x + {b}",
        f"{a}x - {b}",
        f"x = {a}y + {b}",
        f"{a}x + y + {b} = 0",
        str(a),
        f"y = {a}x",
    ]
    return f"y = {a}x + {b}", rights, wrongs


def _parabola(rng: random.Random) -> Forms:
    r, s = rng.sample(range(1, 9), 2)
    spread = f"x^2 - {r + s}x + {r * s}"
    rights = [
        spread,
        f"(x - {s})(x - {r})",
        f"y = {spread}",
        f"{r * s} - {r + s}x + x^2",
        f"({r} - x)({s} - x)",
    ]
    wrongs = [
        f"x^2 + {r + s}x + {r * s}",
        f"(x + {s})(x - {r})",
        f"x^2 - {r + s}x - {r * s}",
        f"x^2 + {r * s}",
    ]
    return f"y = (x - {r})(x - {s})", rights, wrongs


def _wave(rng: random.Random) -> Forms:
    a, b, c = rng.randint(2, 6), rng.randint(2, 5), rng.randint(1, 6)
    name = rng.choice(["sin", "cos"])
    rights = [
        rf"y = {a}\{name}({b}x + {c})",
        rf"{a} \{name}({c} + {b}x)",
        f"{a}*{name}({b}*x+{c})",
        rf"\{name}({b}x+{c}) \cdot {a}",
    ]
    wrongs = [
        rf"{a}\{name}({b}x - {c})",
        rf"y = {a + 1}\{name}({b}x + {c})",
        rf"{a}\tan({b}x + {c})",
        rf"{a}\{name}({b}x) + {c}",
    ]
    return rf"y = {a}\{name}({b}x + {c})", rights, wrongs


def _growth(rng: random.Random) -> Forms:
    a, b = rng.randint(2, 9), rng.randint(2, 6)
    rights = [f"y = {a}e^{{{b}x}}", rf"{a}\exp({b}x)", f"{a} e^{{x \\cdot {b}}}", f"{a}(e^x)^{b}"]
    return (
        f"y = {a}e^{{{b}x}}",
        rights,
        [f"{a}e^{{-{b}x}}", f"{a + 1}e^{{{b}x}}", f"{a}{b}^x", f"{a}e^{{x}} + {b}"],
    )


def _quotient(rng: random.Random) -> Forms:
    a, b = rng.randint(1, 9), rng.randint(2, 9)
    gold = rf"\frac{{{a}x + {b}}}{{x}}"
    rights = [rf"{a} + \frac{{{b}}}{{x}}", gold, f"({a}x + {b})/x", rf"\frac{{{2 * b} + {2 * a}x}}{{2x}}"]
    return (
        gold,
        rights,
        [rf"{a} + \frac{{x}}{{{b}}}", f"{a}x + {b}", rf"\frac{{{a} + {b}x}}{{x}}" if a != b else "0", str(a)],
    )


def _point(rng: random.Random) -> Forms:
    a, b = rng.sample(range(-9, 10), 2)
    rights = [f"({a}, {b})", f"({a},{b})", rf"\left({a}, {b}\right)", f"x = {a}, y = {b}", f"({a}.0, {b})"]
    return f"({a}, {b})", rights, [f"({b}, {a})", f"({a}, {b + 1})", f"[{a}, {b}]", f"({a}, {b}, 0)", str(a)]


def _solutions(rng: random.Random) -> Forms:
    a, b = rng.sample(range(1, 12), 2)
    rights = [
        f"x = {b} or x = {a}",
        f"x = {a}, x = {b}",
        rf"\{{{b}, {a}\}}",
        f"{a}, {b}",
        f"x_1 = {a}, x_2 = {b}",
    ]
    return (
        f"x = {a}, x = {b}",
        rights,
        [f"x = {a}", f"x = {a}, x = {a + b}", rf"\{{{a}\}}", f"{a}, -{b}", str(a + b)],
    )


def _interval(rng: random.Random) -> Forms:
    a = rng.randint(-5, 5)
    b = a + rng.randint(1, 9)
    rights = [f"[{a}, {b})", rf"{a} \le x < {b}", rf"x \in [{a}, {b})", f"[{a},{b})"]
    return (
        f"[{a}, {b})",
        rights,
        [f"[{a}, {b}]", f"({a}, {b})", rf"{a} < x < {b}", f"[{a}, {b + 1})", f"x < {b}"],
    )


def _conic(rng: random.Random) -> Forms:
    a, b, r = rng.randint(1, 5), rng.randint(1, 5), rng.randint(2, 9)
    square = f"(x - {a})^2 + (y - {b})^2"
    c = a * a + b * b - r * r
    spread = f"x^2 + y^2 - {2 * a}x - {2 * b}y {'+' if c >= 0 else '-'} {abs(c)} = 0"
    rights = [
        f"{square} = {r * r}",
        spread,
        f"(y - {b})^2 + (x - {a})^2 = {r * r}",
        f"{square} - {r * r} = 0",
    ]
    wrongs = [
        f"{square} = {r * r + 1}",
        f"(x + {a})^2 + (y - {b})^2 = {r * r}",
        f"{square} = {r}" if r > 1 else "0",
    ]
    return f"{square} = {r * r}", rights, wrongs


def _matrix(rng: random.Random) -> Forms:
    a, b, c, d = rng.sample(range(10), 4)
    form = r"\begin{{{0}}}{1} & {2}\\{3} & {4}\end{{{0}}}".format
    rights = [form("bmatrix", a, b, c, d), form("pmatrix", a, b, c, d)]
    return form("pmatrix", a, b, c, d), rights, [form("pmatrix", a, c, b, d), form("pmatrix", a, b, c, d + 1)]


def _sum(rng: random.Random) -> Forms:
    n = rng.randint(3, 20)
    total = n * (n + 1) // 2
    gold = rf"\sum_{{k=1}}^{{{n}}} k"
    return gold, [gold, str(total)], [str(total + 1), str(n)]


KINDS: tuple[tuple[int, Callable[[random.Random], Forms]], ...] = (
    (16, _integer), (10, _fraction), (8, _surd), (4, _circle), (6, _length), (8, _angle), (12, _line), (8, _parabola),
    (6, _wave), (3, _growth), (4, _quotient), (4, _point), (4, _solutions), (3, _interval), (2, _conic), (1, _matrix),
    (1, _sum),
)  # fmt: skip
"""What Math-PUMA and GeoQA ask for, by share: values of geometry first, then functions, then the rest."""

_MAKERS = {"digit": _digit, "choice": _choice, "math": _math, "iou": _iou, "open": _open}
assert tuple(_MAKERS) == ANSWER_TYPES


def _label(*, right: bool) -> Label:
    return "right" if right else "wrong"
