"""The front matter of a dataset's README.md, which the Hub and `datasets` read, and what the Hub takes in it.

The Hub's own check needs a network, and takes any word for a licence or a size: what it knows is in hub.toml.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.arrow import card_features
from vlaa_thinking.columns import ALL
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vlaa_thinking.dataset import Split
    from vlaa_thinking.settings import CardText

SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
"""The Hub's size categories, up to which number of rows."""

TAGS = ("vlaa-thinking", "reasoning", "chain-of-thought", "multimodal", "sft", "grpo", "image", "text")
"""What every card is tagged with, beside the project's own tags."""

PLACEHOLDER = re.compile(
    r"(?i:more information needed|lorem ipsum|\borg/name\b|\bpath/(?:to|or)/)|\b(?:TODO|TBD|FIXME)\b"
)
"""What shows that a text was never filled in."""

_TAG = re.compile(r"[a-z0-9][a-z0-9 ._:+/-]{0,99}")
_LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LINK = re.compile(r"https?://[^\s<>\"'`|\\()\[\]{}]+")
_THREE_LETTERS = re.compile(r"[a-z]{3}")


def is_link(text: str) -> bool:
    """Whether a text is a web address that can stand in Markdown as it is."""
    return _LINK.fullmatch(text) is not None


@cache
def known() -> Mapping[str, tuple[str, ...]]:
    """Read what the Hub knows, by the front matter's keys."""
    text = Path(__file__).with_name("hub.toml").read_text(encoding="utf-8")
    return {key: tuple(values) for key, values in tomllib.loads(text).items()}


def unfit(text: CardText) -> tuple[str, str] | None:
    """Say what in a project's `[card]` the Hub does not take: the key, and a sentence; None where all is well."""
    return next(_faults(text), None)


def _faults(text: CardText) -> Iterator[tuple[str, str]]:
    for key in ("pretty_name", "about"):
        value: str = getattr(text, key)
        if not value.strip():
            yield key, f'"{key}" is empty: the card needs it'
        if found := PLACEHOLDER.search(value):
            yield key, f'"{key}" was never filled in: it says "{found[0]}"'
    yield from _faults_of_license(text)
    lists = known()
    for name in text.language:
        if name not in lists["language"] and not _THREE_LETTERS.fullmatch(name):
            message = f'the Hub knows no language "{name}": write a code of ISO 639, such as "en"'
            yield "language", message
    for task in text.task_categories:
        if task not in lists["task_categories"]:
            yield (
                "task_categories",
                f'the Hub knows no task "{task}"{nearest(task, lists["task_categories"])}',
            )
    for tag in text.tags:
        if not _TAG.fullmatch(tag) or PLACEHOLDER.search(tag):
            yield "tags", f'"{tag}" is no tag: it is made of a-z, 0-9, spaces and "._:+/-", up to 100 of them'


def _faults_of_license(text: CardText) -> Iterator[tuple[str, str]]:
    names = known()["license"]
    if text.license not in names:
        yield "license", f'the Hub knows no licence "{text.license}"{nearest(text.license.lower(), names)}'
    if text.license == "other" and text.license_name is None:
        yield "license", 'for the licence "other" the Hub wants a "license_name" beside it'
    if text.license_name is not None and not _LICENSE_NAME.fullmatch(text.license_name):
        yield (
            "license_name",
            f'"license_name" is made of a-z, 0-9, ".", "_" and "-", not "{text.license_name}"',
        )
    if text.license_link is not None and not is_link(text.license_link):
        yield "license_link", f'"license_link" must be a web address, not "{text.license_link}"'


def default_config(splits: Sequence[Split]) -> str:
    """Name the config that is loaded where none is named: the first that has rows."""
    return next(config for config in ALL if any(s.config == config for s in splits))


def front_matter(text: CardText, splits: Sequence[Split]) -> str:
    """Write the YAML: configs, features and sizes of the data, and what the project says of it."""
    from huggingface_hub import DatasetCardData  # noqa: PLC0415 - heavy

    names = [config for config in ALL if any(s.config == config for s in splits)]
    infos = [_info(name, splits) for name in sorted(names)]
    data = DatasetCardData(
        configs=[_config(name, splits, default=name == names[0]) for name in names],
        pretty_name=text.pretty_name,
        license=text.license,
        license_name=text.license_name,
        license_link=text.license_link,
        language=list(text.language),
        size_categories=[_size(sum(s.rows for s in splits))],
        task_categories=list(text.task_categories),
        tags=list(dict.fromkeys((*TAGS, *text.tags))),
        dataset_info=infos if len(infos) > 1 else infos[0],
    )
    return str(data.to_yaml()).strip()


def _info(name: str, splits: Sequence[Split]) -> dict[str, Any]:
    """Tell a config's features and sizes, as `datasets` does."""
    mine = [s for s in splits if s.config == name]
    return {
        "config_name": name,
        "features": card_features(name),
        "splits": [{"name": s.part, "num_bytes": s.arrow_bytes, "num_examples": s.rows} for s in mine],
        "download_size": sum(s.bytes for s in mine),
        "dataset_size": sum(s.arrow_bytes for s in mine),
    }


def _config(name: str, splits: Sequence[Split], *, default: bool) -> dict[str, Any]:
    files = [{"split": s.part, "path": f"{name}/{s.part}-*.parquet"} for s in splits if s.config == name]
    return {"config_name": name, "data_files": files, **({"default": True} if default else {})}


def _size(rows: int) -> str:
    return next((name for most, name in SIZES if rows < most), "100M<n<1B")
