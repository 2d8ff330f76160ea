"""How a question is put together, for the reasoner and in what is published."""

import pytest

from vlaa_thinking import Gold, Project, Record
from vlaa_thinking.steps.distill import question_text

VERIFIERS = Project.default().settings().verifiers


def asked(question: str, choices: tuple[str, ...]) -> str:
    record = Record(
        id="a/1",
        source="a",
        source_id="1",
        source_license="CC0-1.0",
        question=question,
        gold=Gold(answer_type="choice", answer="A", choices=choices),
    )
    return question_text(record, VERIFIERS)


@pytest.mark.parametrize(
    "question", ["Which bar is larger, that of 2021 or that of 2022?", "Is it 1 or 2?", "Which is it?"]
)
def test_options_are_listed_though_their_words_occur_in_the_question(question: str) -> None:
    assert asked(question, ("1", "2")).startswith(f"{question}\nA) 1\nB) 2\n")


def test_options_that_the_question_lists_are_not_listed_again() -> None:
    question = "Which is larger?\nA) the red one\nB) the blue one"
    assert asked(question, ("the red one", "the blue one")).count("the blue one") == 1
