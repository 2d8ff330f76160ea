"""Rows in the form of the authors' first release (February 2025), read by column names and built again.

The text and the images are ours; the schema is theirs: id, image, question, gt (an int or a letter), ds_answer (a
reply of DeepSeek-R1 with no <answer> tags), caption, meta.rationale.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import ROLES, image_urls, picture, rows_of, said_to, toml, write_models

from vlaa_thinking import BuildResult, Project, build

SHORT_TALK = "The caption mentions just this much. Nothing else is in the description."
LONG_TALK = (
    "The caption mentions just this much about the things that matter here. "
    "Nothing else is in the description that I was given."
)

HARBOUR = {
    "id": "ships_math-harbour_0001.png",
    "image": "ships_math/harbour_0001.png",
    "question": "Take away all rowing boats. How many vessels are left?",
    "gt": 3,
    "ds_answer": "<think>  \nLet me count what floats here. A tug, two barges and one rowing boat lie at the pier. {talk}\n\n"
    "Wait, is a barge a vessel at all? It floats and carries a load, so it is one.  \n\n"
    "Four vessels in all, and the rowing boat goes: 4 - 1 = 3.\n</think>  \n\n"
    "At the pier lie a tug and two barges, once the rowing boat is gone.  \n\n"
    "**Answer:** There are 3 vessels remaining.  ",
    "caption": "A small harbour. At its pier lie a grey tug, two flat barges and one wooden rowing boat.",
    "meta": {"caption_model_id": "none", "rationale": "a tug, a barge, a barge, a rowing boat"},
}
CURVE = {
    "id": "papers-cond-0002",
    "image": "papers/9999.00002_1.jpg",
    "question": "In panel (a), what does the boiling point do as the pressure falls? Choose one\n"
    "A) It rises.\nB) It falls.\nC) It stays as it is.\nD) It jumps up and down.",
    "gt": "B",
    "ds_answer": "<think>\nOkay, panel (a) has the pressure on the x-axis. {talk} From right to left the curve goes down, "
    "without any jumps.\n\nSo the boiling point falls with the pressure, which is option B.\n</think>\n\n"
    "The curve goes down from right to left.\n\n**Answer: B) It falls.**",
    "caption": "#### Panel (a)\n- x-axis: pressure; y-axis: boiling point.\n- One curve, rising from left to right.",
    "meta": {"caption_model_id": "none", "rationale": "The curve of panel (a) rises with the pressure."},
}


def with_talk(row: Mapping[str, Any], talk: str) -> dict[str, Any]:
    """Plant sentences that give the caption away."""
    return {**row, "ds_answer": row["ds_answer"].replace("{talk}", talk)}


def replay(rows: Iterable[Mapping[str, Any]], talk: str) -> Any:
    """Make a hook that answers as the released rows were answered, and rewrites by leaving the talk out."""
    known = list(rows)

    def reply(body: dict[str, Any]) -> Reply:
        text = said_to(body)
        match body["model"]:
            case "eye":
                assert len(image_urls(body)) == 1
                (row,) = [row for row in known if row["meta"]["rationale"] in text]
                return str(row["caption"])
            case "mind":
                (row,) = [row for row in known if row["question"] in text]
                assert row["caption"].strip() in text
                assert not image_urls(body)
                return str(row["ds_answer"])
            case "pen":
                assert talk in text
                return re.sub(rf" ?{re.escape(talk)}", "", text)
        raise AssertionError("a rule decides here, and no judge")

    return reply


def release(folder: Path, rows: Iterable[Mapping[str, Any]], images: Path, url: str) -> Project:
    """Make a project that reads such rows by the names of their columns."""
    project = Project.default().copy(folder)
    (folder / "rows.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    source = {
        "reader": "table",
        "license": "Apache-2.0",
        "path": "rows.jsonl",
        "image_root": str(images),
        "id": "id",
        "answer": "gt",
        "notes": "meta.rationale",
    }
    (folder / "generators/1_collect.toml").write_text(f"[source.release]\n{toml(source)}\n")
    write_models(folder, url, sources=("release",))
    return project


def built(tmp_path: Path, talk: str) -> tuple[BuildResult, dict[str, list[dict[str, Any]]], dict[str, bytes]]:
    assert len(talk.split()) in (12, 22)
    images = {
        "harbour_0001.png": picture(5, mode="RGBA", size=(48, 32)),
        "9999.00002_1.jpg": picture(6, form="JPEG"),
    }
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in images.items():
        (folder / name).write_bytes(data)  # below another folder than the rows say, as in the release
    rows = [with_talk(HARBOUR, talk), with_talk(CURVE, talk)]
    with ChatServer(replay(rows, talk)) as server:
        project = release(tmp_path / "p", rows, folder, server.url)
        result = build(project, out=tmp_path / "out")
    assert [sum(body["model"] == name for body in server.requests) for name in ("eye", "mind", "pen")] == [
        2,
        2,
        2,
    ]
    return result, rows_of(tmp_path / "out"), images


def test_released_rows_are_built_again(tmp_path: Path) -> None:
    result, published, images = built(tmp_path, SHORT_TALK)
    assert (result.kept, result.exit_code) == (2, 0)
    assert set(published) == {"rl/train", "sft/train"}
    (harbour,), (curve,) = published["rl/train"], published["sft/train"]
    assert (harbour["id"], harbour["answer"], harbour["answer_type"]) == (
        f"release/{HARBOUR['id']}",
        "3",
        "digit",
    )
    assert (curve["id"], curve["answer"], curve["answer_type"]) == (f"release/{CURVE['id']}", "B", "choice")
    assert curve["choices"] == ["It rises.", "It falls.", "It stays as it is.", "It jumps up and down."]
    assert (harbour["cues"], curve["cues"]) == (["wait"], [])
    for row, name, given in ((harbour, "harbour_0001.png", HARBOUR), (curve, "9999.00002_1.jpg", CURVE)):
        assert row["image"]["bytes"] == images[name]
        assert row["image_sha256"] == hashlib.sha256(images[name]).hexdigest()
        assert (row["score"], row["score_by"], row["word_gap"]) == (1.0, "rule", -12)
        assert row["caption"] == given["caption"]
        assert "caption" not in row["reasoning"]
        assert "description" not in row["reasoning"]
        assert SHORT_TALK in row["teacher_reasoning"]
        assert row["teacher_response"].split("\n")[-1].startswith("**Answer:")
        assert "<think>" not in row["teacher_response"]
        assert row["models"] == {**ROLES, "judge": None, "policy": None}
    (turn,) = curve["completion"]
    assert turn["content"] == f"<think>{curve['reasoning']}</think>\n<answer>B</answer>"
    assert "completion" not in harbour


def test_a_rewrite_that_loses_too_many_words_is_not_taken(tmp_path: Path) -> None:
    result, published, _ = built(tmp_path, LONG_TALK)
    assert (result.kept, result.out) == (0, None)
    assert published == {}
    assert result.funnel.steps[3].dropped == {"word_gap": 2}


@pytest.mark.parametrize("gap", [15, 16])
def test_fifteen_words_are_the_most(tmp_path: Path, gap: int) -> None:
    talk = "The caption " + "so " * (gap - 3) + "ends."
    rows = [with_talk(HARBOUR, talk)]
    (tmp_path / "harbour_0001.png").write_bytes(picture(5))
    with ChatServer(replay(rows, talk)) as server:
        project = release(tmp_path / "p", rows, tmp_path, server.url)
        result = build(project, out=tmp_path / "out")
    assert result.kept == (gap <= 15)
