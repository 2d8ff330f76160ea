"""The paper's nine sources from folders, by the profile `paper`, to a dataset; a loopback server plays its models."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import native
import pytest
from chat_server import ChatServer, Reply
from hub_server import HubServer
from sums_project import image_urls, rows_of, said_to

import vlaa_thinking
from vlaa_thinking import BuildResult, Project, build
from vlaa_thinking.record import ANSWER_TYPES

KEYS = ("OPENAI_API_KEY", "DEEPSEEK_API_KEY")
SAID = {
    "Subtract all balls": "3",
    "Add 2 red cubes": "Wait, I count again: 6",
    "Remove all small things": "0",
    "goes through the points (pi/10,5)": "y = -5 * sin(-5 * x)",
    "goes through (pi/4,-3)": "y = -3 * sin(2 * x)",
    "A cone has radius 3": "12\\pi",
    "What does the trend suggest?": "C",
    "Which model is best?": "B",
    "Which model is worst?": "B",  # wrong
    "what is the date mentioned": "January 8, 1993",
    "what is the contact person": "p. carter",
    "What is this?": "basil leaves",
    "Is it red?": "Yes",
    "Which day?": "monday",
    "How do the gemstones": "They make it luxurious.",
    "What could the store mean": "It could be a landmark.",
    "What is it?": "A lamp.",
}
"""What the reasoner says to a question that holds these words."""

SAME = {("They add a touch of luxury to it.", "They make it luxurious."), ("A lamp on a desk.", "A lamp.")}
"""Answers that the judge takes for one, beside those that say the same words."""


def play(body: dict[str, Any]) -> Reply:
    """Play the paper's models, each known by its name and by what it is asked."""
    text = said_to(body)
    match body["model"]:
        case "gpt-4o":
            assert len(image_urls(body)) == 1
            return "There are things, and each has a colour."
        case "deepseek-reasoner":
            (said,) = (said for words, said in SAID.items() if words in text)
            doubt, _, answer = said.rpartition(": ")
            return {
                "content": f"It is so.\n<answer>{answer}</answer>",
                "reasoning_content": f"{doubt}. I look at it and see {answer}.".removeprefix(". "),
            }
        case _ if text.startswith("==="):
            reference, given = re.findall(r"answer ===\n(.*?)\n===", text, re.DOTALL)
            right = any((r, given) in SAME or same(r) == same(given) for r in reference.split(" | "))
            return json.dumps({"reason": "As it stands there.", "verdict": "yes" if right else "no"})
        case _:
            return text


def same(text: str) -> str:
    """Let go of case, spaces, and zeros that end a decimal."""
    return re.sub(r"\s|(?<=\.\d)0\b", "", text.lower())


def paper_project(folder: Path, url: str, *, folders: bool = True) -> Project:
    """Copy the default project, with its models on a server, and the nine sets in `folders` or on the Hub."""
    project = Project.default().copy(folder)
    collect = folder / "generators/1_collect.toml"
    text = collect.read_text(encoding="utf-8")
    for name, made in native.sets().items() if folders else ():
        native.put(folder / "data" / name, made.folder)
        text = text.replace(f"\n[source.{name}]\n", f'\n[source.{name}]\npath = "data/{name}"\n')
    collect.write_text(text, encoding="utf-8")
    models = folder / "generators/models.toml"
    text = models.read_text(encoding="utf-8")
    models.write_text(re.sub(r'(?m)^base_url = ".*"$', f'base_url = "{url}"', text), encoding="utf-8")
    return project


class Built:
    """A build of the profile `paper`, and what its models were asked."""

    def __init__(self, result: BuildResult, out: Path, requests: list[dict[str, Any]]) -> None:
        self.result = result
        self.requests = requests
        self.splits = rows_of(out)
        self.manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [row for name, rows in self.splits.items() if name[:3] != "rej" for row in rows]

    def of(self, source: str) -> dict[str, dict[str, Any]]:
        """The rows of a source, kept or not, by the beginning of their questions."""
        every = [row for rows in self.splits.values() for row in rows]
        return {row["question"].partition("\n")[0]: row for row in every if row["source"] == source}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch, ChatServer(play) as server:
        for key in KEYS:
            patch.setenv(key, "sk-loopback")
        project = paper_project(folder / "project", server.url)
        result = build(project, out=folder / "out", profile="paper")
        return Built(result, folder / "out", server.requests)


def test_rows_of_every_source_and_every_answer_type_are_kept(built: Built) -> None:
    assert {row["source"] for row in built.kept} == set(native.sets())
    assert {row["answer_type"] for row in built.kept} == set(ANSWER_TYPES)
    assert built.manifest["preset"] == "paper"


def test_each_source_keeps_what_it_should(built: Built) -> None:
    kept = Counter((row["source"], row["answer_type"]) for row in built.kept)
    assert kept == {
        ("clevr_math", "digit"): 2,
        ("geoqa170k", "choice"): 2,
        ("math_puma", "math"): 3,
        ("arxivqa", "choice"): 2,
        ("docvqa", "open"): 1,
        ("vizwiz", "open"): 3,
        ("allava_laion", "open"): 3,
        ("coco", "iou"): 2,
        ("vg", "iou"): 2,
    }


