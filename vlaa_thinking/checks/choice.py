"""Options: "B", "(b)", "option C", "D: 27°", or an option's own text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vlaa_thinking.checks.algebra import same as same_answer
from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.checks.denial import is_denied, is_doubtful
from vlaa_thinking.checks.mentions import is_refusal
from vlaa_thinking.checks.number import read_number, same
from vlaa_thinking.checks.plain import LIMIT, folded, plain
from vlaa_thinking.checks.tokens import TooMuch
from vlaa_thinking.record import Gold, Score

_END = r"(?=\s*(?:[).,:;!?*\u2014]|\s-\s|$|\b(?:because|since|as|and|or|nor|but)\b))"
_LETTER = r"\(?\s*([A-Z])(?![\w'])\s*\)?"
_ALONE = re.compile(r"[(\[{<'\"]*\s*([A-Za-z])\s*[)\]}>'\".:,!]*")
_INTRODUCED = re.compile(
    r"(?:(?:only|just|option|choice|letter|answer|ans)[\s.:=]+\(?([A-Za-z])\)?|([A-Za-z]) only)[.!]?",
    re.IGNORECASE,
)
_MANY = re.compile(
    r"\(?[A-Z]\)?(?:\s*(?:,\s*(?:and|or)\b|,|\band\b|\bor\b|/|&|\+)\s*\(?[A-Z]\)?)+|[A-H]{2,5}"
)
_HEAD = re.compile(
    r"(?:option |choice )?(?:[\[({<]([A-Za-z])[\])}>]|([A-Za-z])\s*[).:\u3001](?=\s|$)|([A-Z])\s+-(?=\s))\s*(.*)",
    re.IGNORECASE,
)
_JOINED = re.compile(r"([A-Z])[).:\u3001-](\S.*)")
_TAILED = re.compile(r"(.+?)[\s,:-]+(?:\((?:option )?([A-Za-z])\)|option ([A-Za-z]))", re.IGNORECASE)
_SPACED = re.compile(r"([A-Z])[\s,;]+\(?(.+?)\)?")
_FIRST = re.compile(r"[A-Z](?=\s*[,;]|\s+(?:because|since|as|and|or|but|not|over|rather than)\b)")
_BARE = re.compile(
    r"(?<!\w)([B-J])(?![\w'])|(?<!\w)(A)(?=\s*(?:[.,;!?)]|$|\b(?:is|because|or|and|but|not)\b))"
)
_MENTIONS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?i:option|choice|letter|alternative)s?\s*[:#]?\s*(?:\(\s*([A-Za-z])\s*\)|([A-Zb-z])(?![\w']))",
        r"(?<!\w)(?:\(([A-Za-z])\))",
        r"(?m)^\s*([A-Za-z])\s*[).:](?=\s|$)",
        rf"(?i:\b(?:is|are|be|choose|chose|choosing|pick|picked|select|selected|with|answer|say|definitely|certainly|clearly|surely|probably|except|\w+n't|not|but|no|so|thus|hence|therefore|both|either|neither|nor|it's|that's)\b|[:;\u2192\u21d2]|=>|\bi\.e\.,?)\s*[:,]?\s*{_LETTER}{_END}",
        rf"(?<!\w){_LETTER}\s+(?i:is|seems|looks|would be|can(?:not|'t) be)\s+(?i:(?:not |the )*(?:correct|right|true|best|answer|only|wrong|incorrect|false))",
        rf"(?<!\w)[A-Z]\)?\s*(?:,|\bor\b|\band\b|/|&)\s*(?i:option\s|not\s)?{_LETTER}(?:{_END}|(?=\s+(?:is|are)\b))",
    )
)
_THING = re.compile(
    r"\b(?:figure|fig|panel|part|subfigure|image|point|line|curve|angle|vertex|plot|vitamin|type|group|side)s?\.?\s*(?:labell?ed|marked|named)?\s*\(?$",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"[\\^=\u221a\u03c0\d]")
_REASON = re.compile(r"\s*,?\s*\b(?:because|since|given that|as (?=[A-Z(]))", re.IGNORECASE)
_PRONOUN = re.compile(r"(?:it|this|that|they)(?:'s| is| are| was)? (?=\S)", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"(?P<before>.*)(?:\b(?:so|therefore|thus|hence|is|are|answer:)|\u2192|=>)[\s,:]+(?P<text>[^.;]+?)\.?",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:not|never|neither|cannot|no)\b|n't\b", re.IGNORECASE)
_INSTEAD = re.compile(r",?\s+(?:not|rather than|instead of)\s", re.IGNORECASE)
_YES_OR_NO = re.compile(r"(yes|no)[,.!]", re.IGNORECASE)
_BOTH = re.compile(r"^(?:either|both) ", re.IGNORECASE)
_NONE = re.compile(r"\b(?:none|neither) of (?:the|these|them)\b", re.IGNORECASE)
_OR = re.compile(r"\s*(?:,\s*(?:or|and)\s|,|\bor\b|\band\b|(?<!\d)/(?!\d))\s*", re.IGNORECASE)

LAYERS = 3
"""How many boxes, labels and phrases may stand around an answer; a hostile text has hundreds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says of the options."""

    letters: frozenset[str]
    """The letters it chooses: one, or several (it does not decide), or none."""
    reason: str
    """One short sentence."""
    clear: bool = True
    """False where no letters means that the rule cannot tell, rather than that none is chosen."""


def check(prediction: str, gold: Gold) -> Score:
    """Score the option that a prediction chooses, by its letter or its whole text.

    Several letters, a letter with another option's text, a letter beyond the options, or only a denial are
    wrong; words that are no option's text are not scored.
    """
    if len(prediction) > LIMIT:
        return Score(value=0.0, reason=f"Longer than {LIMIT:,} characters.")
    reading = read_choice(prediction, gold.choices)
    right = gold.answer.strip().upper()
    if not re.fullmatch(r"[A-Z]", right):
        return Score(value=None, reason="The gold answer is no letter.")
    if len(reading.letters) == 1:
        (letter,) = reading.letters
        return Score(value=float(letter == right), reason=reading.reason)
    if reading.letters or reading.clear:
        return Score(value=0.0, reason=reading.reason)
    return Score(value=None, reason=reading.reason)


def read_choice(text: str, choices: tuple[str, ...] = ()) -> Reading:
    """Read which option a text chooses; with `choices`, their texts count too and letters are held to them."""
    return _read(text, choices, LAYERS)


def _read(text: str, choices: tuple[str, ...], layers: int) -> Reading:
    clean = plain(re.sub(r"[*`_]{1,3}", "", text))
    if not clean:
        return Reading(frozenset(), "The answer is empty.")
    reading = _direct(clean, choices)
    found = read_answer(text) if reading is None and layers else None
    if isinstance(found, Found) and plain(found.text) != clean:
        return _read(found.text, choices, layers - 1)
    return _held(reading or _mentioned(clean), choices)


def letter_of(text: str, choices: tuple[str, ...]) -> str | None:
    """Return the letter of the one option whose text this is, spelling of numbers and units aside."""
    key = folded(text)
    hits = [place for place, choice in enumerate(choices) if key and folded(choice) == key]
    if not hits and (number := read_number(text)) is not None:
        values = [read_number(choice) for choice in choices]
        hits = [
            place
            for place, value in enumerate(values)
            if value is not None and same(number, value) is not False
        ]
        measured = [place for place in hits if bool(getattr(values[place], "unit", "")) == bool(number.unit)]
        hits = measured or hits
    elif not hits and _FORMULA.search(text):
        hits = [place for place, choice in enumerate(choices) if _same_formula(text, plain(choice))]
    return chr(ord("A") + hits[0]) if len(hits) == 1 and hits[0] < 26 else None


def _same_formula(text: str, choice: str) -> bool:
    """Tell whether two formulas are equal, as far as that takes no computer algebra."""
    try:
        return bool(_FORMULA.search(choice) and same_answer(text, choice))
    except TooMuch:
        return False


def _direct(text: str, choices: tuple[str, ...]) -> Reading | None:
    """Read a text that is a letter, an option's text, or the one followed by the other."""
    by_text = letter_of(text, choices) or letter_of(_PRONOUN.sub("", text, count=1), choices)
    alone = _ALONE.fullmatch(text)
    if alone and by_text not in (None, alone[1].upper()):
        return Reading(frozenset(), "Both a letter and another option's text.", clear=False)
    if by_text not in (None, "A") and text.startswith("A "):
        option = choices[ord(by_text or "") - 65]
        if text[2].isupper() and not option.startswith("A "):
            return Reading(frozenset(("A", by_text or "")), f"The letter A with the text of {by_text}.")
        if not re.match(r"(?:a|an|the) ", option, re.IGNORECASE):
            return Reading(frozenset(), "The letter A, or an article.", clear=False)
    if alone or by_text:
        letter = alone[1].upper() if alone else by_text or ""
        return Reading(frozenset(letter), f"Chooses {letter}.")
    return _lettered(text) or _headed(text, choices) or _contrasted(text, choices) or _by_texts(text, choices)


