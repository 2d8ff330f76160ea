"""The rewriter's replies as a real API brings them, and a model that goes silent."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from vlaa_thinking import LLM, Completion, Project, Request, Row, build
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import ModelError, NoReply, Transient
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.llm.wrap import Retrying, Standing
from vlaa_thinking.result import BuildResult
from vlaa_thinking.sources import Source

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
        said = "As the caption says, there is a sign.\nIt reads: shut on Mondays."
        return chat(f"<think>{said}</think>\n<answer>Shut on Mondays</answer>")
    if request.role == "rewriter":
        return chat(rewritten(request.messages[-1].text))
    return chat('{"reason": "The same.", "verdict": "yes"}')


def rewritten(text: str) -> str:
    return text.replace("As the caption says, there", "There")


def built(folder: Path, fake: Fake) -> BuildResult:
    project = Project.default().copy(folder / "project")
    (folder / "project/generators/1_collect.toml").write_text(COLLECT)
    models = folder / "project/generators/models.toml"
    models.write_text(
        models.read_text().replace('["counting", "bars", "lines", "boxes", "forms"]', '["mine"]')
    )
    (folder / "project/rows_of_mine.py").write_text(READER)
    roles: dict[str, LLM] = dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), fake)
    return build(project, out=folder / "out", llms=roles)


def test_an_open_answer_comes_back_from_the_rewriter_with_its_reasoning(tmp_path: Path) -> None:
    """What was sent between <think> tags came back as the rewriter's own thinking, and every such row was lost."""
    fake = Fake(answer)
    result = built(tmp_path, fake)
    sent = next(r.messages[-1].text for r in fake.requests if r.role == "rewriter")
    assert sent.endswith("\n\n<answer>Shut on Mondays</answer>")
    assert (result.kept, result.funnel.dropped) == (1, 0)


def test_a_rewriter_that_thinks_first_is_read_without_its_thinking(tmp_path: Path) -> None:
    def thinking(request: Request) -> Completion:
        if request.role != "rewriter":
            return answer(request)
        return chat(f"<think>One sentence to mend.</think>\n{rewritten(request.messages[-1].text)}")

    assert built(tmp_path, Fake(thinking)).kept == 1


def test_a_rewriter_that_loses_the_answer_loses_the_row(tmp_path: Path) -> None:
    def forgetful(request: Request) -> Completion:
        return (
            answer(request)
            if request.role != "rewriter"
            else chat(rewritten(request.messages[-1].text).partition("<answer>")[0])
        )

    result = built(tmp_path, Fake(forgetful))
    assert result.kept == 0
    assert result.funnel.steps[3].dropped == {"structure": 1}


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
