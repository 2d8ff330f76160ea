"""`import`: the authors' released files, made by us with every known defect, become a dataset folder."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from made_release import RL, SFT, Planted, make_release, picture
from rich.console import Console
from sums_project import rows_of
from typer.testing import CliRunner

import vlaa_thinking
from vlaa_thinking import ImportResult, import_release
from vlaa_thinking.arrow import arrow_schema
from vlaa_thinking.checks.iou import iou, read_boxes
from vlaa_thinking.cli import app
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.release.boxes import frame_of
from vlaa_thinking.release.defects import DEFECTS
from vlaa_thinking.release.display import ImportProgress
from vlaa_thinking.release.gold import of_answer, of_gt
from vlaa_thinking.release.meta import read_meta
from vlaa_thinking.release.result import ImportCounts

ROWS = 620


@dataclass(frozen=True)
class Imported:
    """A made release, what its maker knows of it, and what became of it."""

    folder: Path
    planted: list[Planted]
    out: Path
    result: ImportResult
    heard: list[tuple[str, int, int]]
    """What a display was told: what was under way, rows read, rows written."""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    home = tmp_path_factory.mktemp("release")
    planted = make_release(home / "release", ROWS)
    heard: list[tuple[str, int, int]] = []

    def watch(counts: ImportCounts) -> None:
        heard.append((counts.doing, counts.rows, counts.written))

    result = import_release(home / "release", out=home / "set", watch=watch)
    return Imported(home / "release", planted, home / "set", result, heard)


def named(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Read what `import` says of each row that shows a defect, by file and line."""
    lines = (out / "defects.jsonl").read_text(encoding="utf-8").splitlines()
    return {(line["file"], line["line"]): line for line in map(json.loads, lines)}


def by_source_id(out: Path) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for found in rows_of(out).values():
        for row in found:
            rows.setdefault(row["source_id"], []).append(row)
    return rows


# --- every defect -----------------------------------------------------------------------------------------------


def test_the_maker_plants_every_defect(imported: Imported) -> None:
    assert set[str]().union(*(planted.defects for planted in imported.planted)) == set(DEFECTS)


def test_each_row_s_defects_are_named_and_no_others(imported: Imported) -> None:
    found = named(imported.out)
    expected = {(p.file, p.line): p for p in imported.planted if p.defects}
    assert {place: set(line["defects"]) for place, line in found.items()} == {
        place: set(planted.defects) for place, planted in expected.items()
    }
    assert {place: line["config"] for place, line in found.items()} == {
        place: planted.config for place, planted in expected.items()
    }


def test_the_counts_are_those_of_the_maker_s_list(imported: Imported) -> None:
    result, planted = imported.result, imported.planted
    assert result.rows == len(planted) == sum(file.rows for file in result.files)
    assert result.dropped == Counter(p.code for p in planted if p.code)
    assert result.kept == Counter(p.config for p in planted if not p.code)
    assert {d.code: d.rows for d in result.defects} == Counter(code for p in planted for code in p.defects)
    for defect in result.defects:
        assert defect.what
        assert defect.done
        assert 1 <= len(defect.examples) <= 3
    assert [(file.name, file.form, file.config) for file in result.files] == [
        (RL, "lines", "rl"),
        (SFT, "lines", "sft"),
        ("train.json", "array", "sft"),
    ]


def test_no_row_s_meta_was_run() -> None:
    marker = "import_release_ran_code"
    hostile = (
        f"__import__('builtins').__dict__.setdefault('{marker}', 1)",
        "{'a': [].append(1)}",
        "(lambda: {})()",
        "{'a': f'{1}'}",
        "[" * 5_000,
        "-" * 50_000 + "1",
        "{" + "'a': 1, " * 40_000 + "}",
    )
    assert [read_meta(text) for text in hostile] == [({}, "meta_unreadable")] * len(hostile)
    assert not hasattr(__import__("builtins"), marker)


