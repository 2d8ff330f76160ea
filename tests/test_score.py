"""`vlaa-thinking score`: any model's answers against a dataset folder, by the checks that kept its rows."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from typer.testing import CliRunner, Result

from vlaa_thinking import Project, ScoreReport, build, score
from vlaa_thinking.cli import app
from vlaa_thinking.errors import SetupError
from vlaa_thinking.rewards import mixed_reward

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build some rows of the demo."""
    out = tmp_path_factory.mktemp("data") / "set"
    build(Project.default(), out=out, limit=100)
    return out


@pytest.fixture(scope="module")
def rows(data: Path) -> Rows:
    """Read the rows that may be predicted, by another way than `score` does."""
    found: list[Any] = [
        row for config in ("sft", "rl") for part in load_dataset(str(data), config).values() for row in part
    ]
    return {row["id"]: row for row in found}


def of_type(rows: Rows, kind: str) -> list[dict[str, Any]]:
    return [row for row in rows.values() if row["answer_type"] == kind]


def predict(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, words)])


# --- what is right ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "<think>So.</think><answer>{gold}</answer>",
        "So.</think><answer>{gold}</answer>",
        "<answer>{gold}</answer>",
        "<think>So. <answer>{gold}</answer>",
        "<think>So. <answer>{gold}</answer></think>",
        "<think>So.</think> <answer>{gold}",
        "<think>So.</think><answer>{gold}</answer><answer>7 or so</answer>",
        " \n<think>\n<answer>{gold}</answer>",
    ],
)
def test_a_reward_and_a_score_read_a_reply_in_the_same_way(
    data: Path, rows: Rows, tmp_path: Path, reply: str
) -> None:
    row = of_type(rows, "digit")[0]
    completion = [{"role": "assistant", "content": reply.format(gold=row["answer"])}]
    report = score(predict(tmp_path, {"id": row["id"], "completion": completion}), data=data)
    columns: dict[str, Any] = {name: [value] for name, value in row.items()} | {"completions": [completion]}
    assert asyncio.run(mixed_reward(**columns)) == [report.total.right / report.total.lines]


def test_the_dataset_s_own_completions_are_right_or_were_for_the_judge(
    data: Path, rows: Rows, tmp_path: Path
) -> None:
    lines = [
        {"id": row["id"], "completion": row["completion"]} for row in rows.values() if row.get("completion")
    ]
    report = score(predict(tmp_path, *lines), data=data)
    assert report.total.lines == len(lines) > 20
    by_judge = {line.id for line in report.lines if line.right is None}
    assert report.total.right == len(lines) - len(by_judge)
    assert by_judge == {
        row["id"] for row in rows.values() if row.get("completion") and row["score_by"] == "judge"
    }
    assert {line.found_by for line in report.lines} == {"tag"}
    assert report.unanswered == len(rows) - len(lines)
    assert report.unmatched == report.other_rules == ()
    assert report.total.accuracy == (1 - len(by_judge) / len(lines), 1.0)


def test_counts_by_type_and_source_add_up(data: Path, rows: Rows, tmp_path: Path) -> None:
    """Each line's answer is that of the next row of its type: some are right by chance."""
    lines = []
    for kind in ("digit", "choice", "math", "iou", "open"):
        mine = of_type(rows, kind)
        lines += [
            {"id": row["id"], "response": f"<answer>{other['answer']}</answer>"}
            for row, other in zip(mine, mine[1:] + mine[:1], strict=True)
        ]
    report = score(predict(tmp_path, *lines), data=data)
    assert len(report.lines) == len(lines) == len(rows) == report.rows
    for tallies in (report.by_type, report.by_source):
        for name in ("lines", "right", "wrong", "not_scored", "unreadable"):
            assert sum(getattr(tally, name) for tally in tallies.values()) == getattr(report.total, name)
    by_hand = sum(
        rows[line.id]["answer"] == line.answer for line in report.lines if line.answer_type == "choice"
    )
    assert report.by_type["choice"].right == by_hand
    assert 0 < report.total.right < report.total.lines
    assert set(report.by_source) == {"counting", "bars", "lines", "boxes", "forms"}


