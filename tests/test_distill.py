"""How a question is put together, and how one of several draws is kept."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import ROLES, number_in, rows_of, set_key, solve, sum_row, sums_project, write_rows

from vlaa_thinking import LLM, BuildResult, Completion, Gold, Project, Record, Request, build, plan, show
from vlaa_thinking.errors import NoReply, ProjectError
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.steps.distill import pass_rate
from vlaa_thinking.steps.question import question_text

VERIFIERS = Project.default().settings().verifiers
DISTILL = "generators/3_distill.md"


def asked(question: str, choices: tuple[str, ...]) -> str:
    record = Record(
        id="a/1",
        source="a",
        source_id="1",
        source_license="CC0-1.0",
        question=question,
        gold=Gold(answer_type="choice", answer="A", choices=choices),
    )
    return question_text(record, VERIFIERS)


@pytest.mark.parametrize(
    "question", ["Which bar is larger, that of 2021 or that of 2022?", "Is it 1 or 2?", "Which is it?"]
)
def test_options_are_listed_though_their_words_occur_in_the_question(question: str) -> None:
    assert asked(question, ("1", "2")).startswith(f"{question}\nA) 1\nB) 2\n")


def test_options_that_the_question_lists_are_not_listed_again() -> None:
    question = "Which is larger?\nA) the red one\nB) the blue one"
    assert asked(question, ("the red one", "the blue one")).count("the blue one") == 1


# --- several draws, from a server ----------------------------------------------------------------------------


class InTurn:
    """Plays all four models; the reasoner's draws of a sum are right by turns: right, wrong, wrong, right ..."""

    def __init__(self) -> None:
        self.draws = Counter[int]()

    def __call__(self, body: dict[str, Any]) -> Reply:
        if body["model"] != "mind":
            return solve(body)
        a = number_in(body)
        said = a + a + 7 + (1 if self.draws[a] % 3 else 0)
        self.draws[a] += 1
        return f"<think>{a} and {a + 7}.</think>\n<answer>{said}</answer>"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(InTurn()) as chat:
        yield chat


def published(out: Path) -> list[dict[str, Any]]:
    return [row for rows in rows_of(out).values() for row in rows]


