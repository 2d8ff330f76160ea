"""What a cache holds, why two calls differ, what nobody asks for; asking anew, and the log."""

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import (
    number_in,
    rows_of,
    solve,
    sum_row,
    sums_project,
    toml,
    write_models,
    write_rows,
)

from vlaa_thinking import Completion, Project, Run, build, cache_gc, cache_stats, explain, show
from vlaa_thinking.cache import Cache
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import SetupError
from vlaa_thinking.ledger.differ import Difference, differences
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.llm.wrap import Cached
from vlaa_thinking.log import Log, Logged
from vlaa_thinking.players import Table, players

Hook = Callable[[dict[str, Any]], Reply]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A project of 12 sums on 4 images that was built once; its server is gone."""

    project: Project
    out: Path
    url: str
    calls: int

    def copy(self, folder: Path) -> tuple[Project, Path]:
        """Copy the project and its answers."""
        shutil.copytree(self.project.root, folder / "p")
        shutil.copy(answers_in(self.out), folder / "answers.sqlite")
        return Project.open(folder / "p"), folder / "answers.sqlite"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    with ChatServer(solve) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
        project = sums_project(folder / "p", server.url, api_key_env="MY_SERVERS_KEY")
        build(project, out=folder / "out")
        return Built(project=project, out=folder / "out", url=server.url, calls=server.calls)


def answers_in(out: Path) -> Path:
    return out.with_name(f"{out.name}.work") / "answers.sqlite"


def forms(cache: Path) -> dict[str, dict[str, Any]]:
    """Read every stored request in canonical form, by its key in hex."""
    with closing(Cache(cache)) as opened:
        return {stored.key.hex(): json.loads(stored.asked) for stored in opened.answers()}


def by_model(cache: Path) -> Counter[str]:
    return Counter(form["params"]["model"] for form in forms(cache).values())


def forget(cache: Path, model: str, words: str = "") -> int:
    """Delete a model's answers, or those to requests that hold `words`."""
    gone = [
        bytes.fromhex(key)
        for key, form in forms(cache).items()
        if form["params"]["model"] == model and words in json.dumps(form)
    ]
    with closing(Cache(cache)) as opened:
        opened.remove(gone)
    return len(gone)


def edited(project: Project, name: str, old: str, new: str) -> None:
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- stats ---------------------------------------------------------------------------------------------------


def test_stats_count_every_answer_once(built: Built) -> None:
    stats = cache_stats(out=built.out)
    assert stats.answers == built.calls
    found = {(line.model, line.step, line.state): line.answers for line in stats.lines}
    assert found == {
        ("eye", "caption", "ok"): 4,
        ("mind", "distill", "ok"): 11,
        ("mind", "distill", "truncated"): 2,
        ("pen", "rewrite", "ok"): 2,
        ("ear", "verify", "ok"): 1,
    }
    assert {(line.api, line.identity) for line in stats.lines} == {("openai", built.url)}
    assert stats.images == 4
    assert (stats.cache, stats.bytes) == (answers_in(built.out), stats.cache.stat().st_size)
    assert 0 < sum(line.bytes for line in stats.lines) < stats.bytes


