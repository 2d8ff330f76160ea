"""What a table may hold beyond columns of text: images in every form, answers of every kind, folders with metadata."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import native
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlaa_thinking.checks.canonical import infer
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Fault, Row
from vlaa_thinking.sources import Source
from vlaa_thinking.sources.table import read

README = Path(__file__).parents[1] / "generators/README.md"
A = native.drawn("a")


def opened(root: Path, **options: Any) -> Iterator[Row]:
    return read(Source(name="mine", root=root, seed=0), **options)


def table(root: Path, *rows: dict[str, Any], **options: Any) -> list[Row]:
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(opened(root, path="rows.jsonl", **options))


def one(root: Path, cells: dict[str, Any], **options: Any) -> Row:
    (row,) = table(root, {"image": "a.png", "question": "Which?", "answer": "x"} | cells, **options)
    return row


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_an_image_may_be_written_in_base64(tmp_path: Path, form: str, wrapped: bool) -> None:
    data = native.drawn("b64", form=form)
    text = base64.b64encode(data).decode()
    cell = f"data:image/{form.lower()};base64,{text}" if wrapped else text
    assert one(tmp_path, {"image": cell}).image == data
    broken = "\n".join(cell[n : n + 76] for n in range(0, len(cell), 76))
    assert one(tmp_path, {"image": broken}).image == data


@pytest.mark.parametrize(
    "cell", ["data:image/png,plain", "iVBORw0KGgo", "/9j/is/a/folder/" + "x" * 80 + ".png"]
)
def test_what_only_looks_like_base64_is_a_path(tmp_path: Path, cell: str) -> None:
    assert isinstance(one(tmp_path, {"image": cell}).image, Path)


def test_a_list_of_one_image_is_that_image_and_several_are_a_fault(tmp_path: Path) -> None:
    native.put(tmp_path, {"a.png": A})
    assert one(tmp_path, {"image": ["a.png"]}).image == tmp_path / "a.png"
    assert one(tmp_path, {"image": [None, "a.png", ""]}).image == tmp_path / "a.png"
    assert one(tmp_path, {"image": []}).image is None
    assert one(tmp_path, {"image": ["a.png", "b.png", "a.png"]}).image == Fault(
        code="several_images", reason="the row has 3 images, and a question here has one"
    )


def test_images_may_lie_in_an_archive_below_their_root(tmp_path: Path) -> None:
    native.put(tmp_path, {"pics/all.zip": native.zipped({"train/a.png": A}), "pics/b.png": native.drawn("b")})
    assert one(tmp_path, {"image": "train/a.png"}, image_root="pics").image == A
    assert one(tmp_path, {"image": "b.png"}, image_root="pics").image == tmp_path / "pics/b.png"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_folder_of_images_has_its_questions_beside_them(tmp_path: Path, form: str) -> None:
    rows = [
        {"file_name": "a.png", "question": "One?", "answer": "1"},
        {"file_name": "in/b.png", "question": "Two?", "answer": "2"},
    ]
    for part in ("train", "more"):
        folder = native.put(
            tmp_path / "set" / part, {"a.png": native.drawn(f"{part}a"), "in/b.png": native.drawn(f"{part}b")}
        )
        if form == "jsonl":
            (folder / "metadata.jsonl").write_bytes(native.lines(rows))
        elif form == "csv":
            lines = ["file_name,question,answer", *(",".join(row.values()) for row in rows)]
            (folder / "metadata.csv").write_text("\n".join(lines))
        else:
            pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    found = list(opened(tmp_path, path="set"))
    assert [(row.image, row.question) for row in found] == [
        (tmp_path / f"set/{part}/{name}", question)
        for part in ("more", "train")
        for name, question in (("a.png", "One?"), ("in/b.png", "Two?"))
    ]


def test_a_folder_without_metadata_is_told(tmp_path: Path) -> None:
    native.put(tmp_path / "set", {"a.png": A})
    with pytest.raises(
        SetupError, match=r"there is no metadata\.jsonl or metadata\.csv or metadata\.parquet in "
    ):
        opened(tmp_path, path="set")


@pytest.mark.parametrize("options", [{}, {"path": "rows.jsonl", "hf": "org/name"}])
def test_a_table_is_a_file_or_a_set_on_the_hub(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(SetupError, match="name a file or folder with `path`, or a set on the Hub with `hf`"):
        opened(tmp_path, **options)


def test_json_may_be_one_array(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "question": f"{n}?", "answer": n, "meta": {"key": n}} for n in range(3)]
    (tmp_path / "rows.json").write_bytes(b"\xef\xbb\xbf  " + native.array(rows))
    found = list(opened(tmp_path, path="rows.json", id="meta.key"))
    assert [(row.id, row.question, row.answer) for row in found] == [
        (f"{n}", f"{n}?", f"{n}") for n in range(3)
    ]


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "answer", "answers"),
    [
        ("a dog", "a dog", ()),
        (3, "3", ()),
        (2.5, "2.5", ()),
        (None, "", ()),
        (float("nan"), "", ()),
        (True, "True", ()),
        (["yes", "Yes.", "yes it is"], "yes", ("yes", "Yes.", "yes it is")),
        ([0.1, 0.2, 0.3, 0.4], "[0.1, 0.2, 0.3, 0.4]", ()),
        ([[0.1, 0.2, 0.3, 0.4]], "[[0.1, 0.2, 0.3, 0.4]]", ()),
    ],
)
def test_an_answer_comes_in_many_forms(
    tmp_path: Path, cell: Any, answer: str, answers: tuple[str, ...]
) -> None:
    row = one(tmp_path, {"answer": cell})
    assert (row.answer, row.answers) == (answer, answers)


@pytest.mark.parametrize(
    ("cell", "start", "answer"),
    [(0, 0, "A"), (2, 0, "C"), ("1", 1, "A"), (3, 0, "3"), (0, 1, "0"), ("B", 0, "B"), (None, 0, "")],
)
def test_an_options_number_becomes_its_letter(tmp_path: Path, cell: Any, start: int, answer: str) -> None:
    cells = {"answer": cell, "opts": ["x", "y", "z"]}
    assert one(tmp_path, cells, choices="opts", answer_index_from=start).answer == answer


@pytest.mark.parametrize("cell", [["x", "y"], {"A": "x", "B": "y"}, '{"A": "x", "B": "y"}', "x|y"])
def test_options_come_as_a_list_or_by_their_letters(tmp_path: Path, cell: Any) -> None:
    assert one(tmp_path, {"opts": cell}, choices="opts").choices == ("x", "y")


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("digit", "digit"), ("iou", "iou"), ("multi-choice", "open"), (None, "open"), ("auto", "open")],
)
def test_an_answer_type_may_be_said_row_by_row(tmp_path: Path, cell: Any, kind: str) -> None:
    row = one(tmp_path, {"kind": cell}, answer_type_column="kind", answer_type="open")
    assert row.answer_type == kind


def inference() -> list[tuple[str, str, str]]:
    """Read the table of generators/README.md: each answer in it, what is beside it, and its type."""
    section = README.read_text().partition("`auto` takes the first that fits:")[2].partition("**The nine")[0]
    rows = re.findall(r"^\| (.*?) \|(.*?)\| `(\w+)` \|$", section, re.MULTILINE)
    return [
        (answer, beside.strip(), kind)
        for answers, beside, kind in rows
        for answer in (re.findall(r"`([^`]+)`", answers) or [answers])
    ]


def test_the_table_of_inference_is_read() -> None:
    assert len(inference()) >= 18
    assert {kind for *_, kind in inference()} == {"iou", "choice", "open", "digit", "math"}


@pytest.mark.parametrize(("answer", "beside", "kind"), inference())
def test_answer_types_are_told_as_the_readme_says(answer: str, beside: str, kind: str) -> None:
    choices = ("a cat", "a dog") if "options" in beside else ()
    answers = (answer, "a dozen") if "accepted" in beside else ()
    boxes = ((0.1, 0.2, 0.5, 0.6),) if beside == "boxes" else ()
    assert infer(answer, question="What is it?", choices=choices, answers=answers, boxes=boxes) == kind
    if choices:
        listed = "What is it?\nA) a cat\nB) a dog"
        assert infer(answer, question=listed, answers=answers, boxes=boxes) == kind