def test_meta_is_read_whether_object_or_literal() -> None:
    meta = {"rationale": "it's a \\frac", "ppl": 1.5, "none": None}
    assert read_meta(meta) == (meta, "")
    assert read_meta(None) == ({}, "")
    assert read_meta(str(meta)) == (meta, "meta_as_text")
    assert read_meta(json.dumps(meta)) == (meta, "meta_as_text")
    assert read_meta(r"{'text': '\(x\) and \left('}") == ({"text": r"\(x\) and \left("}, "meta_as_text")
    read, _ = read_meta("{'ppl': nan, 'most': -inf}")
    assert read["ppl"] != read["ppl"]
    assert read["most"] == -float("inf")


# --- the rows ---------------------------------------------------------------------------------------------------


def test_every_config_loads_with_its_typed_columns(imported: Imported) -> None:
    rows = {**imported.result.kept, "rejected": sum(imported.result.dropped.values())}
    for config, count in rows.items():
        loaded = load_dataset(str(imported.out), config)
        assert set(loaded) == {"train"}
        assert loaded["train"].features.arrow_schema.equals(arrow_schema(config))
        assert loaded["train"].num_rows == count
        found: Any = loaded["train"]
        images = [row["image"] for row in found]
        assert all(image.size in {(24, 16), (40, 20)} for image in images if image is not None)
        assert (None in images) == (config == "rejected")


def test_right_answers_are_canonical(imported: Imported) -> None:
    rows, checked = by_source_id(imported.out), Counter[str]()
    for planted in imported.planted:
        if planted.answer is None or planted.id is None or "repeated_id" in planted.defects:
            continue
        row = next(row for row in rows[planted.id] if "code" not in row)
        kind = row["answer_type"]
        checked[kind] += 1
        if kind == "iou":
            assert iou(read_boxes(row["answer"])[0], read_boxes(planted.answer)[0]) > 0.97
            assert row["boxes"] == [list(read_boxes(row["answer"])[0])]
        else:
            assert row["answer"] == planted.answer
        if kind == "choice":
            assert len(row["choices"]) == 4
    assert set(checked) == {"digit", "choice", "math", "iou", "open"}
    assert sum(checked.values()) > 400


def test_images_are_embedded_as_they_are_wherever_they_lay(imported: Imported) -> None:
    rows = by_source_id(imported.out)
    sources = Counter[str]()
    for planted in imported.planted:
        if planted.code is None and planted.id and "repeated_id" not in planted.defects:
            row = next(row for row in rows[planted.id] if "code" not in row)
            assert row["image"]["bytes"] == planted.image
            sources[row["source"]] += 1
    assert {"clevr_math", "geoqa170k", "synthesis", "docvqa", "vizwiz", "arxivqa", "chartqa"} <= set(sources)


def test_sft_rows_hold_reasoning_and_answer_and_rl_rows_no_completion(imported: Imported) -> None:
    splits = rows_of(imported.out)
    form = re.compile(r"<think>[^<]+</think>\n<answer>[^<]+</answer>")
    for row in splits["sft/train"]:
        (turn,) = row["completion"]
        assert form.fullmatch(turn["content"])
        assert turn["content"].endswith(f"<answer>{row['answer']}</answer>")
        assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]
        assert row["why"] == "sft: the authors' split"
    reasoned = [row for row in splits["rl/train"] if row["reasoning"]]
    assert all("completion" not in row for row in splits["rl/train"])
    assert len(reasoned) == next(d.rows for d in imported.result.defects if d.code == "reasoning_in_rl")


def test_licences_ids_and_models_are_the_row_s_own(imported: Imported) -> None:
    rows = [row for found in rows_of(imported.out).values() for row in found]
    licences = {row["source"]: row["source_license"] for row in rows}
    assert licences["synthesis"] == "GPL-3.0"
    assert licences["arxivqa"] == "CC-BY-SA-4.0"
    assert licences["geoqa170k"] == licences["unknown"] == "unknown"
    ids = Counter(row["id"] for row in rows if row.get("code") != "duplicate_row")
    assert set(ids.values()) == {1}
    assert all(row["id"] == f"{row['source']}/{row['source_id']}" for row in rows)
    assert {row["models"]["captioner"] for row in rows if row["source"] == "clevr_math"} >= {
        "gpt-4o-0806-nofilter-global"
    }
    assert {row["models"]["judge"] for row in rows} == {None}
    decided = {name for row in rows for name, hashed in row["decided_by"].items() if hashed}
    assert decided == {"verifier", "curate"}