def test_stats_know_no_step_where_the_project_is_gone(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    build(project, out=tmp_path / "out")
    shutil.rmtree(project.root)
    lines = cache_stats(out=tmp_path / "out").lines
    assert [(line.model, line.step, line.answers) for line in lines] == [("eye", "", 1), ("mind", "", 1)]


def test_stats_find_a_cache_that_lies_elsewhere(tmp_path: Path, server: ChatServer) -> None:
    shared = tmp_path / "shared.sqlite"
    build(sums_project(tmp_path / "p", server.url, count=1), out=tmp_path / "out", run=Run(cache=shared))
    assert cache_stats(out=tmp_path / "out").cache == shared  # as the last build notes it
    assert cache_stats(out=tmp_path / "other", cache=shared).answers == 2


def test_stats_tell_an_answer_that_cannot_be_read(tmp_path: Path) -> None:
    asked = json.dumps({"api": "openai", "identity": "there", "params": {}, "messages": []}).encode()
    with closing(Cache(tmp_path / "a.sqlite")) as cache:
        cache.put(asked, Completion(api="openai", body=b"<html>"))
    (line,) = cache_stats(cache=tmp_path / "a.sqlite").lines
    assert (line.model, line.state, line.answers) == ("there", "unreadable", 1)


def test_a_cache_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "none.sqlite"
    calls = (
        lambda: cache_stats(cache=missing),
        lambda: explain("ab", "cd", cache=missing),
        lambda: cache_gc([Project.default()], cache=missing),
        lambda: cache_stats(out=tmp_path / "out"),
    )
    for call in calls:
        with pytest.raises(SetupError, match="there is no answer cache"):
            call()
    assert list(tmp_path.iterdir()) == []


# --- explain -------------------------------------------------------------------------------------------------


def test_a_call_is_the_same_by_key_and_by_row(built: Built) -> None:
    (trace,) = show("0002", out=built.out)
    assert [exchange.step for exchange in trace.exchanges] == ["caption", "distill", "rewrite"]
    for exchange in trace.exchanges:
        found = explain(exchange.key[:12].upper(), f"sums/0002:{exchange.step}", out=built.out)
        assert (found.a, found.b, found.differences) == (exchange.key, exchange.key, ())
    assert {exchange.key for exchange in trace.exchanges} < forms(answers_in(built.out)).keys()
    assert explain("0000:caption", "0002:caption", out=built.out).differences == ()  # one image
    assert explain("0000:caption", "0003:caption", out=built.out).differences != ()


def test_what_differs_is_told_field_by_field(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1, max_side=300)
    build(project, out=tmp_path / "out")
    (before,) = show("0000", out=tmp_path / "out")
    edited(project, "generators/2_caption.md", "temperature = 0.2", "temperature = 0.25")
    edited(project, "generators/2_caption.md", "Describe this image.", "Describe this image well.")
    write_models(project.root, server.url, max_side=301, params={"top_p": 0.5})
    build(project, out=tmp_path / "out")
    found = explain(before.exchanges[0].key, "0000:caption", out=tmp_path / "out")
    assert found.a == before.exchanges[0].key
    told = {d.path: (d.a, d.b) for d in found.differences if not d.diff}
    assert told == {
        "messages[1].images[0].resize.max_side": ("300", "301"),
        "messages[1].text": (
            '"Describe this image.\\n\\nNotes that come with it:\\n(none)"',
            '"Describe this image well.\\n\\nNotes that come with it:\\n(none)"',
        ),
        "params.temperature": ("0.2", "0.25"),
        "params.top_p": (None, "0.5"),
    }


def test_of_long_texts_only_the_sentences_that_differ_are_told(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    build(project, out=tmp_path / "out")
    (before,) = show("0000", out=tmp_path / "out")
    edited(project, "generators/3_distill.md", "Think step by step", "Think it through")
    found = explain(before.exchanges[1].key, "0000:distill", out=tmp_path / "out")  # not asked yet
    (difference,) = found.differences
    assert difference.path == "messages[0].text"
    changed = [line for line in difference.diff[2:] if line[0] in "+-"]
    assert changed == [
        "-Think step by step, with care, and only from what is there.",
        "+Think it through, with care, and only from what is there.",
    ]


def test_the_second_call_of_a_step_can_be_named(built: Built) -> None:
    found = explain("0005:distill", "0005:distill:2", out=built.out)
    assert found.differences == (Difference(path="params.max_tokens", a="8192", b="32768"),)


def test_lists_and_absent_fields_are_told() -> None:
    a = {"x": [1, {"y": None}], "z": True, "same": {"deep": [1]}}
    b = {"x": [1, {"y": 0}, "more"], "w": "ü", "same": {"deep": [1]}}
    assert list(differences(a, b)) == [
        Difference(path="w", a=None, b='"ü"'),
        Difference(path="x[1].y", a="null", b="0"),
        Difference(path="x[2]", a=None, b='"more"'),
        Difference(path="z", a="true", b=None),
    ]
    assert list(differences({"n": 1}, {"n": True})) == [Difference(path="n", a="1", b="true")]


def test_a_long_comparison_is_cut() -> None:
    a, b = ("\n".join(f"{word} {n}" for n in range(90)) for word in ("one", "other"))
    (difference,) = differences({"t": a}, {"t": b})
    assert len(difference.diff) == 21
    assert difference.diff[-1] == "... 163 more lines"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("not-a-key", "neither"),
        ("", "neither"),
        ("0" * 65, "neither"),
        ("0000:dream", "neither"),
        (":distill", "neither"),
        ("0000:rewrite", "makes no call in the step rewrite"),
        ("0000:distill:2", "makes one call in the step distill"),
        ("9999:distill", 'no row "9999"'),
        ("0" * 64, "holds no answer whose key begins with 000"),
    ],
)
def test_what_names_no_call_is_told_in_a_sentence(built: Built, call: str, words: str) -> None:
    with pytest.raises(SetupError, match=words) as caught:
        explain("0000:caption", call, out=built.out)
    assert "\n" not in str(caught.value)


