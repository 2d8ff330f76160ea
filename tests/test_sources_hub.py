"""The sources read from a Hub on loopback: the same rows as from a folder, and no more of a file than is needed.

The client libraries take the Hub's address when they are imported, so each reading is a process of its own.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import native
import pytest
from datasets import Features, Image, List, Value
from hub_server import HubServer

import vlaa_thinking
from vlaa_thinking.sources import Source

SCRIPT = """\
import hashlib, json, pathlib, sys, tempfile
from importlib import import_module
from itertools import islice
from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources import Source

def hashed(image):
    if isinstance(image, pathlib.Path):
        image = image.read_bytes()
    return hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else image and image.code

for name, reader, options, most in json.loads(sys.argv[1]):
    read = import_module(f"vlaa_thinking.sources.{reader}").read
    at = Source(name=name, root=pathlib.Path(tempfile.gettempdir()), seed=0)
    try:
        rows = islice(read(at, **options), most)
        said = [
            {"id": row.id, "image": hashed(row.image), "question": row.question, "answer": row.answer,
             "answers": row.answers, "choices": row.choices, "boxes": row.boxes, "notes": row.notes,
             "caption": row.caption, "words": row.text_question, "reasoning": row.reasoning,
             "share": row.answer_share, "fault": row.fault and row.fault.code}
            for row in rows
        ]
    except SetupError as exc:
        said = str(exc)
    print(json.dumps(said))
