"""The mixed reward: one reward a row by its answer type, under every scorer, and inside TRL's contract."""

import asyncio
import importlib
import inspect
import json
import logging
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from PIL import Image
from tiny_reward_model import write_reward_model
from trl.trainer.utils import get_callable_name, is_async_callable

from vlaa_thinking import Project
from vlaa_thinking.errors import ModelError, SetupError
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.marking import gold_of
from vlaa_thinking.rewards import Ask, Judge, Lexical, MixedReward, RewardModel, Scorer, mixed_reward

DIGIT: dict[str, Any] = {"id": "counting/0001", "answer": "3", "answer_type": "digit"}
CHOICE = {
    "id": "bars/0001",
    "answer": "B",
    "answer_type": "choice",
    "choices": ["Monday", "Tuesday", "Friday"],
}
MATH = {"id": "lines/0001", "answer": "\\frac{1}{2}x + 1", "answer_type": "math"}
IOU = {
    "id": "boxes/0001",
    "answer": "[0.10, 0.20, 0.50, 0.60]",
    "answer_type": "iou",
    "boxes": [[0.1, 0.2, 0.5, 0.6]],
}
OPEN = {
    "id": "forms/0001",
    "question": "To whom is the bill?",
    "answer": "Miller & Sons",
    "answer_type": "open",
    "answers": ["Miller & Sons", "Miller and Sons"],
}
FREE = {
    "id": "free/0001",
    "question": "What happens here?",
    "answer": "A dog chases a red ball across the wet lawn.",
    "answer_type": "open",
}
ROWS: list[dict[str, Any]] = [DIGIT, CHOICE, MATH, IOU, OPEN, FREE]


def say(answer: str) -> str:
    return f"<think>I look at it.</think>\n<answer>{answer}</answer>"


def earn(reward: MixedReward, row: dict[str, Any], *replies: str, **given: Any) -> list[float | None]:
    """Reward replies to one row, as TRL asks for it: a column has a value for each completion."""
    names = ("id", "question", "answer", "answer_type", "answers", "choices", "boxes")
    columns: dict[str, Any] = {name: [row.get(name)] * len(replies) for name in names}
    completions = [[{"role": "assistant", "content": reply}] for reply in replies]
    return asyncio.run(
        reward(
            completions=completions,
            prompts=[[{"role": "user", "content": "?"}]] * len(replies),
            completion_ids=[[1, 2]] * len(replies),
            trainer_state=None,
            **columns,
            **given,
        )
    )


class Grader:
    """A scorer of a scale of its own: what `scores` says of a text, else 0."""

    bounded = False

    def __init__(self, **scores: float | None) -> None:
        self.scores = scores
        self.asked: list[str] = []

    async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
        self.asked += [ask.answer for ask in asks]
        return [self.scores.get(ask.answer.split()[0].casefold(), 0.0) for ask in asks]