def test_february_s_rows_keep_the_raw_reply(imported: Imported) -> None:
    february = {line["id"] for line in named(imported.out).values() if "february_schema" in line["defects"]}
    rows = [row for row in rows_of(imported.out)["sft/train"] if row["id"] in february]
    assert rows
    for row in rows:
        assert row["teacher_reasoning"] == row["reasoning"] == "A ball is a sphere. Wait, a cube is none."
        assert row["teacher_response"] == f"**Answer:** {row['answer']}"
        assert row["cues"] == ["wait"]
        assert row["caption"].startswith("Some balls and cubes")
        assert row["models"]["reasoner"] == "DeepSeek-R1"
        assert (row["score"], row["score_by"]) == (1.0, "rule")


def test_rejected_rows_say_why_and_show_it(imported: Imported) -> None:
    found = {row["code"]: row for row in rows_of(imported.out)["rejected/train"]}
    assert set(found) == set(imported.result.dropped)
    for row in found.values():
        assert row["step"] == "collect"
        assert row["reason"].startswith("collect: ")
        assert not row["reason"].endswith(".")
        assert row["evidence"]
    for code in ("missing_image", "not_an_image", "broken_image", "image_bomb", "image_too_large"):
        assert found[code]["image"] is None
    assert "gt: " in found["bad_answer"]["evidence"]


# --- the folder -------------------------------------------------------------------------------------------------


