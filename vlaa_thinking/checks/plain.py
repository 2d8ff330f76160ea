r"""Text as rules compare it: without the clothes of markdown and LaTeX, in one spelling of each sign."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vlaa_thinking.checks.answer import last_boxed

LIMIT = 2_000
"""Characters; a prediction that is longer states no answer, and reading it on could cost seconds."""
SHORT = 300
"""Characters up to which a reading is kept: gold answers and options come again, long replies do not."""

_CLOTHES = re.compile(r"[\\{~\x08\x0c\t]")  # without these, ASCII text needs no rewriting

_SIGNS = str.maketrans(
    {
        "\u2212": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u2013": "-",
        "\u2044": "/",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2220": "\\angle ",
        "\u2205": "\\emptyset ",
        "\u200b": "",
        "\u2060": "",
        "\ufeff": "",
        "\x08": "\\b",  # JSON has eaten the backslash of \boxed and \frac in released data
        "\x0c": "\\f",
    }
)
_SUPERS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ"
_SUPERSCRIPT = re.compile(f"[{_SUPERS}]+")
_NORMAL = str.maketrans(_SUPERS, "0123456789-n")
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\[", "\\]"), ("\\(", "\\)"), ("**", "**"), ("`", "`"), ('"', '"'))
_REWRITES = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\t(?=imes\b|ext\b|heta\b|frac\b)", r"\\t"),
        (r"\s+", " "),  # early: the patterns below must not meet long runs of blanks
        (r"(?<=\d)(?:\\,|\{,\}|\\!,|,\\!)(?=\d{3}(?!\d))", ","),  # thousands
        (r"\\[dt]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\(?:left|right|displaystyle|bigl?|bigr?)(?![a-zA-Z])", ""),
        (r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|rm|bf)\s*\{([^{}]*)\}", r" \1 "),
        (r"(?<!\\)\\[,;:! ]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"\s*\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", "°"),
        (r"\\([%$#&])", r"\1"),
        (r"\s+", " "),
    )
)


def unwrap(text: str) -> str:
    r"""Strip what stands around a whole answer: spaces, `$`, `\[ \]`, `\boxed{}`, bold, quotes, a full stop."""
    for _ in range(8):  # wrappers nest, hostile ones without end
        before = text
        text = text.strip()
        if text and text[0].isalnum() and text[-1].isalnum():
            break
        text = text.rstrip("。")
        if not text.endswith("..."):
            text = text.removesuffix(".")
        if text.startswith(("\\boxed", "\x08oxed")) and text.endswith("}") and _one_box(text):
            text = last_boxed(text) or text
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and inner and left not in inner:
                text = inner
        if text == before:
            break
    return text


def plain(text: str) -> str:
    r"""Return `text` unwrapped, in one line, with one spelling of minus, degree, thousands and fractions."""
    return _kept_plain(text) if len(text) <= SHORT else _plain(text)


def _plain(text: str) -> str:
    if text.isascii():
        if not _CLOTHES.search(text):
            return unwrap(" ".join(unwrap(text).split()))
        text = text.replace("\x08", "\\b").replace("\x0c", "\\f")
    else:
        text = re.sub(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])", " ", text)  # 1½ is not 11/2
        text = _SUPERSCRIPT.sub(lambda match: f"^{{{match[0].translate(_NORMAL)}}}", text)
        text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    text = unwrap(text)
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)
    return unwrap(text)


def folded(text: str) -> str:
    """Return `text` as free answers are compared: plain, lower case, no edge punctuation or leading article."""
    return _kept_folded(text) if len(text) <= SHORT else _folded(text)


def _folded(text: str) -> str:
    text = _MARKS.sub("", plain(text)).casefold().rstrip(" .,;:!?\"')]").lstrip(" \"'([")
    return _ARTICLE.sub("", text)


_MARKS = re.compile(r"[*_`$]+")
_ARTICLE = re.compile(r"^(?:the|an|a) (?=\S)")
_kept_plain = lru_cache(maxsize=4096)(_plain)
_kept_folded = lru_cache(maxsize=4096)(_folded)


def _one_box(text: str) -> bool:
    """Tell whether the text is a single box, not two beside each other."""
    return len(re.findall(r"oxed\s*\{", text)) == 1