# --- by type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "answer", "reward"),
    [
        (DIGIT, "3", 1.0),
        (DIGIT, "There are three cubes.", 1.0),
        (DIGIT, "13", 0.0),
        (DIGIT, "3 or 4", 0.0),
        (CHOICE, "(b)", 1.0),
        (CHOICE, "Tuesday", 1.0),
        (CHOICE, "A", 0.0),
        (CHOICE, "not A", 0.0),
        (CHOICE, "something else altogether", 0.0),
        (MATH, "y = 0.5x + 1", 1.0),
        (MATH, r"\frac{x + 2}{2}", 1.0),
        (MATH, "0.5x - 1", 0.0),
        (IOU, "[0.1, 0.2, 0.5, 0.6]", 1.0),
        (IOU, "[0.1, 0.2, 0.5, 0.4]", 0.5),
        (IOU, "[0.6, 0.7, 0.8, 0.9]", 0.0),
        (IOU, "in the upper left corner", 0.0),
        (OPEN, "miller and sons.", 1.0),
        (OPEN, "Baker Ltd", 0.0),
        (FREE, "a dog chases a red ball across the wet lawn", 1.0),
        (FREE, "7", 0.0),
    ],
)
def test_an_answer_earns_what_its_check_says(row: dict[str, Any], answer: str, reward: float) -> None:
    assert earn(mixed_reward, row, say(answer)) == [pytest.approx(reward)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
@pytest.mark.parametrize(
    "reply",
    [
        "{gold}",
        "The answer is {gold}",
        r"\boxed{{{gold}}}",
        "<answer>{gold}",
        "<answer></answer>",
        "<answer>{gold}</answer><answer>{gold}</answer>",
        "<think><answer>{gold}</answer></think><answer>{gold}</answer>",
        "<think>It is <answer>{gold}</answer>, I think.</think>",
        "It is <answer>{gold}</answer>, I think.</think> So it is {gold}.",
        "<think>I look at it. <answer>{gold}</answer>",
        "",
    ],
)
def test_without_one_answer_block_nothing_is_earned(row: dict[str, Any], reply: str) -> None:
    assert earn(mixed_reward, row, reply.format(gold=row["answer"])) == [0.0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_reward_lies_between_none_and_all(row: dict[str, Any]) -> None:
    junk = [
        "nan",
        "inf",
        "9" * 3000,
        "<",
        "\x00",
        "[1e400, 0, 1, 1]",
        "None",
        "-0.0",
        "B" * 50,
        "½",
        "人",
        "\\frac{1}{0}",
    ]
    rewards = earn(mixed_reward, row, *map(say, junk))
    assert all(reward is not None and 0 <= reward < 1 for reward in rewards)


def test_rows_of_all_types_are_rewarded_in_one_batch() -> None:
    names = ("id", "question", "answer", "answer_type", "answers", "choices", "boxes")
    columns: dict[str, Any] = {name: [row.get(name) for row in ROWS] for name in names}
    replies = [say(row["answer"]) for row in ROWS]
    assert asyncio.run(mixed_reward(replies, **columns)) == [1.0] * len(ROWS)
    assert asyncio.run(mixed_reward(replies[::-1], **columns)) == [0.0] * len(ROWS)


# --- free text ----------------------------------------------------------------------------------------------


def test_words_shared_with_an_accepted_string_are_a_part_of_the_reward() -> None:
    near, half, none = earn(
        mixed_reward,
        FREE,
        say("A dog chases a ball across the lawn"),
        say("a dog is on the lawn"),
        say("two cats sleep"),
    )
    assert near is not None
    assert half is not None
    assert 1 > near > half > 0
    assert none == 0


def test_a_slip_of_spelling_costs_little_where_strings_are_listed() -> None:
    assert earn(mixed_reward, OPEN, say("Miler and Sons")) == [pytest.approx(1 - 1 / 15)]


@pytest.mark.parametrize("answer", ["19 94", "1994 or 1995", "199 4", "€1994", "1,99,4"])
def test_no_slip_of_spelling_is_let_pass_in_a_number(answer: str) -> None:
    row = OPEN | {"answer": "1994", "answers": ["1994", "$1994"]}
    (reward,) = earn(mixed_reward, row, say(answer))
    assert reward is not None
    assert reward < 0.7


def test_a_sentence_around_the_answer_earns_a_part_by_words() -> None:
    (reward,) = earn(mixed_reward, OPEN, say("The bill goes to Miller and Sons of Leeds"))
    assert reward == pytest.approx(2 * 3 / (3 + 8))


def test_a_denial_earns_nothing_by_words() -> None:
    assert earn(mixed_reward, FREE, say("A dog never chases a red ball across the wet lawn.")) == [0.0]


def test_a_scale_without_bounds_is_held_against_the_gold_answer() -> None:
    grader = Grader(a=1.0, better=3.5, same=1.0, worse=-50.0, best=1e9)
    replies = [say(text) for text in ("better so", "same so", "worse so", "best so", FREE["answer"])]
    rewards = earn(MixedReward(scorer=grader), FREE, *replies)
    assert rewards == [pytest.approx(1 - math.exp(-0.2 * 2.5)), 0.0, 0.0, 1.0, 1.0]
    assert earn(MixedReward(scorer=grader, beta=1.0), FREE, replies[0]) == [pytest.approx(1 - math.exp(-2.5))]


def test_the_gold_answer_is_scored_once_a_row() -> None:
    grader = Grader()
    reward = MixedReward(scorer=grader)
    earn(reward, FREE, say("one thing"), say("another thing"))
    earn(reward, FREE, say("a third thing"))
    earn(reward, FREE | {"id": "free/0002"}, say("a fourth thing"))
    assert grader.asked.count(str(FREE["answer"])) == 2
    assert len(grader.asked) == 6


def test_an_exact_answer_is_not_for_a_scorer_to_judge() -> None:
    grader = Grader()
    assert earn(MixedReward(scorer=grader), OPEN, say("Miller & Sons")) == [1.0]
    assert grader.asked == []


def lexical(_: Path) -> Scorer:
    return Lexical()


def likes_anything_more(_: Path) -> Scorer:
    """Give the gold answer the lowest of all scores."""
    return Grader(a=-100.0, miller=-100.0, hello=100.0, nothing=10.0)


def tiny_reward_model(folder: Path) -> Scorer:
    write_reward_model(folder / "reward")
    return RewardModel.load(str(folder / "reward"), batch_size=2)


def judge_who_says_yes(folder: Path) -> Scorer:
    return Judge(
        cache=folder / "judge.sqlite", llm=Fake(lambda _: '{"reason": "Why not.", "verdict": "yes"}')
    )


def judge_who_says_no(folder: Path) -> Scorer:
    return Judge(cache=folder / "judge.sqlite", llm=Fake(lambda _: '{"reason": "Never.", "verdict": "no"}'))


def offline_judge(folder: Path) -> Scorer:
    return Judge(cache=folder / "judge.sqlite")


EVERY_SCORER = [
    lexical,
    likes_anything_more,
    tiny_reward_model,
    judge_who_says_yes,
    judge_who_says_no,
    offline_judge,
]


@pytest.mark.parametrize("make", EVERY_SCORER)
def test_an_exact_answer_earns_the_most_under_every_scorer(make: Any, tmp_path: Path) -> None:
    scorer = make(tmp_path)
    reward = MixedReward(scorer=scorer)
    others = [
        "hello there",
        "nothing at all to see",
        "Miller",
        "a dog",
        "A dog chases a red ball, and so on.",
        "7",
    ]
    columns: dict[str, Any] = {
        name: [row.get(name) for row in (OPEN, FREE) for _ in others] for name in (*OPEN, *FREE)
    }

    async def both() -> tuple[list[float | None], list[float | None]]:
        exact = await reward([say(answer) for answer in columns["answer"]], **columns)
        other = await reward([say(text) for text in others * 2], **columns)
        if isinstance(scorer, Judge):
            await scorer.aclose()
        return exact, other

    exact, other = asyncio.run(both())
    assert exact == [1.0] * 12
    assert all(value is not None and 0 <= value <= 1 for value in other)


def test_a_bounded_scorer_that_leaves_its_bounds_is_told() -> None:
    class Wild(Grader):
        bounded = True

    with pytest.raises(
        SetupError, match=r"^Wild says that its scale is bounded, and gave 7.0, not in \[0, 1\]$"
    ):
        earn(MixedReward(scorer=Wild(some=7.0)), FREE, say("some text"))


def test_a_scorer_that_loses_answers_is_told() -> None:
    class Short(Grader):
        async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
            return (await super().__call__(asks))[:1]

    with pytest.raises(SetupError, match=r"^Short gave 1 scores for 2 answers$"):
        earn(MixedReward(scorer=Short()), FREE, say("some text"))


# --- a judge ------------------------------------------------------------------------------------------------

NAMED = '[profile.served]\ncaptioner = "ear"\nreasoner = "ear"\nrewriter = "ear"\njudge = "ear"\nsources = ["forms"]\n'


def judging_project(folder: Path, url: str, **model: Any) -> Project:
    """Make a project whose judge is on a server."""
    project = Project.default().copy(folder)
    file = folder / "generators/models.toml"
    keys = {"api": "openai", "base_url": url, "model": "ear", "tries": 2, **model}
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    file.write_text(f"{file.read_text()}\n{NAMED}\n[model.ear]\n{table}\n")
    return project


def verdict(body: dict[str, Any]) -> Reply:
    """Say yes to an answer that speaks of a dog, and break off at one that speaks of a cat."""
    given = body["messages"][-1]["content"].split("given answer")[-1]
    if "cat" in given:
        return 500, {}, {"error": {"message": "out of order"}}
    return json.dumps({"reason": "As asked.", "verdict": "yes" if "dog" in given else "no"})


def test_a_judge_over_the_wire_is_asked_once_for_one_answer(tmp_path: Path) -> None:
    async def twice(judge: Judge) -> list[list[float | None]]:
        columns: dict[str, Any] = {name: [FREE.get(name)] * 3 for name in FREE}
        reward = MixedReward(scorer=judge)
        replies = [say("some dog runs"), say("some dog runs"), say("a bird sings")]
        rewards = [await reward(replies, **columns), await reward(replies, **columns)]
        await judge.aclose()
        return rewards

    with ChatServer(verdict) as server:
        project = judging_project(tmp_path / "p", server.url)
        judge = Judge(cache=tmp_path / "judge.sqlite", project=project, profile="served")
        assert asyncio.run(twice(judge)) == [[1.0, 1.0, 0.0]] * 2
        assert server.calls == 2
        assert asyncio.run(twice(judge)) == [[1.0, 1.0, 0.0]] * 2  # opened again, in another loop
        assert server.calls == 2


def test_an_answer_that_the_judge_could_not_be_asked_about_gets_no_reward(tmp_path: Path) -> None:
    async def ask(judge: Judge) -> list[float | None]:
        columns: dict[str, Any] = {name: [FREE.get(name)] * 2 for name in FREE}
        reward = MixedReward(scorer=judge)
        first = await reward([say("some dog runs"), say("a bird sings")], **columns)
        second = await reward([say("some dog walks"), say("some cat walks")], **columns)
        await judge.aclose()
        return first + second

    with ChatServer(verdict) as server:
        project = judging_project(tmp_path / "p", server.url)
        judge = Judge(cache=tmp_path / "judge.sqlite", project=project, profile="served")
        assert asyncio.run(ask(judge)) == [1.0, 0.0, 1.0, None]


def test_a_judge_without_its_key_is_told(tmp_path: Path) -> None:
    project = judging_project(tmp_path / "p", "http://127.0.0.1:9/v1", api_key_env="A_KEY_THAT_IS_NOT_SET")
    reward = MixedReward(scorer=Judge(cache=tmp_path / "judge.sqlite", project=project, profile="served"))
    with pytest.raises(ModelError, match="A_KEY_THAT_IS_NOT_SET"):
        earn(reward, FREE, say("some dog runs"))


def test_a_judge_works_in_one_loop_at_a_time(tmp_path: Path) -> None:
    judge = Judge(cache=tmp_path / "judge.sqlite", llm=Fake(lambda _: '{"reason": "No.", "verdict": "no"}'))
    assert earn(MixedReward(scorer=judge), FREE, say("some dog runs")) == [0.0]
    with pytest.raises(SetupError, match="in another event loop"):
        earn(MixedReward(scorer=judge), FREE, say("some dog runs"))
    asyncio.run(judge.aclose())


# --- a reward model -----------------------------------------------------------------------------------------


def ask(answer: str, image: object = None) -> Ask:
    return Ask(row="1", question="What is it?", answer=answer, gold=gold_of(FREE), image=image)


def test_a_reward_model_scores_alike_in_any_batch(tmp_path: Path) -> None:
    write_reward_model(tmp_path / "reward")
    asks = [ask("a dog"), ask("a much longer answer about a dog and its ball"), ask("7")]
    lots = RewardModel.load(str(tmp_path / "reward"), batch_size=8)
    single = RewardModel.load(str(tmp_path / "reward"), batch_size=1, offload=True)
    together, apart = asyncio.run(lots(asks)), asyncio.run(single(asks))
    assert together == pytest.approx(apart, abs=1e-4)
    assert len(set(together)) == 3


def test_a_reward_model_that_sees_is_shown_the_image(tmp_path: Path) -> None:
    write_reward_model(tmp_path / "reward", sees=True)
    scorer = RewardModel.load(str(tmp_path / "reward"))
    black, white = (Image.new("RGB", (30, 20), colour) for colour in ("black", "white"))
    numbers = asyncio.run(scorer([ask("a dog", black), ask("a dog", white), ask("a dog", black)]))
    assert numbers[0] == pytest.approx(numbers[2], abs=1e-5)
    assert numbers[0] != pytest.approx(numbers[1], abs=1e-5)


# --- form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ("<think>So.</think>\n<answer>3</answer>", 1.0),
        ("<think>So.</think><answer>4</answer>", 0.1),
        ("<answer>3</answer>", 0.9),
        ("<think>So.</think> Hence <answer>3</answer>", 0.9),
        ("<think>So.</think><answer>3</answer> Done.", 0.9),
        ("<think>So.<think>So.</think></think><answer>3</answer>", 0.9),
        ("<answer>3</answer><think>So.</think>", 0.9),
        ("<think>So.</think> 3", 0.0),
        ("<think>So.</think><answer></answer>", 0.0),
    ],
)
def test_a_format_term_has_its_share(reply: str, reward: float) -> None:
    assert earn(MixedReward(format_weight=0.1), DIGIT, reply) == [pytest.approx(reward)]