def _lettered(text: str) -> Reading | None:
    """Read a text that holds letters alone, or one with a word before it ("Option B", "B only")."""
    if introduced := _INTRODUCED.fullmatch(text):
        letter = (introduced[1] or introduced[2]).upper()
        return Reading(frozenset(letter), f"Chooses {letter}.")
    if _MANY.fullmatch(text):
        letters = frozenset(re.findall(r"[A-Z]", text))
        return Reading(letters, f"Names {_listed(letters)}.")
    return None


def _contrasted(text: str, choices: tuple[str, ...]) -> Reading | None:
    """Read "B.text", without a blank, and "text, not another"."""
    joined = _JOINED.fullmatch(text)
    if joined and letter_of(joined[2], choices) == joined[1]:
        return Reading(frozenset(joined[1]), f"Chooses {joined[1]}.")
    head, *others = _INSTEAD.split(text, maxsplit=1)
    letter = letter_of(head, choices) if others else None
    return Reading(frozenset(letter), f"Says the text of {letter}.") if letter else None


def _by_texts(text: str, choices: tuple[str, ...]) -> Reading | None:
    """Read a text that ends in an option's text, offers several, or states a number that is none of them."""
    if not choices:
        return None
    parts = [letter_of(part, choices) for part in _OR.split(_BOTH.sub("", text))[:10]]
    letters = frozenset(letter for letter in parts if letter)
    if len(letters) > 1 and None not in parts:
        return Reading(letters, f"Names {_listed(letters)}.")
    if (word := _YES_OR_NO.match(text)) and {folded(choice) for choice in choices} == {"yes", "no"}:
        return Reading(frozenset(letter_of(word[1], choices) or ""), f"Says {word[1].lower()}.")
    end = _CONCLUDES.fullmatch(_REASON.split(text, maxsplit=1)[0])
    said = end is not None and (_NOT.search(end["before"]) or _mentioned(end["before"]).letters)
    if end and not said and (letter := letter_of(end["text"], choices)):
        return Reading(frozenset(letter), f"Concludes with the text of {letter}.")
    if read_number(text) is not None and all(read_number(choice) is not None for choice in choices):
        return Reading(frozenset(), "The number is none of the options.")
    return None


