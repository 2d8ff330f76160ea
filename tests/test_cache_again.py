"""`--again truncated`: what a larger limit made good is not paid for again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import number_in, solve, sums_project

from vlaa_thinking import Run, build

CUT: Reply = {"content": "<think>It goes on and", "finish_reason": "length"}


def minds(**second: Reply) -> Any:
    """Cut each first reply to the reasoner; a second one, with more room, is as `second` says by the sum's number."""

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] != "mind":
            return solve(body)
        if body["max_tokens"] <= 8192:
            return CUT
        return second.get(f"sum_{number_in(body)}") or solve(body)

    return reply


def asked(server: ChatServer, since: int) -> list[tuple[int, int]]:
    """List what was asked of the reasoner: which sum, and with how much room."""
    calls = [body for body in server.requests[since:] if body["model"] == "mind"]
    return sorted((number_in(body), body["max_tokens"]) for body in calls)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(minds(sum_7=CUT, sum_8=(400, {}, {"error": {"message": "no room for more"}}))) as chat:
        yield chat


def test_what_more_room_made_good_is_not_asked_anew(tmp_path: Path, server: ChatServer) -> None:
    """All first replies are cut. One row's second is, too; another's is refused, so that the first one stands."""
    project, out = sums_project(tmp_path / "p", server.url, count=9, per_image=1), tmp_path / "out"
    rows = (project.root / "rows.jsonl").read_text().splitlines(keepends=True)
    (project.root / "rows.jsonl").write_text("".join(rows[n] for n in (0, 7, 8)))
    first = build(project, out=out)
    assert (first.kept, first.funnel.steps[2].dropped) == (1, {"truncated": 2})
    calls = server.calls

    second = build(project, out=out, run=Run(again=("truncated",)))
    assert asked(server, calls) == [(7, 8192), (7, 32768), (8, 8192)]
    assert second.funnel == first.funnel

    server.reply = solve
    calls = server.calls
    third = build(project, out=out, run=Run(again=("truncated",)))
    assert asked(server, calls) == [(7, 8192), (8, 8192)]
    assert (third.kept, third.calls) == (3, 2)
    assert build(project, out=out).calls == 0


def test_another_end_of_the_second_reply_is_another_state(tmp_path: Path, server: ChatServer) -> None:
    """The row was dropped as empty, not as truncated: only the second reply ended its way."""
    empty: Reply = {"content": ""}
    server.reply = minds(sum_0=empty)
    project, out = sums_project(tmp_path / "p", server.url, count=1), tmp_path / "out"
    assert build(project, out=out).funnel.steps[2].dropped == {"empty": 1}
    calls = server.calls
    build(project, out=out, run=Run(again=("truncated",)))
    assert asked(server, calls) == []
    build(project, out=out, run=Run(again=("empty",)))
    assert asked(server, calls) == [(0, 32768)]
    build(project, out=out, run=Run(again=("empty", "truncated")))
    assert asked(server, calls) == [(0, 8192), (0, 32768), (0, 32768)]
