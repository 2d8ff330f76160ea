r"""The signs of mathematics: a text, in LaTeX or plain, as numbers, names, functions and operators."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NoReturn

Token = tuple[str, Any]
"""A kind and its content: `n` (a number), `s` (a name), `f` (a function), `o` (a sign), `names` (of points)."""

_FUNCTION_LIST = "arcsin arccos arctan sinh cosh tanh sin cos tan cot sec csc log lg ln exp abs max min"
_SHORT_LIST = "is it no of to in so we an if as by be at on me my us up do go he ok cm mm km kg ft mi hr ml"
_GREEK_LIST = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi varphi chi
psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega pi ell
"""
FUNCTIONS = frozenset(_FUNCTION_LIST.split())
SHORT_WORDS = frozenset(_SHORT_LIST.split())
"""What two letters mean when they are no product."""
_GREEK = frozenset(_GREEK_LIST.split())

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<matrix>\\(?:begin|end)\{[pbB]?matrix\})|\\(?P<command>[a-zA-Z]+)"
    r"|(?P<word>[a-zA-Z]+)|(?P<sign>\\[{}|\\]|\*\*|<=|>=|!=|\+/-|\+-|\S))"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?")
_SIGNS = {
    **{sign: sign for sign in "+-*/^_=<>(){}[]|,!&°"},
    "**": "^", "<=": "≤", ">=": "≥", "!=": "≠", "+/-": "±", "+-": "±", "≤": "≤", "≥": "≥", "≠": "≠", "±": "±", "∞": "∞",
    "\u00d7": "*", "·": "*", "⋅": "*", "÷": "/", "\u222a": "cup", "∈": "∈", ";": ",", "√": "√", "∠": "∠", "\\{": "\\{", "\\}": "\\}",
    "\\|": "|", "\\\\": "\\\\",
}  # fmt: skip
_COMMANDS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥",
    "geqslant": "≥", "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "pm": "±", "infty": "∞", "cup": "cup", "in": "∈",
    "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "lbrace": "\\{", "rbrace": "\\}", "angle": "∠", "sqrt": "√",
    "frac": "frac", "binom": "binom", "triangle": "△", "overline": "overline", "vec": "→", "langle": "⟨", "rangle": "⟩", "land": ",", "lor": ",",
}  # fmt: skip
_SILENT = frozenset(
    ("left", "right", "displaystyle", "mathbf", "mathbb", "mathcal", "mathit", "boldsymbol", "operatorname")
)
_LETTERS = {
    "\u03c0": "pi", "\u03b8": "theta", "\u03b1": "alpha", "\u03b2": "beta", "\u03b3": "gamma", "\u03bb": "lambda",
    "\u03bc": "mu", "\u03c6": "phi", "\u03c9": "omega",
}  # fmt: skip
_WORDS = {
    "pi": ("s", "pi"), "sqrt": ("o", "√"), "or": ("o", ","), "and": ("o", ","), "infinity": ("o", "∞"), "inf": ("o", "∞"),
}  # fmt: skip


class TooMuch(Exception):  # noqa: N818 - not an error: a fact about a text
    """A formula too deep or a number too large to reckon with."""


class Unreadable(Exception):  # noqa: N818
    """Not of the forms that are read here."""


def give_up() -> NoReturn:
    """Say that the text is not of the known forms."""
    raise Unreadable


def tokens_of(text: str) -> list[Token]:
    """Split a text into numbers (`n`), names (`s`), functions (`f`) and signs (`o`)."""
    tokens: list[Token] = []
    place = depth = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        assert match is not None
        kind, token, place = match.lastgroup, match[match.lastgroup or 0], match.end()
        if kind == "number":
            start = match.start("number")
            if depth == 0 and (thousands := _THOUSANDS.match(text, start)):
                token, place = thousands[0].replace(",", ""), thousands.end()
            tokens.append(("n", Fraction(token)))
        elif kind == "word":
            tokens += _word(token)
        elif kind == "command":
            tokens += _command(token)
        elif kind == "matrix":
            tokens.append(("o", token[1:4]))
        else:
            sign = _SIGNS.get(token)
            if sign is None:
                tokens.append(("s", _LETTERS.get(token) or give_up()))
                continue
            depth += (sign in ("(", "[", "\\{")) - (sign in (")", "]", "\\}"))
            tokens.append(("o", sign))
    return tokens


def _word(word: str) -> list[Token]:
    """Read letters that stand together: a function, a constant, or one or two names."""
    if len(word) == 1 or (word.isupper() and 2 < len(word) < 5):
        return [("s" if len(word) == 1 else "names", word)]
    if word in FUNCTIONS or word in _WORDS:
        return [_WORDS.get(word, ("f", word))]
    if len(word) == 2 and word.lower() not in SHORT_WORDS:
        return [("s", word[0]), ("s", word[1])]
    if word[:-1] in FUNCTIONS:  # "sinx"
        return [("f", word[:-1]), ("s", word[-1])]
    return give_up()


def _command(name: str) -> list[Token]:
    """Read a LaTeX command."""
    if name in _COMMANDS:
        return [("o", _COMMANDS[name])]
    if name in FUNCTIONS:
        return [("f", name)]
    if name in _GREEK:
        return [("s", name)]
    return [] if name in _SILENT else give_up()