def test_the_card_counts_what_the_rows_show(imported: Imported) -> None:
    card = (imported.out / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((imported.out / "manifest.json").read_text(encoding="utf-8"))
    for defect in imported.result.defects:
        assert re.search(rf"^\| `{defect.code}` \|.*\| {defect.rows:,} \|$", card, flags=re.MULTILINE)
        assert manifest["defects"][defect.code]["rows"] == defect.rows
    assert "1.0.0" not in card
    assert manifest["made_by"] == "vlaa-thinking"
    assert set(manifest["files"]) == {
        path.relative_to(imported.out).as_posix() for path in imported.out.rglob("*") if path.is_file()
    } - {"manifest.json"}
    assert "<answer>" not in re.sub(r"`[^`]*`", "", card).replace(r"\<answer\>", "")


def test_a_second_import_finds_the_same_bytes(imported: Imported) -> None:
    again = import_release(imported.folder, out=imported.out)
    assert not again.changed
    assert again.kept == imported.result.kept


def test_check_only_reports(imported: Imported, tmp_path: Path) -> None:
    before = sorted(imported.folder.rglob("*"))
    found = import_release(imported.folder, out=tmp_path / "set", check=True)
    assert found.out is None
    assert not list(tmp_path.iterdir())
    assert sorted(imported.folder.rglob("*")) == before
    assert (found.kept, found.dropped, found.defects) == (
        imported.result.kept,
        imported.result.dropped,
        imported.result.defects,
    )


def test_without_images_each_row_says_where_its_own_is_to_be_had(imported: Imported, tmp_path: Path) -> None:
    result = import_release(imported.folder, out=tmp_path / "set", embed=False)
    splits = rows_of(tmp_path / "set")
    kept = {row["id"]: row for config in ("sft", "rl") for row in splits[f"{config}/train"]}
    assert {row["image"] for row in kept.values()} == {None}
    lines = [json.loads(line) for line in (tmp_path / "set/fetch.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(dict.fromkeys(line["id"] for line in lines))
    assert {line["id"] for line in lines} == set(kept)
    first = {line["image"].partition("/")[0]: line for line in lines}
    coco, pages = first["coco"], first["docvqa"]
    assert coco["url"] == f"http://images.cocodataset.org/{coco['image'].removeprefix('coco/')}"
    assert not coco["passed_on"]
    assert first["vg"]["url"].startswith("https://cs.stanford.edu/people/rak248/VG_100K/")
    assert first["allava_laion"]["url"].startswith("https://pictures.example/")
    assert (pages["dataset"], pages["file"]) == ("UCSC-VLAA/VLAA-Thinking", "images/docvqa.tar.gz")
    assert first["synthesis"]["passed_on"]
    gone = {"missing_image", "not_an_image", "broken_image", "image_bomb", "image_too_large"}
    planted = Counter(p.code for p in imported.planted if p.code and p.code not in gone)
    outside = sum("outside_path" in p.defects for p in imported.planted)
    assert result.dropped == planted | Counter(missing_image=outside)
    assert load_dataset(str(tmp_path / "set"), "sft")["train"].num_rows == result.kept["sft"]


def test_a_display_hears_what_is_under_way(imported: Imported) -> None:
    doing = list(dict.fromkeys(what for what, _, _ in imported.heard))
    archives = [f"reading images/{name}" for name in ("arxivqa.zip", "chartqa.tar.gz", "docvqa.tar.gz")]
    assert doing[:2] == ["looking through the files", "looking for the images"]
    assert set(archives) < set(doing)
    assert doing[-2:] == ["reading the rows", "writing the dataset"]
    assert imported.heard[-1][1] == imported.result.rows


def test_a_terminal_shows_defects_and_the_time_to_go() -> None:
    counts = ImportCounts(surveyed=200, rows=50, kept={"sft": 40}, dropped={"bad_answer": 10})
    counts.doing, counts.defects = "reading the rows", {"answer_spaces": 30, "bad_answer": 10}
    file = io.StringIO()
    with ImportProgress(Console(file=file, force_terminal=True, width=100)) as watch:
        watch(counts)
    shown = file.getvalue()
    assert re.search(r"answer_spaces +30", shown)
    assert "50 of 200 rows" in shown
    assert "40 kept, 10 rejected" in shown
    assert "to go" in shown


def test_a_folder_that_is_not_ours_is_left_alone(imported: Imported, tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="was not made by"):
        import_release(imported.folder, out=out)
    assert (out / "diary.txt").read_text() == "mine"
    assert import_release(imported.folder, out=out, replace=True).changed
    assert (tmp_path / "set.work/previous/diary.txt").read_text() == "mine"


KILLED = """\
import os, signal, sys
from vlaa_thinking import import_release

def watch(counts):
    if counts.doing == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

import_release(sys.argv[1], out=sys.argv[2], watch=watch)
"""


@pytest.mark.parametrize(
    "moment", ["reading images/vizwiz.tar.gz", "reading the rows", "writing the dataset"]
)
def test_a_killed_import_is_made_good_by_the_next(imported: Imported, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "set"
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, str(imported.folder), str(out), moment]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    import_release(imported.folder, out=out)
    whole = {p.relative_to(imported.out): p.read_bytes() for p in imported.out.rglob("*") if p.is_file()}
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == whole


# --- odd releases -----------------------------------------------------------------------------------------------


def row(number: int, **fields: Any) -> dict[str, Any]:
    base = {
        "id": f"clevr_math-a{number}",
        "image": f"clevr_math/{number}.png",
        "question": f"How many, {number}?",
    }
    return base | {"answer": "<think>I count.</think>\n<answer>3</answer>"} | fields


def write(folder: Path, rows: list[Mapping[str, Any]], *, name: str = SFT, images: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for number, found in enumerate(rows):
        if images:
            place = folder / "images" / str(found["image"])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(number, (8, 6)))
    return folder


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(SetupError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_image_of_another_source_is_never_taken(tmp_path: Path) -> None:
    mine = row(1, image="coco/train2017/7.png")
    folder = write(tmp_path / "r", [row(0, image="docvqa/7.png"), mine, row(2)])
    (folder / "images/coco/train2017/7.png").unlink()
    result = import_release(folder, out=tmp_path / "set")
    assert result.dropped == {"missing_image": 1}
    assert result.missing == {"coco": 1}


def test_a_name_that_lies_twice_in_its_source_is_not_guessed(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1)])
    (folder / "images/clevr_math/0.png").unlink()
    for place in ("a", "b"):
        (folder / "images/clevr_math" / place).mkdir()
        (folder / "images/clevr_math" / place / "0.png").write_bytes(picture(9, (8, 6)))
    result = import_release(folder, out=tmp_path / "set")
    assert result.dropped == {"missing_image": 1}
    (lost,) = rows_of(tmp_path / "set")["rejected/train"]
    assert "several images are called 0.png" in lost["reason"]


def test_members_that_would_leave_their_folder_are_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1), row(2)], images=False)
    (folder / "images").mkdir()
    with tarfile.open(folder / "images/clevr_math.tar.gz", "w:gz") as archive:
        for name, data in (
            ("../clevr_math/0.png", picture(0, (8, 6))),
            ("/clevr_math/0.png", picture(0, (8, 6))),
            ("clevr_math/1.png", picture(1, (8, 6))),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("clevr_math/2.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    result = import_release(folder, out=tmp_path / "set")
    assert (result.kept, result.dropped) == ({"sft": 1}, {"missing_image": 2})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "set", "set.work"]


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0)], images=False)
    (folder / "images").mkdir()
    (folder / "images/clevr_math.tar.gz").write_bytes(b"\x1f\x8b\x08\x00 cut")
    said = refused(lambda: import_release(folder, out=tmp_path / "set"))
    assert "clevr_math.tar.gz is cut or damaged" in said
    assert not (tmp_path / "set").exists()


