"""A build in parts: four shards merged are one build, byte for byte, and what is not one build is refused."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from lookalikes import encoded, photo
from sums_project import (
    QUICK,
    files,
    image_urls,
    number_in,
    picture,
    said_to,
    set_key,
    solve,
    sum_row,
    sums_project,
    toml,
    write_rows,
)
from typer.testing import CliRunner, Result

from vlaa_thinking import Completion, Project, Request, Run, Shard, build, merge, rebuild, show
from vlaa_thinking.cli import app
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.llm.fake import Fake

CURATE = "cards/6_curate.toml"
SOURCES = "generators/1_collect.toml"
MODELS = "generators/models.toml"


def act(body: dict[str, Any]) -> Reply:
    """Play the pupil, too: right where it sees an image, and the sum is even."""
    if body["model"] != "pupil":
        return solve(body)
    number = number_in(body)
    return f"<answer>{2 * number + 7 if image_urls(body) and number % 2 else 0}</answer>"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(act) as chat:
        yield chat


def awkward_project(folder: Path, url: str) -> Project:
    """Make a project with all that concerns more than one row: what is double, alike, broken, capped or left out."""
    project = sums_project(folder, url, count=30, per_image=2)
    images = folder / "images"
    rows = [sum_row(n, image=n // 2) for n in range(30)]
    rows += [rows[4] | {"id": "again", "question": rows[4]["question"].upper().replace("WHAT IS", "What is")}]
    rows += [sum_row(n, image=n) | {"id": "0007"} for n in (8, 9)]  # an id that came before, on other images
    rows += [sum_row(40 + n, image=0) | {"image": f"gone-{n}.png"} for n in range(2)]
    for n in range(4):  # one photograph in four encodings
        (images / f"photo-{n}.jpg").write_bytes(encoded(photo(3), "JPEG", quality=95 - n))
        rows.append(sum_row(48 + 2 * n, image=0) | {"image": f"photo-{n}.jpg"})
    write_rows(folder, rows)
    loose = [{**sum_row(n, image=n), "id": ""} for n in range(8)]
    for n in range(3):  # broken in three ways, and asked about in the same words
        (images / f"broken-{n}.png").write_bytes(picture(n)[: 40 + n])
        loose.append(sum_row(60, image=0) | {"image": f"broken-{n}.png"})
    lines = [{k: v for k, v in row.items() if k != "id"} for row in loose]
    (folder / "loose.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"reader": "table", "path": "loose.jsonl", "image_root": "images"}
    with (folder / SOURCES).open("a") as file:
        file.write(f"\n[source.loose]\n{toml(source)}\n")
    bench = folder / "bench"
    bench.mkdir()
    (bench / "test.jsonl").write_text(json.dumps({"id": "1", "image": "a.png", "question": "Who?"}) + "\n")
    (bench / "a.png").write_bytes(picture(5))
    models = (folder / MODELS).read_text().replace('"sums"]', '"sums", "loose"]')
    pupil = {"api": "openai", "base_url": url, "model": "pupil", **QUICK}
    models = models.replace("[profile.mine]", '[profile.mine]\npolicy = "pupil"')
    (folder / MODELS).write_text(f"{models}\n[model.pupil]\n{toml(pupil)}\n")
    for key, value in {"decontaminate": ["bench"], "blind": 6, "samples": 2, "validation_share": 0.2}.items():
        set_key(project, CURATE, key, value)
    with (folder / CURATE).open("a") as file:
        file.write("\n[caps.sums]\nsft = 9\n")
    return project


def in_parts(project: Project, out: Path, count: int, **options: Any) -> list[Path]:
    """Build every shard; the last one first."""
    found = []
    for number in range(count, 0, -1):
        shard = Shard(number=number, count=count)
        made = build(project, out=out, run=Run(shard=shard), **options)
        assert made.shard == shard.folder(out)
        assert made.out is None
        assert not out.exists()
        found.append(made.shard)
    return found


def distinct(requests: list[dict[str, Any]]) -> set[str]:
    return {json.dumps(body, sort_keys=True) for body in requests}


def manifest(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return read


def note(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out.with_name(f"{out.name}.work") / "run.json").read_text())
    return read


# --- the same bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "options", "take"), [(4, {}, None), (2, {"seed": 3}, 17), (2, {"limit": 29, "seed": 1}, None)]
)
def test_shards_merged_are_one_build(
    tmp_path: Path, server: ChatServer, count: int, options: dict[str, Any], take: int | None
) -> None:
    project = awkward_project(tmp_path / "p", server.url)
    if take:
        text = (tmp_path / "p" / SOURCES).read_text()
        (tmp_path / "p" / SOURCES).write_text(text.replace('"rows.jsonl"', f'"rows.jsonl"\ntake = {take}'))
    whole = build(project, out=tmp_path / "whole", **options)
    needed = server.calls
    in_parts(project, tmp_path / "set", count, **options)
    made = merge(out=tmp_path / "set")
    assert files(tmp_path / "set") == files(tmp_path / "whole")
    assert (made.funnel, made.rates, made.exit_code) == (whole.funnel, whole.rates, 0)
    first, second = server.requests[:needed], server.requests[needed:]
    assert distinct(first) == distinct(second)
    assert (made.calls, made.spent) == (len(second), whole.spent)
    ran = note(tmp_path / "set")
    assert sum(role["made"] for role in ran["calls"].values()) == len(second)
    assert [shard["shard"] for shard in ran["shards"]] == [f"{n}/{count}" for n in range(1, count + 1)]
    if not options:  # it has every case that it is to have
        codes = {code for step in manifest(tmp_path / "set")["funnel"] for code in step["dropped"]}
        assert {
            "duplicate_id",
            "duplicate_question",
            "missing_image",
            "broken_image",
            "contaminated",
        } <= codes
        assert "over_cap" in codes
        assert manifest(tmp_path / "set")["near_duplicates"] == {"images": 3, "groups": 1}
        assert manifest(tmp_path / "set")["blind"]["rows"] == 6
        assert len({shard["rows"] for shard in ran["shards"]}) > 1


@dataclass(frozen=True, slots=True)
class Made:
    """A dataset of 24 sums, and the three shards that it was merged from."""

    project: Project
    out: Path
    shards: list[Path]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("once")
    with ChatServer(solve) as chat:
        project = sums_project(home / "p", chat.url, count=24)
        in_parts(project, home / "set", 3)
        merge(out=home / "set")
    return home


@pytest.fixture
def made(once: Path, tmp_path: Path) -> Made:
    """Give a copy of it in another place; the models are gone."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    folders = [Shard(number=n, count=3).folder(tmp_path / "set") for n in (1, 2, 3)]
    return Made(Project.open(tmp_path / "p"), tmp_path / "set", folders)


