"""Boxes: intersection over union, as the paper rewards them (section 4), with several boxes matched at best."""

from __future__ import annotations

import math
import re
import unicodedata

from vlaa_thinking.checks.plain import LIMIT
from vlaa_thinking.record import Box, Gold, Score

_N = r"[-+]?(?:\d{1,12}(?:\.\d{0,20}|/\d{1,6})?|\.\d{1,20})(?:[eE][-+]?\d{1,2})?(?:\s?%|\s?px)?"
_SEP = r"(?:\s*+[,;]\s*+|\s++)"  # possessive: blanks can be split in one way only
_FOUR = re.compile(rf"[\[({{<]\s*({_N}){_SEP}({_N}){_SEP}({_N}){_SEP}({_N})\s*,?\s*[\])}}>]")
_BETWEEN = r"(?:[\s,;:=-]|\b(?:to|and|the|at|is|top|upper|bottom|lower|left|right|corner)\b){0,40}+"
_PAIRS = re.compile(rf"[\[(]\s*({_N}){_SEP}({_N})\s*[\])]{_BETWEEN}[\[(]\s*({_N}){_SEP}({_N})\s*[\])]")
_TOKENS = re.compile(r"<loc_(\d{1,4})>" * 4)
_BARE = re.compile(rf"(?:\D*[\s:=])?({_N}){_SEP}({_N}){_SEP}({_N}){_SEP}({_N})\s*\.?\s*")
_NAMED = re.compile(
    r"\b(?:(?P<name>x_?1|y_?1|x_?2|y_?2|x_?min|y_?min|x_?max|y_?max|cx|cy|x_?center|y_?center|center_?x|center_?y|[xywh])"
    r"\s*[:=]|(?P<word>left|top|right|bottom|width|height)\s*(?:[:=]|(?<=\s)))"
    rf"\s*+(?P<number>{_N})",
    re.IGNORECASE,
)
_SIDES = {
    **dict.fromkeys(("x1", "xmin", "left", "x"), 0),
    **dict.fromkeys(("y1", "ymin", "top", "y"), 1),
    **dict.fromkeys(("x2", "xmax", "right"), 2),
    **dict.fromkeys(("y2", "ymax", "bottom"), 3),
    **dict.fromkeys(("width", "w"), 4),
    **dict.fromkeys(("height", "h"), 5),
    **dict.fromkeys(("cx", "xcenter", "centerx"), 6),
    **dict.fromkeys(("cy", "ycenter", "centery"), 7),
}


def check(prediction: str, gold: Gold) -> Score:
    """Score boxes by their IoU; of several, by the best matching: its sum over the larger of the two counts.

    So a missing box and one too many both cost. A text without a box is wrong; without the image's size,
    boxes in pixels are not scored.
    """
    if len(prediction) > LIMIT:
        return Score(value=0.0, reason=f"Longer than {LIMIT:,} characters.")
    if gold.frame == "pixels" and not gold.size:
        return Score(value=None, reason="The image's size is not known.")
    right = list(gold.boxes) or read_boxes(gold.answer)
    if not right:
        return Score(value=None, reason="The gold answer holds no box.")
    mine = [_unit(box, gold) for box in dict.fromkeys(read_boxes(prediction))]
    if not mine:
        return Score(value=0.0, reason="Holds no box.")
    value = sum(_matched(mine, right)) / max(len(mine), len(right))
    if len(mine) == len(right) == 1:
        return Score(value=value, reason=f"IoU {value:.2f}.")
    return Score(value=value, reason=f"IoU {value:.2f}: boxes given {len(mine)}, asked {len(right)}.")


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes in one frame; corners may come in any order.

    A box without area, or with a number that is not finite, overlaps nothing.
    """
    if not all(math.isfinite(number) for number in (*a, *b)):
        return 0.0
    a, b = _ordered(a), _ordered(b)
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - shared
    return min(shared / union, 1.0) if shared > 0 and union > 0 else 0.0


def read_boxes(text: str) -> list[Box]:
    """Read boxes in any common spelling, in the frame they are written in.

    Four numbers in brackets, two points in brackets, location tokens, numbers named x1 or xmin or left ... (or x,
    y, width, height, or cx, cy, width, height), or four bare numbers that are all numbers of the text, at its end;
    the first of these spellings that occurs is read. Numbers may be percentages or fractions, and stand in quotes.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\u2212", "-")
    text = (
        text.replace("\\left", "")
        .replace("\\right", "")
        .replace("$", "")
        .replace("\\{", "{")
        .replace("\\}", "}")
        .replace('"', "")
        .replace("'", "")
    )
    for pattern in (_FOUR, _PAIRS, _TOKENS):
        if found := [_box(match.groups()) for match in pattern.finditer(text)]:
            return found
    if found := _named(text):
        return found
    bare = _BARE.fullmatch(re.sub(r"<[^<>]{0,30}>", " ", text))
    return [_box(bare.groups())] if bare else []


