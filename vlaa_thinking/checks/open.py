"""Free text: what accepted strings can decide; a sentence goes on to the judge."""

from __future__ import annotations

import itertools
import re

from vlaa_thinking.checks.number import Number, conversion, read_number, same
from vlaa_thinking.checks.plain import LIMIT, folded, plain
from vlaa_thinking.record import Gold, Score

THRESHOLD = 0.5
"""ANLS below which two strings have nothing to do with each other (DocVQA's metric)."""

_OPPOSITES = (
    "increase decrease|increases decreases|increasing decreasing|increased decreased|left right|up down|top bottom"
    "|north south|east west|male female|man woman|men women|he she|his her|even odd|true false|yes no|on off|in out"
    "|inside outside|open closed|hot cold|black white|before after|above below|with without|over under|more less"
    "|high low|higher lower|maximum minimum|max min|positive negative|first last|am pm|a.m p.m|day night|import export"
    "|internal external|concave convex|horizontal vertical|input output|upper lower|former latter|buy sell|win lose"
    "|hundred thousand|thousand million|million billion|billion trillion"
)
_PAIRS = [pair.split() for pair in _OPPOSITES.split("|")]
_OPPOSITE_OF = {
    word: frozenset(other for pair in _PAIRS if word in pair for other in pair if other != word)
    for word in itertools.chain(*_PAIRS)
}
_NEGATING = ("un", "in", "im", "il", "ir", "non", "dis", "mis", "anti", "non-")
_DENIALS = frozenset(("not", "no", "never", "without", "neither", "nor", "cannot"))


def check(prediction: str, gold: Gold) -> Score:
    """Score free text by the accepted strings in `gold.answers`, or by equality with `gold.answer` alone.

    Equal, case and edges aside: 1. With a list, near misses of spelling score their ANLS, but never where a
    number or an opposite makes the difference; a numeric accepted string is compared as a number. Whatever
    that leaves open, sentences above all, is not scored.
    """
    text = folded(prediction.strip()[: 50 * LIMIT])
    accepted = tuple(answer for answer in gold.answers or (gold.answer,) if answer.strip())
    if not accepted:
        return Score(value=None, reason="The gold answer is empty.")
    if not text:
        return Score(value=0.0, reason="The answer is empty.")
    if any(text == folded(answer) for answer in accepted):
        return Score(value=1.0, reason="An accepted string." if gold.answers else "The gold answer.")
    if len(prediction) > LIMIT:
        return Score(value=None, reason="A text that rules cannot judge.")
    if any(_contrary(text, folded(answer)) for answer in accepted if read_number(answer) is None):
        return Score(value=0.0, reason="The opposite of an accepted string.")
    if _is_other_unit(prediction, accepted):
        scores = [Score(value=None, reason="Another unit than any that is accepted.")]
    else:
        scores = [_against(prediction, text, answer, listed=bool(gold.answers)) for answer in accepted]
    return _best(scores)


def _is_other_unit(prediction: str, accepted: tuple[str, ...]) -> bool:
    """Tell whether a number has another kind of unit than those accepted beside a bare one ("€3" for "$3", "3")."""
    mine = read_number(prediction)
    if mine is None or not mine.unit or mine.unit == "%":
        return False
    units = {number.unit for answer in accepted if (number := read_number(answer)) is not None}
    named = units - {""}
    return named != units and bool(named) and all(conversion(mine.unit, unit) is None for unit in named)


def _best(scores: list[Score]) -> Score:
    """Take the highest value; a wrong one stands only if nothing was left open."""
    scored = [score for score in scores if score.value is not None]
    best = max(scored, key=lambda score: score.value or 0.0, default=None)
    undecided = [score for score in scores if score.value is None]
    if best is not None and (best.value or not undecided):
        return best
    return undecided[0]


def _against(prediction: str, text: str, answer: str, *, listed: bool) -> Score:
    """Score against one accepted string that is not equal."""
    target = folded(answer)
    number = read_number(answer)
    if number is not None:
        return _numeric(prediction, text, number)
    if not listed or _holds(text, target):
        return Score(value=None, reason="Not word for word an accepted answer.")
    return _close(text, target)


