"""How hard is a row for the model that is to be trained? The optional role `policy` is asked, and checked by rule.

It sees what GRPO will show it: the published prompt, with the image before the question. The share of its draws that
is right is the row's `policy_pass_rate`; where it is 0 or 1, all draws of a group earn the same, and GRPO learns
nothing from the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.errors import NoReply
from vlaa_thinking.record import changed
from vlaa_thinking.sources.text import repaired
from vlaa_thinking.steps import every, picture_of
from vlaa_thinking.steps.distill import pass_rate
from vlaa_thinking.steps.question import question_text
from vlaa_thinking.steps.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vlaa_thinking.record import Picture, Record
    from vlaa_thinking.steps import Context


async def measure(record: Record, ctx: Context, values: Mapping[str, str] | None = None) -> Record:
    """Ask the policy as often as cards/6_curate.toml says; without one, or for a dropped row, do nothing.

    `values` fill in the prompt; by default with the question as it is asked everywhere.
    """
    if record.outcome is not None or "policy" not in ctx.players:
        return record
    asked = values or _question(record, ctx)
    samples = range(ctx.settings.curate.policy.samples)
    draws = await every([_draw(record, ctx, asked, picture_of(record), sample) for sample in samples])
    rate = pass_rate([value for _, value in draws], ctx.settings.verifiers[record.gold.answer_type].pass_)
    return changed(record, models=draws[0][0].models, policy_pass_rate=rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """What is left of the policy's right answers where it does not see the image, each share in [0, 1]."""

    rows: int
    """The sample: rows whose policy_pass_rate is known, and whose ids hash lowest."""
    with_image: float
    """The mean of their policy_pass_rate."""
    without_image: float
    other_image: float
    """With the image of the next row of the sample that has another one."""


async def look_away(records: Sequence[Record], ctx: Context) -> Blind | None:
    """Ask the policy about each row once without its image, and once with another row's; None for too few rows.

    A row that gets no reply is left out.
    """
    others = [_other(records, place) for place in range(len(records))]
    pairs = [(record, other) for record, other in zip(records, others, strict=True) if other]
    asked = await every([_look_away(record, other, ctx) for record, other in pairs])
    found = [rates for rates in asked if rates is not None]
    if not found:
        return None
    with_, without, other = (round(sum(shares) / len(found), 4) for shares in zip(*found, strict=True))
    return Blind(rows=len(found), with_image=with_, without_image=without, other_image=other)


async def _look_away(record: Record, other: Picture, ctx: Context) -> tuple[float, float, float] | None:
    """Return the shares right with the image, without it, and with another."""
    least = ctx.settings.verifiers[record.gold.answer_type].pass_
    try:
        asked = _question(record, ctx)
        blind = await every([_draw(record, ctx, asked, picture, 0) for picture in (None, other)])
    except NoReply:
        return None
    without, swapped = (float(value is not None and value >= least) for _, value in blind)
    return record.policy_pass_rate or 0.0, without, swapped


def _other(records: Sequence[Record], place: int) -> Picture | None:
    """Find the image of the next record, in a circle, that has another one."""
    mine = picture_of(records[place]).sha256
    following = [*records[place + 1 :], *records[:place]]
    return next((picture for r in following if (picture := picture_of(r)).sha256 != mine), None)


def _question(record: Record, ctx: Context) -> dict[str, str]:
    return {"question": question_text(record, ctx.settings.verifiers)}


async def _draw(
    record: Record, ctx: Context, values: Mapping[str, str], picture: Picture | None, sample: int
) -> tuple[Record, float | None]:
    """Ask once and score the answer as GRPO's reward reads it: a reply without one is wrong."""
    record, reply = await ctx.ask("curate", record, values, picture=picture, sample=sample)
    found = read_answer(repaired(reply.text)) if reply.state == "ok" else None
    if not isinstance(found, Found):
        return record, 0.0
    judged, score = await verdict(record, found.text, ctx, rules=True)
    return changed(record, models=judged.models), score.value