# --- frames -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({"frame": "unit"}, "[0.1, 0.2, 0.5, 0.6]"),
        ({"frame": "thousand"}, "[100, 200, 500, 600]"),
        ({"frame": "pixels"}, "[20, 20, 100, 60]"),
        (
            {"frame": "pixels", "resized": lambda width, height: (2 * width, 5 * height)},
            "[40, 100, 200, 300]",
        ),
    ],
)
def test_boxes_are_read_in_the_frame_of_the_model(settings: dict[str, Any], answer: str) -> None:
    image = Image.new("RGB", (200, 100))
    other: dict[str, Any] = {"frame": "unit"} if settings != {"frame": "unit"} else {"frame": "thousand"}
    assert earn(MixedReward(**settings), IOU, say(answer), image=[image]) == [pytest.approx(1.0)]
    assert earn(MixedReward(**other), IOU, say(answer), image=[image]) == [pytest.approx(0.0, abs=1e-4)]


def test_pixels_without_an_image_cannot_be_scored() -> None:
    assert earn(MixedReward(frame="pixels"), IOU, say("[20, 20, 100, 60]")) == [None]


# --- TRL's contract -----------------------------------------------------------------------------------------


def test_trl_awaits_it_and_has_a_name_for_it() -> None:
    for reward in (mixed_reward, MixedReward(frame="thousand")):
        assert is_async_callable(reward)
        assert get_callable_name(reward) == "mixed_reward"


