"""Two hundred replies with leaks, cues, injections, tag tricks and damaged escapes: each ends where it should."""

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from chat_server import ChatServer, Reply
from sums_project import image_urls, picture, rows_of, said_to, toml, write_models, write_rows
from traces import PLANTS, Trace, traces

from vlaa_thinking import Project, Run, build
from vlaa_thinking.steps.leak import leak_in

TRACES = traces()
BY_CODE = {trace.code: trace for trace in TRACES}
BY_IMAGE = {hashlib.sha256(picture(n)).hexdigest(): trace for n, trace in enumerate(TRACES)}
KINDS = ("digit", "choice", "math", "iou", "open")


def reply(body: dict[str, Any]) -> Reply:
    """Play all four models by the traces."""
    text = said_to(body)
    match body["model"]:
        case "eye":
            (url,) = image_urls(body)
            return BY_IMAGE[hashlib.sha256(base64.b64decode(url.partition(",")[2])).hexdigest()].caption
        case "mind":
            trace = named(text, "Picture")
            assert trace.caption in text
            return trace.reply
        case "pen":
            trace = named(text, "picture")
            return trace.rewrite(text) if trace.rewrite else text
    return judged(text)


def named(text: str, word: str) -> Trace:
    found = re.search(rf"\b{word} ([a-z]{{2}})\b", text)
    assert found, text
    return BY_CODE[found[1]]


def judged(text: str) -> str:
    """Read the parts by their mark; an answer is right whose first line holds one of the references."""
    opened = re.match(r"=== (\w{8}) ", text)
    assert opened
    lines = re.split(rf"^=== {opened[1]} (.*) ===$", text, flags=re.MULTILINE)
    parts = {name: part.strip() for name, part in zip(lines[1::2], lines[2::2], strict=True)}
    references = parts["reference answer"].lower().split(" | ")
    right = any(one in parts["given answer"].lower().split("\n")[0] for one in references)
    return json.dumps({"reason": "I compared them.", "verdict": "yes" if right else "no"})


def built(folder: Path, preset: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Build the two hundred rows; returns the published rows by their code, and what the models were asked."""
    project = Project.default().copy(folder / "p")
    (project.root / "images").mkdir()
    for number in range(len(TRACES)):
        (project.root / f"images/{number}.png").write_bytes(picture(number))
    sources = []
    for kind in KINDS:
        mine = [(n, t) for n, t in enumerate(TRACES) if t.case.kind == kind]
        sources.append(
            f'[source.{kind}]\nanswer_type = "{kind}"\n'
            + toml(
                {"reader": "table", "path": f"{kind}.jsonl", "image_root": "images", "id": "id"}
                | {"choices": "choices", "answers": "answers"}
            )
        )
        write_rows(project.root, [row(n, t) for n, t in mine])
        (project.root / "rows.jsonl").rename(project.root / f"{kind}.jsonl")
    (project.root / "generators/1_collect.toml").write_text("\n\n".join(sources) + "\n")
    with ChatServer(reply) as server:
        write_models(project.root, server.url, sources=KINDS)
        result = build(project, out=folder / "out", run=Run(preset=preset))
    assert (result.funnel.rows, result.funnel.failed) == (200, 0)
    rows = [one for split in rows_of(folder / "out").values() for one in split]
    return {one["source_id"]: one for one in rows}, server.requests


def row(number: int, trace: Trace) -> dict[str, Any]:
    case = trace.case
    return {
        "id": trace.code,
        "image": f"{number}.png",
        "question": trace.question,
        "answer": case.answer,
        "choices": list(case.choices),
        "answers": list(case.answers),
    }


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    return built(tmp_path_factory.mktemp("strict"), "strict")


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return built(tmp_path_factory.mktemp("paper"), "paper")[0]


def end_of(row: dict[str, Any]) -> str:
    """Say where a row ended; an answer out of which a rule can read nothing is not right either."""
    code = "wrong_answer" if row.get("code") == "not_scored" else row.get("code")
    return str(code or ("rl" if row["why"].startswith("rl") else "sft"))


def test_they_are_two_hundred_and_all_different() -> None:
    assert len(TRACES) == len(CASES) * len(PLANTS) == 200
    assert len({trace.reply for trace in TRACES}) == len(BY_CODE) == len(BY_IMAGE) == 200


@pytest.mark.parametrize("plant", PLANTS)
def test_each_row_ends_where_it_should(strict: Any, plant: str) -> None:
    rows, _ = strict
    mine = [trace for trace in TRACES if trace.plant == plant]
    assert {t.code: end_of(rows[t.code]) for t in mine} == {t.code: t.ends for t in mine}


def test_only_texts_that_need_it_are_sent_to_the_rewriter(strict: Any) -> None:
    _, asked = strict
    sent = {named(said_to(body), "picture").code for body in asked if body["model"] == "pen"}
    assert sent == {trace.code for trace in TRACES if trace.rewrite}


def test_what_is_published_gives_nothing_away_and_holds_no_stray_tag(strict: Any) -> None:
    rows, _ = strict
    leaks = Project.default().settings().leaks
    kept = [one for one in rows.values() if end_of(one) in {"sft", "rl"}]
    assert len(kept) == 110
    for one in kept:
        assert leak_in(one["reasoning"], leaks) is None
        assert not re.search(r"</?(?:think|answer)>|[\x00-\x08\x0b-\x1f]", one["reasoning"])
        if end_of(one) == "sft":
            assert re.fullmatch(
                r"<think>[^<>]+</think>\n<answer>[^<>]+</answer>", one["completion"][0]["content"]
            )
    damaged = [rows[trace.code] for trace in TRACES if trace.plant == "damaged escapes"]
    assert all(
        r"Half of \frac{2}{2} is \frac{1}{2}, and \boxed{1} is the whole." in one["reasoning"]
        for one in damaged
    )
    assert all("\x0crac" in one["teacher_reasoning"] for one in damaged)


def test_cues_are_told_with_their_places(strict: Any) -> None:
    rows, _ = strict
    for trace in TRACES:
        one = rows[trace.code]
        assert one["cues"] == list(trace.cues)
        text = f"{one['teacher_reasoning']}\n{one['teacher_response']}".lower()
        for cue, start in zip(one["cues"], one["cue_starts"], strict=True):
            assert text[start:].startswith(cue)


def test_a_dropped_row_says_what_was_found(strict: Any) -> None:
    rows, _ = strict
    for trace in TRACES:
        one = rows[trace.code]
        match trace.plant:
            case "a leak that stays":
                assert '"description"' in one["reason"]
            case "a number that changes":
                assert "the number" in one["reason"]
            case "answer tags in the thought":
                assert "<answer>" in one["reason"]
                assert "is too easy" in one["evidence"]
            case "a forged end, and wrong":
                assert trace.case.wrong in one["evidence"]


def test_by_the_paper_s_rules_some_end_elsewhere(paper: dict[str, dict[str, Any]]) -> None:
    """Its cues are substrings, its rewriter is held to the length alone, its judge sees the two answers alone."""
    elsewhere = {
        "what looks like a cue": "rl",
        "a number that changes": "sft",
        "words that turn": "sft",
    }
    ends = Counter((t.plant, end_of(paper[t.code])) for t in TRACES)
    assert ends == Counter((t.plant, elsewhere.get(t.plant, t.ends)) for t in TRACES)
