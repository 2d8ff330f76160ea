"""Step 6: a pure function of recorded facts, the project and a seed (paper, section 2 and appendix A.2).

What sends a row to `rl` is the project's choice: a cue of self-reflection in its teacher's reply (the paper's rule),
a pass rate within a band, or both. Rows of one group, those of an image and of its near-duplicates, are held together,
so that no image stands in two splits.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.errors import ProjectError
from vlaa_thinking.record import Cue, Record, changed
from vlaa_thinking.spool import Decision, Fact

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from vlaa_thinking.contamination import Match
    from vlaa_thinking.settings import CueRule, CurateRule, Role, Settings


ENOUGH_GROUPS = 50
"""From so many groups of a split on, at least one is set aside as validation."""


def mark(record: Record, rule: CueRule) -> Record:
    """Find the cues in the teacher's raw reply, reasoning first."""
    text = record.teacher_reasoning or ""
    if rule.search == "reply":
        text = f"{text}\n{record.teacher_response or ''}"
    lower = text.lower()  # a search for plain text is many times as fast as a pattern
    if not any(phrase.lower() in lower for phrase in rule.phrases):
        return changed(record, cues=())
    cues = tuple(Cue(phrase=_named(m, rule), start=m.start()) for m in _pattern(rule).finditer(text))
    return changed(record, cues=cues)


def refuse_unmeasured(settings: Settings, cast: Container[Role]) -> None:
    """See that the pass rate which the rule asks for is measured; raises `ProjectError` if it is not."""
    rule = settings.curate
    if rule.rl == "cues":
        return
    if rule.band.of == "policy" and "policy" not in cast:
        what = f'the profile "{settings.profile}" has no policy: name one in generators/models.toml'
    elif rule.band.of == "teacher" and settings.distill.samples == 1:
        what = "the reasoner is asked once: set samples = 2 or more in generators/3_distill.md"
    else:
        return
    raise ProjectError(
        f'rl = "{rule.rl}" needs a pass rate, and {what}, or set rl = "cues"', file="cards/6_curate.toml"
    )


def curate(
    facts: Iterable[Fact],
    rule: CurateRule,
    seed: int,
    contaminated: Mapping[str, Sequence[Match]] | None = None,
) -> Iterator[Decision]:
    """Decide for each row where it goes, and say why.

    `contaminated` tells by key what a row shares with evaluation sets: it is dropped.
    """
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        if contaminated and fact.key in contaminated:
            yield _contaminated(fact, contaminated[fact.key])
        else:
            groups.setdefault(fact.group, []).append(fact)
    if rule.unique_images:
        yield from _thinned(groups, seed)
    sent = {name: next((f for f in rows if _is_for_rl(f, rule)), None) for name, rows in groups.items()}
    for config in ("sft", "rl"):
        mine = {name: rows for name, rows in groups.items() if (sent[name] is not None) == (config == "rl")}
        kept: dict[str, list[Fact]] = {}
        for name, fact, dropped in _chosen(mine, config, rule, seed):
            if dropped:
                yield dropped
            else:
                kept.setdefault(name, []).append(fact)
        aside = _validation(kept, config, rule.validation_share, seed)
        for name, rows in kept.items():
            part = "validation" if name in aside else "train"
            twins = len({fact.image for fact in groups[name]}) - 1
            for fact in rows:
                why = _why(fact, sent[name], rule, twins)
                yield Decision(key=fact.key, config=config, part=part, code="", why=why)


def _contaminated(fact: Fact, matches: Sequence[Match]) -> Decision:
    names = ", ".join(dict.fromkeys(match.benchmark for match in matches))
    return Decision(
        key=fact.key,
        config=None,
        part=None,
        code="contaminated",
        why=f"curate: the row stands in an evaluation set ({names})",
        evidence="; ".join(match.evidence for match in matches),
    )


def _thinned(groups: dict[str, list[Fact]], seed: int) -> Iterator[Decision]:
    """Leave one row in each group, the one whose hash of seed and key is lowest; gives the decisions on the others."""
    for name, rows in groups.items():
        first, *others = sorted(rows, key=lambda fact: _rank(seed, "unique", fact.key))
        groups[name] = [first]
        yield from (_same_image(fact, first) for fact in others)


def _same_image(fact: Fact, first: Fact) -> Decision:
    what = "the same image" if fact.image == first.image else "a near-duplicate of its image"
    why = f"curate: one row of each image is kept, and another one of {what} ranks before this one"
    return Decision(
        key=fact.key, config=None, part=None, code="same_image", why=why, evidence=f"row: {first.id}"
    )


def _rate(fact: Fact, rule: CurateRule) -> float | None:
    return fact.policy_pass_rate if rule.band.of == "policy" else fact.teacher_pass_rate


def _is_outside(fact: Fact, rule: CurateRule) -> bool:
    """Say whether a row's pass rate is known to lie outside the band."""
    rate = _rate(fact, rule)
    return rate is not None and not rule.band.above < rate < rule.band.below


