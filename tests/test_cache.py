"""The answer cache: what its key holds and what not, what comes back, what never gets in."""

import json
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import (
    ROLES,
    files,
    number_in,
    picture,
    solve,
    sum_row,
    sums_project,
    write_models,
    write_rows,
)

from vlaa_thinking import Project, Request, Run, build
from vlaa_thinking.cache import Address, Cache, canonical
from vlaa_thinking.errors import SetupError
from vlaa_thinking.llm import Image, Message

ADDRESS = Address(api="openai", identity="here", resize={"version": 1, "max_side": None})


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


def request(tmp_path: Path) -> Request:
    image = Image(sha256="aa", format="PNG", width=1, height=1, length=1, path=tmp_path / "aa")
    messages = (
        Message(role="system", text="Look."),
        Message(role="user", text="What is it?", images=(image,)),
    )
    return Request(messages=messages, params={"model": "m", "temperature": 0.2})


def test_the_key_holds_what_decides_the_answer(tmp_path: Path) -> None:
    first = request(tmp_path)
    system, user = first.messages
    (image,) = user.images
    others = [
        replace(first, params={**first.params, "model": "n"}),
        replace(first, params={**first.params, "temperature": 0.3}),
        replace(first, params={**first.params, "top_p": 1.0}),
        replace(first, params={"model": "m"}),
        replace(first, messages=(system, replace(user, text="What is it? "))),
        replace(first, messages=(replace(system, text="See."), user)),
        replace(first, messages=(replace(system, role="assistant"), user)),
        replace(first, messages=(user, system)),
        replace(first, messages=(user,)),
        replace(first, messages=(system, replace(user, images=()))),
        replace(first, messages=(system, replace(user, images=(image, image)))),
        replace(first, messages=(system, replace(user, images=(replace(image, sha256="bb"),)))),
        replace(first, schema={"type": "object"}),
        replace(first, schema={}),
        replace(first, sample=1),
    ]
    keys = [canonical(other, ADDRESS) for other in (first, *others)]
    addresses = [
        replace(ADDRESS, api="anthropic"),
        replace(ADDRESS, identity="there"),
        replace(ADDRESS, resize={"version": 1, "max_side": 512}),
        replace(ADDRESS, resize={"version": 1, "max_side": 513}),
    ]
    keys += [canonical(first, address) for address in addresses]
    assert len(set(keys)) == len(keys)


def test_the_key_holds_nothing_else(tmp_path: Path) -> None:
    first = request(tmp_path)
    system, user = first.messages
    (image,) = user.images
    elsewhere = replace(image, path=tmp_path / "elsewhere", format="JPEG", width=9, height=9)
    same = [
        replace(first, role="captioner"),
        replace(first, step="caption"),
        replace(first, values={"notes": "none"}),
        replace(first, params={"temperature": 0.2, "model": "m"}),
        replace(first, messages=(system, replace(user, images=(elsewhere,)))),
    ]
    assert {canonical(other, ADDRESS) for other in same} == {canonical(first, ADDRESS)}


def test_what_is_not_sent_is_not_in_the_key(tmp_path: Path) -> None:
    form = json.loads(canonical(replace(request(tmp_path), params={}), ADDRESS))
    assert form["params"] == {}


