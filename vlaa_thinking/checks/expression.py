r"""A small reader of mathematics, in LaTeX or plain: `\frac{x}{2}`, `3√2`, `(x+1)^2`, `x = 1 or x = 2`, `[0, 1)`.

It reads what answers are made of, in some tens of microseconds, and gives up at everything else (integrals,
sums, text): Math-Verify reads that. What comes out is a tree of tuples, the node's kind first.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks.tokens import TooMuch, Unreadable, give_up, tokens_of

if TYPE_CHECKING:
    from vlaa_thinking.checks.tokens import Token

Tree = tuple[Any, ...]
"""A node: its kind, then numbers, names or nodes.

Values: `n` (a Fraction), `s` (a name), `+`, `*` (any number of nodes), `/`, `^`, `-`, `pm` (plus or minus),
`root` (index, radicand), `f` (name, argument), `log` (base, argument), `choose`, `!`, `deg`, `inf`.
Around values: `list`, `set`, `cup`, `row` (brackets, nodes), `rel` (signs, sides), `in`, `matrix` (rows).
"""

DEPTH = 40
"""How deep brackets may nest; a formula beyond that is no answer."""
_CLOSING = {"{": "}", "\\{": "\\}", "⟨": "⟩"}
_RELATIONS = frozenset("=<>≤≥≠")
_STOP = frozenset(
    (
        "+",
        "-",
        "±",
        "*",
        "/",
        ")",
        "]",
        "}",
        "\\}",
        "|",
        ",",
        "&",
        "\\\\",
        "cup",
        "∈",
        "⟩",
        "end",
        *_RELATIONS,
    )
)
"""Signs that end a product without an operator."""


@lru_cache(maxsize=8192)
def read(text: str) -> Tree | None:
    """Read a plain text (see `plain`); None if it is not wholly of the known forms. `TooMuch` if it is too deep."""
    try:
        reader = _Reader(tokens_of(text))
        tree = reader.answer()
    except Unreadable:
        return None
    return tree if reader.sign() is None else None


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, ("end", None)]
        self.place = 0
        self.depth = 0
        self.bars = 0
        """Absolute values that are open."""

    def sign(self) -> str | None:
        """Return the sign that comes next; "" for another token, None at the end."""
        kind, value = self.tokens[self.place]
        return value if kind == "o" else None if kind == "end" else ""

    def take(self, sign: str) -> None:
        """Pass the sign that must come next."""
        if self.tokens[self.place] != ("o", sign):
            give_up()
        self.place += 1

    def deeper(self) -> None:
        """Count a level of the tree."""
        self.depth += 1
        if self.depth > DEPTH:
            raise TooMuch

    def answer(self) -> Tree:
        """Read relations with commas between them."""
        items = self.items()
        return items[0] if len(items) == 1 else ("list", *items)

    def items(self) -> list[Tree]:
        """Read relations with commas between them, as far as they go."""
        items = [self.relation()]
        while self.sign() == ",":
            self.place += 1
            items.append(self.relation())
        return items

    def relation(self) -> Tree:
        """Read `a = b`, `a < b <= c`, `x in a`, or a union."""
        sides, signs = [self.union()], ""
        while (sign := self.sign()) and sign in _RELATIONS:
            self.place += 1
            signs += sign
            sides.append(self.union())
        if signs:
            return ("rel", signs, *sides)
        if self.sign() == "∈":
            self.place += 1
            return ("in", sides[0], self.union())
        return sides[0]

    def union(self) -> Tree:
        """Read sums with union signs between them."""
        parts = [self.sum()]
        while self.sign() == "cup":
            self.place += 1
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else ("cup", *parts)

    def sum(self) -> Tree:
        """Read terms with plus and minus between them."""
        terms: list[Tree] = []
        while (sign := self.sign()) in ("+", "-", "±") or not terms:
            if sign in ("+", "-", "±"):
                self.place += 1
            term = self.product()
            terms.append(("-", term) if sign == "-" else ("pm", term) if sign == "±" else term)
        return terms[0] if len(terms) == 1 else ("+", *terms)

    def product(self) -> Tree:
        """Read factors, with signs or nothing between them; `1/2x` is half of x."""
        factors = [self.factor()]
        while (sign := self.sign()) is not None:
            if sign in ("*", "/"):
                self.place += 1
                factor = self.factor(signed=True)
                if sign == "/":
                    self.deeper()
                    upper = factors[0] if len(factors) == 1 else ("*", *factors)
                    factors = [("/", upper, factor)]
                else:
                    factors.append(factor)
            elif sign in _STOP and (sign != "|" or self.bars):
                break
            else:
                factors.append(self.beside(factors))
        return factors[0] if len(factors) == 1 else ("*", *factors)

    def beside(self, factors: list[Tree]) -> Tree:
        """Read a factor that just stands beside the last one; of a whole number and a fraction make their sum."""
        last, begins = factors[-1], self.place
        factor = self.factor()
        if self.tokens[begins][0] == "n":  # "3 4", "x2"
            if last[0] in ("n", "s"):
                give_up()
        elif last[0] == "n" and factor[0] == "/" and factor[1][0] == factor[2][0] == "n":
            if last[1].denominator != 1 or len(factors) > 1:
                give_up()
            factors.pop()
            return ("+", last, factor)
        return factor

    def factor(self, *, signed: bool = False) -> Tree:
        """Read an atom with what stands behind it: exponent, factorial, degree."""
        if signed and self.sign() in ("+", "-"):
            minus = self.sign() == "-"
            self.place += 1
            inner = self.factor()
            return ("-", inner) if minus else inner
        node = self.atom()
        raised = False
        while (sign := self.sign()) in ("^", "!", "°"):
            self.place += 1
            if sign == "^":
                if raised:  # a^b^c
                    give_up()
                raised = True
                node = ("^", node, self.exponent())
            else:
                self.deeper()
                node = ("!" if sign == "!" else "deg", node)
        return node

    def exponent(self) -> Tree:
        """Read what stands after `^`."""
        if self.sign() in ("-", "+"):
            minus = self.sign() == "-"
            self.place += 1
            return ("-", self.atom()) if minus else self.atom()
        return self.atom()

    def atom(self) -> Tree:
        """Read a number, a name, a function or what stands in brackets."""
        kind, value = self.tokens[self.place]
        self.place += 1
        if kind == "n":
            return ("n", value)
        if kind == "s":
            return ("s", value + self.subscript()) if self.sign() == "_" else ("s", value)
        if kind not in ("f", "o"):
            give_up()
        self.deeper()
        node = self.function(value) if kind == "f" else self.bracket(value)
        self.depth -= 1
        return node

    def subscript(self) -> str:
        """Read a subscript as part of a name."""
        self.take("_")
        group = self.sign() == "{"
        self.place += group
        words: list[str] = []
        while self.tokens[self.place][0] in ("n", "s", "names") and (group or not words):
            words.append(str(self.tokens[self.place][1]))
            self.place += 1
        if group:
            self.take("}")
        return "_" + ("".join(words) or give_up())

    def bracket(self, sign: str) -> Tree:  # noqa: C901, PLR0911 - one case for each sign
        """Read what an opening sign begins."""
        match sign:
            case "(" | "[":
                return self.row(sign)
            case "{" | "\\{" | "⟨":
                items = self.items()
                self.take(_CLOSING[sign])
                if sign == "{" and len(items) == 1:
                    return items[0]
                return ("row", "()", *items) if sign == "⟨" else ("set", *items)
            case "|":
                self.bars += 1
                inner = self.sum()
                self.take("|")
                self.bars -= 1
                return ("f", "abs", inner)
            case "∞":
                return ("inf",)
            case "frac" | "binom":
                upper, lower = self.group(), self.group()
                return ("/" if sign == "frac" else "choose", upper, lower)
            case "√":
                return self.root()
            case "overline":
                return ("*", *(("s", letter) for letter in self.letters()))
            case "∠" | "△" | "→":
                word = self.letters()
                return ("s", sign + (min(word, word[::-1]) if sign == "∠" else word))
            case "beg":
                return self.matrix()
            case _:
                return give_up()

    def row(self, opening: str) -> Tree:
        """Read a bracket: of one thing, a group; of several, a point or an interval."""
        items = self.items()
        closing = self.sign()
        if closing not in (")", "]"):
            give_up()
        self.place += 1
        if len(items) > 1:
            return ("row", opening + str(closing), *items)
        if (opening == "(") != (closing == ")") or items[0][0] == "rel":
            give_up()
        return ("+", items[0]) if items[0][0] in ("n", "s", "/") else items[0]  # "3(1/2)" is no mixed number

    def group(self) -> Tree:
        """Read a LaTeX argument: braces, or one digit or letter."""
        if self.sign() == "{":
            self.place += 1
            inner = self.sum()
            self.take("}")
            return inner
        kind, value = self.tokens[self.place]
        if kind == "n" and value >= 10:  # \frac12 has been given braces by `plain`
            give_up()
        self.place += 1
        return (kind, value) if kind in ("n", "s") else give_up()

    def root(self) -> Tree:
        """Read what stands after a root sign."""
        index: Tree = ("n", Fraction(2))
        if self.sign() == "[":
            self.place += 1
            index = self.sum()
            self.take("]")
        if self.sign() in ("{", "("):
            return ("root", index, self.atom())
        kind, value = self.tokens[self.place]
        self.place += 1
        return ("root", index, (kind, value)) if kind in ("n", "s") else give_up()

    def letters(self) -> str:
        """Read the name of an angle, a triangle, a segment or a vector."""
        group = self.sign() == "{"
        self.place += group
        word = ""
        while self.tokens[self.place][0] in ("s", "names"):
            word += self.tokens[self.place][1]
            self.place += 1
        if group:
            self.take("}")
        return word or give_up()

    def function(self, name: str) -> Tree:
        r"""Read `\sin^2 x`, `\log_2 8`, `\ln(x+1)`: without brackets, the argument is the product that follows."""
        power = base = None
        if name in ("log", "lg"):
            base = ("n", Fraction(10))
        while (sign := self.sign()) in ("^", "_"):
            self.place += 1
            if sign == "^" and power is None:
                power = self.exponent()
            elif sign == "_" and name == "log":
                base = self.group() if self.sign() == "{" else self.atom()
            else:
                give_up()
        node: Tree = ("log", base, self.argument()) if base else ("f", name, self.argument())
        if power is None:
            return node
        if power == ("-", ("n", Fraction(1))):
            return ("f", "arc" + name, node[2]) if name in ("sin", "cos", "tan") else give_up()
        return ("^", node, power)

    def argument(self) -> Tree:
        """Read a function's argument."""
        sign = self.sign()
        if sign in ("(", "{", "|"):
            node = self.atom()
            if node[0] in ("row", "set") or self.sign() in ("^", "!"):  # \sin(x)^2 may mean two things
                give_up()
            return node
        factors: list[Tree] = []
        while (sign := self.sign()) is not None and sign not in _STOP and self.tokens[self.place][0] != "f":
            if sign in ("(", "[", "{"):  # \sin x(x+1) may mean two things
                give_up()
            factors.append(self.beside(factors) if factors else self.factor())
        if not factors:
            give_up()
        return factors[0] if len(factors) == 1 else ("*", *factors)

    def matrix(self) -> Tree:
        """Read a matrix; its kind of brackets says nothing."""
        rows: list[Tree] = []
        row = [self.sum()]
        while (sign := self.sign()) in ("&", "\\\\"):
            self.place += 1
            if sign == "\\\\":
                rows.append(("row", "()", *row))
                row = []
            if self.sign() != "end":
                row.append(self.sum())
        self.take("end")
        return ("matrix", *rows, ("row", "()", *row)) if row else ("matrix", *rows)
