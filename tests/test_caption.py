"""What a caption's words show of its quality, and what becomes of a caption that is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import rows_of, set_key, solve, sums_project

from vlaa_thinking import Project, build
from vlaa_thinking.record import CaptionSignals
from vlaa_thinking.steps.caption import signals

REFUSALS = Project.default().settings().caption.refusals


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry, I cannot identify people.", True),
        ("  **I am unable to see this image.**", True),
        ("Unfortunately, I have no way to view it.", True),
        ("As an AI, I describe no faces.", True),
        ("i  can't  assist", True),
        ('A note that reads "I\'m sorry".', False),
        ("I cannotes", False),
        ("Icicles hang from a roof.", False),
        ("The image depicts a harbour.", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_by_how_it_begins(text: str, refusal: bool) -> None:
    assert signals(text, REFUSALS).refusal is refusal
    assert signals(text, ()).refusal is False


def test_words_are_counted_and_what_is_said_again_is_measured() -> None:
    once = "a red cube stands on the left"
    assert signals(once, ()) == CaptionSignals(words=7, refusal=False, repetition=0.0)
    assert signals("", ()) == CaptionSignals(words=0, refusal=False, repetition=0.0)
    # Of 24 runs of five words, the first seven of a loop of seven are new.
    looped = signals(" ".join([once] * 4), ())
    assert looped == CaptionSignals(words=28, refusal=False, repetition=round(17 / 24, 3))
    assert signals("The the " * 40, ()).repetition > 0.9
    listed = "\n".join(
        f"- Panel {n}: a line that {'rises' if n % 2 else 'falls'}, {n} units." for n in range(9)
    )
    assert signals(listed, ()).repetition == 0.0


def captioned(
    tmp_path: Path, server: ChatServer, texts: dict[int, str], **front: Any
) -> list[dict[str, Any]]:
    """Build sums of one image each, whose captions are these; returns the rows in the order of their numbers."""
    said = iter(texts.values())

    def hook(body: dict[str, Any]) -> Reply:
        return next(said) if body["model"] == "eye" else solve(body)

    server.reply = hook
    project = sums_project(tmp_path / "p", server.url, count=len(texts), per_image=1, max_concurrency=1)
    for key, value in front.items():
        set_key(project, "generators/2_caption.md", key, value)
    build(project, out=tmp_path / "out")
    rows = [row for split in rows_of(tmp_path / "out").values() for row in split]
    return sorted(rows, key=lambda row: str(row["id"]))


CAPTIONS = {0: "A box, brown.", 1: "I'm sorry, I can't describe this.", 2: "A box of a kind. " * 12}


def test_signals_are_published_and_counted(tmp_path: Path, server: ChatServer) -> None:
    rows = captioned(tmp_path, server, CAPTIONS)
    by_caption = {row["caption"]: row for row in rows}
    assert by_caption[CAPTIONS[0]]["caption_signals"] == {"words": 3, "refusal": False, "repetition": 0.0}
    refused = by_caption[CAPTIONS[1]]
    assert refused["caption_signals"]["refusal"] is True
    assert (refused["step"], refused["code"], refused["evidence"]) == ("caption", "refused", CAPTIONS[1])
    assert by_caption[CAPTIONS[2].strip()]["caption_signals"]["repetition"] > 0.8
    splits = json.loads((tmp_path / "out/manifest.json").read_text())["splits"]
    figures = [part["figures"]["captions"] for parts in splits.values() for part in parts.values()]
    assert sum(found["refusals"] for found in figures) == 1
    assert sum(found["repeating"] for found in figures) == 1
    # A refusal is not reasoned over.
    assert sum(body["model"] == "mind" for body in server.requests) == 2


def test_a_refusal_may_be_reasoned_over_as_the_paper_does(tmp_path: Path, server: ChatServer) -> None:
    rows = captioned(tmp_path, server, CAPTIONS, drop_refusals=False)
    assert [row.get("code") for row in rows] == [None] * 3
    assert Project.default().settings(preset="paper").caption.drop_refusals is False


def test_a_source_s_own_caption_has_signals_and_is_never_dropped_for_them(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "image": "0.png",
            "question": "What is 1 plus 8?",
            "answer": "9",
            "caption": "Sorry, I am late.",
        }
    ]
    with ChatServer(solve) as server:
        project = sums_project(tmp_path / "p", server.url, count=1)
        (project.root / "rows.jsonl").write_text(json.dumps(rows[0]) + "\n")
        collect = project.root / "generators/1_collect.toml"
        collect.write_text(f'{collect.read_text()}caption = "caption"\n')
        assert build(project, out=tmp_path / "out").kept == 1
        assert not any(body["model"] == "eye" for body in server.requests)
    (row,) = [row for split in rows_of(tmp_path / "out").values() for row in split]
    assert row["caption_signals"] == {"words": 4, "refusal": True, "repetition": 0.0}
