"""The nine sources of the paper, each from a folder in its publishers' own format: gold, ids, notes, odd rows."""

import operator
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import native
import pytest

from vlaa_thinking.checks.canonical import canonical, options_in
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Row
from vlaa_thinking.sources import Source
from vlaa_thinking.sources.allava import read as read_allava
from vlaa_thinking.sources.arxivqa import read as read_arxivqa
from vlaa_thinking.sources.clevr_math import read as read_clevr_math
from vlaa_thinking.sources.docvqa import read as read_docvqa
from vlaa_thinking.sources.geoqa import letter
from vlaa_thinking.sources.geoqa import read as read_geoqa
from vlaa_thinking.sources.llava_cot_coco import read as read_coco
from vlaa_thinking.sources.llava_cot_vg import read as read_vg
from vlaa_thinking.sources.math_puma import final_answer, whole_function
from vlaa_thinking.sources.math_puma import read as read_math_puma
from vlaa_thinking.sources.vizwiz import majority
from vlaa_thinking.sources.vizwiz import read as read_vizwiz


def opened(
    folder: Path, made: native.NativeSet, read: Callable[..., Iterator[Row]], **options: Any
) -> list[Row]:
    """Read a set from a folder that holds it."""
    native.put(folder / "set", made.folder)
    return list(read(Source(name="mine", root=folder, seed=0), path="set", **options))


def data(row: Row) -> bytes:
    assert isinstance(row.image, (Path, bytes)), row.image
    return row.image.read_bytes() if isinstance(row.image, Path) else row.image


def gold(row: Row) -> str:
    """Make a row's answer canonical, as `collect` does."""
    assert row.answer_type != "auto"
    choices = row.choices or options_in(row.question)
    return canonical(
        row.answer, row.answer_type, choices=choices, answers=row.answers, boxes=row.boxes
    ).answer


def test_clevr_math_gives_digits_and_the_scene_in_words(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.clevr_math(), read_clevr_math)
    assert [(row.question, gold(row)) for row in rows] == [(q, str(a)) for _, q, a in native.CLEVR_QUESTIONS]
    assert [data(row) for row in rows[:3]] == [native.drawn(f"clevr{n}") for n in (1, 1, 2)]
    assert rows[3].image is None  # its image is not there
    assert rows[2].notes == (
        "The scene was drawn from this list of 2 objects: large blue metal sphere; small red rubber cylinder."
    )
    assert [bool(row.notes) for row in rows] == [True, True, True, False]


def test_two_questions_on_one_scene_have_two_ids(tmp_path: Path) -> None:
    ids = [row.id for row in opened(tmp_path, native.clevr_math(), read_clevr_math)]
    assert len(set(ids)) == 4
    assert all(str(i).startswith("CLEVR_train_00000") for i in ids)
    again = [row.id for row in opened(tmp_path / "b", native.clevr_math(), read_clevr_math, scenes=False)]
    assert again == ids


def test_clevr_math_without_scenes_says_what_to_do(tmp_path: Path) -> None:
    files = {n: d for n, d in native.clevr_math().folder.items() if "scenes" not in n}
    native.put(tmp_path / "set", files)
    at = Source(name="mine", root=tmp_path, seed=0)
    with pytest.raises(SetupError, match=r"CLEVR_train_scenes\.json .*; without it, set scenes = false"):
        read_clevr_math(at, path="set")
    assert len(list(read_clevr_math(at, path="set", scenes=False))) == 4


def test_clevr_math_is_read_from_its_own_zip_files_too(tmp_path: Path) -> None:
    native.put(tmp_path / "set", native.clevr_math().hub)
    zipped = list(read_clevr_math(Source(name="mine", root=tmp_path, seed=0), path="set"))
    plain = opened(tmp_path / "b", native.clevr_math(), read_clevr_math)
    assert [(r.id, r.question, r.answer, r.notes) for r in zipped] == [
        (r.id, r.question, r.answer, r.notes) for r in plain
    ]
    assert data(zipped[0]) == native.drawn("clevr1")


def test_clevr_math_of_llava_onevision_loses_its_hint(tmp_path: Path) -> None:
    native.put(tmp_path / "set", native.clevr_onevision())
    at = Source(name="mine", root=tmp_path, seed=0)
    rows = list(read_clevr_math(at, path="set", config="CLEVR-Math(MathV360K)"))
    assert [(row.question, gold(row)) for row in rows] == [
        (q, str(a)) for _, q, a in native.CLEVR_QUESTIONS[:3]
    ]
    assert rows[0].answer == "3"
    assert [data(row) for row in rows] == [native.drawn(f"one{n}") for n in range(3)]


