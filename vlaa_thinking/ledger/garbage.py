"""The stored answers that projects no longer ask for, found by a build that calls no model.

Each project's rows walk their steps on stored answers alone, so no key is needed and nothing is paid. What is kept:

- every answer that a row asks for, with any profile and preset of its project;
- where a row's way meets a call that is not stored, or its image is missing, what it will ask from there on is
  unknown: so every answer to the prompt of that step, or of a later one, as the project has them now;
- sources on the Hub are not read for this: where a profile has one, every answer to the prompts of that profile;
- where a project asks its policy again without the image, every answer to the policy's prompt;
- every answer of callers' own models: no project says what they are asked.

Where a project cannot be read, nothing is deleted.
"""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlaa_thinking.cache import Cache, key_of
from vlaa_thinking.counts import STEP_NAMES, Counts
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.ledger import find, sorted_out
from vlaa_thinking.ledger.frame import frames
from vlaa_thinking.pipeline import walk
from vlaa_thinking.places import Places
from vlaa_thinking.players import recalled, recalling
from vlaa_thinking.project import Project
from vlaa_thinking.setup import context_of
from vlaa_thinking.steps.collect import Collection, is_on_the_hub
from vlaa_thinking.stop import run_to_end
from vlaa_thinking.trace import note_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vlaa_thinking.ledger import CacheLine
    from vlaa_thinking.ledger.frame import Frame
    from vlaa_thinking.llm import Completion, Request
    from vlaa_thinking.settings import Settings

NO_IMAGE = ("missing_image", "image_not_fetched")
"""Why a row may end here that goes on elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryBuild:
    """One walk of a project's rows over stored answers."""

    project: Path
    profile: str
    preset: str
    seed: int
    rows: int
    unknown: int
    """Rows whose way meets a call that is not stored, or whose image is missing."""
    unread: tuple[str, ...] = ()
    """Sources that lie on the Hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """The stored answers that no project asks for."""

    cache: Path
    builds: tuple[DryBuild, ...]
    """On what this rests."""
    lines: tuple[CacheLine, ...]
    kept: int
    """Answers that stay."""
    deleted: bool

    @property
    def answers(self) -> int:
        """Answers that nobody asks for."""
        return sum(line.answers for line in self.lines)

    @property
    def bytes(self) -> int:
        """What they take, compressed."""
        return sum(line.bytes for line in self.lines)


def cache_gc(
    projects: Sequence[Project] = (),
    *,
    out: Path | str = "vlaa-dataset",
    cache: Path | None = None,
    profiles: Sequence[str] = (),
    presets: Sequence[str] = (),
    seeds: Sequence[int] = (),
    delete: bool = False,
) -> Garbage:
    """List the answers that `projects` no longer ask for, and `delete` them if told so.

    Without `projects`, the one that `out` was built from. `profiles` and `presets` narrow what of a project is
    looked at; `seeds` are looked at beside the project's own and that of the last build. Raises `SetupError`, and
    deletes nothing, where a project cannot be read.
    """
    places = Places(out)
    path = find(places, cache)
    note: dict[str, Any] = {}
    with suppress(OutputError):
        note = note_of(places)
    if not projects and (cache is not None or not note):
        raise SetupError(
            "name the projects that use this cache: `vlaa-thinking cache gc DIR... --cache PATH`"
        )
    chosen = projects or [Project.open(note["project"])]
    with closing(Cache(path)) as opened:
        before = opened.keys()
        walker = _Walker(opened, places.images)
        for project in chosen:
            known = [note["seed"]] if note.get("project") == str(project.root) and "seed" in note else []
            for settings in _variants(project, profiles, presets):
                for seed in dict.fromkeys([settings.curate.seed, *known, *seeds]):
                    run_to_end(walker.walk_all(settings, seed))
        candidates = before - walker.asked
        gone = [
            a for a in opened.answers() if a.key in candidates and not walker.may_ask(json.loads(a.asked))
        ]
        found = Garbage(
            cache=path,
            builds=tuple(walker.builds),
            lines=sorted_out(gone, ()),
            kept=len(before) - len(gone),
            deleted=delete,
        )
        if delete:
            opened.remove(answer.key for answer in gone)
    return found


class _Unstored(ImageStore):
    """Images that are looked at and left where they are."""

    def _store(self, sha256: str, data: bytes) -> None:
        """Store nothing."""


class _Walker:
    """Lets rows walk, and gathers what they ask for."""

    def __init__(self, cache: Cache, images: Path) -> None:
        self._cache = cache
        self._images = _Unstored(images, cache)
        self._open_ends: list[Frame] = []
        """The prompts by which more may be asked than is known."""
        self.asked: set[bytes] = set()
        self.builds: list[DryBuild] = []

    def may_ask(self, form: dict[str, Any]) -> bool:
        """Say whether a call that was not met may be asked for all the same."""
        return form["api"] == "plain" or any(frame.fits(form) for frame in self._open_ends)

    async def walk_all(self, settings: Settings, seed: int) -> None:
        """Let all rows of a project walk."""
        cast = recalled(settings, None, self._cache)
        prompts = frames(settings, cast)
        by_step = {frame.step: frame for frame in prompts}
        missed: list[str] = []

        def told(_model: str, request: Request, asked: bytes, completion: Completion | None) -> None:
            if asked:
                if not by_step[request.step].fits(
                    json.loads(asked)
                ):  # or nothing could be kept by its prompt
                    raise AssertionError(f"a call of the step {request.step} does not fit its own prompt")
                self.asked.add(key_of(asked))
            if completion is None:
                missed.append(request.step)

        context = context_of(
            settings, self._images, {r: recalling(p, self._cache, told) for r, p in cast.items()}
        )
        unread = tuple(s.name for s in settings.sources if is_on_the_hub(s, settings.root))
        here = replace(settings, sources=tuple(s for s in settings.sources if s.name not in unread))
        rows = unknown = 0
        first_open = 0 if unread else len(STEP_NAMES)
        for collected in Collection(here, self._images, seed=seed, limit=None):
            rows += 1
            missed.clear()
            record = await walk(collected.record, context, Counts())
            if record.outcome is not None and record.outcome.code in NO_IMAGE:
                missed.append("caption")
            if missed:
                unknown += 1
                first_open = min(first_open, STEP_NAMES.index(missed[0]))
        if rows == 0 and not unread:
            raise SetupError(f"the sources of {settings.root}, profile {settings.profile}, gave no rows")
        if settings.curate.policy.blind:  # which rows are asked so, only a whole build knows
            first_open = min(first_open, STEP_NAMES.index("curate"))
        self._open_ends += [p for p in prompts if STEP_NAMES.index(p.step) >= first_open]
        build = DryBuild(
            project=settings.root,
            profile=settings.profile,
            preset=settings.preset,
            seed=seed,
            rows=rows,
            unknown=unknown,
            unread=unread,
        )
        self.builds.append(build)


def _variants(project: Project, profiles: Sequence[str], presets: Sequence[str]) -> Iterator[Settings]:
    """Read the project in each way that it may have been built."""
    for profile, known in project.variants(profiles).items():
        for preset in presets or known:
            yield project.settings(profile, preset)