@pytest.mark.parametrize(
    ("line", "found_by", "right"),
    [
        ({"completion": "<think>3 or 4?</think><answer>{gold}</answer>"}, "tag", True),
        ({"completion": "3 or 4? </think><answer>{gold}</answer>"}, "tag", True),
        ({"completion": "<think><answer>x</answer></think><answer>{gold}</answer>"}, "tag", True),
        ({"completion": "<answer>{gold}</answer><answer>{gold}</answer>"}, None, False),
        ({"completion": "It is \\boxed{{{gold}}}."}, "boxed", True),
        ({"completion": "Answer: {gold}"}, "label", True),
        ({"completion": "So the answer is {gold}."}, "phrase", True),
        ({"completion": "{gold}"}, None, False),
        ({"completion": "<think>It must be {gold}"}, None, False),
        ({"response": [{"role": "assistant", "content": "<answer>{gold}</answer>"}]}, "tag", True),
        ({"response": [{"role": "assistant", "content": [{"type": "text", "text": "<answer>{gold}</answer>"}]}]}, "tag", True),
        ({"prediction": "{gold}"}, "whole", True),
        ({"prediction": " There are {gold}. "}, "whole", True),
        ({"prediction": "<think>Hm.</think>\n<answer>{gold}</answer>"}, "tag", True),
        ({"prediction": "<answer>{gold}"}, None, False),
        ({"prediction": "<think>{gold}"}, None, False),
        ({"prediction": ""}, None, False),
    ],
)  # fmt: skip
def test_where_an_answer_is_read(
    data: Path, rows: Rows, tmp_path: Path, line: dict[str, Any], found_by: str | None, right: bool
) -> None:
    row = of_type(rows, "digit")[0]
    filled = json.loads(
        json.dumps(line).replace("{gold}", row["answer"]).replace("{{", "{").replace("}}", "}")
    )
    report = score(predict(tmp_path, {"id": row["id"], **filled}), data=data)
    assert (report.lines[0].found_by, report.lines[0].right) == (found_by, right)
    assert report.total.unreadable == (found_by is None)


def test_boxes_count_as_right_from_half_on_and_have_a_mean(data: Path, rows: Rows, tmp_path: Path) -> None:
    row = of_type(rows, "iou")[0]
    left, top, right, bottom = row["boxes"][0]
    shares = (1.0, 0.75, 0.25)
    lines = [
        {"id": row["id"], "prediction": str([left, top, right, top + share * (bottom - top)])}
        for share in shares
    ]
    tally = score(predict(tmp_path, *lines), data=data).by_type["iou"]
    assert (tally.right, tally.wrong) == (2, 1)
    assert tally.mean == pytest.approx(2 / 3, abs=1e-3)
    assert tally.reasons == {"IoU N.": 1}


@pytest.mark.parametrize("frame", ["thousand", "pixels"])
def test_boxes_in_another_frame(data: Path, rows: Rows, tmp_path: Path, frame: Any) -> None:
    row = of_type(rows, "iou")[0]
    width, height = (1000, 1000) if frame == "thousand" else row["image"].size
    scaled = [side * size for side, size in zip(row["boxes"][0], (width, height) * 2, strict=True)]
    path = predict(tmp_path, {"id": row["id"], "prediction": str(scaled)})
    assert score(path, data=data, frame=frame).total.right == 1
    assert score(path, data=data).total.right == 0


def test_free_text_that_no_rule_can_tell_is_not_scored_and_shows_a_likeness(
    data: Path, rows: Rows, tmp_path: Path
) -> None:
    gold = max(of_type(rows, "open"), key=lambda row: len(row["answer"].split()))
    lines = [
        {"id": gold["id"], "prediction": gold["answer"]},
        {"id": gold["id"], "prediction": f"As far as I can read it, {gold['answer']}, I believe"},
        {"id": gold["id"], "prediction": "something quite different from what was asked about"},
    ]
    report = score(predict(tmp_path, *lines), data=data)
    assert [line.right for line in report.lines] == [True, None, None]
    assert report.total.accuracy == pytest.approx((1 / 3, 1.0))
    assert report.total.mean == 1.0
    exact, around, other = (line.likeness for line in report.lines)
    assert exact is None
    assert around is not None
    assert other is not None
    assert 1 > around > other >= 0
    assert report.total.likeness == pytest.approx((around + other) / 2)


def test_an_id_may_be_sampled_several_times(data: Path, rows: Rows, tmp_path: Path) -> None:
    row = of_type(rows, "choice")[0]
    lines = [{"id": row["id"], "prediction": letter} for letter in "ABCD"[: len(row["choices"])]]
    report = score(predict(tmp_path, *lines), data=data)
    assert report.total.right == 1
    assert report.total.lines == len(lines)
    assert report.unanswered == report.rows - 1


