"""Step 6: a pure function of recorded facts, the project and a seed (paper, section 2 and appendix A.2).

Rows whose teacher's reply holds a cue of self-reflection are the harder ones: they go to `rl`, the others to
`sft`. Rows of one image are a group and go together, so that no image stands in two splits.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.record import Cue, Record
from vlaa_thinking.spool import Decision, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vlaa_thinking.settings import CueRule, CurateRule


ENOUGH_GROUPS = 50
"""From so many groups of a split on, at least one is set aside as validation."""


def mark(record: Record, rule: CueRule) -> Record:
    """Find the cues in the teacher's raw reply, reasoning first."""
    text = f"{record.teacher_reasoning or ''}\n{record.teacher_response or ''}"
    cues = tuple(Cue(phrase=_named(m, rule), start=m.start()) for m in _pattern(rule).finditer(text))
    return replace(record, cues=cues)


def curate(facts: Iterable[Fact], rule: CurateRule, seed: int) -> Iterator[Decision]:
    """Decide for each row where it goes, and say why."""
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.image, []).append(fact)
    cue_of = {image: next((f for f in rows if f.cues), None) for image, rows in groups.items()}
    for config in ("sft", "rl"):
        mine = {
            image: rows for image, rows in groups.items() if (cue_of[image] is not None) == (config == "rl")
        }
        kept: dict[str, list[Fact]] = {}
        for fact, within in _capped(mine, config, rule, seed):
            if within:
                kept.setdefault(fact.image, []).append(fact)
            else:
                yield _over_cap(fact, config, rule)
        aside = _validation(kept, config, rule.validation_share, seed)
        for image, rows in kept.items():
            part = "validation" if image in aside else "train"
            for fact in rows:
                why = _why(fact, cue_of[image])
                yield Decision(key=fact.key, config=config, part=part, code="", why=why)


def _capped(
    groups: dict[str, list[Fact]], config: str, rule: CurateRule, seed: int
) -> Iterator[tuple[Fact, bool]]:
    """Rank the rows by hashes of seed and key, groups whole, and keep the lowest of each source."""
    count: dict[str, int] = {}
    ranked = sorted(groups, key=lambda image: _rank(seed, config, image))
    for image in ranked:
        for fact in sorted(groups[image], key=lambda f: _rank(seed, config, f.key)):
            cap = _cap(rule, config, fact.source)
            within = cap is None or count.get(fact.source, 0) < cap
            count[fact.source] = count.get(fact.source, 0) + within
            yield fact, within


def _cap(rule: CurateRule, config: str, source: str) -> int | None:
    caps = rule.caps.get(source)
    if caps is None:
        return None
    return caps.sft if config == "sft" else caps.rl


def _over_cap(fact: Fact, config: str, rule: CurateRule) -> Decision:
    cap = _cap(rule, config, fact.source)
    why = f"curate: {config} takes {cap} rows of {fact.source}, and others rank before this one"
    return Decision(key=fact.key, config=None, part=None, code="over_cap", why=why)


def _validation(groups: Iterable[str], config: str, share: float, seed: int) -> set[str]:
    ranked = sorted(groups, key=lambda image: _rank(seed, f"{config}/validation", image))
    count = int(len(ranked) * share)
    if share > 0 and len(ranked) >= ENOUGH_GROUPS:
        count = max(1, count)
    return set(ranked[:count])


def _why(fact: Fact, with_cue: Fact | None) -> str:
    if fact.cues:
        phrases = ", ".join(f'"{phrase}"' for phrase in dict.fromkeys(fact.cues))
        return f"rl: the teacher's reply holds {phrases}"
    if with_cue is not None:
        return "rl: another row of the same image holds a cue of self-reflection"
    return "sft: no cue of self-reflection in the teacher's reply"


def _rank(seed: int, what: str, key: str) -> bytes:
    return hashlib.sha256(f"{seed}/{what}/{key}".encode()).digest()


@lru_cache(maxsize=8)
def _pattern(rule: CueRule) -> re.Pattern[str]:
    # The longest phrase first, so that "double-check" is not found as "check".
    phrases = "|".join(re.escape(p) for p in sorted(rule.phrases, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"\b(?:{phrases})\b" if rule.match == "word" else phrases, re.IGNORECASE)


def _named(match: re.Match[str], rule: CueRule) -> str:
    found = match[0].lower()
    return next(phrase for phrase in rule.phrases if phrase.lower() == found)