def test_every_image_missing_is_the_set_up_s_fault(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1)], images=False)
    said = refused(lambda: import_release(folder, out=tmp_path / "set"))
    assert "all 2 images are missing" in said
    assert "--no-images" in said


def test_a_folder_without_released_files_is_refused(tmp_path: Path) -> None:
    said = refused(lambda: import_release(tmp_path / "none", out=tmp_path / "set"))
    assert "there is no folder" in said
    (tmp_path / "notes.json").write_text('{"title": "not a release"}')
    (tmp_path / "list.json").write_text("[1, 2, 3]")
    said = refused(lambda: import_release(tmp_path, out=tmp_path / "set"))
    assert "VLAA-Thinking-SFT-126K.json" in said


def test_a_broken_array_is_named_with_its_row(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1)])
    text = f"[{json.dumps(row(0))}, {json.dumps(row(1))[:-3]}"
    (folder / SFT).write_text(text)
    assert "cannot be read" in refused(lambda: import_release(folder, out=tmp_path / "set"))


def test_a_line_that_is_too_long_is_one_rejected_row(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1)])
    lines = (folder / SFT).read_text().splitlines()
    (folder / SFT).write_text("\n".join((lines[0], '{"id": "' + "x" * 9_000_000 + '"}', lines[1])))
    result = import_release(folder, out=tmp_path / "set")
    assert (result.kept, result.dropped) == ({"sft": 2}, {"unreadable_row": 1})


def test_hostile_values_end_as_rows(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    odd = [
        row(1, gt=deep),
        row(2, question=None),
        row(3, id={"a": 1}),
        row(4, answer=["<think>"]),
        row(5, gt="\ud83d half", answer="<think>\x00a</think><answer>\ud83d</answer>"),
        row(6, verifier_type=[1], meta=deep),
        row(7, answer="<think>" * 2_000 + "<answer>" * 2_000),
        row(8, gt="9" * 5_000),
        row(9, caption=3, id="a/b\nc\\"),
    ]
    folder = write(tmp_path / "r", [row(0), *odd])
    result = import_release(folder, out=tmp_path / "set")
    assert result.rows == 10
    assert sum(result.kept.values()) + sum(result.dropped.values()) == 10
    for config in (*result.kept, "rejected"):
        assert load_dataset(str(tmp_path / "set"), config)["train"].num_rows


def test_a_row_without_a_kept_one_makes_no_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0, answer="I do not know")])
    result = import_release(folder, out=tmp_path / "set")
    assert (result.out, result.changed, result.kept) == (None, False, {})
    assert not (tmp_path / "set").exists()


