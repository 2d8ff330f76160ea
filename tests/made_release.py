"""A release like the authors', made by us: its files, its images, and the list of what is wrong with which row.

    python tests/made_release.py FOLDER --rows 20000

Rows, texts and images are ours; fields, layout and defects are those of the released files. Half of the rows are
sound, the other half show one planted defect each (a few show a second that comes with it).
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import struct
import tarfile
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SFT, RL, FEBRUARY = "VLAA-Thinking-SFT-126K.json", "VLAA-Thinking-GRPO-25K.json", "train.json"
CHOICES = ("It rises.", "It falls.", "It stays as it is.", "It jumps up and down.")
FUNCTION = "Find out the function equation in the image."


@dataclass(slots=True)
class Made:
    """One row under way, and what is known of it."""

    number: int
    source: str
    file: str
    row: dict[str, Any]
    size: tuple[int, int] = (24, 16)
    image: bytes | None = b""
    """b"": one is drawn; None: none is written."""
    defects: set[str] = field(default_factory=set[str])
    code: str | None = None
    """The code under which it is rejected."""
    answer: str | None = None
    """The canonical right answer, where it is kept."""
    line: str | None = None
    """What stands in the file in the row's place."""

    def plant(self, *defects: str, code: str | None = None) -> None:
        self.defects |= {*defects, *([code] if code else [])}
        self.code = code


@dataclass(frozen=True, slots=True)
class Planted:
    """What the maker knows of one row of a file."""

    file: str
    line: int
    id: str | None
    """As the row has it."""
    image: bytes | None
    """The picture that was written for it."""
    defects: frozenset[str]
    code: str | None
    """Under which it is rejected."""
    answer: str | None
    """The canonical right answer, where the row is kept and it is known."""
    config: str


