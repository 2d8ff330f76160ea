r"""Numbers as answers write them: `1,234.5`, `-\frac{3}{4}`, `50%`, `1.2 \times 10^3`, `12 cm`, `three`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from vlaa_thinking.checks.plain import LIMIT, SHORT, plain

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)}
_WORDS |= {word: 10 * (place + 2) for place, word in enumerate(_TENS)}
_WORDS |= {"none": 0, "nothing": 0}

_UNIT_TABLE = """
length mm millimeter millimetre 0.001 | cm centimeter centimetre 0.01 | m meter metre 1 | km kilometer kilometre 1000
length in inch inches 0.0254 | ft foot feet 0.3048 | yd yard 0.9144 | mi mile 1609.344
area mm^2 0.000001 | cm^2 0.0001 | m^2 1 | km^2 1000000
volume cm^3 0.000001 | m^3 1 | ml milliliter millilitre 0.000001 | l L liter litre 0.001
mass mg milligram 0.000001 | g gram 0.001 | kg kilogram 1 | t tonne 1000 | lb pound lbs 0.45359237
time ms millisecond 0.001 | s sec second 1 | min minute 60 | h hr hour 3600 | day 86400 | year yr 31557600
speed m/s 1 | km/h kph 5/18 | mph 0.44704
angle ° deg degree 1
radian rad radian 1
celsius °C 1
fahrenheit °F 1
kelvin K kelvin 1
dollar $ USD US$ dollar 1
euro € EUR euro 1
sterling £ GBP 1
yen ¥ JPY yen 1
frequency Hz hertz 1 | kHz 1000 | MHz 1000000
force N newton 1 | kN 1000
energy J joule 1 | kJ 1000 | eV 1.602176634e-19
power W watt 1 | kW 1000
voltage V volt 1
percent % percent pct 0.01
none unit units 1
"""


def _units() -> dict[str, tuple[str, Fraction]]:
    """Read the table: spelling -> (dimension, factor to that dimension's first unit)."""
    units: dict[str, tuple[str, Fraction]] = {}
    for line in _UNIT_TABLE.strip().splitlines():
        dimension, _, rest = line.partition(" ")
        for entry in rest.split("|"):
            *names, factor = entry.split()
            for name in names:
                units[name] = ("" if dimension == "none" else dimension, Fraction(factor))
                if len(name) > 2 and name.isalpha():
                    units.setdefault(name + "s", units[name])
    return units


UNITS = _units()

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_POWER = r"(?:[eE](?P<e>[-+]?\d{1,3})|\s*(?:\\times|\\cdot|[*x\u00d7\u00b7])\s*10\s*\^\s*\{?(?P<ten>[-+]?\d{1,3})\}?)"
_RATIO = r"\\frac\s*\{\s*(?P<up>-?\d+)\s*\}\s*\{\s*(?P<down>\d+)\s*\}"
_WHOLE = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<money>(?:[$\u20ac\u00a3\u00a5]|US\$|(?:USD|EUR|GBP|JPY)(?=\s?\d))?)\s*(?P<sign2>-?)"
    rf"(?:(?P<mixed>\d+)?\s*{_RATIO}|(?:(?P<mixed2>\d+)\s+)?(?P<a>\d+)\s*/\s*(?P<b>\d+)"
    rf"|(?P<spaced>\d{{1,3}}(?:\s\d{{3}})+(?:\.\d+)?)|(?P<num>{_PLAIN}){_POWER}?\.?)"
    rf"(?P<unit>\s*[^\d\s=+*<>\\][^\d=+*<>\\]*(?:\^\{{?[23]\}}?)?)?"
)


_UNIT_AT_END = re.compile(
    r"(?<=\S)(?P<unit>\s+(?:square |cubic |sq\.? )?[a-zA-Z]+(?:/[a-z])?(?:\s*\^\s*\{?[23]\}?)?)$"
)