def _headed(text: str, choices: tuple[str, ...]) -> Reading | None:
    """Read "B) text" and, where the text is an option's, "B text"."""
    if head := _HEAD.fullmatch(text):
        letter, rest = (head[1] or head[2] or head[3]).upper(), head[4]
        other = letter_of(rest, choices) or _near(rest, choices, letter)
        if other not in (None, letter):
            return Reading(frozenset((letter, other or "")), f"The letter {letter} with the text of {other}.")
        more = _mentioned(rest).letters - {letter} if other is None else frozenset[str]()
        if other is None and (more or is_denied("", " " + rest)):
            return None
        return Reading(frozenset(letter), f"Chooses {letter}.")
    for pattern, letter_group, text_group in ((_SPACED, 1, 2), (_TAILED, 2, 1)):
        if (beside := pattern.fullmatch(text)) and (other := letter_of(beside[text_group], choices)):
            letter = (beside[letter_group] or beside[3]).upper()
            if other == letter:
                return Reading(frozenset(other), f"Chooses {other}.")
            return Reading(frozenset((letter, other)), f"The letter {letter} with the text of {other}.")
    return None


def _near(text: str, choices: tuple[str, ...], letter: str) -> str | None:
    """Return the one other option whose text this is a part of, if it is no part of the letter's own text."""
    key = folded(text)
    if len(key.split()) < 2:
        return None
    hits = [
        chr(ord("A") + place) for place, choice in enumerate(choices) if f" {key} " in f" {folded(choice)} "
    ]
    return hits[0] if len(hits) == 1 and hits[0] != letter else None


def _mentioned(text: str) -> Reading:
    """Read the letters that a sentence names as options, less those that it denies."""
    if (reason := _REASON.search(text)) and (head := _mentioned(text[: reason.start()])).letters:
        return head
    named: set[str] = set()
    denied: set[str] = set()
    doubtful: set[str] = set()
    # A text that begins with its letter: any other letter in it is an afterthought ("B, no wait, A").
    patterns = (*_MENTIONS, _BARE) if _FIRST.match(text) or len(text) == 1 else _MENTIONS
    for pattern in patterns:
        for match in pattern.finditer(text):
            place = next(group for group in range(1, pattern.groups + 1) if match[group])
            before = text[max(0, match.start(place) - 60) : match.start(place)]
            after = text[match.end(place) :]
            if _THING.search(before) or (match[place] == "I" and re.match(r"\s+[a-z]|'", after)):
                continue
            into = denied if is_denied(before, after) else doubtful if is_doubtful(before) else named
            into.add(match[place].upper())
    named -= denied
    if named:
        return Reading(frozenset(named), f"Names {_listed(frozenset(named))}.")
    if denied and not doubtful - denied:
        return Reading(frozenset(), "Only says what it is not.")
    if is_refusal(text) or _NONE.search(text):
        return Reading(frozenset(), "Chooses none.")
    return Reading(frozenset(), "Neither a letter nor an option's text.", clear=False)


def _held(reading: Reading, choices: tuple[str, ...]) -> Reading:
    """Refuse letters beyond the options."""
    beyond = sorted(
        letter for letter in reading.letters if choices and ord(letter) - ord("A") >= len(choices)
    )
    if not beyond:
        return reading
    return Reading(frozenset(), f"There is no option {beyond[0]}.")


def _listed(letters: frozenset[str]) -> str:
    """Write letters in order: "A and C"."""
    return " and ".join(sorted(letters))
