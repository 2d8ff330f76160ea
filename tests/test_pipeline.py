"""A whole build over loopback: what it costs, what it leaves, in which order, and what became of each row."""

import asyncio
import base64
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import (
    ROLES,
    files,
    image_urls,
    number_in,
    picture,
    reason,
    rows_of,
    solve,
    sum_row,
    sums_project,
    toml,
    write_models,
    write_rows,
)

from vlaa_thinking import BuildResult, Completion, Project, Request, Run, abuild, build, show
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.llm import LLM
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.settings import Caps, CurateRule
from vlaa_thinking.spool import Decision, Fact
from vlaa_thinking.steps.curate import curate


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


def calls_by_model(server: ChatServer) -> Counter[str]:
    return Counter(body["model"] for body in server.requests)


def manifest(out: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return said


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in [folder, *sorted(folder.rglob("*"))]}


# --- what it costs -------------------------------------------------------------------------------------------


def test_questions_on_one_image_cost_one_caption(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=300, per_image=3)
    result = build(project, out=tmp_path / "out")
    calls = calls_by_model(server)
    assert calls["eye"] == 100
    assert calls["mind"] == 300 + 25  # one in twelve is cut, and asked for once more
    assert calls["pen"] == 50
    assert calls["ear"] == 25
    assert result.calls == server.calls
    assert result.funnel.rows == 300


def test_a_second_build_makes_no_call_and_touches_nothing(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24)
    first = build(project, out=tmp_path / "out")
    before, stamped = files(tmp_path / "out"), stamps(tmp_path / "out")
    calls = server.calls
    second = build(project, out=tmp_path / "out")
    assert server.calls == calls
    assert (first.changed, second.changed, second.calls) == (True, False, 0)
    assert second.spared == first.calls + first.spared
    assert second.funnel == first.funnel
    assert files(tmp_path / "out") == before
    assert stamps(tmp_path / "out") == stamped


def test_builds_from_scratch_give_the_same_bytes(tmp_path: Path, server: ChatServer) -> None:
    dice = random.Random(1)

    def in_another_order(body: dict[str, Any]) -> Reply:
        time.sleep(dice.random() * 0.03)
        return solve(body)

    made = []
    for place, reply in (("here", solve), ("elsewhere", in_another_order)):
        server.reply = reply
        project = sums_project(tmp_path / place / "p", server.url, count=48)
        build(project, out=tmp_path / place / "out")
        made.append(files(tmp_path / place / "out"))
    assert made[0] == made[1]
    assert len(made[0]) >= 5
    assert str(tmp_path).encode() not in b"".join(made[0].values())


def test_rows_add_up(tmp_path: Path, server: ChatServer) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind" and number_in(body) % 12 == 9:
            return 500, {}, {"error": {"message": "oops"}}
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=36)
    (project.root / "images/1.png").unlink()  # of rows 3, 4, 5
    (project.root / "images/2.png").write_bytes(picture(2)[:60])  # of rows 6, 7, 8
    result = build(project, out=tmp_path / "out")
    funnel = {
        step.step: (step.rows_in, step.rows_out, step.dropped, step.failed) for step in result.funnel.steps
    }
    assert funnel == {
        "collect": (36, 30, {"broken_image": 3, "missing_image": 3}, 0),
        "caption": (30, 30, {}, 0),
        "distill": (30, 25, {"truncated": 2}, 3),
        "rewrite": (25, 23, {"word_gap": 2}, 0),
        "verify": (23, 21, {"wrong_answer": 2}, 0),
        "curate": (21, 21, {}, 0),
    }
    assert result.exit_code == 3
    assert (result.funnel.rows, result.kept, result.funnel.dropped, result.funnel.failed) == (36, 21, 12, 3)
    published = rows_of(tmp_path / "out")
    codes = Counter(row["code"] for row in published["rejected/train"])
    assert codes == {
        "missing_image": 3,
        "broken_image": 3,
        "truncated": 2,
        "word_gap": 2,
        "wrong_answer": 2,
    }
    assert sum(len(rows) for name, rows in published.items() if not name.startswith("rejected")) == 21
    assert all(row["reason"].startswith(f"{row['step']}") for row in published["rejected/train"])
    assert manifest(tmp_path / "out")["rows"] == {"in": 36, "kept": 21, "dropped": 12, "failed": 3}
    ids = [row["id"] for rows in published.values() for row in rows]
    assert len(ids) == len(set(ids)) == 33