def test_a_project_s_own_check_scores(data: Path, rows: Rows, tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    digit = tmp_path / "p/verifiers/digit.toml"
    digit.write_text(digit.read_text() + "# mine\n")
    row = of_type(rows, "digit")[0]
    path = predict(tmp_path, {"id": row["id"], "prediction": row["answer"]})
    assert score(path, data=data, project=project).other_rules == ("digit",)
    assert score(path, data=data, project=Project.default()).other_rules == ()


def test_rejected_rows_are_no_rows_to_be_predicted(data: Path, rows: Rows, tmp_path: Path) -> None:
    rejected = load_dataset(str(data), "rejected", split="train")[0]
    lines = [{"id": one["id"], "prediction": one["answer"]} for one in (rejected, next(iter(rows.values())))]
    report = score(predict(tmp_path, *lines), data=data)
    assert report.unmatched == (rejected["id"],)
    assert report.total.lines == 1


# --- what is told -------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_the_reasons(data: Path, rows: Rows, tmp_path: Path) -> None:
    digit, choice = of_type(rows, "digit")[0], of_type(rows, "choice")[0]
    path = predict(
        tmp_path,
        {"id": digit["id"], "completion": f"<answer>{digit['answer']}</answer>"},
        {"id": digit["id"], "completion": "<answer>1000</answer>"},
        {"id": choice["id"], "completion": "I cannot tell."},
        {"id": "no/such", "completion": "<answer>1</answer>"},
    )
    done = run(path, "--data", data)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:4] == ["lines", "unreadable", "right", "wrong"]
    assert ["digit", "2", ".", "1", "1", ".", "50.0%", "0.500", "."] in lines
    assert ["counting", "2", ".", "1", "1", ".", "50.0%", "0.500", "."] in lines
    assert ["choice", "1", "1", ".", "1", ".", "0.0%", "0.000", "."] in lines
    assert ["all", "3", "1", "1", "2", ".", "33.3%", "0.333", "."] in lines
    assert "digit: Says N. (1)" in done.stdout
    assert "choice: No answer block, box, label or phrase. (1)" in done.stdout
    assert '1 line has an id that no row has, such as "no/such".' in done.stdout
    assert f"{len(rows) - 2:,} of {len(rows):,} rows have no line." in done.stdout
    assert "Not scored is" not in done.stdout


def test_the_command_gives_it_all_as_json(data: Path, rows: Rows, tmp_path: Path) -> None:
    row = of_type(rows, "open")[0]
    path = predict(tmp_path, {"id": row["id"], "prediction": "a sentence that nobody would accept for this"})
    done = run(path, "--data", data, "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["total"]["accuracy"] == [0.0, 1.0]
    assert said["by_type"]["open"]["not_scored"] == said["by_source"]["forms"]["not_scored"] == 1
    assert said["lines"][0]["id"] == row["id"]
    assert said["lines"][0]["score"]["value"] is None
    assert said["unanswered"] == len(rows) - 1
    shown = run(path, "--data", data)
    assert "0.0-100.0%" in shown.stdout
    assert "Not scored is what no rule can tell" in shown.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "predictions.jsonl holds no predictions"),
        ("\n \n", "predictions.jsonl holds no predictions"),
        ('{"id": "a", "prediction": "1"}\n{"id": "a"', "predictions.jsonl, line 2: this is no JSON ("),
        ("[1]", 'predictions.jsonl, line 1: this is no object with a text under "id"'),
        ('{"id": 7, "prediction": "1"}', 'predictions.jsonl, line 1: this is no object with a text under "id"'),
        ('{"id": "a", "text": "1"}', 'predictions.jsonl, line 1: there is none of "completion", "response", "prediction"; give one'),
        ('{"id": "a", "prediction": "1", "completion": "1"}', 'predictions.jsonl, line 1: "completion" and "prediction" are both there; give one'),
        ('{"id": "a", "prediction": 1}', 'predictions.jsonl, line 1: "prediction" is neither a text nor a list of turns'),
        ('{"id": "a", "prediction": "1"}', "no id of "),
    ],
)  # fmt: skip
def test_predictions_that_cannot_be_read_are_told(data: Path, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(text)
    done = run(path, "--data", data)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_and_folders_that_are_not_there_are_told(data: Path, tmp_path: Path) -> None:
    path = predict(tmp_path, {"id": "a", "prediction": "1"})
    binary = tmp_path / "image.png"
    binary.write_bytes(b"\x89PNG\xff")
    for words, told in (
        ((tmp_path / "none.jsonl", "--data", data), r"none\.jsonl cannot be read: No such file or directory"),
        ((binary, "--data", data), r"image\.png is no UTF-8 text"),
        ((path, "--data", tmp_path / "none"), r"none is no folder: name a dataset folder"),
        ((path, "--data", tmp_path), r"holds no Parquet files of sft or rl"),
        ((path, "--data", data, "--project", tmp_path), r"this is no project"),
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert re.search(rf"^error: .*{told}", done.stderr)
        assert done.stderr.count("\n") == 1


def test_a_folder_that_build_did_not_make_is_told(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = predict(tmp_path, {"id": "a", "prediction": "1"})
    (tmp_path / "set/sft").mkdir(parents=True)
    file = tmp_path / "set/sft/train-00000-of-00001.parquet"
    pq.write_table(pa.table({"id": ["a"], "answer": ["1"]}), file)
    with pytest.raises(SetupError, match="has no column answer_type: it was not made by"):
        score(path, data=tmp_path / "set")
    file.write_bytes(b"no parquet at all")
    with pytest.raises(SetupError, match="cannot be read as Parquet: "):
        score(path, data=tmp_path / "set")


def test_a_report_is_a_value(data: Path, rows: Rows, tmp_path: Path) -> None:
    row = of_type(rows, "math")[0]
    report = score(predict(tmp_path, {"id": row["id"], "prediction": row["answer"]}), data=data)
    assert isinstance(report, ScoreReport)
    assert report.by_type["math"].right == 1
    assert report.by_type["math"].reasons == {}
