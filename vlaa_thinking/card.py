"""Counts become the manifest, and the manifest becomes the card: no number on it has another way."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking.changes import CHANGELOG, changelog
from vlaa_thinking.columns import ALL, COLUMNS, KEPT
from vlaa_thinking.errors import ProjectError
from vlaa_thinking.front_matter import default_config, front_matter
from vlaa_thinking.keeping import kept_by_source, kept_in_paper
from vlaa_thinking.licensing import licensing
from vlaa_thinking.markup import read_template
from vlaa_thinking.plotting.overview import plots_of_card
from vlaa_thinking.plotting.png import draw
from vlaa_thinking.prices import price_of
from vlaa_thinking.project import PROMPTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vlaa_thinking.dataset import Split
    from vlaa_thinking.result import Funnel
    from vlaa_thinking.settings import Paper, Role, Settings
    from vlaa_thinking.setup import Setup
    from vlaa_thinking.spool import Spool
    from vlaa_thinking.steps import Player
    from vlaa_thinking.steps.policy import Blind

TEMPLATE = "cards/dataset.md.jinja"
"""The body of a dataset's README.md."""

PLOTS = "plots"
"""The folder of the pictures on the card."""


def manifest(
    setup: Setup, made: Funnel, splits: Sequence[Split], spool: Spool, blind: Blind | None, root: str
) -> dict[str, Any]:
    """Gather what is to be said of a dataset; every value is a function of answers, project, seed and limit."""
    settings = setup.settings
    roles = {role: _model(player) for role, player in setup.context.players.items()}
    kept, by_source = kept_by_source(spool)
    licenses = {s.name: s.license for s in settings.sources}
    return {
        "made_by": "vlaa-thinking",
        "version": vlaa_thinking.__version__,
        "profile": settings.profile,
        "preset": settings.preset,
        "seed": setup.seed,
        "limit": setup.limit,
        "root_sha256": root,
        "models": roles,
        "rows": {"in": made.rows, "kept": made.kept, "dropped": made.dropped, "failed": made.failed},
        "not_taken": made.not_taken,
        "funnel": [
            {
                "step": s.step,
                "in": s.rows_in,
                "out": s.rows_out,
                "dropped": s.dropped,
                "failed": s.failed,
            }
            for s in made.steps
        ],
        "splits": splits_told(splits),
        "sources": counted_by(spool, "source"),
        "licenses": licenses,
        "license_notes": {s.name: s.license_note for s in settings.sources if s.license_note},
        "licensing": licensing(licenses, settings.curate.card.license),
        "people": {s.name: s.people or None for s in settings.sources},
        "answer_types": counted_by(spool, "answer_type"),
        "shared_traces": spool.shared_traces(),
        "kept": {"in_all": asdict(kept), "sources": {name: asdict(k) for name, k in by_source.items()}},
        "paper": _paper(settings.paper),
        "verdicts": _verdicts(splits),
        "agreement": _agreement(splits),
        "blind": asdict(blind) if blind else None,
        "answers": {role: _answers(setup, role) for role in setup.context.players},
        "prompts": _prompts(settings),
        "rules": _rules(settings),
        "project": settings.hashes,
    }


def write(
    folder: Path,
    settings: Settings,
    facts: Mapping[str, Any],
    splits: Sequence[Split],
    *,
    file: str = TEMPLATE,
) -> None:
    """Write plots, CHANGELOG.md and README.md: front matter, then the project's template `file` over the manifest."""
    template = read_template(settings.template, file)
    plots = plots_of_card(facts)
    for name, plot in plots.items():
        draw(plot, folder / PLOTS / f"{name}.png")
    told = {
        "m": facts,
        "card": settings.curate.card,
        "default": default_config(splits),
        "plots": plots,
        "columns": [c for c in COLUMNS if any(s.config in c.configs for s in splits)],
    }
    try:
        text = template.render(told)
    except Exception as exc:  # a template can raise whatever Python can
        raise ProjectError(f"cannot be rendered: {exc}", file=file) from exc
    front = front_matter(settings.curate.card, splits)
    (folder / "README.md").write_text(f"---\n{front}\n---\n\n{text.strip()}\n", encoding="utf-8")
    (folder / CHANGELOG).write_text(changelog(facts), encoding="utf-8")


