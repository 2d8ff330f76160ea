"""Counts become the manifest, and the manifest becomes the card: no number on it has another way."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking.columns import features
from vlaa_thinking.dataset import CONFIGS
from vlaa_thinking.errors import ProjectError
from vlaa_thinking.keeping import kept_by_source, kept_in_paper
from vlaa_thinking.prices import price_of
from vlaa_thinking.project import PROMPTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Template

    from vlaa_thinking.dataset import Split
    from vlaa_thinking.result import Funnel
    from vlaa_thinking.settings import Paper, Role, Settings
    from vlaa_thinking.setup import Setup
    from vlaa_thinking.spool import Spool
    from vlaa_thinking.steps import Player
    from vlaa_thinking.steps.policy import Blind

TEMPLATE = "cards/dataset.md.jinja"
"""The body of a dataset's README.md."""

SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
"""The Hub's size categories, up to which number of rows."""


def manifest(
    setup: Setup, made: Funnel, splits: Sequence[Split], spool: Spool, blind: Blind | None
) -> dict[str, Any]:
    """Gather what is to be said of a dataset; every value is a function of answers, project and seed."""
    settings = setup.settings
    roles = {role: _model(player) for role, player in setup.context.players.items()}
    kept, by_source = kept_by_source(spool)
    return {
        "made_by": "vlaa-thinking",
        "version": vlaa_thinking.__version__,
        "profile": settings.profile,
        "preset": settings.preset,
        "seed": setup.seed,
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
        "licenses": {s.name: s.license for s in settings.sources},
        "answer_types": counted_by(spool, "answer_type"),
        "shared_traces": spool.shared_traces(),
        "kept": {"in_all": asdict(kept), "sources": {name: asdict(k) for name, k in by_source.items()}},
        "paper": _paper(settings.paper),
        "agreement": _agreement(splits),
        "blind": asdict(blind) if blind else None,
        "answers": {role: _answers(setup, role) for role in setup.context.players},
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
    """Write README.md: front matter that `datasets` reads, then the project's template `file` over the manifest."""
    template = read_template(settings.template, file)
    try:
        text = template.render(m=facts, card=settings.curate.card, default=_default(splits))
    except Exception as exc:  # a template can raise whatever Python can
        raise ProjectError(f"cannot be rendered: {exc}", file=file) from exc
    front = _front_matter(settings, splits)
    (folder / "README.md").write_text(f"---\n{front}\n---\n\n{text.strip()}\n", encoding="utf-8")


def read_template(source: str, file: str = TEMPLATE) -> Template:
    """Read the card's template; raises `ProjectError` where it is not one, before anything is paid."""
    from jinja2 import StrictUndefined, TemplateSyntaxError  # noqa: PLC0415 - heavy
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    room = SandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    room.filters["code"] = _code
    try:
        return room.from_string(source)
    except TemplateSyntaxError as exc:
        raise ProjectError(f"cannot be rendered: {exc}", file=file, line=exc.lineno) from exc


def _front_matter(settings: Settings, splits: Sequence[Split]) -> str:
    from datasets import SplitDict, SplitInfo  # noqa: PLC0415 - heavy
    from datasets.info import DatasetInfo, DatasetInfosDict  # noqa: PLC0415
    from huggingface_hub import DatasetCardData  # noqa: PLC0415

    names = [config for config in CONFIGS if any(s.config == config for s in splits)]
    infos = DatasetInfosDict()
    for name in names:
        mine = [s for s in splits if s.config == name]
        infos[name] = DatasetInfo(
            features=features(name),
            splits=SplitDict({s.part: SplitInfo(s.part, s.arrow_bytes, s.rows) for s in mine}),
            download_size=sum(s.bytes for s in mine),
            dataset_size=sum(s.arrow_bytes for s in mine),
            config_name=name,
        )
    text = settings.curate.card
    data = DatasetCardData(
        configs=[_config(name, splits, default=name == names[0]) for name in names],
        pretty_name=text.pretty_name,
        license=text.license,
        language=list(text.language),
        size_categories=[_size(sum(s.rows for s in splits))],
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=["vlaa-thinking", "reasoning", "chain-of-thought", "multimodal", "sft", "grpo", "image", "text"],
    )
    infos.to_dataset_card_data(data)
    return data.to_yaml().strip()


def _config(name: str, splits: Sequence[Split], *, default: bool) -> dict[str, Any]:
    files = [{"split": s.part, "path": f"{name}/{s.part}-*.parquet"} for s in splits if s.config == name]
    return {"config_name": name, "data_files": files, **({"default": True} if default else {})}


def _model(player: Player) -> dict[str, Any]:
    """Say which model played; no address, no key, and of a name that is a path the last part alone."""
    model = player.model.model
    name = PurePath(model).name if model and PurePath(model).is_absolute() else model
    return {"name": player.name, "api": player.model.api, "model": name, "params": player.model.params}


def _paper(paper: Paper) -> dict[str, Any]:
    shares = {name: asdict(kept_in_paper(source)) for name, source in paper.source.items()}
    return {
        "about": paper.about,
        "sources": {name: {"name": paper.source[name].name, **kept} for name, kept in shares.items()},
    }


def _agreement(splits: Sequence[Split]) -> dict[str, int]:
    """Count over all splits how rule and judge agreed, where both were asked."""
    both = ("agree", "rule_alone", "judge_alone")
    return {who: sum(split.figures["both"][who] for split in splits) for who in both}


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
        for config in CONFIGS
        if any(s.config == config for s in splits)
    }


def counted_by(spool: Spool, column: str) -> dict[str, dict[str, int]]:
    """Count the rows of each config, and those that failed, by a column of the spool."""
    counts: dict[str, dict[str, int]] = {}
    for value, config, count in spool.count(column, "config"):
        counts.setdefault(value, dict.fromkeys((*CONFIGS, "failed"), 0))[config or "failed"] = count
    return counts


def _default(splits: Sequence[Split]) -> str:
    return next(config for config in CONFIGS if any(s.config == config for s in splits))


def _size(rows: int) -> str:
    return next((name for most, name in SIZES if rows < most), "100M<n<1B")


def _escaped(value: object) -> object:
    """Keep data from being read as Markdown or HTML: a source's name may hold anything.

    What a template marks as `|safe` is left alone.
    """
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"([\\`*_~\[\]<>|#$&])", r"\\\1", _on_one_line(value))


def _code(value: object) -> object:
    """Write data as a code span, if it can stand in one, also in a table: the template's filter `code`."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    text = _on_one_line(str(value)).strip()
    return Markup(f"`{text}`") if text and not set("`|\\") & set(text) else value  # noqa: S704 - Markdown


def _on_one_line(text: str) -> str:
    return re.sub(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*", " ", text)