def test_no_row_waits_for_another(tmp_path: Path, server: ChatServer) -> None:
    slow = "data:image/png;base64," + base64.b64encode(picture(1)).decode()  # of rows 3, 4, 5
    others_done = threading.Event()

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "eye" and image_urls(body) == [slow]:
            assert others_done.wait(10), "the other rows waited for the slow one"
        return solve(body)

    def watch(counts: Counts) -> None:
        if counts.rows_ended >= 33:
            others_done.set()

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=36, per_image=3)
    assert build(project, out=tmp_path / "out", run=Run(watch=watch)).funnel.rows == 36


def test_the_first_row_is_done_while_others_wait_for_their_caption(
    tmp_path: Path, server: ChatServer
) -> None:
    captions_asked_at_first_answer: list[int] = []

    def reply(body: dict[str, Any]) -> Reply:
        time.sleep(0.01)
        if body["model"] == "mind" and not captions_asked_at_first_answer:
            captions_asked_at_first_answer.append(calls_by_model(server)["eye"])
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=40, per_image=1, max_concurrency=4)
    build(project, out=tmp_path / "out")
    assert captions_asked_at_first_answer[0] <= 12


# --- callers' own models -------------------------------------------------------------------------------------


def script(request: Request) -> str:
    """Answer as the server does, in the plain form."""
    body = {
        "model": ROLES[request.role],
        "messages": [{"content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
        if request.role == "captioner"
        else [{"content": request.messages[-1].text}],
    }
    said = reason(number_in(body), "8192") if request.role == "reasoner" else solve(body)
    return said if isinstance(said, str) else str(said["content"]) if isinstance(said, dict) else ""


def thinking(request: Request) -> Completion | str:
    said = script(request)
    if request.role != "reasoner":
        return said
    thought, _, answer = said.removeprefix("<think>").partition("</think>")
    return Completion.of(answer, reasoning=thought)


def cast(llm: LLM) -> dict[str, LLM]:
    return dict.fromkeys(ROLES, llm)


def test_a_caller_s_model_with_an_identity_is_cached(tmp_path: Path) -> None:
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=12)
    fake = Fake(thinking, identity="mine/1")
    first = build(project, out=tmp_path / "out", llms=cast(fake))
    assert first.kept == 9
    assert first.calls == len(fake.requests) > 12
    again = Fake(thinking, identity="mine/1")
    assert build(project, out=tmp_path / "out", llms=cast(again)).changed is False
    assert again.requests == []
    other = Fake(thinking, identity="mine/2")
    build(project, out=tmp_path / "out", llms=cast(other))
    assert len(other.requests) == first.calls


def test_a_caller_s_model_without_an_identity_is_not_cached(tmp_path: Path) -> None:
    calls = Counter[str]()

    async def mine(request: Request, /) -> Completion:
        calls[request.role] += 1
        said = thinking(request)
        return Completion.of(said) if isinstance(said, str) else said

    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=12, per_image=3)
    build(project, out=tmp_path / "out", llms=cast(mine))
    assert (calls["captioner"], calls["reasoner"]) == (12, 12)
    build(project, out=tmp_path / "out", llms=cast(mine))
    assert (calls["captioner"], calls["reasoner"]) == (24, 24)


def test_rows_that_are_behind_catch_up_once_no_more_come(tmp_path: Path) -> None:
    """So that the model is busy to the end: before, the last 32 rows made all their calls one after the other."""
    steps: list[str] = []

    async def run() -> None:
        all_in = asyncio.Event()

        def watch(counts: Counts) -> None:
            if counts.steps["collect"].done == 90 and not counts.reading:
                all_in.set()

        async def mine(request: Request, /) -> Completion:
            steps.append(request.step)
            await all_in.wait()
            await asyncio.sleep(0.01)
            said = thinking(request)
            return Completion.of(said) if isinstance(said, str) else said

        project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=90, per_image=1)
        await abuild(project, out=tmp_path / "out", llms=cast(mine), run=Run(watch=watch))

    asyncio.run(run())
    last_caption = len(steps) - 1 - steps[::-1].index("caption")
    assert steps[last_caption:].count("distill") > 45


def test_a_caller_s_model_may_play_one_role(tmp_path: Path, server: ChatServer) -> None:
    fake = Fake(thinking)
    project = sums_project(tmp_path / "p", server.url, count=12)
    build(project, out=tmp_path / "out", llms={"reasoner": fake})
    assert {request.role for request in fake.requests} == {"reasoner"}
    assert set(calls_by_model(server)) == {"eye", "pen", "ear"} - ({"ear"} - set(calls_by_model(server)))