def _named(text: str) -> list[Box]:
    """Read boxes whose numbers have names, each box's four in a row."""
    hits = _NAMED.finditer(text)
    pairs = [(_SIDES[(m["name"] or m["word"]).lower().replace("_", "")], m["number"]) for m in hits]
    rows = [dict(pairs[start : start + 4]) for start in range(0, len(pairs), 4)]
    boxes = []
    for row in rows:
        if row.keys() == {0, 1, 4, 5}:  # corner and size
            left, top, width, height = (_number(row[side]) for side in (0, 1, 4, 5))
            boxes.append((left, top, left + width, top + height))
        elif row.keys() == {4, 5, 6, 7}:  # size and centre
            width, height, x, y = (_number(row[side]) for side in (4, 5, 6, 7))
            boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        elif row.keys() == {0, 1, 2, 3}:
            boxes.append(_box(tuple(row[side] for side in range(4))))
        else:
            return []
    return boxes


def _box(numbers: tuple[str, ...]) -> Box:
    """Make a box of four numerals."""
    left, top, right, bottom = (_number(number) for number in numbers)
    return left, top, right, bottom


def _number(text: str) -> float:
    """Read a numeral, a percentage or a fraction; not a number where the denominator is zero."""
    upper, _, lower = text.rstrip("px% ").partition("/")
    if lower:
        return float(upper) / float(lower) if float(lower) else math.nan
    return float(upper) / (100 if text.endswith("%") else 1)


def _unit(box: Box, gold: Gold) -> Box:
    """Bring a predicted box to the unit frame."""
    width, height = gold.size if gold.frame == "pixels" and gold.size else (1, 1)
    if gold.frame == "thousand":
        width = height = 1000
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _ordered(box: Box) -> Box:
    """Put the corners in order."""
    return min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])


def _area(box: Box) -> float:
    """Return the area of an ordered box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _matched(mine: list[Box], right: list[Box]) -> list[float]:
    """Return the IoUs of the one-to-one matching with the greatest sum.

    The Hungarian method with potentials: rows are the shorter list, O(rows² x columns), so that 200 hostile
    boxes against one gold box cost nothing.
    """
    rows, columns = (mine, right) if len(mine) <= len(right) else (right, mine)
    cost = [[-iou(row, column) for column in columns] for row in rows]
    owner = [-1] * (len(columns) + 1)  # the row that holds a column; the last column is a place to start from
    u, v = [0.0] * len(rows), [0.0] * (len(columns) + 1)
    for row in range(len(rows)):
        _augment(row, cost, owner, u, v)
    return [-cost[owner[column]][column] for column in range(len(columns)) if owner[column] >= 0]


def _augment(row: int, cost: list[list[float]], owner: list[int], u: list[float], v: list[float]) -> None:
    """Give `row` a column, moving earlier rows along the cheapest path."""
    columns, start = range(len(v) - 1), len(v) - 1
    owner[start], column = row, start
    least, came = [math.inf] * len(v), [start] * len(v)
    path = [start]
    while owner[column] >= 0:
        holder = owner[column]
        for other in columns:
            if other not in path and (slack := cost[holder][other] - u[holder] - v[other]) < least[other]:
                least[other], came[other] = slack, column
        following = min((other for other in columns if other not in path), key=least.__getitem__)
        delta = least[following]
        for seen in path:
            u[owner[seen]] += delta
            v[seen] -= delta
        for other in columns:
            if other not in path:
                least[other] -= delta
        column = following
        path.append(column)
    while column != start:
        owner[column] = owner[came[column]]
        column = came[column]
    owner[start] = -1