def test_geoqa_gives_letters_out_of_solutions(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.geoqa170k(), read_geoqa)
    assert [gold(row) for row in rows[:3]] == ["D", "A", "C"]
    with pytest.raises(ValueError, match="names no single option"):
        gold(rows[3])
    assert [row.question.partition("\n")[0] for row in rows[1:3]] == ["Find x.", "What is the angle ABC?"]
    assert options_in(rows[1].question) == ("5 or 7", "6", "8", "9")
    assert data(rows[0]) == data(rows[2]) == native.drawn("geoqa_plus/2905.png")
    assert [str(row.id).rpartition("-")[0] for row in rows] == [
        "geoqa_plus-2905", "geo3k-12", "geoqa_plus-2905", "geoqa_plus-11",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("A", "A"),
        ("so the answer is C.\nAnswer:C", "C"),
        ("Answer: B first, but then Answer: (d)", "D"),
        ("The answer is a circle. Answer: D: 27°", "D"),
        ("The answer is a circle.", "The answer is a circle."),
    ],
)
def test_the_last_letter_that_is_called_the_answer_counts(said: str, found: str) -> None:
    assert letter(said) == found


def test_math_puma_gives_whole_functions_and_the_problem_in_words(tmp_path: Path) -> None:
    rows = {str(row.image and data(row)): row for row in opened(tmp_path, native.math_puma(), read_math_puma)}
    by_name = {name: rows[str(native.drawn(name))] for name, *_ in native.PUMA}
    found = [(row.question, row.answer, row.text_question) for row in by_name.values()]
    assert found == [
        (native.PUMA[0][2], "y = -5 * sin(-5 * x)", native.PUMA[0][1]),
        (native.PUMA[1][2], "y = -3 * sin(2 * x)", native.PUMA[1][1]),
        (native.PUMA[2][2], "12\\pi", native.PUMA[2][1]),
        (native.PUMA[3][2], "it rises", native.PUMA[3][1]),
    ]
    assert [gold(row) for row in list(by_name.values())[:3]] == [
        "y = -5 * sin(-5 * x)",
        "y = -3 * sin(2 * x)",
        "12\\pi",
    ]
    faults = [row.fault and row.fault.code for row in by_name.values()]
    assert faults == [None, None, None, "bad_answer"]


@pytest.mark.parametrize(
    ("answer", "problem", "solution", "whole"),
    [
        ("a = -5", "The function y = a * sin(-5 * x) goes through (1,5).", "", "y = -5 * sin(-5 * x)"),
        ("a = 2, b = -3", "The function f(x) = a*x^2 + b passes through (1, -1).", "", "f(x) = 2*x^2 + (-3)"),
        ("a = \\frac{1}{2}", "Given y = a * x. What is it?", "", "y = \\frac{1}{2} * x"),
        ("a = 2", "A line.", "So y = a*x + 3; a = 2, so y = 2*x + 3.", "y = 2*x + 3"),
        ("a = 2", "The graph of y = ax + 1 is shown.", "", "y = 2x + 1"),
        ("a = 2", "A line.", "Step 1.", None),
        ("12", "The function y = a * x", "", None),
    ],
)
def test_unknowns_are_put_into_their_function(
    answer: str, problem: str, solution: str, whole: str | None
) -> None:
    assert whole_function(answer, problem, solution) == whole


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("Step 1: x.\n\n†Answer: Output 4: y = 2.", "y = 2"),
        ("Answer: 12", "12"),
        ("† Answer\uff1a7", "7"),
        ("17.5", "17.5"),
    ],
)
def test_steps_and_residue_are_no_part_of_an_answer(solution: str, answer: str) -> None:
    assert final_answer(solution) == answer


def test_arxivqa_gives_letters_whatever_the_label_looks_like(tmp_path: Path) -> None:
    rows = {row.id: row for row in opened(tmp_path, native.arxivqa(), read_arxivqa)}
    assert {name: gold(rows[name]) for name in ("cond-mat-23739", "cs-101", "cs-102")} == {
        "cond-mat-23739": "C", "cs-101": "B", "cs-102": "A",
    }  # fmt: skip
    with pytest.raises(ValueError, match="names no single option"):
        gold(rows["cs-103"])
    assert rows["cs-101"].choices == ("A) First.", "B) Second.")
    assert data(rows["cs-101"]) == data(rows["cs-102"]) == native.drawn("2001.00002_2.jpg", form="JPEG")
    assert {row.notes for row in rows.values()} == {""}


def test_arxivqa_shows_its_rationale_only_where_it_is_told_to(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.arxivqa(), read_arxivqa, rationale=True)
    assert {row.notes for row in rows} == {
        "See 1704.01566_1.jpg.", "See 2001.00002_2.jpg.", "See 2001.00003_1.jpg.",
    }  # fmt: skip


def test_docvqa_gives_every_accepted_answer(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.docvqa(), read_docvqa)
    assert [(row.id, row.answer, row.answers) for row in rows] == [
        ("337", "1/8/93", ("1/8/93", "January 8, 1993")),
        ("338", "P. Carter", ("P. Carter", "p. carter")),
        ("400", "", ()),
    ]
    assert [data(row) for row in rows] == [native.drawn(page) for _, page, *_ in native.DOCVQA]


