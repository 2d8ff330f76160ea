"""A step's prompt without its values: what all calls have in common that a project makes in one step."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.steps import params_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.settings import Role, Settings
    from vlaa_thinking.steps import Player


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The fixed parts of one step's calls."""

    step: str
    api: str
    identity: str
    params: Mapping[str, Any]
    """Without the limit on a reply's length, which grows where a reply was cut."""
    max_tokens_field: str
    system: tuple[str, ...]
    user: tuple[str, ...]
    """The texts' fixed parts, in order."""

    def fits(self, form: Mapping[str, Any]) -> bool:
        """Say whether a call in canonical form may be one of this step: its later turns may say anything."""
        params = {k: v for k, v in form["params"].items() if k != self.max_tokens_field}
        if (form["api"], form["identity"], params) != (self.api, self.identity, self.params):
            return False
        system, user = form["messages"][:2]
        return _holds(system["text"], self.system) and _holds(user["text"], self.user)


def frames(settings: Settings, cast: Mapping[Role, Player]) -> list[Frame]:
    """Return the frames of a project's steps; a player whose answers are not stored has none."""
    found = []
    for step, prompt in settings.prompts.items():
        if prompt.head.role not in cast:
            continue
        model, address = cast[prompt.head.role].model, cast[prompt.head.role].address
        if address is None:
            continue
        params = json.loads(json.dumps(params_of(prompt.head.params, model)))
        params.pop(model.max_tokens_field, None)
        frame = Frame(
            step=step,
            api=address.api,
            identity=address.identity,
            params=params,
            max_tokens_field=model.max_tokens_field,
            system=_fixed(prompt.system),
            user=_fixed(prompt.user),
        )
        found.append(frame)
    return found


def _fixed(template: str) -> tuple[str, ...]:
    return tuple(re.split(r"\{\{\s*\w+\s*\}\}", template))


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    """Say whether `text` is `parts` with anything in between."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(text) - at >= len(last) and text.endswith(last)
