"""The demo is honest: what is drawn is what is said, and the teacher knows only what it is told."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from PIL import Image, ImageChops

from vlaa_thinking.demo import KINDS, forms, lines, rows
from vlaa_thinking.demo.canvas import PALETTE, Canvas
from vlaa_thinking.demo.teacher import Teacher
from vlaa_thinking.errors import SetupError
from vlaa_thinking.llm import LLM, Completion, Json, Request
from vlaa_thinking.record import ANSWER_TYPES, Row

ROOT = Path(__file__).parents[1]
CUES = ("wait", "again", "double-check", "hmm", "mistake", "alternatively", "check", "i should confirm")
LEAKS = ("caption", "description", "described", "describes", "rationale", "the text", "the notes")
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
COUNT = 60


@cache
def drawn(kind: str) -> tuple[Row, ...]:
    return tuple(rows(kind, count=COUNT, seed=0))


def every_row() -> list[Row]:
    return [row for kind in KINDS for row in drawn(kind)]


async def answered(request: Request) -> Completion:
    teacher: LLM = Teacher()
    return await teacher(request)


def ask(role: str, params: dict[str, Json] | None = None, **values: str) -> Completion:
    return asyncio.run(answered(Request(messages=(), role=role, params=params or {}, values=values)))


def asked(row: Row) -> str:
    options = [f"{letter}) {choice}" for letter, choice in zip("ABCD", row.choices, strict=False)]
    return "\n".join([row.question, *options, "Answer in the form that is asked for."])


def caption_of(row: Row, **params: Json) -> str:
    return ask("captioner", params, notes=row.notes).text


def reason(row: Row, caption: str | None = None, **params: Json) -> Completion:
    return ask("reasoner", params, caption=caption or caption_of(row), question=asked(row))


def answer_in(text: str) -> str:
    found = re.search(r"<answer>(.*)</answer>", text)
    assert found, text
    return found[1]


def judged(question: str, gold: str, prediction: str) -> bool:
    said = json.loads(ask("judge", question=question, gold=gold, prediction=prediction).text)
    assert set(said) == {"reason", "verdict"}
    assert said["verdict"] in ("yes", "no")
    return bool(said["verdict"] == "yes")


def is_right(row: Row, answer: str) -> bool:
    if row.answers:
        return answer in row.answers
    return judged(row.question, row.answer, answer) if row.answer_type == "open" else answer == row.answer


def accuracy(pairs: list[tuple[Row, str]]) -> float:
    return sum(is_right(row, answer_in(reason(row, caption).text)) for row, caption in pairs) / len(pairs)


def picture(row: Row) -> Image.Image:
    assert isinstance(row.image, bytes)
    return Image.open(io.BytesIO(row.image)).convert("RGB")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(PALETTE[colour].removeprefix("#")))


def found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    assert match, text
    return match.groups()


# --- rows -----------------------------------------------------------------------------------------


def test_there_is_one_kind_for_each_answer_type() -> None:
    assert sorted(kind.ANSWER_TYPE for kind in KINDS.values()) == sorted(ANSWER_TYPES)
    for name, kind in KINDS.items():
        assert {row.answer_type for row in drawn(name)} == {kind.ANSWER_TYPE}


def test_an_unknown_kind_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(SetupError, match="counting, bars, lines, boxes, forms"):
        rows("cats", count=1, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_rows_are_the_same_whatever_the_count(kind: str) -> None:
    assert tuple(rows(kind, count=11, seed=0)) == drawn(kind)[:11]
    assert [row.id for row in drawn(kind)] == [f"{index:04}" for index in range(COUNT)]


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_draws_other_scenes(kind: str) -> None:
    here = {row.notes for row in drawn(kind)}
    assert not here & {row.notes for row in rows(kind, count=6, seed=1)}


def test_rows_are_the_same_in_another_process() -> None:
    program = (
        "import hashlib; from vlaa_thinking.demo import KINDS, rows; "
        "print(hashlib.sha256(repr([list(rows(kind, count=3, seed=0)) for kind in KINDS]).encode()).hexdigest())"
    )
    here = hashlib.sha256(repr([list(drawn(kind)[:3]) for kind in KINDS]).encode()).hexdigest()
    assert run(program, PYTHONHASHSEED="7").strip() == here


def run(program: str, **env: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_images_have_their_own_notes_and_counting_asks_two_questions_of_each() -> None:
    notes = {row.image: row.notes for row in every_row()}
    assert len(notes) == len(set(notes.values())) == 4 * COUNT + COUNT // 2
    first, second = drawn("counting")[::2], drawn("counting")[1::2]
    for one, two in zip(first, second, strict=True):
        assert one.image == two.image
        assert one.question != two.question


def test_no_two_rows_share_what_the_reasoner_reads() -> None:
    assert len({(caption_of(row), asked(row)) for row in every_row()}) == len(every_row())


def test_options_are_four_different_ones_with_the_right_one_among_them() -> None:
    for row in drawn("bars"):
        assert len(set(row.choices)) == 4
        assert row.answer in "ABCD"
    assert {row.answer for row in drawn("bars")} == set("ABCD")


def test_half_of_the_open_questions_need_a_judge() -> None:
    assert 0.3 < sum(not row.answers for row in drawn("forms")) / COUNT < 0.7
    for row in drawn("forms"):
        assert not row.answers or row.answer == row.answers[0]


# --- what is drawn is what is said ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_small_png_files_of_the_stated_size(kind: str) -> None:
    for row in drawn(kind)[:6]:
        assert isinstance(row.image, bytes)
        assert row.image.startswith(b"\x89PNG")
        assert len(row.image) < 40_000
        assert picture(row).size == KINDS[kind].SIZE


def test_every_counted_object_has_its_colour_at_its_centre_and_nothing_else_is_there() -> None:
    for row in drawn("counting")[::2]:
        image = picture(row)
        ground = image.getpixel((0, 0))
        assert isinstance(ground, tuple)
        things = re.findall(r"A (\w+) (\w+) (\w+) has its centre at \((\d+), (\d+)\)", row.notes)
        assert things
        for size, colour, _, x, y in things:
            reach = {"small": 18, "large": 34}[size]
            assert image.getpixel((int(x), int(y))) == rgb(colour)
            assert image.getpixel((int(x), int(y) + reach - 3)) == rgb(colour)
            assert image.getpixel((int(x), int(y) + reach + 1)) == ground
            image.paste(ground, (int(x) - reach, int(y) - reach, int(x) + reach, int(y) + reach))
        assert image.getcolors() == [(480 * 320, ground)]


def test_bars_are_as_high_as_their_values() -> None:
    for row in drawn("bars"):
        image = picture(row)
        colour, top = found(r"bars? (?:.*)with \d+ (\w+) bars and a vertical axis from 0 to (\d+)", row.notes)
        values = [int(value) for value in re.findall(r"stands at (\d+)", row.notes)]
        for place, value in enumerate(values):
            x = 56 + (460 - 56) / len(values) * (place + 0.5)
            column = [image.getpixel((int(x), y)) for y in range(320)]
            assert abs(column.count(rgb(colour)) - 216 * value / int(top)) <= 3


def test_lines_run_through_the_points_that_are_named() -> None:
    for row in drawn("lines"):
        image = picture(row)
        (colour,) = found(r"straight (\w+) line", row.notes)
        ends = [lines.pixel(int(x), int(y)) for x, y in re.findall(r"\((-?\d+), (-?\d+)\)", row.notes)]
        assert len(ends) == 2
        assert all(image.getpixel((round(x), round(y))) == rgb("ink") for x, y in ends)
        (x1, y1), (x2, y2) = ends
        between = [
            image.getpixel((round(x1 + (x2 - x1) * t / 40), round(y1 + (y2 - y1) * t / 40)))
            for t in range(41)
        ]
        assert between.count(rgb(colour)) > 15


def test_boxes_are_the_edges_of_what_is_drawn() -> None:
    for row in drawn("boxes"):
        image = picture(row)
        ground = Image.new("RGB", image.size, image.getpixel((0, 0)))
        gold = [edge * side for edge, side in zip(row.boxes[0], image.size * 2, strict=True)]
        assert all(abs(edge - round(edge)) < 1e-6 for edge in gold)
        frame = [round(edge) + step for edge, step in zip(gold, (-4, -4, 4, 4), strict=True)]
        around = (max(frame[0], 0), max(frame[1], 0), frame[2], frame[3])
        inside = ImageChops.difference(image, ground).crop(around).getbbox()
        assert inside
        edges = [edge + around[place % 2] for place, edge in enumerate(inside)]
        assert all(abs(edge - right) <= 1 for edge, right in zip(edges, gold, strict=True))
        assert row.answer == "[" + ", ".join(f"{edge:.2f}" for edge in row.boxes[0]) + "]"


def test_a_receipt_shows_each_of_its_fields_in_its_place() -> None:
    scene = forms.make(Random(0), 2)
    item = next(iter(scene.prices))
    changes = (
        (replace(scene, table=scene.table + 50), (110, 80, 200, 105)),
        (replace(scene, server="Zoe"), (230, 80, 370, 105)),
        (replace(scene, day=scene.day + 2), (150, 55, 330, 75)),
        (replace(scene, prices=scene.prices | {item: 9990}), (290, 115, 370, 300)),
    )
    for other, place in changes:
        box = ImageChops.difference(printed(scene), printed(other)).getbbox()
        assert box
        assert box[0] >= place[0]
        assert box[1] >= place[1]
        assert box[2] <= place[2]
        assert box[3] <= place[3]


def printed(scene: forms.Scene) -> Image.Image:
    canvas = Canvas(forms.SIZE)
    forms.draw(scene, canvas)
    return canvas.finish()


# --- the teacher knows what it is told, and that alone --------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults_the_teacher_is_always_right(kind: str) -> None:
    assert accuracy([(row, caption_of(row)) for row in drawn(kind)]) == 1.0


@pytest.mark.parametrize(
    ("kind", "chance"), [("counting", 0.35), ("bars", 0.3), ("lines", 0.15), ("boxes", 0.05), ("forms", 0.15)]
)
def test_with_captions_exchanged_accuracy_falls_to_chance(kind: str, chance: float) -> None:
    all_rows = drawn(kind)
    pairs = [(row, caption_of(all_rows[(place + 22) % COUNT])) for place, row in enumerate(all_rows)]
    assert accuracy(pairs) <= chance


COUNTED = "A {} red circle has its centre at (60, 60). A small {} circle has its centre at (200, 200)."
BARS = "The bar for Art stands at {}. The bar for Science stands at 40. The bar for Nature stands at 7."
POINTS = "Point A lies at (0, {}). Point B lies at (4, 9)."
BOXED = "100 pixels wide and 200 pixels high. A large red diamond lies in the box from ({}, 20) to (90, 100)."
RECEIPT = 'A receipt from "Inn". The line for Coffee reads ${}. The line for Apple pie reads $4.00.'
HIGHEST = "Which category has the highest value?\nA) Science\nB) Nature\nC) Art\nD) Design"
EQUATION = "Find the equation of the line as a function y = ..."


@pytest.mark.parametrize(
    ("caption", "question", "answers"),
    [
        (COUNTED.format("{}", "red"), "How many small red circles are there?", {"small": "2", "large": "1"}),
        (COUNTED.format("large", "{}"), "Subtract all red circles. How many objects are left?", {"red": "0", "blue": "1"}),
        (BARS, HIGHEST, {"39": "A", "41": "C"}),
        (BARS, "What is the sum of the values of Art and Nature?\nA) 12\nB) 13", {"5": "A", "6": "B"}),
        (POINTS, EQUATION, {"1": "y = 2x + 1", "6": r"y = \frac{3}{4}x + 6", "13": "y = -x + 13"}),
        (POINTS, "What is the slope of the line? Give a whole number or a fraction in lowest terms.", {"1": "2", "12": r"-\frac{3}{4}"}),
        (BOXED, "Give the bounding box of the large red diamond.", {"10": "[0.10, 0.10, 0.90, 0.50]", "15": "[0.15, 0.10, 0.90, 0.50]"}),
        (RECEIPT, "What is the price of the coffee?", {"2.50": "$2.50", "12.00": "$12.00"}),
        (RECEIPT, "Which item cost the most, and what did it cost?", {"3.90": "It was the apple pie, for $4.00.", "4.10": "It was the coffee, for $4.10."}),
    ],
)  # fmt: skip
def test_when_a_fact_of_the_caption_changes_the_answer_follows(
    caption: str, question: str, answers: dict[str, str]
) -> None:
    for fact, answer in answers.items():
        assert (
            answer_in(ask("reasoner", caption=caption.replace("{}", fact), question=question).text) == answer
        )


def test_the_teacher_answers_without_the_drawing_side() -> None:
    row = drawn("counting")[0]
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "import asyncio; from vlaa_thinking.demo.teacher import Teacher; from vlaa_thinking.llm import Request\n"
        f"values = {{'caption': {caption_of(row)!r}, 'question': {asked(row)!r}}}\n"
        "print(asyncio.run(Teacher()(Request(messages=(), role='reasoner', values=values))).text)\n"
        "assert 'vlaa_thinking.demo.canvas' not in sys.modules"
    )
    assert answer_in(run(program)) == row.answer


@pytest.mark.parametrize(
    ("role", "values", "state"),
    [
        ("captioner", {}, "ok"),
        ("reasoner", {"caption": "Two cats on a sofa.", "question": "How many cats are there?"}, "ok"),
        ("reasoner", {"caption": "It was paid by card.", "question": "What is the total amount?"}, "ok"),
        ("reasoner", {}, "ok"),
        ("rewriter", {}, "empty"),
        ("judge", {}, "ok"),
        ("painter", {}, "refused"),
    ],
)
def test_what_it_cannot_do_it_says(role: str, values: dict[str, str], state: str) -> None:
    completion = ask(role, None, **values)
    assert completion.state == state
    if role == "captioner":
        assert completion.text == "An image that no notes describe."
    if role == "reasoner":
        assert answer_in(completion.text) == "I cannot tell"
    if role == "judge":
        assert json.loads(completion.text)["verdict"] == "no"


def test_notes_of_a_user_reach_the_caption_whole() -> None:
    assert "Two cats." in ask("captioner", notes="Two cats.\nA sofa, 3 cushions.").text


@pytest.mark.parametrize(
    ("gold", "prediction", "right"),
    [
        ("3", "three", True),
        ("3", "-3", False),
        ("B", "B) Tuesday", True),
        ("A", "B", False),
        (r"\frac{3}{4}", "3/4", True),
        ("y = 2x - 3", "$y = 2x-3$", True),
        ("y = 2x - 3", "y = 3x - 2", False),
        ("[0.10, 0.20, 0.50, 0.60]", "[0.1, 0.2, 0.5, 0.6]", True),
        ("[0.10, 0.20, 0.50, 0.60]", "[0.1, 0.2, 0.5, 0.7]", False),
        ("The apple pie cost the most, at $4.50.", "It was the apple pie, for $4.50.", True),
        ("The apple pie cost the most, at $4.50.", "It was the apple pie, for $4.60.", False),
        ("The apple pie cost the most, at $4.50.", "It was the coffee, for $4.50.", False),
        ("12 March 2025 | 2025-03-12", "The date on it is 12 March 2025.", True),
        ("12 March 2025 | 2025-03-12", "2025-03-12", True),
        ("12 March 2025 | 2025-03-12", "13 March 2025", False),
        ("", "", False),
    ],
)
def test_the_judge_compares_what_matters(gold: str, prediction: str, *, right: bool) -> None:
    assert judged("Which item cost the most, and what did it cost?", gold, prediction) is right


# --- faults ---------------------------------------------------------------------------------------


def test_without_faults_no_reply_holds_a_cue_a_leak_or_a_tag() -> None:
    for row in every_row():
        completion = reason(row)
        said = f"{completion.reasoning}\n{completion.text}".lower()
        assert completion.state == "ok"
        assert not [word for word in CUES + LEAKS if word in said]
        assert not [tag for tag in TAGS if tag in completion.reasoning]
        assert 40 <= len(completion.reasoning.split()) <= 150
        assert completion.usage.input_tokens
        assert completion.usage.output_tokens
        assert ask("rewriter", text=completion.reasoning).text == completion.reasoning


def test_no_two_traces_read_alike() -> None:
    assert len({reason(row).reasoning for row in every_row()}) == len(every_row())
    assert len({reason(row).reasoning.split(".")[0] for row in every_row()}) >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_miscounting_captioner_makes_many_answers_wrong(kind: str) -> None:
    miscounted = [(row, caption_of(row, miscount=1)) for row in drawn(kind)]
    assert all(caption != caption_of(row) for row, caption in miscounted)
    assert accuracy(miscounted) < 0.75


def test_a_refusing_captioner_is_in_the_state_refused() -> None:
    completion = ask("captioner", {"refuse": 1}, notes=drawn("bars")[0].notes)
    assert completion.state == "refused"


def test_talk_of_the_caption_is_there_and_the_rewriter_takes_all_of_it_out() -> None:
    for row in every_row():
        completion = reason(row, caption_talk=1)
        text = f"{completion.reasoning}\n\n<answer>{row.answer}</answer>"
        rewritten = ask("rewriter", text=text).text
        assert re.search("caption|description", text)
        assert not [word for word in LEAKS if word in rewritten.lower()]
        assert abs(len(rewritten.split()) - len(text.split())) <= 3
        assert rewritten.endswith(f"\n\n<answer>{row.answer}</answer>")


def test_the_rewriter_takes_out_talk_that_is_not_its_own() -> None:
    said = "According to the text and as described, the rationale is short. Captions describe; the description lists 2."
    assert ask("rewriter", text=said).text == (
        "According to the image and as shown, the image is short. Images describe; the image shows 2."
    )


def test_doubt_is_a_true_recheck_and_changes_no_answer() -> None:
    for row in every_row():
        sure, doubting = reason(row), reason(row, doubt=1)
        assert any(cue in doubting.reasoning.lower() for cue in CUES)
        assert doubting.text == sure.text
        assert len(doubting.reasoning) > len(sure.reasoning) + 50
        assert set(re.split(r"(?<=\.)\s", sure.reasoning)) < set(re.split(r"(?<=\.)\s", doubting.reasoning))


def test_a_truncated_reply_ends_within_a_sentence_and_stays_so() -> None:
    for row in every_row():
        short, long = reason(row, truncate=1, max_tokens=100), reason(row, truncate=1, max_tokens=9999)
        assert short.state == "truncated"
        assert short.body == long.body
        assert reason(row).reasoning.startswith(short.reasoning)
        assert not short.reasoning.endswith((".", ":", "\n"))
        assert "<answer>" not in short.text


@pytest.mark.parametrize("shape", ["{}", "{}\n\n<answer>3</answer>"])
def test_an_overcut_rewrite_lacks_more_than_fifteen_words_and_no_tag(shape: str) -> None:
    for row in every_row():
        text = shape.format(reason(row, caption_talk=1).reasoning)
        rewritten = ask("rewriter", {"overcut": 1}, text=text).text
        assert len(text.split()) - len(rewritten.split()) > 15
        assert re.findall("</?(?:think|answer)>", rewritten) == re.findall("</?(?:think|answer)>", text)


def test_sloppy_answers_wear_other_clothes_and_say_the_same() -> None:
    seen: dict[str, set[str]] = {}
    for row in every_row():
        plain, sloppy = answer_in(reason(row).text), reason(row, sloppy=1).text.split("\n\n")[-1]
        bare = re.sub(
            r"</?answer>|\*\*(Final )?[Aa]nswer:\*\*|The final answer is|So it is|\\boxed", "", sloppy
        )
        assert judged("", plain, bare), (plain, sloppy)
        seen.setdefault(row.answer_type, set()).add(re.sub(r"[^a-zA-Z<>*\\]", "", sloppy)[:6])
    assert all(len(forms_seen) > 1 for forms_seen in seen.values())


def test_faults_come_at_their_rate_and_by_the_seed() -> None:
    def struck(**params: Json) -> list[bool]:
        return [reason(row, None, truncate=0.3, **params).state == "truncated" for row in every_row()]

    assert 0.2 < sum(struck()) / len(every_row()) < 0.4
    assert struck() == struck(seed=0)
    assert struck() != struck(seed=1)


def test_one_fault_does_not_move_another() -> None:
    for row in every_row():
        alone = reason(row, truncate=0.3).state
        assert reason(row, truncate=0.3, sloppy=0.5, doubt=0.5, caption_talk=0.5).state == alone


def test_the_teacher_has_an_identity_for_the_cache() -> None:
    assert Teacher().identity.startswith("demo-teacher/")