def _holds(text: str, target: str) -> bool:
    """Tell whether `target` stands in a text as whole words."""
    place = text.find(target)
    while place >= 0:
        end = place + len(target)
        if not (_is_word(text[place - 1 : place]) or _is_word(text[end : end + 1])):
            return True
        place = text.find(target, place + 1)
    return False


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _close(text: str, target: str) -> Score:
    """Score a near miss of spelling."""
    closeness = anls(text, target)
    if closeness < THRESHOLD:
        return Score(value=None, reason="Far from every accepted string.")
    mine, right = figures(text), figures(target)
    if mine != right:
        part = mine < right or right < mine
        return Score(
            value=None if part else 0.0, reason="A number less or more." if part else "Another number in it."
        )
    pairs = list(zip(text.split(), target.split(), strict=False))
    if len(text.split()) == len(target.split()) and any(anls(*pair) < THRESHOLD for pair in pairs):
        return Score(value=None, reason="Another word in it.")
    if (_DENIALS & set(text.split())) != (_DENIALS & set(target.split())):
        return Score(value=None, reason="A denial makes the difference.")
    return Score(value=closeness, reason=f"ANLS {closeness:.2f} to an accepted string.")


def _numeric(prediction: str, text: str, number: Number) -> Score:
    """Score against an accepted number: equal as a number, or not; a sentence that holds figures is open."""
    mine = read_number(prediction)
    if mine is not None:
        verdict = same(mine, number)
        if verdict is None:
            return Score(value=None, reason="A percent sign stands on one side only.")
        return Score(value=float(verdict), reason="The same number." if verdict else "Another number.")
    if not re.search(r"\d", plain(prediction)) and len(text.split()) < 3:
        return Score(value=0.0, reason="Holds no number.")
    return Score(value=None, reason="A sentence where a number was asked.")


def anls(a: str, b: str) -> float:
    """Return 1 minus the edit distance over the longer length; 1.0 for two empty strings."""
    longer = max(len(a), len(b))
    if longer == 0:
        return 1.0
    if min(len(a), len(b)) < longer * THRESHOLD or longer > 500:  # below the threshold, or seconds of work
        return 0.0
    return 1 - _distance(a, b) / longer


def _distance(a: str, b: str) -> int:
    """Return the edit distance, a column of the table at a time in the bits of whole numbers (Hyyrö 2003)."""
    if not a:
        return len(b)
    where: dict[str, int] = {}
    for place, character in enumerate(a):
        where[character] = where.get(character, 0) | 1 << place
    every, last = (1 << len(a)) - 1, 1 << len(a) - 1
    up, down, distance = every, 0, len(a)  # where the table rises and falls along the column
    for character in b:
        match = where.get(character, 0)
        across = (((match & up) + up) ^ up) | match
        rise, fall = down | ~(across | up) & every, up & across
        distance += bool(rise & last) - bool(fall & last)
        rise, fall = rise << 1 | 1, fall << 1
        up = (fall | ~(match | down | rise)) & every
        down = rise & (match | down) & every
    return distance


def figures(text: str) -> frozenset[str]:
    """Return the words with digits in a text, as they are written."""
    return frozenset(re.findall(r"\w*\d+(?:[.,]\d+)*\w*", text))


def _contrary(a: str, b: str) -> bool:
    """Tell whether an opposite ("increases", "decreases") makes the difference: they lie a few letters apart."""
    left, right = set(a.split()), set(b.split())
    only_left, only_right = left - right, right - left
    return any(_OPPOSITE_OF[word] & only_right for word in only_left & _OPPOSITE_OF.keys()) or any(
        word.removeprefix(prefix) in others
        for words, others in ((only_left, only_right), (only_right, only_left))
        for word in words
        if word.startswith(_NEGATING)
        for prefix in _NEGATING
    )