def test_a_merged_folder_is_built_merged_and_rebuilt_again_without_a_call(made: Made) -> None:
    before = files(made.out)
    again = merge(out=made.out, project=made.project)
    assert (again.changed, again.kept) == (False, again.funnel.kept)
    one = build(made.project, out=made.out)
    assert (one.calls, one.changed) == (0, False)
    assert rebuild(made.out, made.project).identical
    assert files(made.out) == before
    (trace,) = show("0001", out=made.out)
    assert all(exchange.completion for exchange in trace.exchanges)
    assert trace.split


def test_shards_come_from_anywhere_and_a_dataset_may_be_merged_elsewhere(made: Made, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for folder in made.shards:
        change(folder, project="/nowhere/p")
    with pytest.raises(
        SetupError, match="the project /nowhere/p that the shards were built from is not here"
    ):
        merge(out=made.out)
    moved = [shutil.move(folder, tmp_path / "far" / f"part{n}") for n, folder in enumerate(made.shards)]
    result = merge([moved[2], moved[0], moved[1]], out=tmp_path / "new", project=made.project)
    assert result.changed
    assert files(tmp_path / "new") == files(made.out)


def test_a_shard_may_have_its_cache_elsewhere(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    first, second = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    build(project, out=tmp_path / "set", run=Run(shard=Shard(number=1, count=2), cache=first))
    build(project, out=tmp_path / "set", run=Run(shard=Shard(number=2, count=2), cache=second))
    merge(out=tmp_path / "set", run=Run(cache=second))
    assert not (tmp_path / "set.work/answers.sqlite").exists()
    calls = server.calls
    assert build(project, out=tmp_path / "set", run=Run(cache=second)).changed is False
    assert server.calls == calls


# --- which rows, and what they cost ----------------------------------------------------------------------------


def test_rows_go_by_image_and_stay_when_a_source_grows(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24)
    folders = in_parts(project, tmp_path / "set", 2)
    captions = [image_urls(body)[0] for body in server.requests if body["model"] == "eye"]
    assert len(captions) == len(set(captions)) == 8
    for number in range(8, 12):
        (tmp_path / "p/images" / f"{number}.png").write_bytes(picture(number))
    write_rows(project.root, [sum_row(n, image=n // 3) for n in (*range(24, 36), *range(24))])
    before = server.calls
    in_parts(project, tmp_path / "set", 2)
    new = server.requests[before:]
    assert {number_in(b) for b in new if b["model"] == "mind"} == set(range(24, 36))
    assert len([b for b in new if b["model"] == "eye"]) == 4
    assert merge(folders, out=tmp_path / "set").funnel.rows == 36


def test_a_shard_is_written_as_two_numbers() -> None:
    assert str(Shard.read(" 2/4 ")) == "2/4"
    digests = [bytes([n]) * 32 for n in range(256)]
    parts = [[d for d in digests if Shard(number=n, count=7).holds(d)] for n in range(1, 8)]
    assert sorted(d for part in parts for d in part) == digests
    for text in ("", "2", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/5"):
        with pytest.raises(SetupError, match="shard"):
            Shard.read(text)


def test_more_shards_than_images_leave_some_empty(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    in_parts(project, tmp_path / "set", 5)
    made = merge(out=tmp_path / "set")
    assert (made.funnel.rows, build(project, out=tmp_path / "set").changed) == (6, False)


def test_one_request_of_two_shards_has_one_answer_after_the_merge(tmp_path: Path) -> None:
    """The captions are alike, so all rows ask the reasoner the same; each time it words it in another way."""
    said: list[str] = []

    def answer(body: dict[str, Any]) -> Reply:
        if body["model"] == "eye":
            return "A grey box."
        if body["model"] == "mind":
            said.append(said_to(body))
            return f"<think>In my {len(said)}. way, 1 and 8 make 9.</think>\n<answer>9</answer>"
        return solve(body)

    with ChatServer(answer) as chat:
        project = sums_project(tmp_path / "p", chat.url, count=12, per_image=1)
        write_rows(project.root, [sum_row(1, image=n) | {"id": f"{n:04d}"} for n in range(12)])
        in_parts(project, tmp_path / "set", 3)
    assert 1 < len(said) <= 3
    made = merge(out=tmp_path / "set")
    assert (made.funnel.rows, made.kept, made.funnel.failed) == (12, 12, 0)
    assert manifest(tmp_path / "set")["answers"]["reasoner"]["answers"] == 1
    assert manifest(tmp_path / "set")["shared_traces"] == 12
    assert rebuild(tmp_path / "set").identical


def test_a_row_that_failed_in_its_shard_is_tried_again_by_a_build(tmp_path: Path) -> None:
    broken = [True]

    def answer(body: dict[str, Any]) -> Reply:
        if broken and body["model"] == "mind" and number_in(body) == 7:
            return 500, {}, "out of order"
        return solve(body)

    with ChatServer(answer) as chat:
        project = sums_project(tmp_path / "p", chat.url, count=12, tries=1)
        in_parts(project, tmp_path / "set", 2)
        calls = chat.calls
        made = merge(out=tmp_path / "set")
        assert (made.funnel.failed, made.exit_code, chat.calls) == (1, 3, calls)
        broken.clear()
        assert build(project, out=tmp_path / "set").exit_code == 0
        assert chat.calls <= calls + 3
        assert rebuild(tmp_path / "set").identical


def test_own_models_need_an_identity(tmp_path: Path) -> None:
    def script(request: Request) -> Completion | str:
        return '{"reason": "So.", "verdict": "yes"}' if request.role == "judge" else "no"

    own, run = Fake(script, identity="judge/1"), Run(shard=Shard(number=1, count=1))
    build(Project.default(), out=tmp_path / "set", limit=20, llms={"judge": own}, run=run)
    assert merge(out=tmp_path / "set").funnel.rows == 20
    assert manifest(tmp_path / "set")["models"]["judge"]["name"] == "Fake"

    async def nameless(request: Request, /) -> Completion:
        return await own(request)

    with pytest.raises(SetupError, match="give it an `identity`"):
        build(Project.default(), out=tmp_path / "set", limit=20, llms={"judge": nameless}, run=run)


# --- what is not one build --------------------------------------------------------------------------------------


def change(folder: Path, **facts: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_what_is_not_one_build_is_refused(made: Made, tmp_path: Path) -> None:
    one, two, three = made.shards

    def refused(folders: list[Path]) -> str:
        with pytest.raises(SetupError) as told:
            merge(folders, out=tmp_path / "new", project=made.project)
        assert not (tmp_path / "new").exists()
        return str(told.value)

    assert "2 of 3 shards are missing (1/3, 3/3)" in refused([two])
    assert f"{one} and {tmp_path / 'copy'} are both shard 1/3" in refused(
        [one, shutil.copytree(one, tmp_path / "copy"), two, three]
    )
    assert "there is no shard's folder" in refused([tmp_path / "none"])
    assert "is no shard's folder" in refused([made.out.with_name("set.work")])
    with pytest.raises(SetupError, match="none lies beside OUT"):
        merge(out=tmp_path / "new")
    original = (two / "run.json").read_text()
    read = json.loads(original)["read"]
    hashes: dict[str, str] = json.loads(original)["files"]
    for facts, words in (
        ({"shard": "2/4"}, "name the shards of one division"),
        ({"seed": 7}, "the seed is 0 in one and 7 in the other"),
        ({"limit": 5}, "the limit is none in one and 5 in the other"),
        ({"profile": "other"}, "the profile is mine in one and other in the other"),
        ({"preset": "paper"}, "the preset is strict in one and paper in the other"),
        ({"version": "0.0"}, "the version is"),
        ({"players": {}}, "their models differ"),
        (
            {"files": hashes | {"generators/3_distill.md": "0"}},
            "their projects differ in generators/3_distill.md",
        ),
        ({"read": read | {"rows": 25}}, "they read different rows"),
    ):
        change(two, **facts)
        assert words in refused([one, two, three])
        (two / "run.json").write_text(original)
    assert merge([one, two, three], out=tmp_path / "new", project=made.project).kept


def test_a_shard_that_is_not_finished_or_not_whole_is_refused(made: Made, tmp_path: Path) -> None:
    one, two, three = made.shards

    def refused() -> str:
        with pytest.raises(OutputError) as told:
            merge(out=made.out, project=made.project)
        return str(told.value)

    before = files(made.out)
    (two / "spool.sqlite").rename(tmp_path / "spool")
    assert f"{two} does not hold the rows of shard 2/3" in refused()
    (two / "spool.sqlite").write_bytes((tmp_path / "spool").read_bytes()[:5000])
    assert "is not as shard 2/3 left it" in refused()
    (tmp_path / "spool").rename(two / "spool.sqlite")
    change(three, cache="/nowhere/answers.sqlite")
    assert merge(out=made.out, project=made.project).changed is False
    (three / "answers.sqlite").rename(tmp_path / "answers")
    assert "the answers of shard 3/3 are not in /nowhere/answers.sqlite: put that file into" in refused()
    (tmp_path / "answers").rename(three / "answers.sqlite")
    (one / "images" / "x.png").write_bytes(b"left by nobody")
    shutil.rmtree(next(one.glob("images/??")))
    shutil.rmtree(made.out.with_name("set.work"))
    assert "lacks the images of" in refused()
    run = Run(shard=Shard(number=1, count=3), cache=tmp_path / "empty.sqlite")
    with pytest.raises(SetupError, match="never answered"):  # its models are gone: it cannot be finished
        build(made.project, out=made.out, run=run)
    assert f"{one} is no finished shard" in refused()
    assert files(made.out) == before


def test_a_project_that_was_changed_since_is_refused(made: Made) -> None:
    set_key(made.project, CURATE, "validation_share", 0.5)
    with pytest.raises(SetupError, match=r"cards/6_curate\.toml was changed"):
        merge(out=made.out, project=made.project)


def test_sources_that_change_between_two_shards_are_told(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    first, second = (Run(shard=Shard(number=n, count=2)) for n in (1, 2))
    build(project, out=tmp_path / "set", run=first)
    write_rows(project.root, [sum_row(n, image=n // 3) for n in range(5)])
    build(project, out=tmp_path / "set", run=second)
    with pytest.raises(SetupError, match="shards 1/2 and 2/2 are not of one build: they read different rows"):
        merge(out=tmp_path / "set")
    build(project, out=tmp_path / "set", run=replace(first))
    assert merge(out=tmp_path / "set").funnel.rows == 5


# --- as commands -------------------------------------------------------------------------------------------------


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_shards_and_merge_as_commands(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12)
    for part in ("1/2", "2/2"):
        said = run("build", project.root, "--out", tmp_path / "set", "--shard", part)
        assert said.exit_code == 0, said.output
        assert " to be curated + " in said.stdout
        assert "`vlaa-thinking merge` makes a dataset of them" in said.stdout
    said = run("merge", "--out", tmp_path / "set")
    assert said.exit_code == 0, said.output
    assert "12 rows in = " in said.stdout
    assert f"Wrote {tmp_path / 'set'}. To load it:" in said.stdout
    said = run("merge", tmp_path / "set.shard-1-of-2", "--out", tmp_path / "new")
    assert (said.exit_code, said.stderr) == (
        2, "error: 1 of 2 shards are missing (2/2): build them, or name their folders\n",
    )  # fmt: skip
    said = run("build", project.root, "--out", tmp_path / "set", "--shard", "3")
    assert (said.exit_code, said.stderr) == (
        2, 'error: a shard is written as 2/4, the second of four, not as "3"\n',
    )  # fmt: skip