def test_each_odd_row_is_dropped_for_what_is_odd_about_it(built: Built) -> None:
    dropped = {(row["source"], row["step"], row["code"]) for row in built.splits["rejected/train"]}
    assert dropped >= {
        ("clevr_math", "collect", "missing_image"),
        ("geoqa170k", "collect", "bad_answer"),
        ("arxivqa", "collect", "bad_answer"),
        ("arxivqa", "verify", "wrong_answer"),
        ("docvqa", "collect", "bad_answer"),
        ("vizwiz", "collect", "unanswerable"),
        ("clevr_math", "curate", "same_image"),
        ("geoqa170k", "curate", "same_image"),
        ("docvqa", "curate", "same_image"),
    }
    assert len(built.kept) == built.result.kept
    assert len(built.kept) + len(built.splits["rejected/train"]) == built.result.funnel.rows == 30
    assert built.result.funnel.failed == 0


def asked(built: Built, model: str) -> str:
    return "\n".join(said_to(body) for body in built.requests if body["model"] == model)


def test_geoqa_goes_to_rl_without_a_call(built: Built) -> None:
    rows = built.of("geoqa170k")
    questions = [question for question, row in rows.items() if row.get("step") is None]
    assert len(questions) == 2
    for question in questions:
        row = rows[question]
        assert row in [*built.splits["rl/train"], *built.splits.get("rl/validation", [])]
        assert (row["caption"], row["reasoning"], row["score"], row["score_by"]) == (None, None, None, None)
        assert not any(row["models"].values())
        assert question not in "\n".join(said_to(body) for body in built.requests)


def test_captions_are_written_only_where_the_source_gives_nothing_better(built: Built) -> None:
    captioned = {row["source"] for row in built.kept if row["models"]["captioner"]}
    assert captioned == {"clevr_math", "arxivqa", "docvqa", "vizwiz", "allava_laion"}
    assert [
        row["question"]
        for row in built.kept
        if row["source"] == "allava_laion" and row["models"]["captioner"]
    ] == [
        "What is it?"  # the one row without a caption of its own
    ]
    (puma,) = (row for row in built.kept if row["answer"] == "12\\pi")
    assert puma["caption"] == "A cone has radius 3 and height 4. What is its volume?"
    assert built.of("allava_laion")["How do the gemstones affect the ring?"]["caption"] == (
        "A silver ring with a leaf."
    )
    assert "large blue metal sphere" in asked(built, "gpt-4o")


def test_llava_cots_reasoning_is_adopted_and_judged(built: Built) -> None:
    for source in ("coco", "vg"):
        rows = [row for row in built.kept if row["source"] == source]
        for row in rows:
            assert {role for role, model in row["models"].items() if model} == {"judge"}
            assert row["teacher_reasoning"] == row["reasoning"]
            assert row["score"] == 1
            assert "It lies there, at" in row["reasoning"]
    assert "a red bus" not in asked(built, "deepseek-reasoner")
    tall = _row(built.kept, "the sky")
    assert tall["boxes"] == [pytest.approx((0.0, 0.0, 1.0, 0.25))]


def _row(rows: list[dict[str, Any]], words: str) -> dict[str, Any]:
    (row,) = (row for row in rows if words in row["question"])
    return row


def test_vizwiz_rows_bear_the_share_of_their_annotators(built: Built) -> None:
    shares = {row["question"]: row["answer_share"] for row in built.kept if row["answer_share"] is not None}
    assert shares == {"What is this?": 0.6, "Is it red?": 0.7, "Which day?": 0.5}
    assert {row["source"] for row in built.kept if row["answer_share"] is not None} == {"vizwiz"}


def test_doubt_sends_a_row_to_rl(built: Built) -> None:
    every = [row for rows in built.splits.values() for row in rows]
    assert _row(every, "Add 2 red cubes")["cues"] == ["wait", "again"]
    assert all(row["cues"] or row["source"] == "geoqa170k" for row in built.splits["rl/train"])
    assert _row(built.splits["sft/train"], "Remove all small things")["cues"] == []


def test_a_few_rows_are_built_straight_from_the_hub(tmp_path: Path) -> None:
    with HubServer() as hub, ChatServer(play) as server:
        for made in native.sets().values():
            hub.add(made.hf, made.hub)
        paper_project(tmp_path / "project", server.url, folders=False)
        words = ["build", "project", "--profile", "paper", "--limit", "18", "--out", "set"]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "vlaa_thinking", *words],
            cwd=tmp_path,
            env={
                **hub.environment,
                **dict.fromkeys(KEYS, "sk-loopback"),
                "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1]),
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [row for rows in rows_of(tmp_path / "set").values() for row in rows]
    assert Counter(row["source"] for row in rows) == dict.fromkeys(native.sets(), 2)
    assert len([row for row in rows if "step" not in row]) >= 12