def _model(player: Player) -> dict[str, Any]:
    """Say which model played; no address, no key, and of a name that is a path the last part alone."""
    model = player.model.model
    name = PurePath(model).name if model and PurePath(model).is_absolute() else model
    terms = player.model.terms
    return {
        "name": player.name,
        "api": player.model.api,
        "model": name,
        "params": player.model.params,
        "terms": asdict(terms) if terms else None,
    }


def _paper(paper: Paper) -> dict[str, Any]:
    shares = {name: asdict(kept_in_paper(source)) for name, source in paper.source.items()}
    counts = ("original", "verified", "sft", "rl")
    types: dict[str, dict[str, int]] = {}
    for source in paper.source.values():
        if source.answer_type:
            sums = types.setdefault(source.answer_type, {"sft": 0, "rl": 0})
            sums["sft"] += source.sft or 0
            sums["rl"] += source.rl or 0
    return {
        "about": paper.about,
        "sources": {
            name: {
                "name": source.name,
                **shares[name],
                "rows": {count: getattr(source, count) for count in counts},
            }
            for name, source in paper.source.items()
        },
        "answer_types": types,
    }


def _verdicts(splits: Sequence[Split]) -> dict[str, int]:
    """Count the kept rows by who called their answers right."""
    kept = [split.figures["verdicts"] for split in splits if split.config in KEPT]
    return {who: sum(found.get(who, 0) for found in kept) for who in ("rule", "judge")}


def _agreement(splits: Sequence[Split]) -> dict[str, int]:
    """Count over all splits how rule and judge agreed, where both were asked."""
    both = ("agree", "rule_alone", "judge_alone")
    return {who: sum(split.figures["both"][who] for split in splits) for who in both}


def _prompts(settings: Settings) -> dict[str, Any]:
    """Write down what each model was asked, as this preset has it, and the file that it stands in."""
    return {
        step: {
            "file": file,
            "sha256": settings.hashes[file],
            "system": settings.prompts[step].system,
            "user": settings.prompts[step].user,
        }
        for step, (file, _) in PROMPTS.items()
    }


def _rules(settings: Settings) -> dict[str, Any]:
    """Write down what the project's files come to under this profile and preset."""
    curate = asdict(settings.curate)
    return {
        "prompts": {step: asdict(settings.prompts[step].head) for step in PROMPTS},
        "verifiers": {
            kind: {"check": v.check, "judge": v.judge, "pass": v.pass_, "tolerance": v.tolerance}
            for kind, v in settings.verifiers.items()
        },
        "cues": asdict(settings.cues),
        "leaks": asdict(settings.leaks),
        "curate": {
            name: curate[name]
            for name in ("rl", "band", "policy", "validation_share", "caps", "unique_images")
        },
        "take": {s.name: s.take for s in settings.sources},
    }


def _answers(setup: Setup, role: Role) -> dict[str, Any]:
    """Count the different answers of a role that the rows rest on, whenever they were made, and their cost."""
    player, count = setup.context.players[role], setup.counts.role(role)
    if player.address is None:
        return {"answers": None, "input_tokens": None, "output_tokens": None, "usd": None}
    price = price_of(player.model)
    known = price is not None and not count.answers_uncounted
    usd = price.of(count.answers_input_tokens, count.answers_output_tokens) if price and known else None
    return {
        "answers": count.answers,
        "input_tokens": count.answers_input_tokens,
        "output_tokens": count.answers_output_tokens,
        "usd": None if usd is None else round(usd, 6),
    }


def splits_told(splits: Sequence[Split]) -> dict[str, dict[str, Any]]:
    """Say of each split, by config and part, what was written."""
    return {
        config: {
            s.part: {
                "rows": s.rows,
                "bytes": s.bytes,
                "arrow_bytes": s.arrow_bytes,
                "files": list(s.files),
                "figures": s.figures,
            }
            for s in splits
            if s.config == config
        }
        for config in ALL
        if any(s.config == config for s in splits)
    }


def counted_by(spool: Spool, column: str) -> dict[str, dict[str, int]]:
    """Count the rows of each config, and those that failed, by a column of the spool."""
    counts: dict[str, dict[str, int]] = {}
    for value, config, count in spool.count(column, "config"):
        counts.setdefault(value, dict.fromkeys((*ALL, "failed"), 0))[config or "failed"] = count
    return counts