def test_what_names_several_calls_is_told_in_a_sentence(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=20, per_image=1)
    for file, first, count in (("rows.jsonl", 0, 16), ("more.jsonl", 16, 2)):
        rows = [json.dumps(sum_row(n, image=first + n)) for n in range(count)]
        (project.root / file).write_text("\n".join(rows))
    source = {"reader": "table", "id": "id", "image_root": "images"}
    two = (
        f"[source.sums]\n{toml(source | {'path': 'rows.jsonl'})}\n"
        f"[source.more]\n{toml(source | {'path': 'more.jsonl'})}\n"
    )
    (project.root / "generators/1_collect.toml").write_text(two)
    write_models(project.root, server.url, sources=("sums", "more"))
    build(project, out=tmp_path / "out")
    first_digits = Counter(key[0] for key in forms(answers_in(tmp_path / "out")))
    digit, count = first_digits.most_common(1)[0]
    assert count > 1
    with pytest.raises(SetupError, match=f"^{count} keys in .* begin with {digit}"):
        explain(digit, "sums/0000:caption", out=tmp_path / "out")
    with pytest.raises(SetupError, match=r'"0001" names several rows: .*more/0001'):
        explain("0001:caption", "sums/0000:caption", out=tmp_path / "out")


def test_a_model_without_an_identity_has_no_keys(tmp_path: Path, server: ChatServer) -> None:
    async def mind(request: Any, /) -> Completion:
        return Completion.of(f"<answer>{len(request.messages)}</answer>", reasoning="I see.")

    project = sums_project(tmp_path / "p", server.url, count=1)
    build(project, out=tmp_path / "out", llms={"reasoner": mind})
    with pytest.raises(SetupError, match="has no identity"):
        explain("0000:distill", "0000:caption", out=tmp_path / "out")


# --- gc ------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_is_kept_without_key_or_server(tmp_path: Path, built: Built) -> None:
    project, cache = built.copy(tmp_path)
    found = cache_gc([project], out=tmp_path / "out", cache=cache, presets=["strict"], delete=True)
    assert (found.answers, found.kept, len(forms(cache))) == (0, built.calls, built.calls)
    (walked,) = found.builds
    assert (walked.project, walked.profile, walked.preset) == (project.root, "mine", "strict")
    assert (walked.rows, walked.unknown) == (12, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "answers.sqlite",
        "p",
    ]  # and no image is stored


