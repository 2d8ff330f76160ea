"""A shard's folder in storage: taken up again on another machine, handed over when it is finished, fetched to be merged.

On the machine a shard's folder is what it always is, on the local disk: no database in use lies on shared storage.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import TYPE_CHECKING

from vlaa_thinking.cache import Cache
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.places import Places
from vlaa_thinking.shards import Shard
from vlaa_thinking.shards.segments import CarriedCache, Carrier, snapshot, take_segments
from vlaa_thinking.shards.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from vlaa_thinking.result import Run
    from vlaa_thinking.setup import Setup

_SHARD = re.compile(r"shard-([0-9]+)-of-([0-9]+)")

_FETCHED = re.compile(r"answers\.sqlite|spool\.sqlite|images/[0-9a-f]{2}/[0-9a-f]{64}")
"""What is brought to this machine; whatever else lies there stays there."""

FINISHED = "run.json"
"""Written last: where it is, a shard is finished."""


def open_cache(run: Run, places: Places) -> Cache:
    """Open a build's cache; with a place in storage, bring there what is in there and carry away what comes."""
    path = run.cache or places.answers
    if run.work is None:
        return Cache(path)
    if run.shard is None:
        raise SetupError(f"{run.work} is for shards: name one (1/4), or let an engine carry them")
    storage, folder = Storage(run.work), run.shard.name
    _refuse_other_division(storage, run.shard)
    storage.remove([f"{folder}/{FINISHED}"])
    with_file = f"{folder}/{places.answers.name}"
    cache = CarriedCache(path, Carrier(storage, folder))
    try:
        known: set[bytes] = set()
        if storage.has(with_file):
            fetched = places.work / "fetched.sqlite"
            storage.fetch([(with_file, fetched)])
            cache.take_over(fetched)
            with closing(Cache(fetched)) as there:
                known |= there.keys()
            _remove(fetched)
        names, keys = take_segments(cache, storage, folder)
        cache.carry_all_but(known | keys)
        cache.carrier.written += names
    except BaseException:
        cache.close()
        raise
    return cache


def hand_over(setup: Setup) -> None:
    """Put a finished shard into storage, whole: images, answers, rows, and at last the note that it is finished."""
    run, places, cache = setup.run, setup.places, setup.cache
    if run.work is None or run.shard is None or not isinstance(cache, CarriedCache):
        return
    storage, folder = Storage(run.work), run.shard.name
    there = set(storage.names(f"{folder}/images"))
    images = ((path, f"{folder}/images/{path.parent.name}/{path.name}") for path in places.images.glob("*/*"))
    storage.send((path, name) for path, name in images if name not in there and "." not in path.name)
    whole = places.work / "whole.sqlite"
    cache.carrier.flush()
    segments = list(cache.carrier.written)
    snapshot(cache, whole)
    storage.send(
        [(whole, f"{folder}/{places.answers.name}"), (places.spool, f"{folder}/{places.spool.name}")]
    )
    whole.unlink()
    storage.send([(places.run, f"{folder}/{FINISHED}")])
    storage.remove(segments)


def fetch(url: str, out: Path | str) -> list[Path]:
    """Bring the finished shards that lie in storage into folders beside `out`; returns them.

    Raises `OutputError` where there are none, or one is not finished.
    """
    storage = Storage(url)
    folders = [name for name in storage.folders() if _SHARD.fullmatch(name)]
    if not folders:
        raise OutputError(
            f"{storage.words} holds no shards: `vlaa-thinking build --shard 1/4 --work` puts them there"
        )
    return [_fetched(storage, folder, out) for folder in folders]


def _fetched(storage: Storage, folder: str, out: Path | str) -> Path:
    found = _SHARD.fullmatch(folder)
    shard = Shard(number=int(found[1]), count=int(found[2])) if found else None
    if shard is None or not storage.has(f"{folder}/{FINISHED}"):
        raise OutputError(
            f"{storage.words}/{folder} is no finished shard: run its `vlaa-thinking build --shard` to its end first"
        )
    place = shard.folder(out)
    with Places(place, work=place) as places:
        places.run.unlink(missing_ok=True)
        _remove(places.answers)
        note = json.loads(storage.read(f"{folder}/{FINISHED}"))
        files = ((name, name.removeprefix(f"{folder}/")) for name in storage.names(folder))
        storage.fetch(
            (name, place / file)
            for name, file in files
            if _FETCHED.fullmatch(file) and not (file.startswith("images/") and (place / file).exists())
        )
        note["cache"] = str(places.answers)
        places.run.write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return place


def _remove(database: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for name in ("", "-wal", "-shm"):
        database.with_name(f"{database.name}{name}").unlink(missing_ok=True)


def _refuse_other_division(storage: Storage, shard: Shard) -> None:
    """See that a place holds the shards of one division."""
    counts = {int(found[2]) for name in storage.folders() if (found := _SHARD.fullmatch(name))}
    others = counts - {shard.count}
    if others:
        raise SetupError(
            f"{storage.words} holds shards of a division into {min(others)}: go on with that, or name another place"
        )
