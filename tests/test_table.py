"""The table reader: anybody's CSV, JSON Lines or Parquet, read by column names."""

import csv
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sums_project import picture

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Row
from vlaa_thinking.sources import Source
from vlaa_thinking.sources.table import read

HEAD = "image,question,answer\n"


def opened(root: Path, name: str, **options: Any) -> Iterator[Row]:
    return read(Source(name="mine", root=root, seed=0), path=name, **options)


def rows(root: Path, name: str, **options: Any) -> list[Row]:
    """Read all rows, and hold the hint against their number at every step."""
    found = opened(root, name, **options)
    hints = [operator.length_hint(found, -1)]
    given = []
    for row in found:
        given.append(row)
        hints.append(operator.length_hint(found, -1))
    assert hints == list(range(len(given), -1, -1))
    return given


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", f"{HEAD}a.png,Où?,3\nb.png,How many?,4\n"),
        ("rows.csv", f"\ufeff{HEAD}a.png,Où?,3\nb.png,How many?,4"),
        ("ROWS.CSV", f'{HEAD}\n"a.png","Où?"," 3 "\n\nb.png,How many?,4\n\n\n'.replace("\n", "\r\n")),
        ("rows.tsv", "image\tquestion\tanswer\na.png\tOù?\t3\nb.png\tHow many?\t4\n"),
        (
            "rows.jsonl",
            '{"image": "a.png", "question": "Où?", "answer": 3}\n\n{"answer": "4", "question": "How many?", "image": "b.png"}',
        ),
        (
            "rows.json",
            '\ufeff{"image": "a.png", "question": "Où?", "answer": "3"}\r\n{"image": "b.png", "question": "How many?", "answer": 4}\r\n\r\n',
        ),
        (
            "rows.ndjson",
            '{"image": "a.png", "question": "O\\u00f9?", "answer": 3}\n{"image": "b.png", "question": "How many?", "answer": 4}\n',
        ),
    ],
    ids=["csv", "csv with byte order mark", "csv from Windows", "tsv", "jsonl", "json lines", "ndjson"],
)
def test_rows_are_read_whatever_the_file(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / name, text)
    found = [(row.image, row.question, row.answer, row.id) for row in rows(tmp_path, name)]
    assert found == [
        (tmp_path / "a.png", "Où?", "3", None),
        (tmp_path / "b.png", "How many?", "4", None),
    ]