def test_curves_are_logged_by_type() -> None:
    curves: dict[str, float] = {}
    extra: dict[str, list[str]] = {}
    names = ("id", "question", "answer", "answer_type", "answers", "choices", "boxes")
    rows: list[dict[str, Any]] = [DIGIT, DIGIT, CHOICE, IOU, DIGIT | {"id": "odd", "answer": "a few"}]
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    replies = [say("3"), say("4"), "B", say("[0.1, 0.2, 0.5, 0.4]"), say("3")]
    rewards = asyncio.run(
        MixedReward()(replies, log_metric=curves.__setitem__, log_extra=extra.__setitem__, **columns)
    )
    assert rewards == [1.0, 0.0, 0.0, pytest.approx(0.5), None]
    assert curves == {
        "mixed_reward/digit": 0.5,
        "mixed_reward/choice": 0.0,
        "mixed_reward/iou": pytest.approx(0.5),
        "mixed_reward/readable": 0.8,
        "mixed_reward/unscored": 1,
    }
    assert extra["answer_read"] == ["3", "4", "", "[0.1, 0.2, 0.5, 0.4]", "3"]
    assert extra["verdict"][2] == "No answer block, box, label or phrase."


@pytest.mark.parametrize(
    "row",
    [
        DIGIT | {"answer": "many"},
        IOU | {"answer": "the corner", "boxes": None},
        CHOICE | {"answer": "Monday or Friday"},
        FREE | {"answer": " "},
    ],
)
def test_a_gold_answer_that_nobody_can_score_is_none_and_named_once(
    row: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    reward = MixedReward()
    with caplog.at_level(logging.WARNING, "vlaa_thinking.rewards"):
        replies = (say("5"), say("[0, 0, 1, 1]"), say("B"), say("3" * 5_000), "no block", "")
        assert earn(reward, row, *replies) == [None] * len(replies)
        assert earn(reward, row, say("5")) == [None]
    assert len(caplog.records) == 1
    assert f"no reward for the row {row['id']}: The gold answer" in caplog.text


def test_an_empty_gold_answer_is_shown_to_no_scorer() -> None:
    grader = Grader(some=1.0)
    assert earn(MixedReward(scorer=grader), FREE | {"answer": ""}, say("some text")) == [None]
    assert grader.asked == []


def test_an_unscored_gold_answer_of_free_text_is_none() -> None:
    assert earn(MixedReward(scorer=Grader(a=None)), FREE, say("some text")) == [None]
    assert earn(MixedReward(scorer=Grader(a=math.nan)), FREE, say("some text")) == [None]
    assert earn(MixedReward(scorer=Grader(some=math.inf)), FREE, say("some text")) == [None]


@pytest.mark.parametrize("column", ["answer", "answer_type"])
def test_a_dataset_without_the_columns_is_told(column: str) -> None:
    columns: dict[str, Any] = {name: [DIGIT[name]] for name in DIGIT if name != column}
    with pytest.raises(SetupError, match=f"^the mixed reward needs the column {column}, which"):
        asyncio.run(mixed_reward([say("3")], **columns))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"answer_type": "essay"},
            'the row counting/0001 has the answer_type "essay": it is one of digit, choice,',
        ),
        ({"answer_type": None}, "the row counting/0001 has no answer_type:"),
        ({"answer": None}, "the row counting/0001 has no answer:"),
        ({"boxes": [[1, 2, 3]]}, "the row counting/0001 has a box that is not four numbers"),
    ],
)
def test_a_row_of_another_kind_is_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SetupError) as caught:
        earn(mixed_reward, DIGIT | change, say("3"))
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frame": "percent"}, 'there is no frame "percent": it is one of unit, thousand, pixels'),
        ({"format_weight": 1.0}, "format_weight is 1.0: it must be at least 0 and below 1"),
        ({"beta": 0.0}, "beta is 0.0: it must be a positive number"),
        ({"beta": math.nan}, "beta is nan: it must be a positive number"),
    ],
)
def test_a_setting_out_of_range_is_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SetupError) as caught:
        MixedReward(**settings)
    assert str(caught.value) == words


