"""A disk that takes nothing more in the middle of a build: one sentence, nothing lost, and the next run finishes."""

import errno
import io
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from chat_server import ChatServer
from PIL import Image
from sums_project import files, solve, sums_project

import vlaa_thinking
from vlaa_thinking import Project, build
from vlaa_thinking.disk import watched
from vlaa_thinking.errors import OutputError

IN_FLIGHT = 8
"""Calls that may be under way for each of the four models."""

KEPT = "then run the same command again; every answer so far is kept"

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from vlaa_thinking.cli import app
app()
"""
"""The command, in a process none of whose files may grow beyond so many bytes."""

MOUNTED = """
disk=$1 size=$2; shift 2
mount -t tmpfs -o "size=$size" tmpfs "$disk" && cp -r "$disk.before/." "$disk" || exit 99
"$@"
echo "ended with $?" >&2
mount -o remount,size=100m "$disk"
"$@"
code=$?
cp -r "$disk" "$disk.after"
exit $code
"""
"""A command, twice, in a namespace of its own: a folder, filled from FOLDER.before, is a small disk, then a large one."""


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


def noise(side: int, seed: int) -> bytes:
    """Draw an image that nothing compresses: about 3 x side x side bytes."""
    data = random.Random(seed).randbytes(3 * side * side)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), data).save(buffer, "PNG")
    return buffer.getvalue()


def build_command(project: Project, out: Path, *more: str) -> list[str]:
    return ["build", str(project.root), "--out", str(out), *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def stored(path: Path) -> int:
    """Count the answers in a cache, which must be sound."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT COUNT(*) FROM answers").fetchone()[0])


def is_told(ended: subprocess.CompletedProcess[str], words: str) -> None:
    """See that a build gave up in one sentence."""
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[-1] == f"error: {words}, {KEPT}"
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("writer", "limit", "words"),
    [
        ("answers", 120_000, "disk I/O error"),
        ("an image", 120_000, "File too large"),
        ("the spool", 40_000, "disk I/O error"),
        ("the dataset", 200_000, "File too large"),
    ],
)
def test_a_file_that_cannot_grow_stops_the_build_and_the_next_finishes(
    tmp_path: Path, server: ChatServer, writer: str, limit: int, words: str
) -> None:
    """A limit on the size of files stands in for a broken disk: it needs no rights, and hits one writer alone."""
    project = sums_project(tmp_path / "p", server.url, count=24, per_image=4, max_concurrency=IN_FLIGHT)
    out, work = tmp_path / "out", tmp_path / "out.work"
    if writer == "an image":
        (project.root / "images" / "0.png").write_bytes(noise(220, 0))
    if writer == "the dataset":
        for number in range(6):
            (project.root / "images" / f"{number}.png").write_bytes(noise(200, number))
    build(project, out=tmp_path / "whole" / "out")
    whole, needed = files(tmp_path / "whole" / "out"), server.calls
    warm = writer in ("the spool", "the dataset")
    if warm:  # all is answered, so that nothing but this is written
        shutil.copytree(tmp_path / "whole" / "out.work", work)
    ended = run([sys.executable, "-c", LIMITED, str(limit), *build_command(project, out)])
    is_told(ended, f"{work} cannot be written or read any more ({words}): see to its disk")
    assert not out.exists()
    lost = server.settled() - needed - (0 if warm else stored(work / "answers.sqlite"))
    assert 0 <= lost <= (0 if warm else 4 * IN_FLIGHT)
    assert build(project, out=out).exit_code == 0
    assert files(out) == whole
    assert server.calls == (needed if warm else 2 * needed + lost)
    left = [p for p in (work / "images").rglob("*") if p.is_file() and len(p.name) != 64]
    assert not left


def small_disk() -> bool:
    """Whether a user may mount a small disk here, in a namespace of its own."""
    unshare = shutil.which("unshare")
    return unshare is not None and run([unshare, "-Urm", "mount", "-t", "tmpfs", "t", "/tmp"]).returncode == 0


@pytest.mark.skipif(not small_disk(), reason="no user may mount a small disk on this machine")
@pytest.mark.parametrize(("writer", "room"), [("answers", 150_000), ("images", 60_000), ("dataset", 500_000)])
def test_a_full_disk_stops_the_build_and_the_next_finishes(
    tmp_path: Path, server: ChatServer, writer: str, room: int
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24, per_image=4, max_concurrency=IN_FLIGHT)
    for number in range(6):
        (project.root / "images" / f"{number}.png").write_bytes(noise(100, number))
    build(project, out=tmp_path / "whole" / "out")
    whole, needed = files(tmp_path / "whole" / "out"), server.calls
    disk, before = tmp_path / "disk", tmp_path / "disk.before"
    disk.mkdir()
    out, cache, size = disk / "out", disk / "out.work" / "answers.sqlite", room
    if writer == "answers":
        before.mkdir()
        out, cache = tmp_path / "out", disk / "answers.sqlite"
    else:  # all is answered, so that these alone are still to be written
        unwritten = shutil.ignore_patterns("images", "spool*") if writer == "images" else None
        shutil.copytree(tmp_path / "whole" / "out.work", before / "out.work", ignore=unwritten)
        size += sum(p.stat().st_size + 4096 for p in before.rglob("*"))
    command = build_command(project, out, "--cache", str(cache))
    mounted = ["unshare", "-Urm", "sh", "-c", MOUNTED, "sh", str(disk), str(size)]
    ended = run([*mounted, sys.executable, "-m", "vlaa_thinking", *command])
    assert ended.returncode == 0, ended.stderr
    (told,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert f"the disk of {disk}" in told
    assert KEPT in told
    assert "ended with 2" in ended.stderr
    assert "Traceback" not in ended.stderr
    lost = server.calls - 2 * needed if writer == "answers" else server.calls - needed
    assert 0 <= lost <= (4 * IN_FLIGHT if writer == "answers" else 0)
    assert files(out if writer == "answers" else tmp_path / "disk.after" / "out") == whole


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk of WORK is full: make room there"),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded", "WORK/x"),
            "the disk of WORK/x is full: make room there",
        ),
        (OSError(errno.EIO, "Input/output error"), "WORK cannot be written or read any more (Input/output"),
        (OSError(errno.EROFS, "Read-only file system"), "WORK cannot be written or read any more (Read-only"),
    ],
)
def test_each_fault_of_a_disk_has_its_sentence(tmp_path: Path, error: OSError, words: str) -> None:
    named = words.replace("WORK", str(tmp_path))
    if error.filename:
        error.filename = str(tmp_path / "x")
    with pytest.raises(OutputError, match=re.escape(named)) as told, watched(tmp_path, tmp_path / "a.sqlite"):
        raise error
    assert KEPT in str(told.value)


def test_other_faults_are_left_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), watched(tmp_path, tmp_path / "a.sqlite"):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(sqlite3.OperationalError), watched(tmp_path, tmp_path / "a.sqlite"):
        sqlite3.connect(":memory:").execute("SELECT nothing")


def test_an_answer_cache_that_is_damaged_is_named(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24, per_image=1)
    out, answers = tmp_path / "out", tmp_path / "out.work" / "answers.sqlite"
    build(project, out=out)
    kept = files(out)
    data = bytearray(answers.read_bytes())
    for page in range(4096 * 3, len(data), 4096):  # all but the first pages, which say what the file is
        data[page : page + 4096] = random.Random(page).randbytes(len(data[page : page + 4096]))
    answers.write_bytes(data)
    with pytest.raises(
        OutputError, match=r"out\.work cannot be written or read any more \(.*see to its disk"
    ):
        build(project, out=out)
    assert files(out) == kept