def test_the_project_words_the_prompts(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0)])
    project = vlaa_thinking.Project.default().copy(tmp_path / "p")
    digit = project.root / "verifiers/digit.toml"
    digit.write_text(digit.read_text().replace("Answer with one whole number.", "Say how many."))
    import_release(folder, out=tmp_path / "set", project=project)
    (found,) = rows_of(tmp_path / "set")["sft/train"]
    assert found["prompt"][1]["content"] == "How many, 0?\nSay how many."


def test_images_in_both_configs_are_counted(tmp_path: Path) -> None:
    shared = row(1, gt="3", verifier_type="digit", id="clevr_math-b1")
    folder = write(tmp_path / "r", [row(0), row(1)])
    (folder / RL).write_text(json.dumps(shared) + "\n")
    import_release(folder, out=tmp_path / "set")
    assert json.loads((tmp_path / "set/manifest.json").read_text())["shared_images"] == 1
    assert "\n1 image stands in both.\n" in (tmp_path / "set/README.md").read_text()


# --- right answers ----------------------------------------------------------------------------------------------

OPTIONS = "What now?\nChoices:\nA: 2\nB: 3\nC: 4\nD: 27\u00b0"
FUNCTION = "Find out the function equation in the image."


@pytest.mark.parametrize(
    ("gt", "kind", "question", "answer", "defects"),
    [
        ("3", "digit", "", "3", ()),
        (3, "digit", "", "3", ("gt_not_text",)),
        ("Step 1: 9 - 6.\n\u2020Answer: 3", "digit", "", "3", ("gt_steps",)),
        ("Output: y = 2x", "math", FUNCTION, "y = 2x", ("gt_prefix",)),
        ("Output 12:\\[\\boxed{y = 2x}\\]", "math", FUNCTION, "y = 2x", ("gt_prefix",)),
        (r"\[\boxed{\frac{1}{2}}\]", "math", "", r"\frac{1}{2}", ()),
        ("a = 2", "math", FUNCTION, None, ("gt_unknown_only",)),
        ("a = 2 and b = -1", "math", FUNCTION, None, ("gt_unknown_only",)),
        ("a = 2", "math", "What is the value of a in the function y = ax?", "a = 2", ()),
        ("y = 2", "math", FUNCTION, "y = 2", ()),
        ("f(x) = 2x", "math", FUNCTION, "f(x) = 2x", ()),
        ("D: 27\u00b0", "choice", OPTIONS, "D", ("gt_form",)),
        ("(b)", "choice", OPTIONS, "B", ("gt_form",)),
        ("B", "choice", OPTIONS, "B", ()),
        ("E", "choice", OPTIONS, None, ()),
        ("[0.62, 0.57, 0.74, 0.94]", "iou", "", "[0.62, 0.57, 0.74, 0.94]", ()),
        ("[62, 57, 74, 94]", "iou", "", None, ()),
        ("an old mill", "open", "", "an old mill", ()),
        ("7", None, "", "7", ()),
        ("x" * 3_000, "math", "", None, ()),
    ],
)
def test_gt_is_read(
    gt: object, kind: Any, question: str, answer: str | None, defects: tuple[str, ...]
) -> None:
    reading = of_gt(gt, kind, question)
    assert (None if reading.fault else reading.gold.answer) == answer
    assert reading.defects == defects


