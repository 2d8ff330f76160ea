"""What gives a caption away, the rewriter's replies as a real API brings them, and how far they may go."""

import asyncio
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sums_project import rows_of, set_key

from vlaa_thinking import LLM, Completion, Project, Request, Row, build
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import ModelError, NoReply, Transient
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.llm.wrap import Retrying, Standing
from vlaa_thinking.result import BuildResult
from vlaa_thinking.settings import LeakRule, Leaks
from vlaa_thinking.sources import Source
from vlaa_thinking.steps.leak import leak_in
from vlaa_thinking.steps.wording import edits, numbers, words

COLLECT = """
[source.mine]
reader = "rows_of_mine:read"
license = "CC0-1.0"
"""

READER = """
from test_rewrite import read
"""


def read(_at: Source) -> Iterator[Row]:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 12), "teal").save(buffer, "PNG")
    yield Row(
        id="1",
        image=buffer.getvalue(),
        question="What does the sign say?",
        answer="The shop is shut on Mondays.",
        answer_type="open",
    )


def chat(text: str, *, finish: str = "stop") -> Completion:
    """A reply in the form of OpenAI's chat completions, as the one reader of that API reads it."""
    body = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
    return Completion(api="openai", body=json.dumps(body).encode())


def answer(request: Request) -> Completion:
    if request.role == "captioner":
        return chat("A sign: shut on Mondays.")
    if request.role == "reasoner":
        return reasoned()
    if request.role == "rewriter":
        return chat(rewritten(request.messages[-1].text))
    return chat('{"reason": "The same.", "verdict": "yes"}')


def reasoned(answer: str = "Shut on Mondays") -> Completion:
    said = "As the caption says, there is a sign.\nIt reads: shut on Mondays."
    return chat(f"<think>{said}</think>\n<answer>{answer}</answer>")


def rewritten(text: str) -> str:
    return text.replace("As the caption says, there", "There").replace(", as described", "")


def built(folder: Path, fake: Fake, **front: Any) -> BuildResult:
    project = Project.default().copy(folder / "project")
    (folder / "project/generators/1_collect.toml").write_text(COLLECT)
    models = folder / "project/generators/models.toml"
    models.write_text(
        models.read_text().replace('["counting", "bars", "lines", "boxes", "forms"]', '["mine"]')
    )
    (folder / "project/rows_of_mine.py").write_text(READER)
    for key, value in front.items():
        set_key(project, "generators/4_rewrite.md", key, value)
    roles: dict[str, LLM] = dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), fake)
    return build(project, out=folder / "out", llms=roles)


def dropped(result: BuildResult) -> dict[str, int]:
    """Return what the rewrite dropped, by code."""
    return result.funnel.steps[3].dropped


def test_an_answer_that_gives_nothing_away_is_not_sent(tmp_path: Path) -> None:
    fake = Fake(answer)
    result = built(tmp_path, fake)
    sent = next(r.messages[-1].text for r in fake.requests if r.role == "rewriter")
    assert sent == "As the caption says, there is a sign.\nIt reads: shut on Mondays."
    assert (result.kept, result.funnel.dropped) == (1, 0)
    (row,) = rows_of(tmp_path / "out")["sft/train"]
    assert row["completion"][0]["content"] == (
        "<think>There is a sign.\nIt reads: shut on Mondays.</think>\n<answer>Shut on Mondays</answer>"
    )
    assert (row["word_gap"], row["word_edits"]) == (-4, 6)


def telling(request: Request) -> Completion:
    """Give the caption away in the answer, too."""
    return reasoned("Shut on Mondays, as described") if request.role == "reasoner" else answer(request)


@pytest.mark.parametrize("send", ["leaks", "all"])
def test_an_answer_that_gives_the_caption_away_comes_back_with_its_reasoning(
    tmp_path: Path, send: str
) -> None:
    """What was sent between <think> tags came back as the rewriter's own thinking, and every such row was lost."""
    fake = Fake(telling)
    result = built(tmp_path, fake, send=send)
    sent = next(r.messages[-1].text for r in fake.requests if r.role == "rewriter")
    assert sent.endswith("\n\n<answer>Shut on Mondays, as described</answer>")
    assert (result.kept, result.funnel.dropped) == (1, 0)
    (row,) = rows_of(tmp_path / "out")["sft/train"]
    assert row["completion"][0]["content"].endswith("<answer>Shut on Mondays</answer>")