# --- the rules of a project ---------------------------------------------------------------------------------


def test_a_project_s_own_check_rewards(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    (tmp_path / "p/lenient.py").write_text(
        "from vlaa_thinking import Score\n\n\n"
        "def check(prediction, gold):\n"
        "    near = abs(int(prediction) - int(gold.answer)) == 1\n"
        '    return Score(value=0.5 if near else float(prediction == gold.answer), reason="near")\n'
    )
    digit = tmp_path / "p/verifiers/digit.toml"
    digit.write_text(digit.read_text().replace("vlaa_thinking.checks.digit:check", "lenient:check"))
    reward = MixedReward(project=project)
    assert earn(reward, DIGIT, say("3"), say("4"), say("5")) == [1.0, 0.5, 0.0]
    with pytest.raises(SetupError, match=r'^the check "lenient:check" failed: ValueError: invalid literal'):
        earn(reward, DIGIT, say("many"))
    sys.modules.pop("lenient")


def test_rows_kept_by_other_rules_are_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    reward = MixedReward()
    with caplog.at_level(logging.WARNING, "vlaa_thinking.rewards"):
        for _ in range(2):
            rewards = earn(reward, DIGIT, say("3"), decided_by=[{"verifier": "0" * 16}])
            assert rewards == [1.0]
    assert len(caplog.records) == 1
    assert "rows were kept by another verifiers/digit.toml than the one that rewards here" in caplog.text


def test_math_that_would_take_for_ever_earns_nothing_and_holds_up_nobody() -> None:
    tower = "9^{9^{9^{9}}}"
    rewards = earn(mixed_reward, MATH, say(tower), say("y = 0.5x + 1"), say("0.5(x + 2)"))
    assert rewards == [0.0, 1.0, 1.0]


def test_it_can_be_called_with_what_trl_passes() -> None:
    parameters = inspect.signature(mixed_reward.__call__).parameters
    assert {"completions", "log_metric", "log_extra", "columns"} == set(parameters)


def test_the_recipes_readme_s_settings_are_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL imports them by their dotted names from the current folder; so does this."""
    readme = (Project.default().root / "recipes/README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    (tmp_path / "my_rewards.py").write_text(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_rewards")
    assert earn(module.reward, IOU, say("[100, 200, 500, 600]"), "<answer>[100, 200, 500, 600]</answer>") == [
        1.0,
        0.9,
    ]

    async def judge() -> list[float | None]:
        columns: dict[str, Any] = {name: [FREE.get(name)] for name in FREE}
        rewards: list[float | None] = await module.judged([say("a red ball on the lawn")], **columns)
        await module.judged._open._scorer.aclose()
        return rewards

    assert asyncio.run(judge()) in ([0.0], [1.0])
    assert (tmp_path / "judge.sqlite").is_file()
    sys.modules.pop("my_rewards")