_MINUS = re.compile(r"^(?:minus|negative)\s+(?=[\d$.\\])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number and what it counts."""

    value: Fraction
    """As written, in `unit`; percent is divided already (50 % is 1/2)."""
    unit: str = ""
    """A spelling in `UNITS`; empty without one."""


def read_number(text: str) -> Number | None:
    """Read a text that is one number as a whole, or None. Never raises, and never computes a huge power."""
    if len(text) <= SHORT:
        return _kept(text)
    return _read(text) if len(text) <= LIMIT else None


def _read(text: str) -> Number | None:
    text = plain(text)
    if len(text) > 80:
        return None
    text = _MINUS.sub("-", text)
    if word := _SPELT.fullmatch(text):
        return Number(Fraction(_spelt(word)))
    if part := _PART.fullmatch(text):
        return Number(
            Fraction(_WORDS.get((part[1] or "one").lower(), 1), _PARTS[(part[2] or "half").lower()])
        )
    match = _WHOLE.fullmatch(text)
    return _number(match) if match else None


_kept = lru_cache(maxsize=4096)(_read)


def same(prediction: Number, gold: Number, tolerance: float = 0.0) -> bool | None:
    """Compare two numbers; a unit on one side only is let pass.

    `tolerance` is relative and does not apply between two whole numbers. None: the digits agree, but a
    percent sign stands on one side only, and the question is not known here.
    """
    left, right = _base(prediction), _base(gold)
    (dim_left, a), (dim_right, b) = left, right
    if dim_left != dim_right and dim_left and dim_right and "percent" not in (dim_left, dim_right):
        return False
    if not (dim_left and dim_right):
        a, b = prediction.value, gold.value
    whole = a.denominator == 1 and b.denominator == 1
    if a == b or (not whole and abs(a - b) <= Fraction(str(tolerance)) * abs(b)):
        return True
    if (dim_left == "percent") != (dim_right == "percent"):
        scaled = (a * 100, b) if dim_left == "percent" else (a, b * 100)
        return None if scaled[0] == scaled[1] else False
    return False


def split_unit(text: str) -> tuple[str, str]:
    r"""Split the unit off the end of a plain text that is no mere number ("3\sqrt{2} cm"); "" without one."""
    match = _UNIT_AT_END.search(text)
    unit = _unit(match["unit"], "") if match else None
    return (text[: match.start("unit")].rstrip(), unit) if match and unit else (text, "")


def conversion(unit: str, other: str) -> Fraction | None:
    """Return by what to multiply to come from one unit to another; None if they do not measure the same."""
    (dimension, factor), (wanted, into) = UNITS[unit], UNITS[other]
    return factor / into if dimension == wanted else None


def _base(number: Number) -> tuple[str, Fraction]:
    """Return the dimension, and the value in that dimension's first unit."""
    if number.unit == "%":
        return "percent", number.value
    dimension, factor = UNITS.get(number.unit, ("", Fraction(1)))
    return dimension, number.value * factor


def _number(match: re.Match[str]) -> Number | None:
    """Turn a whole match into a number, if its fraction and its unit make sense."""
    unit = _unit(match["unit"] or "", match["money"])
    value = _value(match)
    if unit is None or value is None:
        return None
    if (match["sign"] == "-") != (match["sign2"] == "-"):
        value = -value
    if unit and UNITS[unit][0] == "percent":
        return Number(value / 100, "%")
    return Number(value, unit)


def _value(match: re.Match[str]) -> Fraction | None:
    """Compute the unsigned value; None for a zero denominator."""
    up, down = match["up"] or match["a"], match["down"] or match["b"]
    if up:
        whole = int(match["mixed"] or match["mixed2"] or 0)
        return whole + Fraction(int(up), int(down)) if int(down) else None
    if match["spaced"]:
        return Fraction(re.sub(r"\s", "", match["spaced"]))
    power = int(match["e"] or match["ten"] or 0)  # at most three digits, by the pattern
    return Fraction(match["num"].replace(",", "")) * Fraction(10) ** power


def _unit(written: str, money: str) -> str | None:
    """Name the unit; None if it is not one. A one-letter unit needs a space: "3m" is three times m."""
    written = re.sub(r"\s+\^", "^", written)
    name = (
        re.sub(r"^(?:square|sq\.?) (\w+)$", r"\1^2", written.strip().rstrip("."))
        .replace("{", "")
        .replace("}", "")
    )
    name = re.sub(r"^cubic (\w+)$", r"\1^3", name)
    name = re.sub(r"^([a-z]+)s\^", r"\1^", name)
    for long, short in (
        ("centimeter", "cm"),
        ("meter", "m"),
        ("millimeter", "mm"),
        ("kilometer", "km"),
        ("unit", ""),
    ):
        name = re.sub(rf"^{long}(?=\^)", short, name)
    if name.startswith("^"):  # square units: no unit in particular
        name = ""
    if not name:
        return money
    if name not in UNITS:
        name = name.lower()
    if name not in UNITS or (len(name) == 1 and name.isalpha() and not written.startswith(" ")):
        return None
    return name


_ONE = "|".join(_ONES[1:10])
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[-\s](?:{_ONE}))?|{'|'.join(sorted(_ONES, key=len, reverse=True))})"
_HUNDRED = rf"(?:(?:{_ONE}|a)\shundred(?:\s(?:and\s)?{_SMALL})?|{_SMALL})"
_SPELT = re.compile(
    rf"(?P<minus>(?:minus|negative)\s)?(?P<words>{_HUNDRED}(?:\sthousand(?:\s(?:and\s)?{_HUNDRED})?)?|none|nothing)",
    re.IGNORECASE,
)


_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_PART = re.compile(rf"(?:(a|{_ONE})[\s-](?:(half|{'|'.join(_PARTS)})s?)|half)", re.IGNORECASE)


def _spelt(match: re.Match[str]) -> int:
    """Add up number words; the pattern has seen to their order."""
    total = current = 0
    for word in re.split(r"[-\s]+", match["words"].lower()):
        if word == "hundred":
            current *= 100
        elif word == "thousand":
            total, current = current * 1000, 0
        elif word == "a":
            current = 1
        elif word != "and":
            current += _WORDS[word]
    return -(total + current) if match["minus"] else total + current