def test_a_rewriter_that_thinks_first_is_read_without_its_thinking(tmp_path: Path) -> None:
    def thinking(request: Request) -> Completion:
        if request.role != "rewriter":
            return answer(request)
        return chat(f"<think>One sentence to mend.</think>\n{rewritten(request.messages[-1].text)}")

    assert built(tmp_path, Fake(thinking)).kept == 1


def rewriting(change: Callable[[str], str]) -> Fake:
    """Play all roles; the rewriter does its work, and then `change` is done to the text."""

    def script(request: Request) -> Completion:
        if request.role != "rewriter":
            return telling(request)
        return chat(change(rewritten(request.messages[-1].text)))

    return Fake(script)


FAULTS: list[tuple[str, Callable[[str], str]]] = [
    ("structure", lambda text: text.partition("<answer>")[0]),
    ("structure", lambda text: f"{text}<answer>Shut</answer>"),
    ("structure", lambda text: f"Here is the text:\n\n{text}"),
    ("structure", lambda text: text.replace("It reads", "</think>It reads")),
    ("structure", lambda text: text.replace("</answer>", "</ANSWER></answer>")),
    ("structure", lambda text: "<answer>" + text.partition("<answer>")[2]),
    ("word_gap", lambda text: "I see this: " + "it is so, " * 9 + text),
    ("edits", lambda text: re.sub(r"\S+", "so", text.partition("<answer>")[0]) + "<answer>Shut</answer>"),
    ("numbers", lambda text: text.replace("on Mondays.", "on Mondays, at 7.", 1)),
    ("numbers", lambda text: text.replace("a sign", "two signs", 1)),
    ("leak", lambda text: text.replace("There is", "By the description there is")),
    ("empty", lambda _: ""),
]


@pytest.mark.parametrize(("code", "change"), FAULTS)
def test_a_text_that_comes_back_wrong_is_dropped_with_the_reason(
    tmp_path: Path, code: str, change: Callable[[str], str]
) -> None:
    result = built(tmp_path, rewriting(change))
    assert (result.kept, dropped(result)) == (0, {code: 1})


@pytest.mark.parametrize(
    ("code", "change"), [(code, change) for code, change in FAULTS if code in {"edits", "numbers"}]
)
def test_the_paper_looks_at_the_length_alone(tmp_path: Path, code: str, change: Callable[[str], str]) -> None:
    """Hence a text of the same length that says something else is taken."""
    del code
    assert dropped(built(tmp_path, rewriting(change), guard="length")) == {}


def test_an_answer_that_need_not_change_may_not(tmp_path: Path) -> None:
    def changed(request: Request) -> Completion:
        said = answer(request)
        if request.role == "rewriter":
            return chat(said.text.replace("<answer>Shut", "<answer>Closed"))
        return said

    assert dropped(built(tmp_path / "strict", Fake(changed), send="all")) == {"answer": 1}
    assert built(tmp_path / "paper", Fake(changed), send="all", guard="length").kept == 1


def test_damaged_escapes_are_repaired_in_what_is_published(tmp_path: Path) -> None:
    def damaged(request: Request) -> Completion:
        if request.role == "reasoner":
            return chat(
                "<think>Half is \x0crac{1}{2}, in a \x08oxed{} way.</think>\n<answer>Shut on Mondays</answer>"
            )
        return answer(request)

    assert built(tmp_path, Fake(damaged)).kept == 1
    (row,) = rows_of(tmp_path / "out")["sft/train"]
    assert row["reasoning"] == r"Half is \frac{1}{2}, in a \boxed{} way."
    assert row["teacher_reasoning"] == "Half is \x0crac{1}{2}, in a \x08oxed{} way."


# --- leaks ---------------------------------------------------------------------------------------------------