def test_what_an_old_prompt_asked_is_listed_and_then_deleted(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url)
    out = tmp_path / "out"
    first = build(project, out=out).calls
    old = forms(answers_in(out)).keys()
    edited(project, "generators/3_distill.md", "Think step by step", "Think it through")
    second = build(project, out=out).calls
    assert second == 13  # of the rest, nothing depends on the prompt here
    listed = cache_gc(out=out)
    assert (listed.answers, listed.kept, listed.deleted) == (13, first, False)
    assert {(line.model, line.state): line.answers for line in listed.lines} == {
        ("mind", "ok"): 11,
        ("mind", "truncated"): 2,
    }
    assert len(forms(answers_in(out))) == first + second  # listing deletes nothing
    size = cache_stats(out=out).bytes
    deleted = cache_gc([project], out=out, delete=True)
    assert (deleted.answers, deleted.bytes, deleted.deleted) == (13, listed.bytes, True)
    assert len(forms(answers_in(out))) == first
    assert cache_stats(out=out).bytes < size
    calls = server.calls
    assert build(project, out=out).calls == 0
    edited(project, "generators/3_distill.md", "Think it through", "Think step by step")
    assert build(project, out=out).calls == 13  # they are gone indeed
    assert server.calls == calls + 13
    assert forms(answers_in(out)).keys() > old


def test_a_prompt_that_was_not_built_yet_keeps_what_may_follow(tmp_path: Path, built: Built) -> None:
    project, cache = built.copy(tmp_path)
    edited(project, "generators/2_caption.md", "Describe this image.", "Describe it.")
    found = cache_gc([project], cache=cache, delete=True)
    assert [(line.model, line.answers) for line in found.lines] == [("eye", 4)]
    assert [(walked.preset, walked.unknown) for walked in found.builds] == [("paper", 12), ("strict", 12)]
    assert by_model(cache) == {"mind": 13, "pen": 2, "ear": 1}


def test_a_source_on_the_hub_is_not_read_and_keeps_what_its_profile_may_ask(
    tmp_path: Path, built: Built
) -> None:
    project, cache = built.copy(tmp_path)
    collect = project.root / "generators/1_collect.toml"
    collect.write_text(collect.read_text() + '[source.far]\nreader = "table"\nhf = "nobody/nothing"\n')
    models = project.root / "generators/models.toml"
    models.write_text(models.read_text().replace('["sums"]', '["sums", "far"]'))
    edited(project, "generators/2_caption.md", "Describe this image.", "Describe it.")
    found = cache_gc([project], cache=cache, presets=["strict"])
    assert [(walked.rows, walked.unread) for walked in found.builds] == [(12, ("far",))]
    assert [(line.model, line.answers) for line in found.lines] == [("eye", 4)]  # of a prompt that is no more
    models.write_text(models.read_text().replace('["sums", "far"]', '["far"]'))
    assert [walked.rows for walked in cache_gc([project], cache=cache, presets=["strict"]).builds] == [0]


