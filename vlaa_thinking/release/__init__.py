"""The authors' released files become the dataset folder that `build` writes.

The release (arXiv 2504.11468; `UCSC-VLAA/VLAA-Thinking` on the Hub) is two files of JSON Lines under .json names and
a folder `images/` of archives. Its rows are read as they are; their defects are named, counted and, where a rule can
do it, mended; what no rule can mend is published as `rejected`. The split is the authors' own, and every kept row is
in `train`: a validation part cut now would hold rows that their models were trained on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.cache import Cache
from vlaa_thinking.errors import SetupError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.marking import Rules
from vlaa_thinking.places import Places
from vlaa_thinking.project import Project
from vlaa_thinking.release.files import find, read
from vlaa_thinking.release.folder import Folder, settings_of
from vlaa_thinking.release.origins import origin_of
from vlaa_thinking.release.pictures import MISSING, Images, ahead, look_only
from vlaa_thinking.release.result import ImportCounts, ImportedFile, ImportResult, defects_of
from vlaa_thinking.release.rows import entry
from vlaa_thinking.release.settling import Settling
from vlaa_thinking.release.survey import frames_of, look_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from vlaa_thinking.record import Fault, Picture
    from vlaa_thinking.release.files import ReleasedFile
    from vlaa_thinking.release.rows import Entry
    from vlaa_thinking.release.survey import Survey

__all__ = ["ImportCounts", "ImportResult", "import_release"]


def import_release(
    folder: Path | str,
    *,
    out: Path | str = "vlaa-dataset",
    project: Project | None = None,
    embed: bool = True,
    check: bool = False,
    replace: bool = False,
    watch: Callable[[ImportCounts], None] | None = None,
) -> ImportResult:
    """Turn the released files in `folder`, with their images below `folder`/images, into the dataset folder `out`.

    The files are known by their rows, not by their names, and may be of February 2025, too. `project` gives the
    system message and the instruction of each prompt, by default the built-in one. Without `embed` no image is put
    into the dataset, a missing one drops no row, and fetch.jsonl says where each is to be had. With `check` nothing
    is written at all. `watch` is called about ten times a second. Raises `SetupError` where there are no rows, every
    image is missing, or an archive or a JSON array is damaged.
    """
    root, chosen = Path(folder), project or Project.default()
    files, rules, counts = find(root), Rules.of(chosen), ImportCounts(watch=watch)
    with ExitStack() as stack:
        target = None
        if not check:
            places = stack.enter_context(Places(out, replace=replace))
            cache = stack.enter_context(closing(Cache(places.answers)))
            store = ImageStore(places.images, cache) if embed else None
            target = stack.enter_context(closing(Folder(places, settings_of(chosen), store, counts)))
        pool = stack.enter_context(ThreadPoolExecutor())
        found = look_through(files, counts)
        images = _images(root, found, target, pool, counts, embed=embed)
        frames = frames_of(found, images, pool)
        settling = Settling(found, images, frames, embed=embed)
        counts.begin("reading the rows")

        def looked(item: tuple[ReleasedFile, Entry]) -> Picture | Fault:
            path = item[1].head.image
            return images.find(path) if embed and path is not None else MISSING

        for (file, row), picture in ahead(pool, looked, _entries(files, rules)):
            settled = settling.settle(row, picture)
            counts.add(row, settled)
            if target:
                target.add(file, row, settled)
        _refuse_nothing(counts, root)
        inputs = tuple(_input(file, found.rows[file.path]) for file in files)
        written = target if counts.kept else None
        changed = written.finish(inputs, frames) if written else False
    return ImportResult(
        out=written.place if written else None,
        changed=changed,
        files=inputs,
        rows=counts.rows,
        kept=dict(sorted(counts.kept.items(), reverse=True)),
        dropped=dict(sorted(counts.dropped.items())),
        defects=defects_of(counts),
        missing=dict(sorted(counts.missing.items())),
        box_frames=frames,
        seconds=counts.seconds,
    )


def _images(
    root: Path, found: Survey, target: Folder | None, pool: Executor, counts: ImportCounts, *, embed: bool
) -> Images:
    """Find out where the images lie: all of them, or those alone whose size the boxes of their rows need."""
    counts.begin("looking for the images")
    boxed = found.boxed
    images = Images(root, target.look if target else look_only, boxed)
    wanted = (path for path in found.images if embed or origin_of(path).name in boxed)
    images.gather(wanted, pool, lambda archive: counts.begin(f"reading {archive}"))
    found.images.clear()  # a hundred bytes a row
    return images


def _entries(files: Sequence[ReleasedFile], rules: Rules) -> Iterator[tuple[ReleasedFile, Entry]]:
    for file in files:
        for line in read(file.path, file.form):
            yield file, entry(line, file.config, rules)


def _input(file: ReleasedFile, rows: int) -> ImportedFile:
    return ImportedFile(
        name=file.path.name, form=file.form, config=file.config, rows=rows, sha256=file.sha256
    )


def _refuse_nothing(counts: ImportCounts, root: Path) -> None:
    """Stop where every image is missing: that is the set-up's fault."""
    if counts.dropped.get("missing_image") == counts.rows:
        raise SetupError(
            f"all {counts.rows:,} images are missing: put the release's images, unpacked or as .tar.gz files, into "
            f"{root / 'images'}, or leave them out with --no-images"
        )