def picture(number: int, size: tuple[int, int]) -> bytes:
    """Draw a picture that no other number has."""
    image = Image.new("RGB", size, (number % 256, number // 256 % 256, number // 65536 % 256))
    image.putpixel((number % size[0], number % size[1]), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


# --- sound rows -------------------------------------------------------------------------------------------------


def thought(answer: str, talk: str = "I look at the picture and take it step by step.") -> str:
    return f"<think>{talk}</think>\n<answer>{answer}</answer>"


def made(number: int, source: str, file: str, name: str, **row: Any) -> Made:
    folder = {"coco": "coco/train2017", "vg": "vg/VG_100K"}.get(source, source)
    base = {"id": f"{source}-{name}_{number:06d}x", "image": f"{folder}/{name}_{number:06d}.png"}
    return Made(number, source, file, base | row)


def clevr(number: int, file: str) -> Made:
    answer = str(number % 10)
    row = made(
        number, "clevr_math", file, "scene", question=f"Take away {number} small cubes. How many are left?"
    )
    row.answer = answer
    row.row |= {"answer": thought(answer)} if file == SFT else {"gt": answer, "verifier_type": "digit"}
    row.row["meta"] = {
        "rationale": f"There are {number} cubes.",
        "caption_model_id": "gpt-4o-0806-nofilter-global",
    }
    return row


def synthesis(number: int, file: str) -> Made:
    answer = f"y = {number % 9 + 2}x + {number % 7 + 1}"
    row = made(number, "synthesis", file, "curve", question=FUNCTION, caption="")
    row.answer = answer
    row.row |= (
        {"answer": thought(answer)}
        if file == SFT
        else {"gt": rf"\[\boxed{{{answer}}}\]", "verifier_type": "math"}
    )
    row.row["meta"] = {"text_question": f"A line meets the axis at {number}."}
    return row


def letters(number: int, source: str, file: str) -> Made:
    answer = "ABCD"[number % 4]
    options = (
        "\nChoices:\n" + "\n".join(f"{a}: {b}" for a, b in zip("ABCD", CHOICES, strict=True))
        if source == "geoqa170k"
        else "\n" + "\n".join(f"{a}) {b}" for a, b in zip("ABCD", CHOICES, strict=True))
    )
    row = made(number, source, file, "panel", question=f"What does curve {number} do?{options}")
    row.answer = answer
    row.row |= {"answer": thought(answer)} if file == SFT else {"gt": answer, "verifier_type": "mcq"}
    return row


def words(number: int, source: str, file: str) -> Made:
    answer = f"The sign says {number}"
    row = made(
        number, source, file, "page", question=f"What does sign {number} say?", caption=f"A sign, {number}."
    )
    row.answer = answer
    row.row |= {"answer": thought(answer)} if file == SFT else {"gt": answer, "verifier_type": "open_ended"}
    if source == "allava_laion":
        row.row["meta"] = {"url": f"https://pictures.example/{number}.jpg"}
    return row


def boxes(number: int, source: str, file: str) -> Made:
    """A box that touches the lower edge of a broad image; of `vg` as a share of the padded square."""
    row = made(number, source, file, "street", question=f"Where is lamp {number}?")
    row.size = (40, 20)
    box = [0.1 + number % 5 / 10, 0.05 if number % 2 else 0.55, 0.7 + number % 3 / 10, 0.99]
    row.answer = str([round(n, 4) for n in box])
    if source == "vg":
        row.defects.add("square_box")
        box[1], box[3] = (box[side] / 2 + 0.25 for side in (1, 3))
    row.row |= {"gt": str([round(n, 4) for n in box]), "verifier_type": "iou"}
    return row


def region(number: int, file: str) -> Made:
    row = words(number, "vg", file)
    row.size = (40, 20)
    row.row["question"] = f"What is at [0.10, 0.25, 0.50, 0.50] beside lamp {number}?"
    row.defects.add("square_box")
    return row


SOUND: tuple[Callable[[int], Made], ...] = (
    lambda n: clevr(n, SFT),
    lambda n: clevr(n, RL),
    lambda n: boxes(n, "vg", RL),
    lambda n: synthesis(n, SFT),
    lambda n: synthesis(n, RL),
    lambda n: boxes(n, "coco", RL),
    lambda n: letters(n, "arxivqa", SFT),
    lambda n: letters(n, "geoqa170k", RL),
    lambda n: words(n, "docvqa", SFT),
    lambda n: words(n, "vizwiz", RL),
    lambda n: words(n, "allava_laion", SFT),
    lambda n: words(n, "coco", SFT),
    lambda n: region(n, SFT),
)


# --- planted rows -----------------------------------------------------------------------------------------------


def february(number: int) -> Made:
    """A row as the first release had it: the raw reply, no <answer> tags, the right answer beside it."""
    row = clevr(number, FEBRUARY)
    del row.row["verifier_type"]
    row.row |= {
        "gt": number % 10,
        "ds_answer": f"<think>  \nA ball is a sphere. Wait, a cube is none.\n</think>  \n\n**Answer:** {number % 10}  ",
        "caption": f"Some balls and cubes, {number}.",
    }
    row.plant("february_schema", "gt_not_text")
    return row


def changed(row: Made, *defects: str, code: str | None = None, **fields: Any) -> Made:
    """Change a row's fields; None takes one away."""
    row.row = {name: value for name, value in (row.row | fields).items() if value is not None}
    row.plant(*defects, code=code)
    return row


def with_image(row: Made, image: bytes | None, code: str) -> Made:
    row.image = image
    row.plant(code=code)
    return row


def bomb() -> bytes:
    """A PNG of a few bytes that claims to have 40,000 times 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def as_text(row: Made) -> Made:
    """Write `meta` as Python does, with a value that JSON has no word for."""
    meta = row.row["meta"] | {"llava-v1.5-7b-ppl-caption": float("nan"), "note": "it's a \\frac{1}{2}"}
    return changed(row, "meta_as_text", meta=str(meta))


def damaged(row: Made) -> Made:
    """Let one backslash be eaten: \\boxed and \\frac lose their first letter."""
    row.answer = r"\frac{1}{2}"
    if row.file == SFT:
        return changed(row, "damaged_escapes", "answer_wrapped", answer=thought("\x08oxed{\x0crac{1}{2}}"))
    return changed(row, "damaged_escapes", gt="\\[\x08oxed{\x0crac{1}{2}}\\]")


def undoubled(row: Made) -> Made:
    """Write a line as if by hand, no backslash doubled: some of its escapes are none of JSON's."""
    row.line = json.dumps(row.row).replace("\\\\", "\\")
    row.plant("damaged_escapes")
    return row


def square(row: Made) -> Made:
    """Let a box of the padded square begin in the padding."""
    row.defects.clear()
    return changed(row, code="unturned_box", gt="[0.10, 0.02, 0.50, 0.60]")


def twice(row: Made) -> list[Made]:
    again = Made(row.number, row.source, row.file, dict(row.row), image=None, answer=None)
    again.plant(code="duplicate_row")
    return [row, again]


def same_id(first: Made, second: Made) -> list[Made]:
    second.row["id"] = first.row["id"] = f"{first.source}-shared_{first.number}x"
    for row in (first, second):
        row.plant("repeated_id")
    return [first, second]


def in_answer(row: Made, text: str, *defects: str, code: str | None = None) -> Made:
    return changed(row, *defects, code=code, answer=f"<think>I look at it.</think>\n<answer>{text}</answer>")


def canonical(row: Made, answer: str) -> Made:
    row.answer = answer
    return row


def unreadable(row: Made, line: str) -> Made:
    row.line = line
    row.image = None
    row.plant(code="unreadable_row")
    return row


PLANTS: tuple[Callable[[int], Made | list[Made]], ...] = (
    lambda n: unreadable(clevr(n, SFT), '{"id": "clevr_math-%06d", "question": "cut off' % n),  # noqa: UP031 - braces
    lambda n: unreadable(clevr(n, RL), f"[{n}]"),
    february,
    lambda n: as_text(clevr(n, SFT)),
    lambda n: as_text(clevr(n, RL)),
    lambda n: changed(clevr(n, SFT), "meta_unreadable", meta=f"__import__('os').getpid({n})"),
    lambda n: changed(clevr(n, RL), "meta_unreadable", meta=[n]),
    lambda n: damaged(synthesis(n, SFT)),
    lambda n: damaged(synthesis(n, RL)),
    lambda n: undoubled(synthesis(n, RL)),
    lambda n: changed(clevr(n, SFT), "no_id", id=None),
    lambda n: same_id(clevr(n, SFT), clevr(n + 500_000, SFT)),
    lambda n: twice(words(n, "docvqa", SFT)),
    lambda n: changed(clevr(n, SFT), "extension_in_id", id=f"clevr_math-CLEVR_train_{n:06d}.png"),
    lambda n: changed(synthesis(n, RL), "ordinal_id", id=f"synthesis-{n}"),
    lambda n: changed(row := words(n, "allava_laion", SFT), "leading_slash", image="/" + row.row["image"]),
    lambda n: changed(clevr(n, SFT), "outside_path", code="missing_image", image=f"clevr_math/../../{n}.png"),
    lambda n: changed(words(n, "chartqa", SFT), "undeclared_source"),
    lambda n: changed(words(n, "holidays", SFT), "unknown_source"),
    lambda n: with_image(words(n, "coco", SFT), None, "missing_image"),
    lambda n: with_image(letters(n, "geoqa170k", RL), None, "missing_image"),
    lambda n: with_image(clevr(n, SFT), b"not found\n" * n, "not_an_image"),
    lambda n: with_image(words(n, "vizwiz", RL), picture(n, (24, 16))[:-30], "broken_image"),
    lambda n: with_image(clevr(n, RL), bomb(), "image_bomb"),
    lambda n: changed(clevr(n, SFT), code="empty_question", question=" "),
    lambda n: changed(
        row := letters(n, "geoqa170k", RL),
        "chinese_or",
        question=row.row["question"].replace("It rises.", "2或3"),
    ),
    lambda n: changed(
        letters(n, "geoqa170k", RL),
        "denote_clause",
        question=f"Denote the length of AB as {n}. How long is BC?\nChoices:\nA: 1\nB: 2\nC: 3\nD: 4",
    ),
    lambda n: changed(clevr(n, RL), "gt_missing", "reasoning_in_rl", gt=None, answer=thought(str(n % 10))),
    lambda n: changed(clevr(n, RL), "gt_not_text", gt=n % 10),
    lambda n: changed(
        clevr(n, RL), "gt_steps", gt=f"Step 1: count them.\nStep 2: {n} go.\n\u2020Answer: {n % 10}"
    ),
    lambda n: changed(row := synthesis(n, RL), "gt_prefix", gt=f"Output 4: {row.answer}"),
    lambda n: changed(row := synthesis(n, RL), "gt_prefix", gt=f"Output \\[ {row.answer} \\]"),
    lambda n: changed(row := letters(n, "geoqa170k", RL), "gt_form", gt=f"({str(row.answer).lower()})"),
    lambda n: changed(row := letters(n, "arxivqa", RL), "gt_form", gt=f"{row.answer}) {CHOICES[n % 4]}"),
    lambda n: changed(synthesis(n, RL), "gt_unknown_only", code="bad_answer", gt=f"a = {n % 9 + 2}"),
    lambda n: changed(
        row := synthesis(n, RL),
        "gt_unknown_only",
        "reasoning_in_rl",
        gt=f"a = {n % 9 + 2}",
        answer=thought(str(row.answer)),
    ),
    lambda n: changed(clevr(n, SFT), "gt_unreadable", gt="as many as before"),
    lambda n: changed(clevr(n, RL), "verifier_unknown", verifier_type="counting"),
    lambda n: changed(clevr(n, RL), "verifier_unknown", verifier_type=None),
    lambda n: changed(clevr(n, RL), code="bad_answer", gt="as many as before"),
    lambda n: changed(boxes(n, "coco", RL), code="bad_answer", gt="[0.50, 0.10, 0.20, 0.90]"),
    lambda n: in_answer(clevr(n, SFT), "about as many as there were", "answer_prose", code="bad_answer"),
    lambda n: changed(clevr(n, SFT), code="gold_conflict", gt=str(n % 10 + 1)),
    lambda n: changed(
        row := clevr(n, SFT), "no_answer_tags", answer=f"<think>I count.</think>\n**Answer:** {row.answer}"
    ),
    lambda n: in_answer(row := clevr(n, SFT), f" {row.answer} ", "answer_spaces"),
    lambda n: in_answer(
        row := synthesis(n, SFT), f"\n\\[ \\boxed{{{row.answer}}} \\]\n", "answer_spaces", "answer_wrapped"
    ),
    lambda n: in_answer(row := clevr(n, SFT), f"There are {row.answer} cubes left in it.", "answer_prose"),
    lambda n: changed(row := clevr(n, SFT), code="no_reasoning", answer=f"<answer>{row.answer}</answer>"),
    lambda n: changed(
        row := clevr(n, SFT),
        code="no_reasoning",
        answer=f"<think>I</think><think>II</think><answer>{row.answer}</answer>",
    ),
    lambda n: changed(row := clevr(n, RL), "reasoning_in_rl", answer=thought(str(row.answer))),
)
"""Each plants one defect, or a few that come together."""

RARE: tuple[Callable[[int], Made], ...] = (
    lambda n: square(boxes(n, "vg", RL)),  # too many of them would speak for the other frame
    lambda n: with_image(words(n, "docvqa", SFT), bytes(65 << 20), "image_too_large"),
)
"""Planted once each."""


def rows_of_release(rows: int) -> Iterator[Made]:
    """Give about as many rows: sound ones and planted ones in turn."""
    numbers = itertools.count(1)
    for plant in RARE:
        yield plant(next(numbers))
    given = len(RARE)
    for turn in itertools.count():
        if given >= rows:
            return
        planted = PLANTS[turn % len(PLANTS)](next(numbers))
        found = planted if isinstance(planted, list) else [planted]
        yield from (*found, SOUND[turn % len(SOUND)](next(numbers)))
        given += len(found) + 1


# --- the files --------------------------------------------------------------------------------------------------


def make_release(folder: Path, rows: int) -> list[Planted]:
    """Write a release of about so many rows into `folder`; returns what is wrong with each."""
    folder.mkdir(parents=True)
    by_file: dict[str, list[Made]] = {SFT: [], RL: [], FEBRUARY: []}
    with Packed(folder / "images") as images:
        for row in rows_of_release(rows):
            by_file[row.file].append(row)
            if row.image is not None:
                row.image = row.image or picture(row.number, row.size)
                images.add(row, row.image)
    planted = []
    for file, found in by_file.items():
        lines = [row.line or json.dumps(row.row, ensure_ascii=row.number % 2 == 0) for row in found]
        text = f"[{', '.join(lines)}]" if file == FEBRUARY else "\n".join(lines) + "\n"
        (folder / file).write_text(text, encoding="utf-8")
        for line, row in enumerate(found, 1):
            config = "rejected" if row.code else "rl" if file == RL else "sft"
            answer = None if row.code else row.answer
            planted.append(
                Planted(
                    file, line, row.row.get("id"), row.image, frozenset(row.defects), row.code, answer, config
                )
            )
    return planted


LAYOUTS = {
    "synthesis": "{path}",
    "docvqa": "./pages/{name}",  # found by its name alone
    "chartqa": "images/{path}",
    "vizwiz": "{name}",
}
"""How the members of each tar file are called."""


class Packed:
    """The images: in folders, or in archives of several kinds and layouts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._root.mkdir()
        self._tars = {
            name: self._stack.enter_context(tarfile.open(self._root / f"{name}.tar.gz", "w:gz"))  # noqa: SIM115
            for name in LAYOUTS
        }
        self._zip = self._stack.enter_context(zipfile.ZipFile(self._root / "arxivqa.zip", "w"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, row: Made, data: bytes) -> None:
        path = str(row.row["image"]).lstrip("/")
        name = path.rpartition("/")[2]
        if row.source in LAYOUTS:
            member = tarfile.TarInfo(LAYOUTS[row.source].format(path=path, name=name))
            member.size = len(data)
            self._tars[row.source].addfile(member, io.BytesIO(data))
        elif row.source == "arxivqa":
            self._zip.writestr(path, data)
        else:
            if row.source == "geoqa170k":
                path = f"geoqa170k/moved/{name}"
            place = self._root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    arguments = parser.parse_args()
    print(f"{len(make_release(arguments.folder, arguments.rows)):,} rows in {arguments.folder}")