def test_a_row_whose_answer_is_missing_keeps_what_may_follow(tmp_path: Path, built: Built) -> None:
    project, cache = built.copy(tmp_path)
    assert forget(cache, "mind", "What is 2 plus") == 1  # what row 2 has rewritten can no longer be reached
    write_rows(project.root, [sum_row(n, image=n // 3) for n in range(9)])  # the last image is not asked for
    found = cache_gc([project], cache=cache, presets=["strict"], delete=True)
    assert [(walked.rows, walked.unknown) for walked in found.builds] == [(9, 1)]
    # No row is open at the caption, so the last image's goes. At distill and later one is, so all of that stays.
    assert [(line.model, line.answers) for line in found.lines] == [("eye", 1)]
    assert by_model(cache) == {"eye": 3, "mind": 12, "pen": 2, "ear": 1}


def test_a_row_that_is_missing_keeps_nothing_of_old_prompts(tmp_path: Path, built: Built) -> None:
    project, cache = built.copy(tmp_path)
    forget(cache, "mind", "What is 2 plus")
    edited(project, "generators/4_rewrite.md", "Give it back as written", "Write it")
    found = cache_gc([project], cache=cache, presets=["strict"])
    assert [(line.model, line.answers) for line in found.lines] == [("pen", 2)]


def test_a_row_whose_image_is_missing_keeps_what_may_follow(tmp_path: Path, built: Built) -> None:
    project, cache = built.copy(tmp_path)
    (project.root / "images" / "1.png").unlink()
    found = cache_gc([project], cache=cache, presets=["strict"], delete=True)
    assert (found.answers, found.builds[0].unknown, len(forms(cache))) == (0, 3, built.calls)


@pytest.mark.parametrize("harm", ["prompt", "rows", "images", "empty", "folder", "profile", "preset"])
def test_nothing_is_deleted_where_a_project_cannot_be_read(tmp_path: Path, built: Built, harm: str) -> None:
    project, cache = built.copy(tmp_path)
    edited(project, "generators/3_distill.md", "Think step by step", "Think it through")
    assert cache_gc([built.project, project], cache=cache).answers == 0
    assert cache_gc([project], cache=cache).answers == 13  # there is something to delete
    before = forms(cache)
    profiles: list[str] = []
    presets: list[str] = []
    match harm:
        case "prompt":
            edited(project, "generators/4_rewrite.md", "{{text}}", "{{txet}}")
        case "rows":
            (project.root / "rows.jsonl").unlink()
        case "images":
            shutil.rmtree(project.root / "images")
        case "empty":
            (project.root / "rows.jsonl").write_text("")
        case "folder":
            shutil.rmtree(project.root / "verifiers")
        case "profile":
            profiles = ["yours"]
        case _:
            presets = ["loose"]
    with pytest.raises(SetupError):
        cache_gc([project], cache=cache, profiles=profiles, presets=presets, delete=True)
    assert forms(cache) == before


def test_every_profile_of_a_project_keeps_its_answers(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    cheap = '\n[profile.cheap]\ncaptioner="eye2"\nreasoner="mind"\nrewriter="pen"\njudge="ear"\nsources=["sums"]\n'
    eye2 = {"api": "openai", "base_url": server.url, "model": "eye", "params": {"temperature": 0.9}}
    with (project.root / "generators/models.toml").open("a") as file:
        file.write(f"{cheap}[model.eye2]\n{toml(eye2)}\n")
    build(project, out=tmp_path / "out")
    build(project, out=tmp_path / "out", profile="cheap")
    assert cache_gc([project], out=tmp_path / "out").answers == 0
    (line,) = cache_gc([project], out=tmp_path / "out", profiles=["mine"]).lines
    assert (line.model, line.answers) == ("eye", 1)


def test_every_preset_of_a_project_keeps_its_answers(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    build(project, out=tmp_path / "out", run=Run(preset="paper"))  # there, all is rewritten and judged
    assert by_model(answers_in(tmp_path / "out")) == {"eye": 1, "mind": 1, "pen": 1, "ear": 1}
    assert cache_gc([project], out=tmp_path / "out").answers == 0
    gone = cache_gc([project], out=tmp_path / "out", presets=["strict"]).lines
    assert [(line.model, line.answers) for line in gone] == [("ear", 1), ("pen", 1)]


def test_the_seed_of_the_last_build_keeps_its_answers(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    source = {"reader": "demo", "kind": "counting", "count": 3}
    (project.root / "generators/1_collect.toml").write_text(f"[source.counting]\n{toml(source)}\n")
    models = (project.root / "generators/models.toml").read_text().partition("[profile.paper]")[0]
    models = models.replace('["counting", "bars", "lines", "boxes", "forms"]', '["counting"]')
    (project.root / "generators/models.toml").write_text(f'{models}\n[model.teacher]\napi = "demo"\n')
    known_first = build(project, out=tmp_path / "out").calls
    made = known_first + build(project, out=tmp_path / "out", seed=7).calls
    shared = tmp_path / "answers.sqlite"
    shutil.copy(answers_in(tmp_path / "out"), shared)
    known = cache_gc(out=tmp_path / "out", presets=["strict"])
    assert (known.answers, sorted(b.seed for b in known.builds)) == (0, [0, 7])
    elsewhere = tmp_path / "elsewhere"
    forgotten = cache_gc([project], out=elsewhere, cache=shared, presets=["strict"])
    assert {(line.model, line.api) for line in forgotten.lines} == {("demo-teacher/1", "demo")}
    assert (forgotten.answers, forgotten.kept) == (made - known_first, known_first)
    named = cache_gc([project], out=elsewhere, cache=shared, presets=["strict"], seeds=[7])
    assert (named.answers, named.kept) == (0, made)


def test_answers_of_a_caller_s_own_model_are_kept(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    eye = Fake(lambda _: "A box.", identity="my eye")
    build(project, out=tmp_path / "out", llms={"captioner": eye})
    found = cache_gc(out=tmp_path / "out", delete=True)
    assert found.answers == 0
    assert build(project, out=tmp_path / "out", llms={"captioner": eye}).calls == 0


def test_a_shared_cache_keeps_what_any_named_project_asks_for(tmp_path: Path, server: ChatServer) -> None:
    run = Run(cache=tmp_path / "shared.sqlite")
    one = sums_project(tmp_path / "one", server.url, count=3)
    two = sums_project(tmp_path / "two", server.url, count=3)
    write_rows(two.root, [sum_row(n, image=0) for n in (7, 8)])
    build(one, out=tmp_path / "a", run=run)
    build(two, out=tmp_path / "b", run=run)
    assert cache_gc([one, two], cache=run.cache, presets=["strict"]).answers == 0
    lines = cache_gc([one], cache=run.cache, presets=["strict"]).lines
    assert [(line.model, line.answers) for line in lines] == [("mind", 2)]


def test_projects_must_be_named_where_none_is_known(tmp_path: Path, server: ChatServer) -> None:
    build(sums_project(tmp_path / "p", server.url, count=1), out=tmp_path / "out")
    with pytest.raises(SetupError, match="name the projects"):
        cache_gc(out=tmp_path / "out", cache=answers_in(tmp_path / "out"))
    (tmp_path / "out.work" / "run.json").unlink()
    with pytest.raises(SetupError, match="name the projects"):
        cache_gc(out=tmp_path / "out")


def test_gc_works_in_a_notebook(built: Built) -> None:
    async def cell() -> int:
        return cache_gc(out=built.out, presets=["strict"]).kept

    assert asyncio.run(cell()) == built.calls


def test_a_cache_in_use_is_told(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "a.sqlite")) as cache, closing(sqlite3.connect(cache.path)) as other:
        cache._db.execute("PRAGMA busy_timeout=10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SetupError, match=r"a\.sqlite cannot be cleared up now: database is locked"):
            cache.remove([b"x"])


# --- asking anew ---------------------------------------------------------------------------------------------


FILTERED: Reply = {"content": None, "finish_reason": "content_filter"}
ANSWERED: Reply = "<think>5 and 12 make 17.</think>\nSo it is.\n<answer>17</answer>"


def minds(*, five: Reply | None = None, eight: Reply | None = None) -> Hook:
    """Answer as `solve` does, but for the reasoner's replies to two of the sums."""

    def reply(body: dict[str, Any]) -> Reply:
        other = {5: five, 8: eight}.get(number_in(body)) if body["model"] == "mind" else None
        return solve(body) if other is None else other

    return reply


def test_only_the_states_named_are_asked_anew(tmp_path: Path, server: ChatServer) -> None:
    server.reply = minds(eight=FILTERED)
    project, out = sums_project(tmp_path / "p", server.url), tmp_path / "out"
    first = build(project, out=out)
    assert first.funnel.steps[2].dropped == {"filtered": 1, "truncated": 1}
    calls = server.calls
    server.reply = minds(five=ANSWERED)
    second = build(project, out=out, run=Run(again=("truncated",)))
    assert [body["max_tokens"] for body in server.requests[calls:]] == [8192]
    assert (second.calls, second.kept) == (1, first.kept + 1)
    assert second.funnel.steps[2].dropped == {"filtered": 1}
    third = build(project, out=out)  # the new reply is the stored one now
    assert (third.calls, third.funnel, third.changed) == (0, second.funnel, False)
    fourth = build(project, out=out, run=Run(again=("refused", "filtered")))
    assert (fourth.calls, fourth.kept) == (1, second.kept + 1)


def test_a_stored_reply_stays_until_the_new_one_is_finished(tmp_path: Path, server: ChatServer) -> None:
    server.reply = minds(eight=FILTERED)
    project, out = sums_project(tmp_path / "p", server.url, count=9, max_concurrency=1), tmp_path / "out"
    first = build(project, out=out)
    assert first.funnel.steps[2].dropped == {"filtered": 1, "truncated": 1}
    server.reply = minds(five=ANSWERED, eight=(503, {}, "busy"))
    second = build(project, out=out, run=Run(again=("truncated", "filtered")))
    assert (second.exit_code, second.funnel.failed, second.kept) == (3, 1, first.kept + 1)
    third = build(project, out=out)
    assert (third.calls, third.exit_code, third.kept) == (0, 0, first.kept + 1)
    assert third.funnel.steps[2].dropped == {"filtered": 1}  # what was stored before


def test_a_reply_is_asked_anew_once_a_build(tmp_path: Path, server: ChatServer) -> None:
    def blind(body: dict[str, Any]) -> Reply:
        return FILTERED if body["model"] == "eye" else solve(body)

    server.reply = blind
    project = sums_project(tmp_path / "p", server.url, count=40, per_image=40, max_concurrency=1)
    assert build(project, out=tmp_path / "out").calls == 1
    assert build(project, out=tmp_path / "out").calls == 0
    again = build(project, out=tmp_path / "out", run=Run(again=("filtered",)))
    assert (again.calls, again.spared, server.calls) == (1, 39, 2)  # more rows than are under way at once


@pytest.mark.parametrize(
    ("state", "words"), [("refuzed", 'did you mean "refused"'), ("ok", "known: empty, filtered, refused")]
)
def test_a_state_that_there_is_not_is_told(state: str, words: str) -> None:
    with pytest.raises(SetupError, match=f'"{state}".*{words}'):
        Run(again=("truncated", state))


# --- the log -------------------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_log_has_a_line_for_each_call_and_each_row(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy: Iterator[Reply] = iter([(503, {}, "busy")])

    def reply(body: dict[str, Any]) -> Reply:
        return next(busy, None) or solve(body) if body["model"] == "ear" else solve(body)

    server.reply = reply
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    project = sums_project(tmp_path / "p", server.url, api_key_env="MY_SERVERS_KEY")
    log = tmp_path / "logs" / "build.jsonl"
    result = build(project, out=tmp_path / "out", run=Run(log=log))
    calls = [line for line in lines_of(log) if line["event"] == "call"]
    rows = [line for line in lines_of(log) if line["event"] == "row"]
    assert len(calls) + len(rows) == len(lines_of(log))
    assert Counter(call["by"] for call in calls) == {"model": result.calls, "cache": result.spared}
    kinds = Counter((call["role"], call["step"], call["model"], call["state"]) for call in calls)
    assert kinds == {
        ("captioner", "caption", "eye", "ok"): 12,
        ("reasoner", "distill", "mind", "ok"): 11,
        ("reasoner", "distill", "mind", "truncated"): 2,
        ("rewriter", "rewrite", "pen", "ok"): 2,
        ("judge", "verify", "ear", "ok"): 1,
    }
    assert {call["key"] for call in calls} == forms(answers_in(tmp_path / "out")).keys()
    (judged,) = [call for call in calls if call["model"] == "ear"]
    assert (judged["retries"], sum(call["retries"] for call in calls)) == (1, 1)
    (ear,) = [body for body in server.requests if body["model"] == "ear"][1:]
    assert judged["input_tokens"] == -(-len(json.dumps(ear["messages"])) // 4)  # as the server counts
    assert judged["seconds"] > 0
    ends = {row["row"]: (row["step"], row["outcome"], row["code"]) for row in rows}
    assert (len(rows), len(ends)) == (12, 12)
    assert ends["sums/0000"] == ("verify", "passed", "")
    assert ends["sums/0003"] == ("verify", "dropped", "wrong_answer")
    assert ends["sums/0005"] == ("distill", "dropped", "truncated")
    written = log.read_text()
    for word in ("very-secret", "Bearer", "What is", "image", "make", "A box", server.url):
        assert word not in written


def test_the_log_tells_a_call_without_a_reply(tmp_path: Path, server: ChatServer) -> None:
    server.reply = minds(five=(503, {}, "busy"))
    project = sums_project(tmp_path / "p", server.url, count=6, max_concurrency=1)
    build(project, out=tmp_path / "out", run=Run(log=tmp_path / "log"))
    (call,) = [line for line in lines_of(tmp_path / "log") if line.get("state") == "no_reply"]
    assert (call["by"], call["retries"], call["input_tokens"]) == ("model", 1, None)
    (row,) = [line for line in lines_of(tmp_path / "log") if line.get("outcome") == "failed"]
    assert (row["row"], row["step"], row["code"]) == ("sums/0005", "distill", "no_reply")


def test_a_log_is_added_to_after_a_line_that_was_cut(tmp_path: Path, server: ChatServer) -> None:
    project, log = sums_project(tmp_path / "p", server.url, count=1), tmp_path / "log"
    build(project, out=tmp_path / "out", run=Run(log=log))
    first = log.read_text()
    assert [line["by"] for line in lines_of(log) if line["event"] == "call"] == ["model", "model"]
    log.write_text(first[:-9])
    build(project, out=tmp_path / "out", run=Run(log=log))
    assert log.read_text().startswith(f"{first[:-9]}\n{{")
    added = [json.loads(line) for line in log.read_text().splitlines()[3:]]
    assert [line.get("by") for line in added] == ["cache", "cache", None]


def test_a_log_is_flushed_line_by_line(tmp_path: Path, server: ChatServer) -> None:
    log = tmp_path / "log"
    seen: list[str] = []

    def reply(body: dict[str, Any]) -> Reply:
        seen.append(log.read_text())
        return solve(body)

    server.reply = reply
    build(sums_project(tmp_path / "p", server.url, count=1), out=tmp_path / "out", run=Run(log=log))
    assert [text.count("\n") for text in seen] == [0, 1]


def test_without_a_log_nothing_is_around_the_models(tmp_path: Path, built: Built) -> None:
    async def nests(log: Log | None) -> set[type]:
        settings = Project.default().settings()
        with closing(Cache(tmp_path / "answers.sqlite")) as cache:
            async with AsyncExitStack() as stack:
                table = Table(cache=cache, counts=Counts(), budget=None, stack=stack, log=log)
                return {type(player.llm) for player in players(settings, None, table).values()}

    assert asyncio.run(nests(None)) == {Cached}
    with closing(Log(tmp_path / "log", out=built.out)) as log:
        assert asyncio.run(nests(log)) == {Logged}


def test_a_log_never_lies_in_the_dataset_folder(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    with pytest.raises(SetupError, match="name another --log"):
        build(project, out=tmp_path / "out", run=Run(log=tmp_path / "out" / "logs" / "log"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(SetupError, match=r"cannot be written.*name another --log"):
        build(project, out=tmp_path / "out", run=Run(log=tmp_path / "p"))
    assert server.calls == 0


# --- one cache for several projects --------------------------------------------------------------------------


def test_projects_that_share_a_cache_pay_a_shared_caption_once(tmp_path: Path, server: ChatServer) -> None:
    run = Run(cache=tmp_path / "shared.sqlite")
    one = sums_project(tmp_path / "one", server.url, count=3)
    other = sums_project(tmp_path / "other", server.url, count=6)
    write_rows(other.root, [sum_row(8, image=0), sum_row(9, image=0), sum_row(10, image=1)])
    build(one, out=tmp_path / "a", run=run)
    result = build(other, out=tmp_path / "b", run=run)
    assert Counter(body["model"] for body in server.requests) == {"eye": 2, "mind": 6, "pen": 1}
    assert (result.calls, result.spared) == (4, 2)
    splits = [split for out in "ab" for split in rows_of(tmp_path / out).values()]
    captions = {row["id"]: row["caption"] for split in splits for row in split}
    assert captions["sums/0000"] == captions["sums/0008"] != captions["sums/0010"]
    build(other, out=tmp_path / "c")
    assert Counter(body["model"] for body in server.requests)["eye"] == 4  # each alone pays for its own