def edited(project: Project, name: str, old: str, new: str) -> None:
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_build_asks_anew_where_the_answer_may_differ(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    write_rows(project.root, [sum_row(3, image=0)])  # a wrong answer: no folder is written, which takes time
    out = tmp_path / "out"
    assert build(project, out=out).calls == 2

    def after(**treatment: Any) -> int:
        write_models(project.root, server.url, **treatment)
        return build(project, out=out).calls

    assert after() == 0
    assert after(timeout=9, tries=3, max_concurrency=2, connect_timeout=3) == 0
    assert after(base_url=server.url + "/?key=1") == 0
    assert after(base_url=server.url.replace("127.0.0.1", "localhost")) == 2
    assert after(base_url=server.url.replace("127.0.0.1", "localhost"), identity="my lab's server") == 2
    assert after(identity="my lab's server") == 0
    assert after(params={"top_p": 0.5}) == 2
    assert after(omit=["temperature"]) == 2
    assert after(max_side=500) == 1  # the reasoner's call has no image
    assert after(max_side=501) == 1
    assert after(max_image_bytes=10_000) == 1
    assert after() == 0
    edited(project, "generators/3_distill.md", "Think step by step", "Think it through")
    assert after() == 1
    (project.root / "images/0.png").write_bytes(picture(77))
    assert after() == 2  # another caption, so another question to the reasoner
    (project.root / "images/0.png").write_bytes(picture(0))
    assert after() == 0
    edited(project, "generators/2_caption.md", "max_tokens = 1024", "max_tokens = 1000")
    assert after() == 1


def test_a_role_that_another_model_plays_by_the_same_name_is_not_asked_anew(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    out = tmp_path / "out"
    build(project, out=out)
    monkeypatch.setenv("SOME_KEY", "sk-some-key")
    write_models(project.root, server.url, api_key_env="SOME_KEY")
    edited(project, "generators/models.toml", "[model.eye]", "[model.other-name]")
    edited(project, "generators/models.toml", 'captioner = "eye"', 'captioner = "other-name"')
    assert build(project, out=out).calls == 0


def test_a_reply_comes_back_in_its_state(tmp_path: Path, server: ChatServer) -> None:
    states: dict[int, Reply] = {
        8: {"content": None, "finish_reason": "content_filter"},
        9: "<think>Hm</think>",
        10: (
            200,
            {},
            {
                "choices": [
                    {"message": {"content": None, "refusal": "I will not say."}, "finish_reason": "stop"}
                ]
            },
        ),
        11: (422, {}, {"error": {"message": "not like that"}}),
    }

    def reply(body: dict[str, Any]) -> Reply:
        return states.get(number_in(body), solve(body)) if body["model"] == "mind" else solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url)
    write_rows(project.root, [sum_row(n, image=0) for n in range(5, 12)])
    first = build(project, out=tmp_path / "out")
    dropped = {"truncated": 1, "filtered": 1, "empty": 1, "refused": 2}
    assert first.funnel.steps[2].dropped == dropped
    before = files(tmp_path / "out")
    server.reply = solve  # now it would answer all of them
    second = build(project, out=tmp_path / "out")
    assert (second.calls, second.funnel, second.changed) == (0, first.funnel, False)
    assert files(tmp_path / "out") == before


def test_one_cache_serves_several_folders(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url)
    run = Run(cache=tmp_path / "shared" / "answers.sqlite")
    first = build(project, out=tmp_path / "a", run=run)
    second = build(project, out=tmp_path / "b", run=run)
    assert first.calls == server.calls
    assert second.calls == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not (tmp_path / "a.work" / "answers.sqlite").exists()


# --- what never gets in --------------------------------------------------------------------------------------


def unpacked(cell: bytes) -> bytes:
    try:
        return zlib.decompress(cell)
    except zlib.error:
        return cell


def everything_in(folder: Path) -> bytes:
    """Put together all bytes below a folder, with what its SQLite files hold compressed."""
    parts = []
    for name, data in files(folder).items():
        parts += [name.encode(), data]
        if data.startswith(b"SQLite format 3\0"):
            with closing(sqlite3.connect(folder / name)) as db:
                tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                cells = [
                    cell for table in tables for row in db.execute(f"SELECT * FROM {table}") for cell in row
                ]
            parts += [str(cell).encode() for cell in cells if not isinstance(cell, bytes)]
            parts += [unpacked(cell) for cell in cells if isinstance(cell, bytes)]
    return b"\n".join(parts)


def test_a_key_is_written_nowhere(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    project = sums_project(tmp_path / "p", server.url, api_key_env="MY_SERVERS_KEY")
    assert build(project, out=tmp_path / "made" / "out").kept
    written = everything_in(tmp_path / "made")
    assert b"What is 0 plus 7?" in written  # what there is to find is found
    assert b"127.0.0.1" in written
    assert b"very-secret" not in written


def test_credentials_of_an_address_are_written_nowhere(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url.replace("//", "//me:hunter2@") + "?token=hunter2")
    said = ""
    try:
        build(project, out=tmp_path / "made" / "out")
    except SetupError as refusal:  # an address may be refused for them, but in other words
        said = str(refusal)
    assert "hunter2" not in said
    written = everything_in(tmp_path / "made")
    assert b"answers.sqlite" in written
    assert b"hunter2" not in written


def test_a_key_that_a_server_repeats_is_not_recorded(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind" and number_in(body) == 8:
            return 400, {}, {"error": {"message": "the key sk-very-secret-0123 may not ask this"}}
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, api_key_env="MY_SERVERS_KEY", max_concurrency=1)
    result = build(project, out=tmp_path / "made" / "out")
    assert result.funnel.steps[2].dropped["refused"] == 1
    assert b"very-secret" not in everything_in(tmp_path / "made")


# --- the file ------------------------------------------------------------------------------------------------


def refused(project: Project, cache: Path, match: str) -> str:
    before = cache.read_bytes() if cache.is_file() else None
    with pytest.raises(SetupError, match=match) as caught:
        build(project, out=cache.parent / "out", run=Run(cache=cache))
    message = str(caught.value)
    assert str(cache) in message
    assert "\n" not in message
    assert (cache.read_bytes() if cache.is_file() else None) == before, "it was changed"
    return message


def test_a_cache_of_another_version_is_left_alone(tmp_path: Path) -> None:
    cache = tmp_path / "answers.sqlite"
    Cache(cache).close()
    with closing(sqlite3.connect(cache)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA user_version=999")
        db.commit()
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    assert "--cache" in refused(project, cache, "version 999")


@pytest.mark.parametrize("data", [b"id,image,question\n" * 99, b"x", b"\0" * 5000])
def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path, data: bytes) -> None:
    cache = tmp_path / "questions.csv"
    cache.write_bytes(data)
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    refused(project, cache, "cache")


def test_a_folder_is_no_cache(tmp_path: Path) -> None:
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    refused(project, tmp_path, "cache")


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    cache = tmp_path / "theirs.sqlite"
    with closing(sqlite3.connect(cache)) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
        db.commit()
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    refused(project, cache, "cache")


def test_an_empty_file_becomes_a_cache(tmp_path: Path, server: ChatServer) -> None:
    cache = tmp_path / "answers.sqlite"
    cache.touch()
    project = sums_project(tmp_path / "p", server.url, count=1)
    assert build(project, out=tmp_path / "out", run=Run(cache=cache)).calls == 2
    assert build(project, out=tmp_path / "out", run=Run(cache=cache)).calls == 0


def test_a_cache_that_was_cut_is_named(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=48)
    whole = tmp_path / "whole.sqlite"
    build(project, out=tmp_path / "out", run=Run(cache=whole))
    assert sorted(p.name for p in tmp_path.glob("whole.sqlite*")) == ["whole.sqlite"]
    for share in (0.1, 0.5, 0.9):
        cache = tmp_path / f"cut-{share}.sqlite"
        cache.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(SetupError) as caught:
            build(project, out=tmp_path / "out", run=Run(cache=cache))
        assert str(cache) in str(caught.value)


def test_a_cache_is_made_by_several_at_once(tmp_path: Path) -> None:
    problems: list[BaseException] = []
    for attempt in range(3):
        path = tmp_path / str(attempt) / "answers.sqlite"
        gate = threading.Barrier(3)

        def make(path: Path = path, gate: threading.Barrier = gate) -> None:
            gate.wait()
            try:
                Cache(path).close()
            except BaseException as error:  # noqa: BLE001 - told below
                problems.append(error)

        threads = [threading.Thread(target=make) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shutil.rmtree(path.parent)
    assert problems == []


def test_every_role_has_its_own_answers(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=7)
    build(project, out=tmp_path / "out")
    asked = {body["model"] for body in server.requests}
    assert asked == set(ROLES.values())
    with closing(sqlite3.connect(tmp_path / "out.work" / "answers.sqlite")) as db:
        (answers,) = db.execute("SELECT COUNT(*) FROM answers").fetchone()
    assert answers == server.calls