def test_vizwiz_gives_the_majority_with_its_share(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.vizwiz(), read_vizwiz)
    assert [(row.id, row.answer, row.answers, row.answer_share) for row in rows] == [
        ("VizWiz_train_00000000", "basil leaves", ("basil leaves", "basil"), 0.6),
        ("VizWiz_train_00000001", "yes", ("yes",), 0.7),
        ("VizWiz_train_00000002", "unanswerable", ("unanswerable",), 0.7),
        ("VizWiz_train_00000003", "tuesday", ("tuesday", "monday"), 0.5),  # who said monday was not sure
    ]
    assert [row.fault and row.fault.code for row in rows] == [None, None, "unanswerable", None]
    assert data(rows[0]) == native.drawn("VizWiz_train_00000000.jpg", form="JPEG")
    kept = opened(tmp_path / "b", native.vizwiz(), read_vizwiz, keep_unanswerable=True)
    assert [(row.answer, row.fault) for row in kept][2] == ("unanswerable", None)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ([("a", True), ("b", True), ("b", False)], ("b", 2 / 3)),
        ([("a", False), ("b", True)], ("b", 0.5)),
        ([("b", True), ("a", True)], ("a", 0.5)),
        ([], ("", 0.0)),
    ],
)
def test_of_equals_the_surest_answer_counts(given: list[tuple[str, bool]], answer: tuple[str, float]) -> None:
    assert majority(given) == answer


def test_allava_brings_its_own_captions(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.allava_laion(), read_allava)
    assert [(row.id, row.question, row.answer, row.caption) for row in rows] == [
        (f"allava_laion_inst_{n}", q, a, caption) for n, q, a, caption in native.ALLAVA
    ]
    assert [data(row) for row in rows] == [native.drawn(n, form="JPEG") for n, *_ in native.ALLAVA]


def test_llava_cot_on_coco_gives_boxes_as_they_are(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.llava_cot("llava_cot_coco"), read_coco)
    assert [(gold(row), row.boxes) for row in rows] == [
        ("[0.25, 0.25, 0.75, 0.75]", ((0.25, 0.25, 0.75, 0.75),)),
        ("[0.50, 0.10, 0.90, 0.70]", ((0.5, 0.1, 0.9, 0.7),)),
    ]
    assert (
        rows[0].reasoning
        == "I will look for it.\n\nIt shows a picture.\n\nIt lies there, at [0.25, 0.25, 0.75, 0.75]."
    )
    assert rows[0].response == "[0.25, 0.25, 0.75, 0.75]"
    assert data(rows[1]) == native.drawn("22", form="JPEG")


def test_llava_cot_on_visual_genome_gives_boxes_of_the_image_itself(tmp_path: Path) -> None:
    rows = opened(tmp_path, native.llava_cot("llava_cot_vg"), read_vg)
    wide, tall = rows
    # 64 x 32, so the square is padded by a quarter of its side above and below: (0, 0.25) is the top left corner.
    assert wide.boxes == ((0.0, 0.0, 0.5, 0.5),)
    assert wide.reasoning is not None
    assert "at [0.00, 0.00, 0.50, 0.50]." in wide.reasoning
    assert (wide.answer, wide.response) == ("[0.00, 0.00, 0.50, 0.50]", "[0.00, 0.00, 0.50, 0.50]")
    # 32 x 64: padded on both sides.
    assert tall.boxes == ((0.0, 0.0, 1.0, 0.25),)


def test_llava_cot_counts_conversations_and_gives_their_turns(tmp_path: Path) -> None:
    made = native.llava_cot("llava_cot_vg")
    assert len(opened(tmp_path, made, read_vg, conversations=1)) == 1
    rows = opened(tmp_path / "b", made, read_vg, conversations=1, turns="all")
    assert [(row.answer_type, row.answer, row.fault and row.fault.code) for row in rows] == [
        ("iou", "[0.00, 0.00, 0.50, 0.50]", None),
        ("auto", "A green door.", None),
        ("auto", "", "no_reasoning"),
    ]
    assert rows[1].question.endswith("this region: [0.50, 0.00, 1.00, 1.00].")
    assert len({row.id for row in rows}) == 3
    plain = opened(tmp_path / "c", made, read_vg, boxes_in="unit")
    assert plain[0].boxes == ((0.0, 0.25, 0.5, 0.5),)


@pytest.mark.parametrize("name", native.sets())
def test_a_folder_that_is_not_there_or_holds_something_else_is_one_sentence(
    tmp_path: Path, name: str
) -> None:
    read = import_module(f"vlaa_thinking.sources.{native.sets()[name].reader}").read
    at = Source(name=name, root=tmp_path, seed=0)
    with pytest.raises(SetupError) as raised:
        read(at, path="gone")
    assert str(raised.value) == f'source "{name}": there is no folder gone in {tmp_path}'
    (tmp_path / "empty").mkdir()
    with pytest.raises(SetupError, match=f'^source "{name}": there is no .* in {tmp_path}/empty'):
        read(at, path="empty")


@pytest.mark.parametrize("name", native.sets())
def test_ids_are_unique_and_the_same_in_every_order(tmp_path: Path, name: str) -> None:
    made = native.sets()[name]
    read = import_module(f"vlaa_thinking.sources.{made.reader}").read
    rows = opened(tmp_path, made, read)
    ids = [row.id for row in rows]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert operator.length_hint(read(Source(name=name, root=tmp_path, seed=0), path="set"), -1) in (0, -1)