def test_a_hint_counts_rows_and_not_lines(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", f'{HEAD}a.png,"How\nmany\n\nlines?",3\na.png,"""Two""\n",4\n\n')
    assert [row.question for row in rows(tmp_path, "rows.csv")] == ["How\nmany\n\nlines?", '"Two"']


def test_a_row_with_more_or_fewer_cells_is_read(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", f"{HEAD}a.png,How many?,3,and,more\na.png\n")
    assert [(row.question, row.answer) for row in rows(tmp_path, "rows.csv")] == [
        ("How many?", "3"),
        ("", ""),
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", f"{HEAD}a.png,{'x' * 200_000},3\n")
    assert len(rows(tmp_path, "rows.csv")[0].question) == 200_000
    assert csv.field_size_limit() > 131_072


def test_a_column_counts_as_known_if_any_row_has_it(tmp_path: Path) -> None:
    write(
        tmp_path / "rows.jsonl",
        '{"image": "a.png", "question": "How many?", "answer": 3}\n'
        '{"image": "b.png", "question": "Which?", "answer": "B", "choices": ["x", "y"]}\n',
    )
    assert [row.choices for row in rows(tmp_path, "rows.jsonl", choices="choices")] == [(), ("x", "y")]


# --- cells ----------------------------------------------------------------------------------------


def test_every_column_has_its_place(tmp_path: Path) -> None:
    line = {
        "pic": "a.png", "q": " What? ", "a": "B", "key": 7, "acc": ["B", "b"], "opts": ["one", 2],
        "box": [[0, 0, 0.5, 1], [0.1, 0.2, 0.3, 0.4]], "meta": {"notes": "A cube.", "deep": {"cap": "A cap."}},
        "meta.plain": "In words.",
    }  # fmt: skip
    write(tmp_path / "rows.jsonl", json.dumps(line))
    (row,) = rows(
        tmp_path, "rows.jsonl", image="pic", question="q", answer="a", id="key", answers="acc", choices="opts",
        boxes="box", notes="meta.notes", caption="meta.deep.cap", text_question="meta.plain", answer_type="choice",
    )  # fmt: skip
    assert row == Row(
        id="7",
        image=tmp_path / "a.png",
        question="What?",
        answer="B",
        answer_type="choice",
        answers=("B", "b"),
        choices=("one", "2"),
        boxes=((0.0, 0.0, 0.5, 1.0), (0.1, 0.2, 0.3, 0.4)),
        notes="A cube.",
        caption="A cap.",
        text_question="In words.",
    )


@pytest.mark.parametrize(
    ("cell", "choices"),
    [
        ('["one", "two"]', ("one", "two")),
        ("one|two", ("one", "two")),
        ("one | two", ("one", "two")),
        ("one", ("one",)),
        ("", ()),
        ('["one"', ('["one"',)),
        ('["a|b", "c"]', ("a|b", "c")),
    ],
)
def test_a_list_in_a_cell_is_json_or_parted_by_bars(
    tmp_path: Path, cell: str, choices: tuple[str, ...]
) -> None:
    quoted = cell.replace('"', '""')
    write(tmp_path / "rows.csv", f'image,question,answer,opts\na.png,Which?,A,"{quoted}"\n')
    assert rows(tmp_path, "rows.csv", choices="opts")[0].choices == choices


@pytest.mark.parametrize(
    ("cell", "boxes"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", ((0.1, 0.2, 0.3, 0.4),)),
        ("[[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]", ((0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 1.0))),
        ("0.1|0.2|0.3|0.4", ((0.1, 0.2, 0.3, 0.4),)),
        ("", ()),
        ("[0.1, 0.2]", ((-1.0, -1.0, -1.0, -1.0),)),
        ("left", ((-1.0, -1.0, -1.0, -1.0),)),
    ],
)
def test_boxes_are_read_and_what_is_none_stays_a_fault(
    tmp_path: Path, cell: str, boxes: tuple[Any, ...]
) -> None:
    write(tmp_path / "rows.csv", f'image,question,answer,box\na.png,Where?,,"{cell}"\n')
    assert rows(tmp_path, "rows.csv", boxes="box")[0].boxes == boxes


def test_empty_cells_are_no_id_no_caption_and_no_text_question(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", "image,question,answer,id,cap\na.png,How many?,3,, \n")
    (row,) = rows(tmp_path, "rows.csv", id="id", caption="cap", text_question="cap")
    assert (row.id, row.caption, row.text_question) == (None, None, None)


# --- images ---------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("top.png", "album/one.png", "album/sub/two.png", "album/sub/twin.png", "album/twin.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(len(name)))
    return tmp_path


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("one.png", "album/one.png"),
        (" one.png ", "album/one.png"),
        ("sub/two.png", "album/sub/two.png"),
        ("two.png", "album/sub/two.png"),
        ("train2017/two.png", "album/sub/two.png"),
        ("/sub/two.png", "album/sub/two.png"),
        ("/data/coco/train2017/one.png", "album/one.png"),
        ("twin.png", "album/twin.png"),
        ("sub/twin.png", "album/sub/twin.png"),
        ("../top.png", "top.png"),
        ("gone.png", "album/gone.png"),
        ("", None),
    ],
)
def test_an_image_is_looked_for_below_its_root(album: Path, cell: str, found: str | None) -> None:
    write(album / "rows.csv", f'{HEAD}"{cell}",How many?,3\n')
    (row,) = rows(album, "rows.csv", image_root="album")
    expected = None if found is None else (album / found).resolve()
    assert (row.image.resolve() if isinstance(row.image, Path) else row.image) == expected


def test_an_absolute_path_is_taken_as_it_is(album: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "far.png"
    elsewhere.write_bytes(picture(1))
    write(album / "rows.csv", f"{HEAD}{elsewhere},How many?,3\n")
    assert rows(album, "rows.csv", image_root="album")[0].image == elsewhere


def test_a_name_in_two_folders_is_told_with_both(album: Path) -> None:
    write(album / "rows.csv", f"{HEAD}elsewhere/twin.png,How many?,3\n")
    with pytest.raises(SetupError) as raised:
        rows(album, "rows.csv", image_root="album")
    assert str(raised.value) == (
        'source "mine": the image twin.png lies in several folders (sub/twin.png, twin.png); '
        "write its path below image_root into the table"
    )


@pytest.mark.parametrize("cell", ["x" * 5000, "a\0b", "." * 300, "~", "/", ".."])
def test_a_cell_that_is_no_path_breaks_nothing(album: Path, cell: str) -> None:
    write(album / "rows.jsonl", json.dumps({"image": cell, "question": "How many?", "answer": 3}))
    (row,) = rows(album, "rows.jsonl", image_root="album")
    assert isinstance(row.image, Path)


# --- Parquet --------------------------------------------------------------------------------------


def parquet(root: Path, images: pa.Array) -> None:
    count = len(images)
    columns = {
        "image": images,
        "question": [f"Number {n}?" for n in range(count)],
        "answer": list(range(count)),
        "opts": [["one", "two"]] * count,
        "meta": [{"rationale": f"So it is {n}.", "more": {"x": n}} for n in range(count)],
    }
    pq.write_table(pa.table(columns), root / "rows.parquet", row_group_size=50)


def test_parquet_gives_images_as_bytes_as_paths_or_as_hugging_face_writes_them(album: Path) -> None:
    data = picture(3)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for images, found in (
        (pa.array([data, data]), [data, data]),
        (pa.array(["two.png", None]), [album / "album/sub/two.png", None]),
        (
            pa.array(
                [{"bytes": data, "path": "nowhere.png"}, {"bytes": None, "path": "one.png"}, None], kind
            ),
            [data, album / "album/one.png", None],
        ),
    ):
        parquet(album, images)
        read_rows = rows(album, "rows.parquet", image_root="album", choices="opts", notes="meta.rationale")
        assert [row.image for row in read_rows] == found
        assert [row.answer for row in read_rows] == [str(n) for n in range(len(found))]
        assert read_rows[0].choices == ("one", "two")
        assert read_rows[1].notes == "So it is 1."


def test_parquet_is_read_in_parts(tmp_path: Path) -> None:
    parquet(tmp_path, pa.array([b"x"] * 170))
    assert [row.answer for row in rows(tmp_path, "rows.parquet")] == [str(n) for n in range(170)]


def test_columns_inside_others_are_known_by_their_dotted_names(tmp_path: Path) -> None:
    parquet(tmp_path, pa.array([b"x"]))
    assert rows(tmp_path, "rows.parquet", notes="meta.more.x")[0].notes == "0"
    with pytest.raises(SetupError, match=r'has no column "meta\.rational"; did you mean "meta\.rationale"\?'):
        opened(tmp_path, "rows.parquet", notes="meta.rational")


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("rows.csv", "image;question;answer\n1;2;3\n", 'has no column "image"; known: image;question;answer'),
        ("rows.csv", "", "holds no rows"),
        ("rows.csv", HEAD, "holds no rows"),
        ("rows.jsonl", "\n\n", "holds no rows"),
        ("rows.jsonl", '{"image": 1}\n[1]\n', "line 2 is not a JSON object, one to a line, but a list"),
        (
            "rows.jsonl",
            '{"image": 1}\n\n{"image"\n',
            "line 3 is not a JSON object, one to a line: Expecting ':'",
        ),
        (
            "rows.json",
            '{\n  "image": 1\n}\n',
            "line 1 is not a JSON object, one to a line: Expecting property name",
        ),
        ("rows.jsonl", '{"a":' * 100_000, "rows.jsonl cannot be read: "),
        ("rows.parquet", "PAR1", "rows.parquet cannot be read: "),
        ("rows.txt", HEAD, "rows.txt is none of the files that can be read (.csv, .tsv, .jsonl, "),
    ],
)
def test_a_file_that_cannot_be_read_is_told_before_a_row_is_given(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    write(tmp_path / name, text)
    with pytest.raises(SetupError) as raised:
        opened(tmp_path, name)
    assert str(raised.value).startswith('source "mine": ')
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path, encoding: str) -> None:
    text = HEAD + "a.png,How many?,3\n" * 2000 + "a.png,Où?,3\n"
    write(tmp_path / "rows.csv", text, encoding)
    line = 2002 if encoding == "latin-1" else 1
    with pytest.raises(SetupError) as raised:
        opened(tmp_path, "rows.csv")
    assert str(raised.value) == f'source "mine": rows.csv, line {line}, is not in UTF-8: save it in UTF-8'


def test_a_cut_parquet_file_is_told(tmp_path: Path) -> None:
    parquet(tmp_path, pa.array([b"x" * 999] * 50))
    data = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(SetupError, match=r'source "mine": rows\.parquet cannot be read: '):
        opened(tmp_path, "rows.parquet")
