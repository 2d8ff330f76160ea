"""How hard a row is for the model that is to be trained: in a build, on a finished folder, and without the image."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import (
    QUICK,
    files,
    image_urls,
    number_in,
    picture,
    rows_of,
    said_to,
    set_key,
    solve,
    sum_row,
    sums_project,
    toml,
    write_rows,
)

from vlaa_thinking import Completion, Difficulty, Project, Request, build, cache_gc, difficulty, plan, show
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.llm.fake import Fake

CURATE = "cards/6_curate.toml"


class Pupil:
    """Plays all models; as the policy it answers sum a right in (a % 5) of its first four draws, if it sees the image.

    Without an image it is right where a % 5 is 4, with another row's image where it is 3 or 4.
    """

    def __init__(self) -> None:
        self.draws = Counter[tuple[int, str]]()
        self.own: dict[int, str] = {}
        """The image that each sum was first seen with: its own."""

    def __call__(self, body: dict[str, Any]) -> Reply:
        if body["model"] != "pupil":
            return solve(body)
        a = number_in(body)
        (url,) = image_urls(body) or ("",)
        if url:
            self.own.setdefault(a, url)
        draw = self.draws[a, url]
        self.draws[a, url] += 1
        right = draw % 4 < a % 5 if url == self.own.get(a) else a % 5 >= (3 if url else 4)
        return f"<think>I look.</think>\n<answer>{a + a + 7 if right else 0}</answer>"


@pytest.fixture
def pupil() -> Pupil:
    return Pupil()


@pytest.fixture
def server(pupil: Pupil) -> Iterator[ChatServer]:
    with ChatServer(pupil) as chat:
        yield chat


def measured_project(folder: Path, url: str, *, count: int = 12, blind: int = 0, **treatment: Any) -> Project:
    """Make a project of easy sums, one image each, with a policy."""
    project = sums_project(folder, url, count=count, per_image=1, **treatment)
    write_rows(project.root, [sum_row(n * 12 if n % 2 else n * 12 + 1, image=n) for n in range(count)])
    set_key(project, CURATE, "blind", blind)
    with_policy(project, url, **treatment)
    return project


def with_policy(project: Project, url: str, **treatment: Any) -> None:
    path = project.root / "generators/models.toml"
    model = {"api": "openai", "base_url": url, "model": "pupil", **QUICK, **treatment}
    text = path.read_text().replace("[profile.mine]", '[profile.mine]\npolicy = "pupil"')
    path.write_text(f"{text}\n[model.pupil]\n{toml(model)}\n")


def asked(server: ChatServer) -> list[dict[str, Any]]:
    return [body for body in server.requests if body["model"] == "pupil"]


def by_id(out: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for rows in rows_of(out).values() for row in rows}


def manifest(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return read


# --- in a build ----------------------------------------------------------------------------------------------


def test_the_policy_sees_what_grpo_will_show_it(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=6)
    result = build(project, out=tmp_path / "out")
    assert result.kept == 6
    assert len(asked(server)) == 24
    rows = by_id(tmp_path / "out")
    for body in asked(server):
        assert (body["temperature"], body["max_tokens"]) == (0.8, 2048)
        (row,) = [row for row in rows.values() if row["question"] in said_to(body)]
        system, user = body["messages"]
        assert [system["content"], said_to(body)] == [turn["content"] for turn in row["prompt"]]
        assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    for row in rows.values():
        a = int(row["question"].split()[2])
        assert row["policy_pass_rate"] == (a % 5) / 4
        assert row["models"]["policy"] == "pupil"
    calls = server.calls
    assert build(project, out=tmp_path / "out").changed is False
    assert server.calls == calls


def test_without_a_policy_nobody_is_asked(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    build(project, out=tmp_path / "out")
    assert asked(server) == []
    assert {row["policy_pass_rate"] for row in by_id(tmp_path / "out").values()} == {None}
    assert "policy" not in manifest(tmp_path / "out")["models"]


def test_dropped_rows_are_not_measured(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=2)
    write_rows(
        project.root, [sum_row(3, image=0), sum_row(12, image=1)]
    )  # the teacher is wrong about the first
    build(project, out=tmp_path / "out")
    assert {number_in(body) for body in asked(server)} == {12}


def test_rows_that_teach_nothing_are_kept_out_of_rl(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=20)
    set_key(project, CURATE, "rl", "band")
    build(project, out=tmp_path / "out")
    published = rows_of(tmp_path / "out")
    rates = {name: {row["policy_pass_rate"] for row in rows} for name, rows in published.items()}
    assert rates == {"rl/train": {0.25, 0.5, 0.75}, "sft/train": {0.0, 1.0}}
    figures = manifest(tmp_path / "out")["splits"]["rl"]["train"]["figures"]["policy_pass_rate"]
    assert figures == {"rows": 12, "mean": 0.5, "none_right": 0, "all_right": 0}
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "A row within the band goes to `rl`" in card
    assert "The band: of the policy's draws more than 0 % and fewer than 100 % are right." in card
    set_key(project, CURATE, "rl", "both")
    calls = server.calls
    build(project, out=tmp_path / "out")
    assert server.calls == calls  # a new rule is free
    published = rows_of(tmp_path / "out")
    assert {row["policy_pass_rate"] for row in published["rl/train"]} == {0.25, 0.5, 0.75}
    assert all(row["cues"] for row in published["rl/train"])
    assert {row["code"] for row in published["rejected/train"]} == {"no_advantage"}
    assert not any(row["cues"] for row in published["sft/train"])


@pytest.mark.parametrize(
    ("reply", "rate"),
    [
        ("<answer>31</answer>", 1.0),
        ("It is 31, I think.", 0.0),
        ("<answer>31</answer> or <answer>31</answer>", 0.0),
        ({"content": "<answer>31</answer>", "finish_reason": "length"}, 0.0),
        ({"content": "", "finish_reason": "stop"}, 0.0),
        (r"So \boxed{31}.", 1.0),
    ],
)
def test_a_draw_is_read_by_the_one_rule_and_without_an_answer_it_is_wrong(
    tmp_path: Path, server: ChatServer, reply: Reply, rate: float
) -> None:
    server.reply = lambda body: reply if body["model"] == "pupil" else solve(body)
    project = measured_project(tmp_path / "p", server.url, count=2)  # sums 1 and 12: 9 and 31
    build(project, out=tmp_path / "out")
    assert by_id(tmp_path / "out")["sums/0012"]["policy_pass_rate"] == rate


def test_what_no_rule_can_score_goes_to_the_judge(tmp_path: Path, server: ChatServer) -> None:
    def hook(body: dict[str, Any]) -> Reply:
        if body["model"] == "ear":
            return json.dumps(
                {"reason": "I read it.", "verdict": "yes" if "is odd" in said_to(body) else "no"}
            )
        if body["model"] == "pupil":
            pairs.append(1)
            return f"<answer>The sum is {'odd' if len(pairs) % 2 else 'even, I say'}.</answer>"
        return solve(body)

    pairs: list[int] = []
    server.reply = hook
    project = measured_project(tmp_path / "p", server.url, count=1)
    write_rows(project.root, [sum_row(6, image=0)])
    build(project, out=tmp_path / "out")
    assert by_id(tmp_path / "out")["sums/0006"]["policy_pass_rate"] == 0.5


def test_a_policy_without_a_reply_fails_the_row_at_curate(
    tmp_path: Path, server: ChatServer, pupil: Pupil
) -> None:
    def hook(body: dict[str, Any]) -> Reply:
        if body["model"] == "pupil" and number_in(body) == 36 and pupil.draws:  # it has answered before
            return 500, {}, {"error": {"message": "oops"}}
        return pupil(body)

    server.reply = hook
    project = measured_project(tmp_path / "p", server.url, count=4)
    result = build(project, out=tmp_path / "out")
    assert (result.kept, result.funnel.failed, result.funnel.steps[5].failed) == (3, 1, 1)
    server.reply = pupil
    assert build(project, out=tmp_path / "out").kept == 4
    assert pupil.draws.total() == 16


def test_a_caller_may_bring_the_policy(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3, per_image=1)
    set_key(project, CURATE, "samples", 2)
    set_key(project, CURATE, "blind", 0)

    def mine(request: Request) -> Completion | str:
        assert len(request.messages[-1].images) == 1
        return f"<answer>{7 if request.sample else 0}</answer>"

    fake = Fake(mine, identity="pupil/1")
    build(project, out=tmp_path / "out", llms={"policy": fake})
    assert [(r.role, r.step) for r in fake.requests] == [("policy", "curate")] * 6
    rows = by_id(tmp_path / "out")
    assert rows["sums/0000"]["policy_pass_rate"] == 0.5
    (trace,) = show("sums/0000", out=tmp_path / "out")
    assert [(e.step, e.role, e.request.sample) for e in trace.exchanges[-2:]] == [
        ("curate", "policy", 0), ("curate", "policy", 1),
    ]  # fmt: skip
    assert all(e.completion is not None for e in trace.exchanges)


def test_a_plan_counts_the_policy_s_calls(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=12, blind=5)
    guessed = {step.step: step.calls for step in plan(project, out=tmp_path / "out").steps}
    assert guessed["curate"] == pytest.approx(0.8 * 4 * 12 + 10)
    known = plan(project, out=tmp_path / "out", sample=6)
    assert known.steps[4].cached == 24
    assert known.steps[4].calls == pytest.approx(24 + 10)
    build(project, out=tmp_path / "out")
    after = plan(project, out=tmp_path / "out")
    assert [step.calls for step in after.steps] == [0] * 5
    assert after.steps[4].cached == 48 + 10
    assert len(asked(server)) == 58
    without = sums_project(tmp_path / "q", server.url, count=3)
    assert [step.step for step in plan(without, out=tmp_path / "none").steps][-1] == "verify"


# --- without the image ---------------------------------------------------------------------------------------


def test_what_is_right_without_the_image_is_on_the_card(
    tmp_path: Path, server: ChatServer, pupil: Pupil
) -> None:
    project = measured_project(tmp_path / "p", server.url, count=20, blind=20)
    build(project, out=tmp_path / "out")
    assert manifest(tmp_path / "out")["blind"] == {
        "rows": 20, "with_image": 0.5, "without_image": 0.2, "other_image": 0.4,
    }  # fmt: skip
    blind = [body for body in asked(server) if not image_urls(body)]
    assert len(blind) == 20
    strange = [body for body in asked(server) if image_urls(body) not in ([], [pupil.own[number_in(body)]])]
    assert len(strange) == 20
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    told = (
        "asked about 20 rows again without the image: 20 % of its answers were still right, and 40 % with another "
        "row's image (50 % with their own)"
    )
    assert told in card
    calls = server.calls
    assert build(project, out=tmp_path / "out").changed is False
    assert server.calls == calls


def test_the_blind_sample_is_the_first_rows_and_grows_with_its_number(
    tmp_path: Path, server: ChatServer
) -> None:
    project = measured_project(tmp_path / "p", server.url, count=12, blind=4)
    build(project, out=tmp_path / "out")
    first = {number_in(body) for body in asked(server) if not image_urls(body)}
    assert len(first) == 4
    set_key(project, CURATE, "blind", 8)
    build(project, out=tmp_path / "out")
    assert {number_in(body) for body in asked(server) if not image_urls(body)} > first
    assert manifest(tmp_path / "out")["blind"]["rows"] == 8


def test_one_image_alone_cannot_be_exchanged(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=2, blind=5)
    write_rows(project.root, [sum_row(n, image=0) for n in (1, 12)])
    build(project, out=tmp_path / "out")
    assert manifest(tmp_path / "out")["blind"] is None
    assert "again without the image" not in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_gc_keeps_what_the_blind_check_asked(tmp_path: Path, server: ChatServer) -> None:
    project = measured_project(tmp_path / "p", server.url, count=6, blind=3)
    build(project, out=tmp_path / "out")
    assert cache_gc(out=tmp_path / "out", presets=["strict"], delete=True).answers == 0
    set_key(project, CURATE, "blind", 0)
    assert cache_gc(out=tmp_path / "out", presets=["strict"], delete=True).answers == 6
    calls = server.calls
    build(project, out=tmp_path / "out")
    assert server.calls == calls


# --- on a finished folder ------------------------------------------------------------------------------------


def finished(tmp_path: Path, server: ChatServer, *, count: int = 10) -> Project:
    """Build without a policy; then let the project have one."""
    project = sums_project(tmp_path / "p", server.url, count=count, per_image=1)
    write_rows(project.root, [sum_row(n * 12 if n % 2 else n * 12 + 1, image=n) for n in range(count)])
    set_key(project, CURATE, "blind", 0)
    build(project, out=tmp_path / "out")
    with_policy(project, server.url)
    return project


def lines(found: Difficulty) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.file.read_text(encoding="utf-8").splitlines()]


def test_a_finished_folder_is_measured_later_and_a_build_takes_it_up(
    tmp_path: Path, server: ChatServer
) -> None:
    project = finished(tmp_path, server)
    before, calls = files(tmp_path / "out"), server.calls
    found = difficulty(tmp_path / "out", project)
    assert server.calls == calls + 40
    assert files(tmp_path / "out") == before
    assert (found.rows, found.failed, found.exit_code) == (10, 0, 0)
    rows = rows_of(tmp_path / "out")
    written = lines(found)
    assert [line["id"] for line in written] == [row["id"] for row in [*rows["sft/train"], *rows["rl/train"]]]
    assert {line["config"] for line in written} == {"sft", "rl"}
    assert found.rates["sft"]["rows"] + found.rates["rl"]["rows"] == 10
    assert difficulty(tmp_path / "out").rates == found.rates  # by the project that it was built from, free
    assert server.calls == calls + 40
    build(project, out=tmp_path / "out")
    assert server.calls == calls + 40  # the build asks the very same
    column = {row["id"]: row["policy_pass_rate"] for row in by_id(tmp_path / "out").values()}
    assert column == {line["id"]: line["policy_pass_rate"] for line in written}


def test_a_folder_from_elsewhere_is_measured_by_any_project(tmp_path: Path, server: ChatServer) -> None:
    finished(tmp_path, server)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "out").rename(elsewhere)
    with pytest.raises(OutputError, match="no finished build"):
        difficulty(elsewhere)
    other = Project.default().copy(tmp_path / "other")
    set_key(other, "verifiers/digit.toml", "instruction", "In Roman numerals.")
    seen: list[str] = []

    def mine(request: Request) -> str:
        assert request.messages[-1].images[0].read() in {picture(n) for n in range(10)}
        seen.append("\n".join(message.text for message in request.messages))
        return "<answer>0</answer>"

    found = difficulty(elsewhere, other, limit=3, llms={"policy": Fake(mine)})
    assert (found.rows, len(seen)) == (6, 24)
    assert {rate["mean"] for rate in found.rates.values()} == {0.0}
    prompts = ["\n".join(turn["content"] for turn in row["prompt"]) for row in by_id(elsewhere).values()]
    assert set(seen) <= set(prompts)  # as it was published, whatever that project would ask
    assert found.file == tmp_path / "elsewhere.work/difficulty.jsonl"


def test_a_row_that_got_no_reply_is_told_and_tried_again(
    tmp_path: Path, server: ChatServer, pupil: Pupil
) -> None:
    project = finished(tmp_path, server, count=4)

    def hook(body: dict[str, Any]) -> Reply:
        if body["model"] == "pupil" and number_in(body) == 36 and pupil.draws:  # it has answered before
            return 500, {}, {"error": {"message": "oops"}}
        return pupil(body)

    server.reply = hook
    found = difficulty(tmp_path / "out", project)
    assert (found.rows, found.failed, found.exit_code, len(lines(found))) == (4, 1, 3, 3)
    server.reply = pupil
    assert difficulty(tmp_path / "out", project).exit_code == 0


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda out: (out / "manifest.json").unlink(), "no finished dataset folder"),
        (lambda out: (out / "strange.txt").write_text("x"), "strange.txt is not as `build` wrote it"),
    ],
)
def test_a_folder_that_is_none_is_told(
    tmp_path: Path, server: ChatServer, spoil: Callable[[Path], object], told: str
) -> None:
    project = finished(tmp_path, server, count=2)
    spoil(tmp_path / "out")
    with pytest.raises(OutputError, match=told):
        difficulty(tmp_path / "out", project)


def test_without_a_policy_there_is_nobody_to_ask(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=2)
    build(project, out=tmp_path / "out")
    with pytest.raises(SetupError, match=r'"mine" has no policy: name the model .*models\.toml'):
        difficulty(tmp_path / "out")


def test_the_command_prints_what_was_found(tmp_path: Path, server: ChatServer) -> None:
    finished(tmp_path, server)
    command = [sys.executable, "-m", "vlaa_thinking", "difficulty", str(tmp_path / "out"), "--limit", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of the draws are right over 2 rows" in done.stdout
    assert str(tmp_path / "out.work/difficulty.jsonl") in done.stdout.replace("\n", "")
    gone = subprocess.run(
        [*command[:4], "nowhere"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr.startswith("error: ")
