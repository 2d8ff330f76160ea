"""Step 1: what a reader's rows become, whatever they hold."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer
from sums_project import picture, rows_of, solve, toml, write_models

from vlaa_thinking import Project, build
from vlaa_thinking.cache import Cache
from vlaa_thinking.errors import SetupError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.record import Record
from vlaa_thinking.sources import Source
from vlaa_thinking.sources.table import read as read_table
from vlaa_thinking.steps.collect import Collection

READER = '''
from pathlib import Path

from vlaa_thinking.record import Fault, Row

PICTURES = [Path(__file__).with_name(f"{number}.png") for number in range(8)]


def read(source, *, rows: int = 1):
    """A user's own reader."""
    for number in range(rows):
        given = dict(image=PICTURES[number % 8], question=f"What is it, for the {number}th time?", answer="a box")
        given.update(MORE[number] if number < len(MORE) else {})
        yield Row(**given)


MORE = []
'''


def project_with(folder: Path, *rows: str, **keys: Any) -> Project:
    """Make a project whose one source gives rows that differ from the plain one as `rows` says, in Python."""
    project = Project.default().copy(folder)
    for number in range(8):
        (folder / f"{number}.png").write_bytes(picture(number))
    (folder / "own_reader.py").write_text(READER.replace("MORE = []", f"MORE = [{', '.join(rows)}]"))
    source = {"reader": "own_reader:read", "license": "CC0-1.0", "rows": max(1, len(rows)), **keys}
    (folder / "generators/1_collect.toml").write_text(f"[source.own]\n{toml(source)}\n")
    models = (folder / "generators/models.toml").read_text()
    (folder / "generators/models.toml").write_text(re.sub(r"(?m)^sources = .*$", 'sources = ["own"]', models))
    return project


@contextmanager
def collecting(project: Project, **options: Any) -> Iterator[Collection]:
    """Open a project's sources."""
    with closing(Cache(project.root / "work/answers.sqlite")) as cache:
        images = ImageStore(project.root / "work/images", cache)
        yield Collection(project.settings(), images, **{"seed": 0, "limit": None, **options})


def records(project: Project) -> list[Record]:
    with collecting(project) as collection:
        return [collected.record for collected in collection]


def test_a_rows_texts_are_repaired_and_its_id_is_not(tmp_path: Path) -> None:
    row = r"""dict(
        id="a\x07b", question="Find \x0crac{1}{2}:\nA: x\x00\nB: y", answer="\x08oxed{B}", answer_type="choice",
        choices=("\x0crac{1}{2}", "y\x01"), notes="\x08eta", caption="a\x00 caption", text_question="\x0crac12")"""
    (record,) = records(project_with(tmp_path / "p", row))
    assert record.source_id == "a\x07b"
    assert record.question == "Find \\frac{1}{2}:\nA: x\nB: y"
    assert (record.gold.answer, record.gold.choices) == ("B", ("\\frac{1}{2}", "y"))
    assert (record.notes, record.source_caption, record.text_question) == ("\\beta", "a caption", "\\frac12")


def test_a_source_says_which_way_its_rows_take(tmp_path: Path) -> None:
    row = 'dict(reasoning="I see a box.", response="a box", caption="A box.", text_question="It is a box. What?")'
    (full,) = records(project_with(tmp_path / "full", row))
    assert (full.way, full.source_caption, full.source_reasoning) == ("full", "A box.", None)
    (adopted,) = records(project_with(tmp_path / "adopt", row, way="adopt"))
    assert (adopted.way, adopted.source_reasoning, adopted.source_response) == (
        "adopt",
        "I see a box.",
        "a box",
    )
    (asked,) = records(project_with(tmp_path / "model", row, captions="model"))
    assert (asked.source_caption, asked.text_question) == (None, None)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("way", "half", r'"way" must be one of "full", "adopt", "rl_only", not "half"'),
        ("captions", "mine", r'"captions" must be one of "given", "model", not "mine"'),
    ],
)
def test_a_way_that_there_is_not_is_refused(tmp_path: Path, key: str, value: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        project_with(tmp_path / "p", **{key: value}).settings()


def test_what_a_reader_knows_to_be_wrong_ends_the_row(tmp_path: Path) -> None:
    found = records(
        project_with(
            tmp_path / "p",
            'dict(fault=Fault(code="unanswerable", reason="most of them could not tell"), answer="unanswerable")',
            'dict(image=Fault(code="several_images", reason="the row has 2 images"))',
            'dict(image=Fault(code="image_not_fetched", reason="the server is away", again=True))',
            "dict(image=None)",
            'dict(question="  ")',
            'dict(answer="E", answer_type="choice", choices=("x", "y"))',
        )
    )
    outcomes = [record.outcome for record in found]
    assert [(o.status, o.step, o.code) for o in outcomes if o] == [
        ("dropped", "collect", "unanswerable"),
        ("dropped", "collect", "several_images"),
        ("failed", "collect", "image_not_fetched"),
        ("dropped", "collect", "missing_image"),
        ("dropped", "collect", "empty_question"),
        ("dropped", "collect", "bad_answer"),
    ]
    assert outcomes[0] is not None
    assert (outcomes[0].reason, outcomes[0].evidence) == (
        "collect: most of them could not tell",
        "answer: unanswerable",
    )


def test_an_id_is_the_sources_own_or_a_hash_and_a_second_one_is_dropped(tmp_path: Path) -> None:
    first, second, third, fourth = records(
        project_with(
            tmp_path / "p",
            'dict(id="7")',
            'dict(id="7", question="Another?")',
            'dict(image=PICTURES[0], question="Same?")',
            'dict(image=PICTURES[0], question="Same?", answer="a lid")',
        )
    )
    assert (first.id, first.outcome) == ("own/7", None)
    assert second.id == "own/7"
    assert second.outcome is not None
    assert second.outcome.code == "duplicate_id"
    assert re.fullmatch(r"own/[0-9a-f]{16}", third.id)
    assert fourth.id == third.id  # image and question are the same


def test_position_never_enters_an_id(tmp_path: Path) -> None:
    rows = ['dict(image=PICTURES[0], question="One?")', 'dict(image=PICTURES[1], question="Two?")']
    there = {record.question: record.id for record in records(project_with(tmp_path / "p", *rows))}
    back = {record.question: record.id for record in records(project_with(tmp_path / "q", *rows[::-1]))}
    assert back == there


def test_a_readers_slip_is_told_in_one_sentence(tmp_path: Path) -> None:
    project = project_with(tmp_path / "p", "dict(image=None, nonsense=1)")
    with pytest.raises(SetupError, match=r'the reader "own_reader:read" of source "own" failed: TypeError: '):
        records(project)
    module = tmp_path / "q/own_reader.py"
    project = project_with(tmp_path / "q")
    module.write_text("def read(source, *, rows: int = 1):\n    return iter(['a row'])\n")
    with pytest.raises(SetupError, match=r'of source "own" gave a str, not a Row'):
        records(project)


def test_take_and_limit_leave_rows_where_they_are(tmp_path: Path) -> None:
    project = project_with(tmp_path / "p", *["{}"] * 5, take=3)
    with collecting(project) as collection:
        assert len(list(collection)) == 3
    with collecting(project, limit=2) as collection:
        assert len(list(collection)) == 2
    with pytest.raises(SetupError, match="the limit is 0"), collecting(project, limit=0):
        pass


def test_adopted_reasoning_is_published_and_verified_and_no_model_writes_it(tmp_path: Path) -> None:
    """Rows of their own reasoning: right by rule, wrong by rule, open for the judge, damaged, without any."""
    rows = (
        'dict(id="right", answer="3", answer_type="digit", reasoning="One, two, three.", response="3")',
        'dict(id="wrong", answer="3", answer_type="digit", reasoning="One, two.", response="2")',
        'dict(id="free", answer="a box of tin", answer_type="open", reasoning="Wait, tin.", response="It is tin.")',
        'dict(id="tag", answer="3", answer_type="digit", reasoning="<answer>3</answer>", response="3")',
        'dict(id="bare", answer="3", answer_type="digit")',
    )
    with ChatServer(solve) as server:
        project = project_with(tmp_path / "p", *rows, way="adopt")
        write_models(project.root, server.url, sources=("own",))
        result = build(project, out=tmp_path / "out")
        assert {call["model"] for call in server.requests} == {"ear"}
        assert server.calls == 1
    by_id = {row["source_id"]: row for rows in rows_of(tmp_path / "out").values() for row in rows}
    assert result.kept == 2
    assert (by_id["right"]["reasoning"], by_id["right"]["score_by"]) == ("One, two, three.", "rule")
    assert by_id["right"]["completion"][0]["content"] == (
        "<think>One, two, three.</think>\n<answer>3</answer>"
    )
    assert (by_id["free"]["score_by"], by_id["free"]["cues"]) == ("judge", ["wait"])
    assert {name: (by_id[name]["step"], by_id[name]["code"]) for name in ("wrong", "tag", "bare")} == {
        "wrong": ("verify", "wrong_answer"),
        "tag": ("distill", "tag_in_text"),
        "bare": ("distill", "no_reasoning"),
    }


def test_rows_for_rl_alone_go_there_without_a_call(tmp_path: Path) -> None:
    rows = [f'dict(id="{n}", answer="{n}", answer_type="digit")' for n in range(4)]
    with ChatServer(solve) as server:
        project = project_with(tmp_path / "p", *rows, way="rl_only")
        write_models(project.root, server.url, sources=("own",))
        result = build(project, out=tmp_path / "out")
        assert server.calls == 0
    assert result.kept == 4
    published = rows_of(tmp_path / "out")
    assert set(published) == {"rl/train"}
    assert {
        (row["reasoning"], row["caption"], row["score"], row["cues"]) for row in published["rl/train"]
    } == {(None, None, None, None)}
    assert all(row["why"] for row in published["rl/train"])


def taken(project: Project, **options: Any) -> set[str]:
    with collecting(project, **options) as collection:
        return {collected.record.source_id for collected in collection}


def test_when_a_source_grows_only_rows_that_newcomers_outrank_are_taken_no_more(tmp_path: Path) -> None:
    rows = [f'dict(id="{n}", image=PICTURES[0], question="Is it {n}?")' for n in range(60)]
    was = taken(project_with(tmp_path / "p", *rows[:40], take=10))
    now = taken(project_with(tmp_path / "q", *rows, take=10))
    newcomers = now - {str(n) for n in range(40)}
    assert (len(was), len(now)) == (10, 10)
    assert newcomers
    assert now - newcomers < was
    assert taken(project_with(tmp_path / "r", *rows[::-1], take=10)) == now
    assert taken(project_with(tmp_path / "q2", *rows, take=10), seed=1) != now
    with collecting(project_with(tmp_path / "s", *rows, take=10)) as collection:
        assert len(list(collection)) == 10
        assert collection.not_taken == 50


def test_rows_of_one_id_and_rows_without_any_are_ranked_too(tmp_path: Path) -> None:
    same = project_with(tmp_path / "p", *['dict(id="7")'] * 5, take=2)
    assert [record.outcome is None for record in records(same)] == [True, False]
    rows = [f'dict(image=PICTURES[0], question="Is it {n}?")' for n in range(30)]
    there = taken(project_with(tmp_path / "q", *rows, take=5))
    assert len(there) == 5
    assert taken(project_with(tmp_path / "r", *rows[::-1], take=5)) == there


def test_the_images_of_rows_that_are_not_taken_are_not_looked_for(tmp_path: Path) -> None:
    project = project_with(tmp_path / "p")
    lines = [
        f'{{"id": "{n}", "image": "{n}.png", "question": "Is it {n}?", "answer": "1"}}\n' for n in range(8)
    ]
    (project.root / "rows.jsonl").write_text("".join(lines))
    source = {"reader": "table", "path": "rows.jsonl", "id": "id", "take": 3}
    (project.root / "generators/1_collect.toml").write_text(f"[source.own]\n{toml(source)}\n")
    at = Source(name="own", root=project.root, seed=0, wanted=lambda row_id: row_id in "25")
    images = {row.id: row.image for row in read_table(at, path="rows.jsonl", id="id")}
    assert {row_id for row_id, image in images.items() if image is not None} == {"2", "5"}
    assert len(images) == 8
    with collecting(project) as collection:
        collected = [one.record for one in collection]
    assert [record.outcome for record in collected] == [None] * 3


def test_a_question_is_asked_once_on_an_image(tmp_path: Path) -> None:
    first, again, other, broken, sound = records(
        project_with(
            tmp_path / "p",
            'dict(id="a", image=PICTURES[0], question="What is it?")',
            'dict(id="b", image=PICTURES[0], question=" what  is it? ")',
            'dict(id="c", image=PICTURES[1], question="What is it?")',
            'dict(id="d", image=PICTURES[2], question="What is it?", fault=Fault(code="unanswerable", reason="no"))',
            'dict(id="e", image=PICTURES[2], question="What is it?")',
        )
    )
    assert [record.outcome for record in (first, other, sound)] == [None] * 3
    assert again.outcome is not None
    assert (again.outcome.code, again.outcome.evidence) == ("duplicate_question", "row: own/a")
    assert broken.outcome is not None  # and a row that cannot be used is no first one