@pytest.mark.parametrize(
    ("text", "kind", "answer", "defects"),
    [
        ("3", "digit", "3", ()),
        ("\\boxed{3}", "digit", "3", ("answer_wrapped",)),
        ("There are 3 cubes left in the picture.", "digit", "3", ("answer_prose",)),
        ("There are 3 cubes and 4 balls left.", "digit", None, ("answer_prose",)),
        (r"The line that is shown is \boxed{y = 2x}.", "math", "y = 2x", ("answer_wrapped", "answer_prose")),
        (r"\frac{1}{2} \text{ cm}", "math", r"\frac{1}{2} \text{ cm}", ()),
        ("It cannot be told from this", "math", None, ("answer_prose",)),
        ("B) 3", "choice", "B", ()),
        ("A man on a grey horse", "open", "A man on a grey horse", ()),
    ],
)
def test_the_row_s_own_answer_is_read(
    text: str, kind: Any, answer: str | None, defects: tuple[str, ...]
) -> None:
    reading = of_answer(text, kind, OPTIONS if kind == "choice" else "")
    assert (None if reading.fault else reading.gold.answer) == answer
    assert reading.defects == defects


# --- boxes ------------------------------------------------------------------------------------------------------

BROAD = (400, 200)


@pytest.mark.parametrize(
    ("boxes", "frame"),
    [
        ([(0.1, 0.3, 0.5, 0.7)] * 30, "square"),
        ([(0.1, 0.24, 0.5, 0.76)] * 30, "square"),  # two decimals, rounded
        ([(0.1, 0.3, 0.5, 0.7)] * 28 + [(0.1, 0.0, 0.5, 0.9)] * 2, "unit"),
        ([(0.1, 0.0, 0.5, 0.9)] * 10, "square"),  # too few to tell: the default
    ],
)
def test_the_frame_of_boxes_is_told_by_the_boxes(boxes: list[Any], frame: str) -> None:
    assert frame_of([(box, BROAD) for box in boxes], "square").frame == frame
    assert frame_of([(box, (300, 300)) for box in boxes], "unit").frame == "unit"


def test_boxes_of_the_padded_square_are_turned_in_answer_and_texts(tmp_path: Path) -> None:
    box = "[0.10, 0.30, 0.50, 0.70]"
    shown = {"image": "vg/VG_100K/1.png", "question": f"What is at {box}?"}
    sft = row(0, id="vg-a", answer=f"<think>At {box} is a lamp.</think>\n<answer>a lamp</answer>", **shown)
    rl = row(
        1, id="vg-b", gt=box, verifier_type="iou", image="vg/VG_100K/2.png", question="Where is the lamp?"
    )
    folder = write(tmp_path / "r", [sft])
    write(folder, [rl], name=RL)
    for name in ("1", "2"):
        (folder / f"images/vg/VG_100K/{name}.png").write_bytes(picture(1, BROAD))
    import_release(folder, out=tmp_path / "set")
    splits = rows_of(tmp_path / "set")
    (asked,), (found,) = splits["sft/train"], splits["rl/train"]
    assert asked["question"] == "What is at [0.10, 0.10, 0.50, 0.90]?"
    assert asked["reasoning"] == "At [0.10, 0.10, 0.50, 0.90] is a lamp."
    assert found["boxes"] == [[0.1, 0.1, 0.5, 0.9]]
    assert found["answer"] == "[0.10, 0.10, 0.50, 0.90]"


# --- the command ------------------------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import", *words])
    return done.exit_code, done.output


def test_the_command_prints_what_it_found(imported: Imported, tmp_path: Path) -> None:
    code, said = run(str(imported.folder), "--out", str(tmp_path / "set"), "--check")
    assert code == 0
    for defect in imported.result.defects:
        assert re.search(rf"^{defect.code} +{defect.rows:,} ", said, flags=re.MULTILINE)
    assert f"{SFT}: " in said
    assert "Nothing was written" in said
    assert "6 images of coco are missing: fetch them from images.cocodataset.org" in said
    assert not (tmp_path / "set").exists()


def test_the_command_writes_and_says_how_to_load(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", [row(0), row(1, gt="as many")])
    code, said = run(str(folder), "--out", str(tmp_path / "set"), "--no-images")
    assert code == 0
    assert "2 rows in = 2 kept + 0 rejected" in said
    assert "load_dataset(" in said
    assert (tmp_path / "set/fetch.jsonl").is_file()
    code, said = run(str(tmp_path / "nowhere"), "--out", str(tmp_path / "set"))
    assert code == 2
    assert said.startswith("error: there is no folder")
