"""Which rows a preview shows, and what it says of each: a sample with every source and every reason in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.checks.iou import read_boxes
from vlaa_thinking.edition import read_rows, unreadable
from vlaa_thinking.sources.text import repaired

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vlaa_thinking.edition import Edition

LONGEST = 20_000
"""Characters of a text that are shown, at most."""

Group = tuple[str, str, str, str]
"""Config, part, source, and the code of what was dropped: rows of each are in the sample."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row of the sample."""

    config: str
    part: str
    file: Path
    place: int
    """Its number in the file, from 0."""


def choose(edition: Edition, most: int) -> list[Chosen]:
    """Take at most `most` rows, the first of each group, of each in proportion; in the dataset's order."""
    left = _quotas(Counter(group for group, _ in _walk(edition)), most)
    chosen = []
    for group, row in _walk(edition):
        if left[group]:
            left[group] -= 1
            chosen.append(row)
    return chosen


def read(chosen: Sequence[Chosen], columns: Sequence[str]) -> Iterator[tuple[Chosen, dict[str, Any]]]:
    """Give the rows' columns; only the row groups that hold them are read."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    for file, rows in groupby(chosen, key=lambda row: row.file):
        by_place = {row.place: row for row in rows}
        try:
            with pq.ParquetFile(file, pre_buffer=False) as opened:
                names = [name for name in columns if name in opened.schema_arrow.names]
                start = 0
                for number in range(opened.num_row_groups):
                    end = start + opened.metadata.row_group(number).num_rows
                    here = [place for place in by_place if start <= place < end]
                    if here:
                        table = opened.read_row_group(number, columns=names)
                        for place in here:
                            yield by_place[place], table.slice(place - start, 1).to_pylist()[0]
                    start = end
        except (OSError, ValueError, pa.ArrowException) as exc:
            raise unreadable(file, exc) from exc


def shown(row: Chosen, values: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Say a row as the page reads it; texts are cut after `longest` characters, and nulls left out."""
    dropped = row.config == "rejected"
    said = _answer_of(values)
    texts = ("question", "reasoning", "caption", "teacher_reasoning", "teacher_response", "evidence")
    facts: dict[str, Any] = {
        "id": values["id"],
        "config": row.config,
        "part": row.part,
        "state": "dropped" if dropped else "kept",
        "said": _cut(said, longest) if said is not None else None,
        "saidBoxes": _unit_boxes(said) if said and values["answer_type"] == "iou" else None,
        "system": _turn(values, "system", longest),
        "prompt": _turn(values, "user", longest),
        "cueSpans": _cue_spans(values, longest),
        "verdict": _verdict(values, dropped=dropped),
        **{name: _cut(values[name], longest) for name in texts if values.get(name) is not None},
    }
    for name in (
        "answer", "answer_type", "answers", "choices", "boxes", "step", "code", "reason", "why", "source",
        "source_license", "score", "score_by", "score_reason", "judge_score", "cues", "word_gap", "word_edits",
        "teacher_pass_rate", "policy_pass_rate", "answer_share", "models", "image_sha256",
    ):  # fmt: skip
        facts[name] = values.get(name)
    if facts.get("teacher_reasoning") == facts.get("reasoning"):
        facts.pop("teacher_reasoning", None)  # the rewriter left it as it was
    if isinstance(facts["models"], dict):
        facts["models"] = {role: name for role, name in facts["models"].items() if name}
    return {name: value for name, value in facts.items() if value not in (None, [], {})}


def as_script(value: object) -> str:
    r"""Write JSON that may stand in a script element: no text in it can end the element, or begin a comment.

    `<`, `>` and `&` are written as `\u003c` and so on, which JSON reads back as what they are.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _walk(edition: Edition) -> Iterator[tuple[Group, Chosen]]:
    """Give every row's group and place."""
    for config, part, files in edition.splits():
        for file in files:
            place = 0
            for lot in read_rows(file, ["source", "code"]):
                for row in lot:
                    group = (config, part, row.get("source") or "", row.get("code") or "")
                    yield group, Chosen(config, part, file, place)
                    place += 1


def _quotas(sizes: Mapping[Group, int], most: int) -> Counter[Group]:
    """Share `most` rows out: to each group its part, and one row at least, as far as they reach."""
    rows = sum(sizes.values())
    if rows <= most:
        return Counter(sizes)
    quotas = Counter({group: max(1, size * most // rows) for group, size in sizes.items()})
    while quotas.total() > most:
        quotas[max(quotas, key=lambda group: quotas[group])] -= 1
    while quotas.total() < most:
        quotas[max(sizes, key=lambda group: sizes[group] - quotas[group])] += 1
    return quotas


def _answer_of(values: Mapping[str, Any]) -> str | None:
    """Read the answer out of the reply as `distill` did; an adopted response is the answer."""
    response = values.get("teacher_response")
    if response is None:
        return None
    if not (values.get("models") or {}).get("reasoner"):
        return str(response)
    found = read_answer(repaired(response))
    return found.text if isinstance(found, Found) else None


def _unit_boxes(text: str) -> list[list[float]]:
    return [list(box) for box in read_boxes(text) if all(0 <= number <= 1 for number in box)]


def _verdict(values: Mapping[str, Any], *, dropped: bool) -> str | None:
    """Say in a word how the answer was scored."""
    score = values.get("score")
    if score is None:
        return None
    return "wrong" if dropped and values.get("code") == "wrong_answer" else "right" if score > 0 else "wrong"


def _turn(values: Mapping[str, Any], role: str, longest: int) -> str | None:
    found = [turn["content"] for turn in values.get("prompt") or () if turn["role"] == role]
    return _cut(found[0], longest) if found else None


def _cue_spans(values: Mapping[str, Any], longest: int) -> list[list[int]]:
    """Say where the cues stand in the teacher's reasoning: start and end as JavaScript counts, in UTF-16 units."""
    text = values.get("teacher_reasoning") or ""
    spans = zip(values.get("cue_starts") or (), values.get("cues") or (), strict=False)
    return [
        [_utf16(text[:start]), _utf16(text[: start + len(phrase)])]
        for start, phrase in spans
        if start + len(phrase) <= min(len(text), longest)
    ]


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]} [... {len(text) - longest:,} more characters]"