def test_without_more_draws_nothing_is_measured(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    build(project, out=tmp_path / "out")
    assert [row["teacher_pass_rate"] for row in published(tmp_path / "out")] == [None] * 6
    assert "draws about a question" not in (tmp_path / "out/README.md").read_text()
    assert sum(body["model"] == "mind" for body in server.requests) == 6


def test_each_draw_is_a_call_of_its_own_and_is_never_paid_twice(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    set_key(project, DISTILL, "samples", 4)
    first = build(project, out=tmp_path / "out")
    assert server.reply.draws == dict.fromkeys(range(6), 4)  # type: ignore[attr-defined]
    assert first.kept == 6
    assert [row["teacher_pass_rate"] for row in published(tmp_path / "out")] == [0.5] * 6
    told = "`teacher_response`: of 4 draws about a question, the first that is right |"
    assert told in (tmp_path / "out/README.md").read_text()
    calls = server.calls
    assert build(project, out=tmp_path / "out").changed is False
    assert server.calls == calls
    set_key(project, DISTILL, "samples", 6)
    build(project, out=tmp_path / "out")
    assert server.calls == calls + 12
    assert [row["teacher_pass_rate"] for row in published(tmp_path / "out")] == [pytest.approx(1 / 3)] * 6
    set_key(project, DISTILL, "samples", 1)
    build(project, out=tmp_path / "out")
    assert server.calls == calls + 12


def test_a_plan_counts_the_draws(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    set_key(project, DISTILL, "samples", 4)
    before = {step.step: step.calls for step in plan(project, out=tmp_path / "out").steps}
    assert (before["caption"], before["distill"]) == (4, 48)
    sampled = plan(project, out=tmp_path / "out", sample=6)
    made = {step.step: step for step in sampled.steps}
    assert made["distill"].cached == 24
    assert made["distill"].calls == pytest.approx(24)
    build(project, out=tmp_path / "out")
    after = plan(project, out=tmp_path / "out")
    assert {step.calls for step in after.steps} == {0}
    assert after.steps[1].cached == 48


def test_show_tells_all_draws_and_which_was_kept(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    set_key(project, DISTILL, "samples", 3)
    build(project, out=tmp_path / "out")
    (trace,) = show("sums/0000", out=tmp_path / "out")
    draws = [e.request.sample for e in trace.exchanges if e.step == "distill"]
    assert draws == [0, 1, 2]
    assert trace.record.teacher_pass_rate == pytest.approx(1 / 3)
    assert trace.record.draw in draws


# --- which draw is kept --------------------------------------------------------------------------------------

Draw = tuple[str, str] | str | None
"""Thought and answer; the state of a reply without them; None: no reply."""


def teacher(draws: list[Draw]) -> Callable[[Request], Completion | str]:
    """Play all four models; the reasoner's replies are given by draw, and the judge says yes to "just so"."""

    def script(request: Request) -> Completion | str:
        if request.role == "captioner":
            return "A box."
        if request.role == "judge":
            right = "just so" in request.values["prediction"]
            return json.dumps({"reason": "I looked.", "verdict": "yes" if right else "no"})
        draw = draws[request.sample]
        if draw is None:
            raise NoReply("the line is dead")
        if isinstance(draw, str):
            return Completion.of("", state=draw)  # type: ignore[arg-type]
        return Completion.of(f"<answer>{draw[1]}</answer>", reasoning=draw[0])

    return script


def drawn(
    folder: Path, draws: list[Draw], *, row: int = 0, keep: str = "first_right"
) -> tuple[BuildResult, dict[str, Any] | None, Fake]:
    """Build one sum (0 + 7, or the free answer of 6) with these draws; returns its row, if it has not failed."""
    project = sums_project(folder / "p", "http://127.0.0.1:1/v1", count=1)
    write_rows(project.root, [sum_row(row, image=0), sum_row(8, image=0)])
    set_key(project, DISTILL, "samples", len(draws))
    set_key(project, DISTILL, "keep", keep)
    fake = Fake(teacher(draws), identity="teacher")
    filler = Fake(teacher([("I add.", "23")] * len(draws)))

    async def reasoner(request: Request, /) -> Completion:
        return await (filler if "What is 8 plus" in request.messages[-1].text else fake)(request)

    reasoner.identity = "reasoner"  # type: ignore[attr-defined]
    llms: dict[str, LLM] = {**dict.fromkeys(ROLES, fake), "reasoner": reasoner}
    result = build(project, out=folder / "out", llms=llms)
    mine = [one for one in published(folder / "out") if one["id"] == f"sums/{row:04d}"]
    return result, mine[0] if mine else None, fake


RIGHT, SHORT, WRONG = ("I add nought and seven.", "7"), ("Seven.", "7"), ("I add.", "8")


@pytest.mark.parametrize(
    ("keep", "draws", "kept", "rate"),
    [
        ("first_right", [WRONG, RIGHT, SHORT], RIGHT, 2 / 3),
        ("shortest_right", [WRONG, RIGHT, SHORT], SHORT, 2 / 3),
        ("first", [WRONG, RIGHT, SHORT], WRONG, 2 / 3),
        ("first", ["truncated", RIGHT, WRONG], RIGHT, 1 / 3),
        ("first_right", ["refused", WRONG, RIGHT], RIGHT, 1 / 3),
        ("first_right", ["empty", WRONG, "truncated"], WRONG, 0.0),
        ("shortest_right", [RIGHT, RIGHT, RIGHT], RIGHT, 1.0),
    ],
)
def test_the_rule_says_which_draw_is_kept(
    tmp_path: Path, keep: str, draws: list[Draw], kept: tuple[str, str], rate: float
) -> None:
    _, row, _ = drawn(tmp_path, draws, keep=keep)
    assert row is not None
    assert row["teacher_reasoning"] == kept[0]
    assert row["teacher_response"] == f"<answer>{kept[1]}</answer>"
    assert row["teacher_pass_rate"] == pytest.approx(rate)
    assert row["score"] == (1.0 if kept[1] == "7" else 0.0)
    assert row.get("code", "wrong_answer") == "wrong_answer"


def test_without_an_answer_in_any_draw_the_first_one_ends_the_way(tmp_path: Path) -> None:
    _, row, _ = drawn(tmp_path, ["refused", "truncated"])
    assert row is not None
    assert (row["code"], row["teacher_pass_rate"]) == ("refused", 0.0)


def test_a_draw_without_a_reply_fails_the_row_and_keeps_the_others(tmp_path: Path) -> None:
    result, row, fake = drawn(tmp_path, [RIGHT, None, RIGHT])
    assert row is None
    assert (result.funnel.failed, result.exit_code) == (1, 3)
    assert sorted(r.sample for r in fake.requests if r.role == "reasoner") == [0, 1, 2]


def test_what_no_rule_can_score_is_judged_once_for_each_different_answer(tmp_path: Path) -> None:
    draws: list[Draw] = [
        ("Odd.", "odd, just so"),
        ("Hm.", "I would not know"),
        ("So.", "odd, just so"),
        ("No.", "I would not know"),
    ]
    result, row, fake = drawn(tmp_path, draws, row=6)
    assert row is not None
    assert (row["teacher_pass_rate"], row["score_by"], result.kept) == (0.5, "judge", 2)
    judged = [r.values["prediction"] for r in fake.requests if r.role == "judge"]
    assert sorted(judged) == ["I would not know", "odd, just so"]
    assert row["models"]["judge"] is not None


def test_a_rate_is_over_what_could_be_scored() -> None:
    assert pass_rate([1.0, 0.0, None, 1.0], 1.0) == pytest.approx(2 / 3)
    assert pass_rate([0.6, 0.4], 0.5) == 0.5
    assert pass_rate([None, None], 1.0) is None


def test_a_wrong_number_of_draws_is_told(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    set_key(project, DISTILL, "samples", 0)
    with pytest.raises(ProjectError, match=r'3_distill\.md, line \d+: "samples" must be at least 1'):
        project.settings()