def test_a_role_that_there_is_not_is_named(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    with pytest.raises(SetupError, match=r'"reasonr".*reasoner'):
        build(project, out=tmp_path / "out", llms={"reasonr": Fake(thinking)})


def test_a_model_that_raises_for_one_row_fails_that_row(tmp_path: Path) -> None:
    def broken(request: Request) -> Completion | str:
        if request.role == "reasoner" and "What is 8 plus" in request.messages[-1].text:
            raise LookupError("no idea")
        return thinking(request)

    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=12)
    result = build(project, out=tmp_path / "out", llms=cast(Fake(broken)))
    assert (result.funnel.failed, result.kept, result.exit_code) == (1, 8, 3)


def test_a_model_that_returns_something_else_is_told(tmp_path: Path) -> None:
    async def text(request: Request, /) -> str:
        return script(request)

    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    with pytest.raises(SetupError, match="Completion"):
        build(project, out=tmp_path / "out", llms=cast(text))  # type: ignore[arg-type]


# --- which rows ----------------------------------------------------------------------------------------------


def two_sources(project: Project, url: str) -> None:
    """Let a second source hold the rows from number 100 on."""
    rows = [sum_row(n, image=0) for n in range(100, 104)]
    (project.root / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = project.root / "generators/1_collect.toml"
    source = {"reader": "table", "path": "more.jsonl", "id": "id", "image_root": "images"}
    path.write_text(f"{path.read_text()}\n[source.more]\n{toml(source)}\n")
    write_models(project.root, url, sources=("sums", "more"))


def taken(out: Path) -> set[str]:
    return {row["id"] for rows in rows_of(out).values() for row in rows}


def test_limit_takes_in_turn_from_each_source(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    two_sources(project, server.url)
    result = build(project, out=tmp_path / "five", limit=5)
    five = {"sums/0000", "more/0100", "sums/0001", "more/0101", "sums/0002"}
    assert taken(tmp_path / "five") == five
    assert (result.funnel.rows, result.funnel.not_taken) == (5, 11)
    assert build(project, out=tmp_path / "five", limit=5).calls == 0
    build(project, out=tmp_path / "ten", limit=10)
    assert taken(tmp_path / "ten") == five | {
        "more/0102",
        "sums/0003",
        "more/0103",
        "sums/0004",
        "sums/0005",
    }
    whole = build(project, out=tmp_path / "whole")
    assert (whole.funnel.rows, whole.funnel.not_taken) == (16, 0)


def test_a_source_s_take_is_a_limit_of_its_own(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    two_sources(project, server.url)
    path = project.root / "generators/1_collect.toml"
    path.write_text(path.read_text().replace("[source.more]", "[source.more]\ntake = 2"))
    result = build(project, out=tmp_path / "out", limit=6)
    assert (result.funnel.rows, result.funnel.not_taken) == (6, 10)
    assert {n for n in taken(tmp_path / "out") if n.startswith("more")} == {"more/0100", "more/0101"}


def test_an_id_that_comes_again_is_dropped(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    rows = [sum_row(n, image=0) for n in (0, 1, 7)]
    write_rows(project.root, [*rows, {**rows[2], "question": "What is 8 plus 15?"}, rows[2]])
    result = build(project, out=tmp_path / "out")
    assert result.funnel.steps[0].dropped == {"duplicate_id": 2}
    published = rows_of(tmp_path / "out")
    again = published["rejected/train"]
    assert [(row["id"], row["code"]) for row in again] == [("sums/0007", "duplicate_id")] * 2
    (first,) = [row for row in published["rl/train"] if row["id"] == "sums/0007"]
    assert first["question"] == "What is 7 plus 14?"
    assert calls_by_model(server)["mind"] == 3


def test_profile_and_preset_stand_in_the_manifest(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    build(project, out=tmp_path / "out")
    said = manifest(tmp_path / "out")
    assert (said["profile"], said["preset"], said["seed"]) == ("mine", "strict", 0)
    result = build(project, out=tmp_path / "out", seed=5, run=Run(preset="paper"))
    said = manifest(tmp_path / "out")
    assert (said["profile"], said["preset"], said["seed"]) == ("mine", "paper", 5)
    assert result.changed
    assert {role: model["name"] for role, model in said["models"].items()} == ROLES
    # The paper sends every text to the rewriter, and asks the judge alone.
    calls = calls_by_model(server)
    assert (calls["pen"], calls["ear"]) == (3, 3)


def test_the_profile_s_own_preset_applies(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=2)
    path = project.root / "generators/models.toml"
    path.write_text(path.read_text().replace("sources = ", 'preset = "paper"\nsources = ', 1))
    build(project, out=tmp_path / "out", profile="mine")
    assert manifest(tmp_path / "out")["preset"] == "paper"
    build(project, out=tmp_path / "out", run=Run(preset="strict"))
    assert manifest(tmp_path / "out")["preset"] == "strict"


# --- splits --------------------------------------------------------------------------------------------------


def fact(number: int, *, image: int, cue: str = "", source: str = "s") -> Fact:
    return Fact(key=f"{number:05d}", source=source, image=f"image {image}", cues=(cue,) if cue else ())


def rule(**changes: Any) -> CurateRule:
    return replace(Project.default().settings().curate, caps={}, **changes)


def decided(facts: list[Fact], curate_rule: CurateRule, seed: int = 0) -> dict[str, Decision]:
    decisions = {d.key: d for d in curate(facts, curate_rule, seed)}
    assert set(decisions) == {f.key for f in facts}
    return decisions


def test_a_cue_sends_its_whole_image_to_rl() -> None:
    facts = [fact(0, image=0, cue="wait"), fact(1, image=0), fact(2, image=1), fact(3, image=1)]
    made = decided(facts, rule())
    assert [made[f.key].config for f in facts] == ["rl", "rl", "sft", "sft"]
    assert '"wait"' in made["00000"].why
    assert "same image" in made["00001"].why
    assert made["00001"].why != made["00002"].why


@pytest.mark.parametrize(("images", "aside"), [(1, 0), (49, 0), (50, 1), (99, 1), (100, 2), (549, 10)])
def test_two_in_a_hundred_images_are_set_aside(images: int, aside: int) -> None:
    facts = [fact(n, image=n // 2, cue="wait" if n % 4 >= 2 else "") for n in range(images * 4)]
    made = decided(facts, rule())
    for config, parity in (("sft", 0), ("rl", 1)):
        mine = [f for f in facts if int(f.image.split()[1]) % 2 == parity]
        assert {made[f.key].config for f in mine} == {config}
        parts = {f.image: {made[g.key].part for g in facts if g.image == f.image} for f in mine[:8]}
        assert all(len(part) == 1 for part in parts.values())
        validated = {f.image for f in mine if made[f.key].part == "validation"}
        assert len(validated) == aside


def test_a_small_share_still_sets_one_image_aside() -> None:
    facts = [fact(n, image=n) for n in range(60)]
    made = decided(facts, rule(validation_share=0.005))
    assert Counter(d.part for d in made.values()) == {"train": 59, "validation": 1}
    assert {d.part for d in decided(facts, rule(validation_share=0.0)).values()} == {"train"}


def test_caps_leave_rows_out_by_source() -> None:
    facts = [fact(n, image=n, source="ab"[n % 2], cue="hmm" if n % 4 < 2 else "") for n in range(80)]
    capped = replace(rule(), caps={"a": Caps(sft=5), "b": Caps(rl=3)})
    made = decided(facts, capped)
    kept = Counter((f.source, made[f.key].config) for f in facts)
    assert kept == {
        ("a", "rl"): 20,
        ("a", "sft"): 5,
        ("a", None): 15,
        ("b", "rl"): 3,
        ("b", "sft"): 20,
        ("b", None): 17,
    }
    left = [d for d in made.values() if d.config is None]
    assert {d.code for d in left} == {"over_cap"}
    assert all(d.part is None for d in left)


def test_splits_are_a_function_of_facts_rule_and_seed() -> None:
    facts = [fact(n, image=n // 2, cue="wait" if n % 7 == 0 else "") for n in range(400)]
    capped = replace(rule(), caps={"s": Caps(sft=150, rl=60)})
    first = decided(facts, capped, seed=1)
    shuffled = random.Random(0).sample(facts, len(facts))
    assert decided(shuffled, capped, seed=1) == first
    assert decided(facts, capped, seed=2) != first
    # A row more changes no other row's place, as long as nothing is full.
    wider = decided([*facts, fact(999, image=999)], rule(validation_share=0.0), seed=1)
    before = decided(facts, rule(validation_share=0.0), seed=1)
    assert {key: wider[key] for key in before} == before


def test_no_image_stands_in_two_splits(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    rows = []
    for image in range(104):  # by turns with and without doubt; every fifth image has a second row without
        (project.root / f"images/{image}.png").write_bytes(picture(image))
        rows.append(sum_row(12 * image + image % 2, image=image))
        if image % 5 == 0:
            rows.append(sum_row(12 * image + 8, image=image))
    write_rows(project.root, rows)
    result = build(project, out=tmp_path / "out")
    assert {config: sum(parts.values()) for config, parts in result.funnel.splits.items()} == {
        "sft": 52 + 11,
        "rl": 52 + 10,
    }
    published = rows_of(tmp_path / "out")
    assert set(published) == {"sft/train", "sft/validation", "rl/train", "rl/validation"}
    images = {name: {row["image_sha256"] for row in split} for name, split in published.items()}
    together = [image for of_split in images.values() for image in of_split]
    assert len(together) == len(set(together)) == 104
    assert (len(images["sft/validation"]), len(images["rl/validation"])) == (1, 1)
    assert all(row["cues"] == [] for row in published["sft/train"])
    without = [row for row in published["rl/train"] if not row["cues"]]
    assert without
    assert all("same image" in row["why"] for row in without)


# --- show ----------------------------------------------------------------------------------------------------


def test_show_tells_a_row_s_whole_way(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    build(project, out=tmp_path / "out")
    calls = server.calls
    (kept,) = show("0002", out=tmp_path / "out")
    assert [(e.step, e.role, e.model) for e in kept.exchanges] == [
        ("caption", "captioner", "eye"),
        ("distill", "reasoner", "mind"),
        ("rewrite", "rewriter", "pen"),
    ]
    assert kept.split == "rl/train"
    assert kept.why is not None
    prompts = [e.request.messages[-1].text for e in kept.exchanges]
    replies = [e.completion.text for e in kept.exchanges if e.completion]
    assert "What is 2 plus 9?" in prompts[1]
    assert replies[0] in prompts[1]
    assert "<answer>11</answer>" in replies[1]
    assert "The caption tells me so." in prompts[2]
    assert "caption" not in replies[2]
    assert kept.exchanges[0].request.messages[-1].images[0].read() == picture(0)
    (rejected,) = show("sums/0005", out=tmp_path / "out")
    assert [e.request.params["max_tokens"] for e in rejected.exchanges] == [1024, 8192, 32768]
    assert rejected.record.outcome is not None
    assert (rejected.split, rejected.record.outcome.code) == ("rejected/train", "truncated")
    assert server.calls == calls


def test_show_tells_what_was_not_asked_yet(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    build(project, out=tmp_path / "out")
    path = project.root / "generators/3_distill.md"
    path.write_text(path.read_text().replace("Think step by step", "Think it through"))
    (trace,) = show("sums/0000", out=tmp_path / "out")
    caption, distill = trace.exchanges
    assert caption.completion is not None
    assert distill.completion is None
    assert "Think it through" in distill.request.messages[0].text


def test_show_names_what_it_cannot_find(tmp_path: Path, server: ChatServer) -> None:
    with pytest.raises(OutputError, match="no finished build"):
        show("sums/0000", out=tmp_path / "out")
    project = sums_project(tmp_path / "p", server.url, count=3)
    build(project, out=tmp_path / "out")
    with pytest.raises(OutputError, match='no row "sums/9999"'):
        show("sums/9999", out=tmp_path / "out")
    # A later build that stops early leaves no traceback behind for `show`.
    (project.root / "generators/models.toml").write_text(
        (project.root / "generators/models.toml").read_text().replace('model = "mind"', 'model = "gone"')
    )
    server.reply = lambda body: (404, {}, {}) if body["model"] == "gone" else solve(body)
    with pytest.raises(SetupError):
        build(project, out=tmp_path / "out")
    with pytest.raises(OutputError):
        show("sums/0000", out=tmp_path / "out")


def test_a_build_without_a_kept_row_leaves_no_folder(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    write_rows(project.root, [sum_row(3, image=0)])
    result: BuildResult = build(project, out=tmp_path / "out")
    assert (result.out, result.changed, result.kept, result.funnel.dropped) == (None, False, 0, 1)
    assert not (tmp_path / "out").exists()


def test_pairs_of_images_that_are_compared_are_counted(tmp_path: Path) -> None:
    seen: list[Counts] = []
    build(Project.default(), out=tmp_path / "out", limit=60, run=Run(watch=seen.append))
    assert seen[-1].compared > 0
    assert not seen[-1].comparing
