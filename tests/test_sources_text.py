"""Text repair: what is put back, what goes, and what must stay as it is."""

import json

import pytest

from vlaa_thinking.sources.text import eaten_escapes, repaired


@pytest.mark.parametrize(
    "meant",
    [
        r"\frac{1}{2}",
        r"so \boxed{7}",
        r"\beta + \theta \times \tau \ne 0",
        r"\left( \frac{a}{b} \right)",
        r"x \neq y, \nabla f, x \notin A",
        r"\text{cm}^2 and \tfrac12",
        r"\rho = 3, \rightarrow",
        r"\begin{cases} x \end{cases}",
        r"\triangle ABC, \forall x",
        r"\vec{v}, \alpha, \angle ABC",
    ],
)
def test_commands_that_were_read_as_escapes_come_back(meant: str) -> None:
    damaged = meant
    for letter, eaten in zip("abfvtnr", "\a\b\f\v\t\n\r", strict=True):
        damaged = damaged.replace(f"\\{letter}", eaten)
    assert damaged != meant
    assert eaten_escapes(damaged) >= 1
    assert repaired(damaged) == meant
    assert repaired(meant) == meant


def test_a_json_line_with_single_backslashes_is_mended() -> None:
    raw = r'{"gt": "\\[\\boxed{y} and \frac{1}{2} \boxed{3}"}'
    assert repaired(json.loads(raw)["gt"]) == r"\[\boxed{y} and \frac{1}{2} \boxed{3}"


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo\tthree",
        "a list:\n- right\n- eq. 3",
        "the next line:\negative",
        "a column\text of it",
        "x\ne is Euler's number",
        "look at\nangle ABC",
        "Größe 3 µm, 中文, 日本語, 😀",
        "",
    ],
)
def test_sound_text_stays(text: str) -> None:
    assert repaired(text) == text
    assert eaten_escapes(text) == 0


def test_other_control_characters_go_and_line_ends_are_newlines() -> None:
    assert repaired("a\x00b\x07c\x08d\x1be\x7ff\x9dg\ufeff") == "abcdefg"
    assert repaired("one\r\ntwo\rthree\x0cfour\x85five\u2028six") == "one\ntwo\nthree\nfour\nfive\nsix"
    assert repaired("half \ud83d of a pair") == "half ? of a pair"


def test_repairing_twice_changes_nothing() -> None:
    for text in ("\x0crac{1}{2} \x08oxed{3}\r\n\times", "\x07\x08\x0b", "a\nabla"):
        assert repaired(repaired(text)) == repaired(text)