LEAKS = Project.default().settings().leaks


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        ("The caption mentions two cubes.", "caption"),
        ("As DESCRIBED, the curve falls.", "As DESCRIBED"),
        ("From the\ndescription's second part", "description"),
        ("both descriptions agree", "descriptions"),
        ("the rationale given is short", "rationale"),
        ("The text says that there are three.", "The text says"),
        ("the   text\nstates 4", "the   text\nstates"),
        ("It is captioned so", "captioned"),
        ("Two circles are described.", "are described"),
        ("I\u2019m told there is a dog.", "I\u2019m told"),
        ("I can\u2019t see the image, but", "can\u2019t see the image"),
        ("a job description, and the description of the scene", "description"),
        ("the circle is described by the text", None),
        ("the path is described by $x^2$", None),
        ("a job description in the form", None),
        ('The text says "No entry".', None),
        ("a rational number, irrationally scripted", None),
        ("the manuscript reads well", None),
        ("He reads the inscription aloud.", None),
        ("Prescription: two a day", None),
        ("the notes of the chord", None),
        ("We read the textbook.", None),
        ("", None),
    ],
)
def test_leaks_are_whole_words_and_not_what_only_looks_like_one(text: str, leak: str | None) -> None:
    assert leak_in(text, LEAKS) == leak


def test_each_language_has_leaks_of_its_own() -> None:
    german = Leaks(phrases=("Bildunterschrift*", "laut Text"), unless=("Bildunterschriften-Test",))
    chinese = Leaks(phrases=("描述", "说明文字"), unless=("描述子",), match="substring")
    rule = LeakRule(language={**LEAKS.language, "de": german, "zh": chinese})
    assert leak_in("Nach der Bildunterschriften sind es drei.", rule) == "Bildunterschriften"
    assert leak_in("Der Bildunterschriften-Test", rule) is None
    assert leak_in("Laut Text sind es drei.", rule) == "Laut Text"
    assert leak_in("图片描述中有三个球", rule) == "描述"
    assert leak_in("特征描述子", rule) is None
    assert leak_in("by the caption", rule) == "caption"


# --- words ---------------------------------------------------------------------------------------------------


def test_a_character_is_a_word_where_a_script_has_no_spaces() -> None:
    assert words("Three red cubes.") == ["Three", "red", "cubes."]
    assert words("图中有3个cubes 球") == ["图", "中", "有", "3", "个", "cubes", "球"]
    assert len(words("ภาพนี้")) == 6
    assert words("Größe, naïve\u00a0Idee") == ["Größe,", "naïve", "Idee"]


def test_numbers_are_counted_in_digits_and_in_words() -> None:
    assert numbers("Two of 3.5 or 1,000; the one in 2; twenty-one") == Counter(
        {"two": 1, "3.5": 1, "1,000": 1, "2": 1, "twenty": 1}
    )
    assert numbers("often, weight, x_tent") == Counter()


def test_edits_are_what_the_longest_common_part_leaves() -> None:
    """Held against the textbook's table, which takes time by the product of the lengths."""
    rng = random.Random(7)
    for _ in range(300):
        a = rng.choices("abcd", k=rng.randint(0, 14))
        b = rng.choices("abcd", k=rng.randint(0, 14))
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, left in enumerate(a):
            for j, right in enumerate(b):
                table[i + 1][j + 1] = (
                    table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
                )
        right_count = len(a) + len(b) - 2 * table[-1][-1]
        assert edits(a, b, 30) == right_count
        assert edits(a, b, right_count) == right_count
        assert right_count == 0 or edits(a, b, right_count - 1) is None


@pytest.mark.parametrize(
    ("silence", "error"), [((3, 0.0), ModelError), ((4, 0.0), NoReply), ((3, 60.0), NoReply)]
)
def test_a_model_that_has_gone_silent_stops_the_build(
    silence: tuple[int, float], error: type[Exception]
) -> None:
    async def gone(_request: Request, /) -> Completion:
        raise Transient("nobody there", retry_after=0.0)

    retrying = Retrying(
        gone, name="box", hint="", tries=3, standing=Standing(lambda: True), counts=Counts(), silence=silence
    )
    with pytest.raises(error, match='"box"'):
        asyncio.run(_ask(retrying))


async def _ask(retrying: Retrying) -> None:
    await retrying(Request(messages=(), role="judge"))
