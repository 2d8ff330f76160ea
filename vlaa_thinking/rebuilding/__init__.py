"""A finished folder made again from what its work folder holds, with the network off, and held against the first one.

The rows are those that `collect` took, as the work folder's spool has them; the answers are the cache's, the images
the image store's. No source is read and no model is set up, so neither a key nor the network is needed.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking.cache import Cache
from vlaa_thinking.counts import Counts
from vlaa_thinking.dataset import files_told
from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import OutputError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.pipeline import check_blind, read_benchmarks, second_pass
from vlaa_thinking.places import MANIFEST, Places, hash_file
from vlaa_thinking.project import Project
from vlaa_thinking.rebuilding.walking import Desk, MissingAnswer, settings_as, walk_again
from vlaa_thinking.result import Run
from vlaa_thinking.setup import Setup, context_of
from vlaa_thinking.spool import Spool
from vlaa_thinking.stop import Stop, run_to_end
from vlaa_thinking.trace import note_of

if TYPE_CHECKING:
    from collections.abc import Mapping

BLIND = "(the sample asked without its image)"
"""What stands in a row's place where the policy's look without the image has no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What a rebuild came to."""

    folder: Path
    """The folder that was made again."""
    out: Path | None
    """Where it was made; None if no row would be kept."""
    rows: int
    answers: int
    """Different stored answers that the rows rest on."""
    missing: tuple[MissingAnswer, ...]
    """Rows that met an answer which is not stored; those that had failed in the first build are among them."""
    differing: tuple[str, ...]
    """Files, by their names below the folder, that are not the same bytes in both, or are in one alone."""
    versions: tuple[str, str]
    """Of this package: the one that made `folder`, and the one that made it again."""

    @property
    def identical(self) -> bool:
        """Whether both folders hold the same bytes."""
        return self.out is not None and not self.differing

    @property
    def exit_code(self) -> int:
        """0: the same bytes, and no answer is missing; 3: not so."""
        return 0 if self.identical and not self.missing else 3


def rebuild(
    folder: Path | str,
    project: Project | None = None,
    *,
    out: Path | str | None = None,
    cache: Path | None = None,
    replace: bool = False,
) -> Rebuild:
    """Make the dataset folder `folder` again in `out`, from its work folder and with no call and no network.

    Evaluation sets that the project names (`decontaminate`) are read from where they are, on the Hub too.

    Without `project`, the one that the folder was built from here; without `out`, FOLDER.rebuilt beside it. `cache` is
    the answer cache where it moved; `replace` moves away an `out` that is not ours. Raises `SetupError` where the
    project's files are not those whose hashes the manifest has, naming each, and `OutputError` where the work folder
    lacks what it takes.
    """
    edition = Edition.open(folder)
    if "imported" in edition.manifest:
        raise OutputError(f"{folder} was made by `vlaa-thinking import`: run that again with another --out")
    return run_to_end(_rebuild(edition, project, out, cache, replace=replace))


async def _rebuild(
    edition: Edition, project: Project | None, out: Path | str | None, cache: Path | None, *, replace: bool
) -> Rebuild:
    first = Places(edition.folder, replace=True)  # nothing of it is replaced: only its lock is wanted
    target = Path(out) if out is not None else first.out.with_name(f"{first.out.name}.rebuilt")
    if target.resolve() == first.out:
        raise OutputError(f"{target} is the folder itself: a rebuild goes to a new place, name another --out")
    note = note_of(first)
    manifest = edition.manifest
    chosen = project or Project.open(note["project"])
    settings = settings_as(manifest["project"], chosen, manifest["profile"], manifest["preset"])
    async with AsyncExitStack() as stack:
        stack.enter_context(first)
        before = stack.enter_context(closing(_spool_of(first, edition.manifest)))
        answers = stack.enter_context(closing(Cache(_cache_of(first, note, cache))))
        places = stack.enter_context(Places(target, replace=replace))
        stack.callback(_leave_no_work, places)
        counts, images = Counts(), ImageStore(first.images, answers)
        stop, desk = Stop(counts), Desk(answers, counts)
        stack.enter_context(stop.on_ctrl_c())
        setup = Setup(
            run=Run(),
            settings=settings,
            seed=edition.manifest["seed"],
            counts=counts,
            stop=stop,
            places=places,
            cache=answers,
            images=images,
            context=context_of(settings, images, desk.cast(settings, note)),
            limit=edition.manifest["limit"],
            log=None,
        )
        spool = stack.enter_context(
            closing(Spool(places.spool, fresh=True, between_rows=stop.raise_if_wanted))
        )
        benchmarks = await asyncio.to_thread(read_benchmarks, setup)
        missing = await stop.watch(walk_again(before.collected(), spool, setup), ())
        asked_in_vain = desk.missed
        blind = await stop.watch(check_blind(setup, spool), ())
        if desk.missed > asked_in_vain:
            missing.append(MissingAnswer(row=BLIND, step="curate"))
        made, _changed = await asyncio.to_thread(
            second_pass, spool, edition.manifest.get("not_taken", 0), setup, blind, benchmarks
        )
        return Rebuild(
            folder=first.out,
            out=places.out if made.kept else None,
            rows=made.rows,
            answers=sum(count.answers for count in counts.calls.values()),
            missing=tuple(missing),
            differing=_differing(first.out, places.out) if made.kept else (),
            versions=(edition.manifest["version"], vlaa_thinking.__version__),
        )


def _cache_of(first: Places, note: Mapping[str, Any], cache: Path | None) -> Path:
    """Find the answer cache: the one that is named, else that of the build, wherever its work folder lies now."""
    noted = Path(note["cache"])
    path = cache or (noted if noted.is_file() else first.answers)
    if not path.is_file():
        raise OutputError(f"there is no answer cache {path}: name it with --cache")
    return path


def _spool_of(first: Places, manifest: Mapping[str, Any]) -> Spool:
    """Open the rows of the build that made the folder."""
    again = f"run `vlaa-thinking build --out {first.out}` to its end first"
    if not first.spool.is_file():
        raise OutputError(f"{first.work} does not hold the rows of this dataset any more: {again}")
    spool = Spool(first.spool, fresh=False)
    rows, wanted = spool.size(), manifest["rows"]["in"]
    if rows != wanted:
        spool.close()
        raise OutputError(
            f"{first.work} holds {rows:,} rows and this dataset was made of {wanted:,}: another build was begun "
            f"there since; {again}"
        )
    return spool


def _differing(a: Path, b: Path) -> tuple[str, ...]:
    """Name the files that are not the same bytes in both folders."""
    known = {MANIFEST: {"sha256": hash_file(b / MANIFEST)}, **Edition.open(b).manifest["files"]}
    here = {name: told["sha256"] for name, told in files_told(a).items()}
    there = {name: told["sha256"] for name, told in known.items()}
    return tuple(sorted(name for name in {*here, *there} if here.get(name) != there.get(name)))


def _leave_no_work(places: Places) -> None:
    """Take the work folder of the new place away, but for what was moved there."""
    places.spool.unlink(missing_ok=True)
    shutil.rmtree(places.next, ignore_errors=True)
    (places.work / "lock").unlink(missing_ok=True)
    with suppress(OSError):
        places.work.rmdir()
