"""Boxes from every frame met to shares of the image as it is displayed, held against boxes that are drawn."""

import io
import json
from pathlib import Path

import native
import pytest
from PIL import Image, ImageDraw, ImageOps

from vlaa_thinking.checks.iou import iou
from vlaa_thinking.record import Box, Fault, Row
from vlaa_thinking.sources import Source
from vlaa_thinking.sources.boxes import BoxFrame, displayed_size, reframed, to_unit
from vlaa_thinking.sources.table import read

RED = (220, 20, 20)


@pytest.mark.parametrize(
    ("box", "frame", "size", "unit"),
    [
        ((0.1, 0.2, 0.3, 0.4), "unit", (640, 480), (0.1, 0.2, 0.3, 0.4)),
        ((100, 250, 500, 1000), "thousand", (640, 480), (0.1, 0.25, 0.5, 1.0)),
        ((64, 120, 320, 480), "pixels", (640, 480), (0.1, 0.25, 0.5, 1.0)),
        ((0.0, 0.125, 1.0, 0.875), "square", (640, 480), (0.0, 0.0, 1.0, 1.0)),
        ((0.125, 0.0, 0.875, 1.0), "square", (480, 640), (0.0, 0.0, 1.0, 1.0)),
        ((0.25, 0.25, 0.5, 0.5), "square", (300, 300), (0.25, 0.25, 0.5, 0.5)),
        # Two decimals of a square's side may lie a little beyond the image.
        ((0.0, 0.12, 0.5, 0.88), "square", (640, 480), (0.0, 0.0, 0.5, 1.0)),
        ((-5, 0, 700, 480), "pixels", (640, 480), (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_a_box_is_brought_into_the_unit_frame(
    box: Box, frame: BoxFrame, size: tuple[int, int], unit: Box
) -> None:
    assert to_unit(box, frame, size) == pytest.approx(unit, abs=1e-4)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (333, 500), (501, 333), (64, 64)])
def test_llavas_square_is_undone(size: tuple[int, int]) -> None:
    """Pad an image as LLaVA does, find the box on the square, and see that it lies on the same pixels."""
    width, height = size
    drawn = width // 4, height // 3, width // 2, height * 2 // 3
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((*drawn[:2], drawn[2] - 1, drawn[3] - 1), fill=RED)
    side = max(size)
    square = Image.new("RGB", (side, side), "gray")
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    found = square.getchannel("G").point([255] * 50 + [0] * 206).getbbox()
    assert found is not None
    left, top, right, bottom = (round(number / side, 2) for number in found)  # as LLaVA writes them
    unit = to_unit((left, top, right, bottom), "square", size)
    right_one = (drawn[0] / width, drawn[1] / height, drawn[2] / width, drawn[3] / height)
    assert iou(unit, right_one) > 0.93
    if width != height:
        assert iou((left, top, right, bottom), right_one) < 0.9  # what a reader who knows no frame would take


def test_boxes_in_texts_are_rewritten_and_other_numbers_stay() -> None:
    text = "At [0.0, 0.25, 0.5, 0.5] and [0.25,0.3,.75,0.6]; not [1, 2], nor [0.5, 0.5, 0.5] nor (0.1, 0.2, 0.3, 0.4)."
    text += " Nor [2019, 2020, 2021, 2022]."
    assert reframed(text, "square", (64, 32)) == (
        "At [0.00, 0.00, 0.50, 0.50] and [0.25, 0.10, 0.75, 0.70]; not [1, 2], nor [0.5, 0.5, 0.5] nor (0.1, 0.2, 0.3, 0.4)."
        " Nor [2019, 2020, 2021, 2022]."
    )
    assert reframed(text, "unit", (64, 32)) == text


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (48, 32)), (3, (48, 32)), (6, (32, 48)), (8, (32, 48))]
)
def test_an_images_size_is_that_of_its_displayed_form(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    data = native.drawn("turned", form="JPEG", orientation=orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    assert displayed_size(data) == displayed_size(tmp_path / "a.jpg") == size


def test_what_is_no_image_has_no_size(tmp_path: Path) -> None:
    assert displayed_size(None) is None
    assert displayed_size(b"no image") is None
    assert displayed_size(tmp_path / "gone.png") is None
    assert displayed_size(Fault(code="several_images", reason="two")) is None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_in_pixels_lie_where_they_are_seen(tmp_path: Path, orientation: int) -> None:
    """A box is drawn where a person sees it, and written in the pixels of what is seen; the file lies on its side."""
    seen = Image.new("RGB", (60, 90), "white")
    ImageDraw.Draw(seen).rectangle((30, 9, 53, 44), fill=RED)
    back = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    turn = back[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (seen if turn is None else seen.transpose(turn)).save(tmp_path / "a.png", exif=exif)
    row = {"image": "a.png", "question": "Where is it?", "answer": "", "box": [30, 9, 54, 45]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    (found,) = table(tmp_path, boxes="box", boxes_in="pixels")
    (box,) = found.boxes
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())))
    red = upright.convert("RGB").getchannel("G").point([255] * 50 + [0] * 206).getbbox()
    assert red is not None
    pixels = red[0] / 60, red[1] / 90, red[2] / 60, red[3] / 90
    assert box == pytest.approx(pixels, abs=1e-4)
    assert found.answer_type == "auto"


def table(root: Path, **options: object) -> list[Row]:
    return list(read(Source(name="mine", root=root, seed=0), path="rows.jsonl", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ([12, 8, 36, 24], {"boxes": "box", "boxes_in": "pixels"}),
        ([12, 8, 24, 16], {"boxes": "box", "boxes_in": "pixels", "box_form": "xywh"}),
        ("[[250, 250, 750, 750]]", {"boxes": "box", "boxes_in": "thousand"}),
        ([0.25, 0.25, 0.5, 0.5], {"boxes": "box", "box_form": "xywh"}),
        ([12, 8, 36, 24], {"answer": "box", "boxes_in": "pixels"}),
        ("[12, 8, 36, 24]", {"answer": "box", "boxes_in": "pixels"}),
        ([0.25, 1 / 3, 0.75, 2 / 3], {"boxes": "box", "boxes_in": "square"}),
    ],
)
def test_a_tables_boxes_come_in_many_forms(tmp_path: Path, cell: object, options: dict[str, object]) -> None:
    native.put(tmp_path, {"a.png": native.drawn("a")})  # 48 x 32
    row = {"image": "a.png", "question": "Where?", "answer": "", "box": cell}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    (found,) = table(tmp_path, **options)
    assert len(found.boxes) == 1
    assert found.boxes[0] == pytest.approx((0.25, 0.25, 0.75, 0.75), abs=1e-3)