def _is_for_rl(fact: Fact, rule: CurateRule) -> bool:
    """Say whether the rule sends this row to `rl`, and with it its group."""
    if fact.rl_only:
        return True
    if rule.rl == "band":
        return _rate(fact, rule) is not None and not _is_outside(fact, rule)
    return bool(fact.cues) and not (rule.rl == "both" and _is_outside(fact, rule))


def _is_useless(fact: Fact, config: str, rule: CurateRule) -> bool:
    """Say whether a row has nothing to teach in GRPO, and may not be in `sft` either.

    In `rl`, that is a row outside the band, there for its group's sake; with both rules, also one in `sft` whose cue
    keeps it from there.
    """
    if rule.rl == "cues" or not _is_outside(fact, rule):
        return False
    return config == "rl" or (rule.rl == "both" and bool(fact.cues))


def _without_advantage(fact: Fact, rule: CurateRule) -> Decision:
    why = f"curate: {_rate_words(fact, rule)} right, outside the band, so that GRPO learns nothing from it"
    return Decision(key=fact.key, config=None, part=None, code="no_advantage", why=why)


def _rate_words(fact: Fact, rule: CurateRule) -> str:
    return f"of the {rule.band.of}'s draws {_rate(fact, rule) or 0:.0%} are"


def _chosen(
    groups: dict[str, list[Fact]], config: str, rule: CurateRule, seed: int
) -> Iterator[tuple[str, Fact, Decision | None]]:
    """Give the rows of a split, each with its group, and with the decision that leaves it out if there is one.

    Rows are ranked by hashes of seed and key, groups whole; of each source, a cap keeps the lowest.
    """
    count: dict[str, int] = {}
    for name in _ranked(groups, seed, config):
        for fact in sorted(groups[name], key=lambda f: _rank(seed, config, f.key)):
            if _is_useless(fact, config, rule):
                yield name, fact, _without_advantage(fact, rule)
                continue
            cap = _cap(rule, config, fact.source)
            within = cap is None or count.get(fact.source, 0) < cap
            count[fact.source] = count.get(fact.source, 0) + within
            yield name, fact, None if within else _over_cap(fact, config, rule)


def _cap(rule: CurateRule, config: str, source: str) -> int | None:
    caps = rule.caps.get(source)
    if caps is None:
        return None
    return caps.sft if config == "sft" else caps.rl


def _over_cap(fact: Fact, config: str, rule: CurateRule) -> Decision:
    cap = _cap(rule, config, fact.source)
    why = f"curate: {config} takes {cap} rows of {fact.source}, and others rank before this one"
    return Decision(key=fact.key, config=None, part=None, code="over_cap", why=why)


def _ranked(groups: Mapping[str, list[Fact]], seed: int, what: str) -> list[str]:
    """Rank groups by the lowest hash among their images: a newcomer to a group can only bring it forward."""
    return sorted(groups, key=lambda name: min(_rank(seed, what, fact.image) for fact in groups[name]))


def _validation(groups: Mapping[str, list[Fact]], config: str, share: float, seed: int) -> set[str]:
    ranked = _ranked(groups, seed, f"{config}/validation")
    count = int(len(ranked) * share)
    if share > 0 and len(ranked) >= ENOUGH_GROUPS:
        count = max(1, count)
    return set(ranked[:count])


def _why(fact: Fact, sent: Fact | None, rule: CurateRule, twins: int) -> str:
    """Say why a row is where it is; `sent` is the row that took its group to `rl`, `twins` counts other images in it."""
    why = _reason(fact, sent, rule)
    if not twins:
        return why
    return (
        f"{why}; {twins} near-duplicate{'s' if twins > 1 else ''} of its image and all their rows go with it"
    )


def _reason(fact: Fact, sent: Fact | None, rule: CurateRule) -> str:
    if fact.rl_only:
        return "rl: its source's rows are for reinforcement learning alone"
    phrases = ", ".join(f'"{phrase}"' for phrase in dict.fromkeys(fact.cues))
    cue = (
        f"the teacher's reply holds {phrases}"
        if phrases
        else "no cue of self-reflection in the teacher's reply"
    )
    rate = (
        _rate_words(fact, rule) + " right"
        if _rate(fact, rule) is not None
        else f"no draw of the {rule.band.of} is scored"
    )
    reasons = {"cues": cue, "band": rate, "both": f"{cue}, and {rate}"}[rule.rl]
    if sent is None:
        return f"sft: {reasons}"
    if _is_for_rl(fact, rule):
        return f"rl: {reasons}"
    other = (
        f"another row of {'the same image' if sent.image == fact.image else 'a near-duplicate of its image'}"
    )
    if sent.rl_only:
        return f"rl: {other} is for reinforcement learning alone"
    what = {"cues": "holds a cue of self-reflection", "band": "is within the band"}
    return f"rl: {other} {what.get(rule.rl, 'holds a cue and is within the band')}"


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