"""

Wish = tuple[str, str, dict[str, Any], int | None]


def ask(environment: dict[str, str], *wishes: Wish) -> list[Any]:
    """Read sources in a process of its own; returns the rows of each, or the sentence that it ended in."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(wishes)],
        env={**environment, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        for made in native.sets().values():
            server.add(made.hf, made.hub)
        server.add("org/gated", {"README.md": b""}, gated=True)
        yield server


def plain(rows: Any) -> list[Any]:
    """Bring rows into the form in which the process prints them."""

    def hashed(image: Any) -> Any:
        data = image.read_bytes() if isinstance(image, Path) else image
        return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else data and data.code

    said = [
        {
            "id": row.id, "image": hashed(row.image), "question": row.question, "answer": row.answer,
            "answers": row.answers, "choices": row.choices, "boxes": row.boxes, "notes": row.notes,
            "caption": row.caption, "words": row.text_question, "reasoning": row.reasoning,
            "share": row.answer_share, "fault": row.fault and row.fault.code,
        }
        for row in rows
    ]  # fmt: skip
    return json.loads(json.dumps(said))  # type: ignore[no-any-return]


def test_every_set_gives_the_same_rows_from_the_hub_as_from_a_folder(hub: HubServer, tmp_path: Path) -> None:
    sets = native.sets()
    streamed = ask(hub.environment, *[(name, made.reader, {}, None) for name, made in sets.items()])
    for (name, made), said in zip(sets.items(), streamed, strict=True):
        rows = said
        native.put(tmp_path / name, made.folder)
        read = import_module(f"vlaa_thinking.sources.{made.reader}").read
        local = plain(read(Source(name=name, root=tmp_path, seed=0), path=name))
        if name == "vizwiz":  # the Hub's copy has the validation photos, and no say of who was sure
            assert [row["answer"] for row in rows] == ["basil leaves", "yes", "unanswerable", "monday"]
            assert [row["image"] for row in rows] == [row["image"] for row in local]
            continue
        if name == "geoqa170k":  # its ids are the mirror's there
            rows = [{**row, "id": None} for row in rows]
            local = [{**row, "id": None} for row in local]
        assert rows == local, name
        assert [row["image"] for row in rows].count(None) == (1 if name == "clevr_math" else 0)


def test_ten_rows_do_not_fetch_the_whole_set(hub: HubServer) -> None:
    """Behind the first rows' images lie thirty megabytes that nobody asks for."""
    bulk = {f"images/{n:04d}.jpg": os.urandom(500_000) for n in range(60)}
    first = {"images/a.jpg": native.drawn("a"), **bulk}
    rows = [
        {"id": f"r{n}", "image": name, "question": f"{name}?", "options": ["A) x", "B) y"], "label": "A"}
        for n, name in enumerate(["images/a.jpg", *bulk])
    ]
    hub.add("big/tar", {"arxivqa.jsonl": native.lines(rows), "images.tgz": native.tarred(first)})
    hub.add("big/zip", {"arxivqa.jsonl": native.lines(rows), "images.zip": native.zipped(first)})
    got = ask(
        hub.environment,
        ("tar", "arxivqa", {"hf": "big/tar"}, 1),
        ("zip", "arxivqa", {"hf": "big/zip"}, 1),
    )
    assert [rows[0]["image"] for rows in got] == [hashlib.sha256(native.drawn("a")).hexdigest()] * 2
    assert hub.sent["images.zip"] < 1_500_000
    assert hub.sent["images.tgz"] < 15_000_000  # what the system's buffers had taken on is sent, too


def test_any_set_on_the_hub_is_read_by_its_columns(hub: HubServer) -> None:
    features = Features(
        {"pic": List(Image()), "ask": Value("string"), "right": Value("int64"), "opts": List(Value("string")),
         "meta": {"key": Value("string")}}
    )  # fmt: skip

    def row(n: int, images: int) -> dict[str, Any]:
        pictures = [{"bytes": native.drawn(f"{n}-{k}"), "path": None} for k in range(images)]
        return {
            "pic": pictures,
            "ask": f"Which, {n}?",
            "right": n % 2,
            "opts": ["one", "two"],
            "meta": {"key": f"k{n}"},
        }

    train, test = [row(0, 1), row(1, 1), row(2, 2)], [row(7, 1)]
    repo = hub.add(
        "org/mine",
        {
            "README.md": native.card("plain", "plain", "train", "test"),
            "plain/train-0.parquet": native.parquet(train, features),
            "plain/test-0.parquet": native.parquet(test, features),
        },
    )
    repo.tags["v1"] = repo.head
    repo.commit({"README.md": b"emptied since\n"})
    options = {
        "hf": "org/mine", "config": "plain", "revision": "v1", "image": "pic", "question": "ask", "answer": "right",
        "choices": "opts", "answer_index_from": 0, "id": "meta.key",
    }  # fmt: skip
    wishes: list[Wish] = [
        ("mine", "table", options, None),
        ("mine", "table", {**options, "split": "test"}, None),
        ("mine", "table", {**options, "split": "test", "streaming": False}, None),
        ("mine", "table", {**options, "question": "asks"}, None),
        ("mine", "table", {**options, "split": "tests"}, None),
        ("mine", "table", {**options, "config": "fancy"}, None),
    ]
    mine, other, whole, column, split, config = ask(hub.environment, *wishes)
    assert [(r["id"], r["question"], r["answer"], r["choices"]) for r in mine] == [
        (f"k{n}", f"Which, {n}?", "AB"[n % 2], ["one", "two"]) for n in range(3)
    ]
    assert [r["image"] for r in mine] == [
        *(hashlib.sha256(native.drawn(f"{n}-0")).hexdigest() for n in range(2)), "several_images",
    ]  # fmt: skip
    assert other == whole
    assert [r["id"] for r in other] == ["k7"]
    assert column == 'source "mine": org/mine has no column "asks"; did you mean "ask"?'
    assert split == 'source "mine": org/mine has no split "tests"; did you mean "test"?'
    assert config.startswith("source \"mine\": org/mine: BuilderConfig 'fancy' not found.")


def test_rows_of_the_hub_name_files_of_their_set_and_none_of_this_machine(
    hub: HubServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(native.drawn("secret"))
    named = [str(secret), "../../../etc/passwd", "pics/in.png", "in.png", "gone.png"]
    rows = [{"image": name, "question": f"{n}?", "answer": n} for n, name in enumerate(named)]
    hub.add("org/named", {"rows.jsonl": native.lines(rows), "pics/in.png": native.drawn("in")})
    (got,) = ask(hub.environment, ("mine", "table", {"hf": "org/named"}, None))
    inside = hashlib.sha256(native.drawn("in")).hexdigest()
    assert [row["image"] for row in got] == [None, None, inside, inside, None]


@pytest.mark.parametrize("reader", ["arxivqa", "docvqa"])
def test_what_cannot_be_read_from_the_hub_is_one_sentence(hub: HubServer, reader: str) -> None:
    wishes: list[Wish] = [
        ("mine", reader, {"hf": "org/none"}, 1),
        ("mine", reader, {"hf": "org/gated"}, 1),
        ("mine", reader, {"revision": "v9"}, 1),
        ("mine", reader, {"hf": "no name"}, 1),
    ]
    none, gated, revision, name = ask(hub.environment, *wishes)
    start = 'source "mine": '
    assert none == (
        f"{start}org/none cannot be read from the Hub: there is no such dataset, or it is private: see `hf`, or set HF_TOKEN"
    )
    assert gated == (
        f"{start}org/gated cannot be read from the Hub: it is gated: accept its terms there, and set HF_TOKEN"
    )
    assert revision.endswith("cannot be read from the Hub: it has no such revision: see `revision`")
    assert name.startswith(f"{start}no name cannot be read from the Hub: Repo id must use alphanumeric")
    assert not any("\n" in sentence for sentence in (none, gated, revision, name))


def test_a_silent_hub_and_none_at_all_are_told_soon(hub: HubServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        environment = {**hub.environment, "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        began = time.monotonic()
        (said,) = ask(environment, ("mine", "arxivqa", {}, 1))
    assert said.startswith('source "mine": MMInstruction/ArxivQA cannot be read from the Hub: ')
    assert said.endswith("; try again later, or name a folder that holds it with `path`")
    assert time.monotonic() - began < 60
    (said,) = ask({**environment, "HF_ENDPOINT": "http://127.0.0.1:9"}, ("mine", "docvqa", {}, 1))
    assert "Connection refused" in said
    offline = {**hub.environment, "HF_HUB_OFFLINE": "1"}
    (said,) = ask(offline, ("mine", "geoqa", {}, 1))
    assert said.endswith("HF_HUB_OFFLINE is set: unset it, or name a folder that holds the set with `path`")
