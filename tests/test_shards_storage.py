"""Shards in storage that outlives a machine: segments, and folders that are handed over."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from chat_server import ChatServer
from sums_project import files, solve, sums_project

from vlaa_thinking import Project, Run, Shard, build, merge
from vlaa_thinking.cache import Cache, file_of, rows_in
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.llm import Completion
from vlaa_thinking.shards.segments import CarriedCache, Carrier, take_segments
from vlaa_thinking.shards.storage import Storage


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


def part(number: int, count: int, work: object) -> Run:
    return Run(shard=Shard(number=number, count=count), work=str(work))


# --- segments ------------------------------------------------------------------------------------------------------


def answers(path: Path) -> int:
    with closing(Cache(path)) as cache:
        return len(cache.keys())


def test_answers_are_carried_away_as_they_come_and_read_as_a_union(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "net"))
    cache = CarriedCache(tmp_path / "a.sqlite", Carrier(storage, "s"))
    cache.put(b"one", Completion.of("1"))
    cache.carrier.flush()
    (first,) = storage.names()
    for number in range(64):
        cache.put(b"%d" % number, Completion.of("2"))
    give_up = time.monotonic() + 20
    while len(storage.names()) < 2:  # nobody asks for it
        assert time.monotonic() < give_up
        time.sleep(0.01)
    cache.put(b"last", Completion.of("3"))
    cache.close()
    names = storage.names("s")
    assert names[0] == first
    assert names == cache.carrier.written
    assert sum(len(rows_in(storage.read(name))) for name in names) == 66
    assert not list((tmp_path / "net").rglob("*.part"))
    (tmp_path / "net" / names[0]).write_bytes(b"SQLite format 3\0 and no more")
    (tmp_path / "net/s/segments/left.part").write_bytes(b"half of one")
    with closing(Cache(tmp_path / "b.sqlite")) as other:
        read, keys = take_segments(other, storage, "s")
        assert read == names
        assert other.keys() == keys
        assert len(keys) == 65


def test_a_segment_is_a_cache_file(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "a.sqlite")) as cache:
        cache.put(b"asked", Completion.of("said"), who="somebody")
        rows = list(cache.rows())
    (tmp_path / "segment.sqlite").write_bytes(file_of(rows))
    with closing(Cache(tmp_path / "segment.sqlite")) as segment:
        assert list(segment.rows()) == rows
        assert segment.knows("somebody")


def test_storage_out_of_reach_stops_a_build_after_a_while(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "net"))
    (tmp_path / "net/s").mkdir(parents=True)
    (tmp_path / "net/s/segments").write_bytes(b"a file where a folder is to be")
    carrier = Carrier(storage, "s", patience=0.3)
    carrier.take([(b"k", "", "plain", 200, b"", "", b"")])
    carrier.flush()
    with pytest.raises(
        OutputError, match=r"cannot be written: .*every answer so far is kept on this machine"
    ):
        carrier.raise_if_lost()
    (tmp_path / "net/s/segments").unlink()
    carrier.take([(b"k", "", "plain", 200, b"", "", b"")])
    carrier.close()
    carrier.raise_if_lost()
    assert len(storage.names()) == 1


# --- shards in a folder on shared disks ----------------------------------------------------------------------------


def test_shards_are_handed_over_and_merged_elsewhere(tmp_path: Path, server: ChatServer) -> None:
    project, net = sums_project(tmp_path / "p", server.url, count=12), tmp_path / "net"
    with pytest.raises(OutputError, match="net holds no shards"):
        merge(out=tmp_path / "here/set", run=Run(work=str(net)))
    for number in (1, 2):
        build(project, out=tmp_path / f"machine-{number}/set", run=part(number, 2, net))
        left = {path.relative_to(net).parts[1] for path in net.rglob("*") if path.is_file()}
        assert left == {"answers.sqlite", "images", "run.json", "spool.sqlite"}
    calls = server.calls
    for number in (1, 2):  # what was on the machines is gone
        shutil.rmtree(tmp_path / f"machine-{number}")
    merge(out=tmp_path / "here/set", run=Run(work=f"file://{net}"))
    assert server.calls == calls
    build(project, out=tmp_path / "whole")
    assert files(tmp_path / "here/set") == files(tmp_path / "whole")
    # A shard that is begun again has its answers from there, and is not finished meanwhile.
    calls = server.calls
    server.latency = 0.5
    again = build(project, out=tmp_path / "machine-3/set", run=part(1, 2, net))
    assert (again.calls, server.calls) == (0, calls)
    (net / "shard-2-of-2/run.json").unlink()
    with pytest.raises(OutputError, match=r"net/shard-2-of-2 is no finished shard"):
        merge(out=tmp_path / "here/set", run=Run(work=str(net)))
    with pytest.raises(SetupError, match="holds shards of a division into 2"):
        build(project, out=tmp_path / "machine-3/set", run=part(1, 3, net))


def test_what_a_killed_worker_had_not_carried_is_carried_by_the_next(
    tmp_path: Path, server: ChatServer
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    build(project, out=tmp_path / "a/set", run=Run(shard=Shard(number=1, count=1)))
    local = tmp_path / "a/set.shard-1-of-1/answers.sqlite"
    known = answers(local)
    assert known == server.calls
    with closing(sqlite3.connect(local)) as db, db:
        db.execute("DELETE FROM answers WHERE rowid = (SELECT max(rowid) FROM answers)")
    broken = Project.open(tmp_path / "p")
    (tmp_path / "p/rows.jsonl").rename(tmp_path / "rows.jsonl")
    with pytest.raises(SetupError):  # its source is gone before it begins
        build(broken, out=tmp_path / "a/set", run=part(1, 1, tmp_path / "net"))
    (tmp_path / "rows.jsonl").rename(tmp_path / "p/rows.jsonl")
    build(project, out=tmp_path / "b/set", run=part(1, 1, tmp_path / "net"))
    assert server.calls == known + 1


def test_places_that_cannot_be(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    with pytest.raises(SetupError, match="no place that fsspec knows"):
        build(project, out=tmp_path / "set", run=part(1, 1, "nowhere://user:secret@here/there"))
    with pytest.raises(SetupError, match="is for shards: name one"):
        build(project, out=tmp_path / "set", run=Run(work=str(tmp_path / "net")))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"file/net cannot be (read|written)"):
        build(project, out=tmp_path / "set", run=part(1, 1, tmp_path / "file/net"))
    with pytest.raises(SetupError, match="not both"):
        merge([tmp_path], out=tmp_path / "set", run=Run(work=str(tmp_path / "net")))
    assert server.calls == 0
