"""What stands against passing a dataset on: licences that contradict each other, models whose terms nobody stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def doubts(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what should be looked at before a dataset is passed on, a sentence each; an aid, and no legal advice."""
    licensing: Mapping[str, Any] = manifest["licensing"]
    return (
        *licensing["conflicts"],
        *(
            f"The licence of source {source} is not stated: nobody has said that its rows may be passed on."
            for source in licensing["unstated"]
        ),
        *(
            f"The licence of source {source} is not a known one: what it asks is to be read in it."
            for source in licensing["unread"]
        ),
        *_without_terms(manifest.get("models", {})),
    )


def _without_terms(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    roles: dict[str, list[str]] = {}
    for role, model in models.items():
        if not model.get("terms"):
            roles.setdefault(str(model["model"] or model["name"]), []).append(role)
    for name, played in roles.items():
        yield (
            f"The terms that bind the outputs of {name} ({', '.join(played)}) are not stated: see them, and set "
            "`terms` of the model in generators/models.toml."
        )
