"""The recipes train, measure and resume: in seconds, on a CPU, on the demo's dataset, with models of random weights."""

import asyncio
import base64
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_server import ChatServer, Reply
from datasets import load_dataset
from hub_server import HubServer
from safetensors.torch import load_file
from tiny_model import write
from tiny_qwen import write_qwen
from transformers import AutoProcessor

from vlaa_thinking import Project, build
from vlaa_thinking.errors import SetupError

ROOT = Path(__file__).parents[1]
RECIPES = Project.default().root / "recipes"
TRAIN = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
QUICK: dict[str, object] = {
    "use_cpu": "true",
    "bf16": "false",
    "activation_checkpointing": "false",
    "gradient_accumulation_steps": 1,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": "true",
}
SHORT: dict[str, object] = {"steps_per_generation": 1, "max_completion_length": 8}

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is deprecated and will be removed in v6.*:FutureWarning"  # TRL's own calls
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Let sums come out the same in every process."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build some rows of the demo."""
    out = tmp_path_factory.mktemp("dataset") / "demo-set"
    build(Project.default(), out=out, limit=60)
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a LLaVA of random weights."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(0)
    write(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a Qwen2.5-VL of random weights."""
    folder = tmp_path_factory.mktemp("model") / "qwen"
    torch.manual_seed(0)
    write_qwen(folder)
    return folder


def script(name: str) -> Any:
    """Import a recipe, which is a script and no package's."""
    if name not in sys.modules:
        spec = spec_from_file_location(name, RECIPES / f"{name}.py")
        assert spec
        assert spec.loader
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def words(recipe: str, model: Path, dataset: Path, out: Path, **options: object) -> list[str]:
    named = {
        "config": RECIPES / f"{recipe}.yaml",
        "dataset_name": dataset,
        "model_name_or_path": model,
        "output_dir": out,
        **QUICK,
        **options,
    }
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


def train(recipe: str, model: Path, dataset: Path, out: Path, **options: object) -> Any:
    return script(recipe).main(words(recipe, model, dataset, out, **options))


def rows_of(dataset: Path, config: str) -> Any:
    return load_dataset(str(dataset), config, split="train")


def curve(trainer: Any, name: str) -> list[float]:
    return [line[name] for line in trainer.state.log_history if name in line]


def changed(model: Path, trained: Path) -> set[str]:
    """Name the parts of the model whose weights training changed."""
    before, after = load_file(model / "model.safetensors"), load_file(trained / "model.safetensors")
    assert set(before) == set(after)
    parts = ("vision_tower", "projector", "language_model")
    return {part for n in before if not torch.equal(before[n], after[n]) for part in parts if part in n}


def card_of(out: Path) -> str:
    return (out / "README.md").read_text(encoding="utf-8")


# --- what they are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sft", "grpo", "evaluate"])
def test_a_recipe_says_what_it_needs_as_the_extra_does(name: str) -> None:
    text = (RECIPES / f"{name}.py").read_text(encoding="utf-8")
    header = re.match(r"# /// script\n((?:#(?: .*)?\n)+?)# ///\n", text)
    assert header
    said = tomllib.loads(re.sub(r"^# ?", "", header[1], flags=re.MULTILINE))
    assert said == {"requires-python": ">=3.11", "dependencies": ["vlaa-thinking", *TRAIN]}
    assert f"python recipes/{name}.py" in (script(name).__doc__ or "")


# --- SFT --------------------------------------------------------------------------------------------------------


def lengths(model: Path, rows: Any) -> dict[str, int]:
    """Count each row's tokens by the processor alone, the whole conversation at once."""
    processor: Any = AutoProcessor.from_pretrained(model)  # type: ignore[no-untyped-call]
    found = {}
    for row in rows:
        (system, user), (assistant,) = row["prompt"], row["completion"]
        user = {**user, "content": [{"type": "image"}, {"type": "text", "text": user["content"]}]}
        text = processor.apply_chat_template([system, user, assistant], tokenize=False)
        found[row["id"]] = len(processor(text=text, images=row["image"])["input_ids"][0])
    return found


def test_sft_trains_on_the_hardest_rows_that_are_short_enough(
    model: Path, dataset: Path, tmp_path: Path
) -> None:
    rows = rows_of(dataset, "sft")
    tokens = lengths(model, rows)
    longest = sorted(tokens.values())[-4]
    short = {name for name, count in tokens.items() if count <= longest}
    out = tmp_path / "out"
    trainer = train(
        "sft", model, dataset, out, max_length=longest, hardest=8, max_steps=6, learning_rate=1e-2
    )

    losses = curve(trainer, "loss")
    assert len(losses) == 6
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] - 0.1
    assert changed(model, out) == {"projector", "language_model"}  # the vision encoder is frozen

    perplexities = json.loads((out / "hardest.json").read_text(encoding="utf-8"))
    assert perplexities.keys() == short
    assert [math.log(value) for value in perplexities.values()] == pytest.approx(
        [losses[0]] * len(short),
        rel=0.02,  # random weights find every token about as likely
    )
    assert set(trainer.train_dataset["id"]) == set(sorted(short, key=perplexities.__getitem__)[-8:])
    (out / "hardest.json").write_text(json.dumps(dict.fromkeys(tokens, 2.0) | {rows["id"][2]: 3.0}))
    assert script("sft").hardest(trainer, rows, 1, use_known=True)["id"] == [rows["id"][2]]
    card = card_of(out)
    assert f"rows left out as longer than max_length: {len(rows) - len(short)}\n" in card
    assert "rows of highest perplexity under the base model: 8\n" in card
    assert "vision encoder: frozen\n" in card
    manifest = hashlib.sha256((dataset / "manifest.json").read_bytes()).hexdigest()
    assert f"SHA-256 of the dataset's manifest.json: {manifest}\n" in card
    assert str(tmp_path) not in card
    assert str(dataset.parent) not in card


def test_sft_learns_the_completion_alone_and_cuts_no_image(qwen: Path, dataset: Path, tmp_path: Path) -> None:
    trainer = train("sft", qwen, dataset, tmp_path / "out", max_steps=2, use_peft="true", learning_rate=1e-2)
    rows = trainer.train_dataset
    assert len(rows) == len(rows_of(dataset, "sft"))
    tokenizer = trainer.processing_class.tokenizer
    for row in rows.select(range(4)):
        width, height = script("sft").seen_by(trainer.processing_class.image_processor)(*row["image"].size)
        batch = trainer.data_collator([dict(row)])  # it takes the row apart
        learnt = tokenizer.decode(batch["labels"][batch["labels"] >= 0])
        assert learnt == f"{row['completion'][0]['content']}<|im_end|>\n"
        shown = (batch["input_ids"] == tokenizer.convert_tokens_to_ids("<image>")).sum().item()
        assert shown == (width // 28) * (height // 28)

    adapters = load_file(tmp_path / "out" / "adapter_model.safetensors")
    moved = {name for name, weight in adapters.items() if "lora_B" in name and weight.any()}
    assert any("language_model" in name for name in moved)
    assert not [name for name in moved if "visual" in name]
    boxes = [row for row in rows if row["answer_type"] == "iou"]
    assert boxes
    for row in boxes:
        assert row["prompt"][-1]["content"].endswith("in whole pixels of the image as you see it.")
        assert re.search(r"<answer>\[\d+, \d+, \d+, \d+\]</answer>$", row["completion"][0]["content"])
    assert "- boxes: pixels\n" in card_of(tmp_path / "out")
    asked = ["--dataset_name", str(dataset), "--split", "train", "--limit", "4", "--max_new_tokens", "4"]
    report, _ = script("evaluate").main([str(tmp_path / "out"), *asked])
    assert report.total.lines == 4


def test_sft_says_where_it_finds_no_vision_encoder() -> None:
    with pytest.raises(SetupError, match="--freeze_vision false"):
        script("sft").freeze_vision(torch.nn.Linear(1, 1))


# --- GRPO -------------------------------------------------------------------------------------------------------


def test_grpo_asks_and_rewards_in_the_models_frame_and_tells_how_replies_fail(
    qwen: Path, dataset: Path, tmp_path: Path
) -> None:
    trainer = train("grpo", qwen, dataset, tmp_path / "out", **SHORT, max_steps=2, format_weight=0.1)
    rows = trainer.train_dataset
    assert len(rows) == len(rows_of(dataset, "rl"))
    asked = {row["answer_type"]: row["prompt"][-1]["content"] for row in rows}
    assert asked["iou"].endswith("in whole pixels of the image as you see it.")
    assert "pixels" not in asked["digit"]
    for cut, ended, readable in zip(
        *(
            curve(trainer, f"mixed_reward/{n}")
            for n in ("unreadable_truncated", "unreadable_ended", "readable")
        ),
        strict=True,
    ):
        assert cut + ended + readable == pytest.approx(1)
        assert cut > 0
    assert curve(trainer, "completions/clipped_ratio")
    assert [
        name
        for name in trainer.state.log_history[0]
        if re.fullmatch("mixed_reward/(digit|choice|math|iou|open)", name)
    ]
    card = card_of(tmp_path / "out")
    assert "rewards: mixed_reward\n" in card
    assert "weight of the form: 0.1\n" in card

    (reward,) = trainer.reward_funcs
    row = next(row for row in rows if row["answer_type"] == "iou")
    size = script("grpo").seen_by(trainer.processing_class.image_processor)(*row["image"].size)
    right = script("evaluate").in_frame(rows, "unit")  # the same rows, to read their columns from
    box = [round(n * side) for n, side in zip(row["boxes"][0], size * 2, strict=True)]
    columns = {name: [value] for name, value in next(r for r in right if r["id"] == row["id"]).items()}
    replies = [f"<think>.</think><answer>{some}</answer>" for some in (box, row["boxes"][0])]
    pixels, shares = (rewarded(reward, text, columns) for text in replies)
    assert pixels > 0.75
    assert shares == pytest.approx(0.1)  # the form alone


def rewarded(reward: Any, reply: str, columns: dict[str, Any]) -> float:
    (value,) = asyncio.run(reward([reply], completion_ids=[[1]], **columns))
    return float(value)


def test_rewards_are_found_by_name() -> None:
    find = script("grpo").reward_of
    ours = object()
    assert find("vlaa_thinking.rewards.mixed_reward", lambda: ours) is ours
    assert find("think_format_reward", lambda: ours).__name__ == "think_format_reward"
    for wrong in ("no_such_reward", "no.such.module", "math.no_such"):
        with pytest.raises(SetupError, match="there is no reward"):
            find(wrong, lambda: ours)


# --- stopped and resumed ----------------------------------------------------------------------------------------

KILLED = """
import os, runpy, signal, sys
import torch
from transformers import TrainerCallback
from transformers.trainer import DEFAULT_CALLBACKS

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
DEFAULT_CALLBACKS.append(Kill)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def wordy(completions: list[Any], **_: object) -> list[float]:
    """Reward the letters of a reply, so that the weights of a model move that never writes an answer."""
    return [float(len(completion[-1]["content"])) for completion in completions]


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_file(out / "model.safetensors") for out in (one, other))
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_goes_on_where_its_last_checkpoint_was(
    model: Path, dataset: Path, tmp_path: Path
) -> None:
    steps = {**SHORT, "max_steps": 4, "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    steps["reward_funcs"] = f"{__name__}.wordy"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train("grpo", model, dataset, whole, **steps)
    asked = words("grpo", model, dataset, cut, **steps)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, RECIPES / "grpo.py", *asked],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert [path.name for path in cut.glob("checkpoint-*")] == ["checkpoint-2"]
    assert not (cut / "model.safetensors").exists()
    trainer = train("grpo", model, dataset, cut, **steps, resume_from_checkpoint="last")
    assert trainer.state.global_step == 4
    assert not same_weights(model, cut / "checkpoint-2")
    assert not same_weights(cut / "checkpoint-2", cut)
    assert same_weights(whole, cut)
    assert "manifest.json: " in card_of(cut)


@pytest.mark.parametrize(("base", "more"), [("model", {}), ("qwen", {}), ("model", {"use_peft": "true"})])
def test_sft_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(
    base: str, more: dict[str, object], dataset: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    steps = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2, **more}
    folder = request.getfixturevalue(base)
    whole = train("sft", folder, dataset, tmp_path / "whole", **steps)
    checkpoint = tmp_path / "whole/checkpoint-2"
    resumed = train("sft", folder, dataset, tmp_path / "cut", **steps, resume_from_checkpoint=checkpoint)
    assert curve(resumed, "loss") == curve(whole, "loss")
    assert all(map(torch.equal, whole.model.state_dict().values(), resumed.model.state_dict().values()))


def test_the_best_checkpoint_is_what_is_kept(model: Path, dataset: Path, tmp_path: Path) -> None:
    """A learning rate that ruins the model: the first evaluation is the best."""
    steps = {
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 1,
    }
    best = {"load_best_model_at_end": "true", "dataset_test_split": "train[:4]", "learning_rate": 1.0}
    trainer = train("sft", model, dataset, tmp_path / "out", **steps, **best)
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-1")
    assert same_weights(tmp_path / "out/checkpoint-1", tmp_path / "out")


# --- measuring --------------------------------------------------------------------------------------------------


def test_a_model_is_measured_by_type(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "replies.jsonl"
    asked = [
        str(model),
        "--dataset_name",
        str(dataset),
        "--split",
        "train",
        "--limit",
        "10",
        "--out",
        str(out),
    ]
    report, cut = script("evaluate").main([*asked, "--max_new_tokens", "6", "--batch", "4"])
    assert report.total.lines == report.total.unreadable == 10
    assert cut == 1  # random weights do not end by themselves
    assert set(report.by_type) <= {"digit", "choice", "math", "iou", "open"}
    printed = capsys.readouterr().out
    assert "100.0% of the replies were cut at 6 tokens" in printed
    ids = [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert ids == rows_of(dataset, "rl")["id"][:10]


def test_a_server_is_measured_and_paid_once(dataset: Path, tmp_path: Path) -> None:
    rows = {(row["prompt"][-1]["content"], row["image_sha256"]): row for row in rows_of(dataset, "rl")}

    def reply(request: dict[str, Any]) -> Reply:
        image, text = request["messages"][-1]["content"]
        kind, _, data = image["image_url"]["url"].partition(",")
        assert kind == "data:image/png;base64"
        assert request["temperature"] == 0
        row = rows[text["text"], hashlib.sha256(base64.b64decode(data)).hexdigest()]
        wrong = row["answer_type"] == "choice"
        return f"<think>Look.</think>\n<answer>{'Z' if wrong else row['answer']}</answer>"

    with ChatServer(reply) as server:
        asked = ["a-model", "--server", server.url, "--dataset_name", str(dataset), "--split", "train"]
        for _ in range(2):
            report, cut = script("evaluate").main([*asked, "--out", str(tmp_path / "replies.jsonl")])
            assert cut == 0
            assert report.by_type["choice"].right == 0
            others = [tally for kind, tally in report.by_type.items() if kind != "choice"]
            assert len(others) >= 3
            assert all(tally.right == tally.lines for tally in others)
        assert len(server.requests) == len(rows)


# --- bad input --------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, RECIPES / "evaluate.py", "m", "--dataset_name", tmp_path / "no-such"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"evaluate\.py: .*no-such is neither a folder nor a dataset's name on the Hub .*\n", done.stderr
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"dataset_config": "nothing"}, "has no nothing/train that loads"),
        ({"dataset_train_split": "nothing"}, "has no sft/nothing that loads"),
        ({"dataset_revision": "v1.0.0"}, "leave out the revision v1.0.0"),
        ({"max_length": 3}, "every row is longer than 3 tokens"),
        ({"box_frame": "pixels"}, "for models of Qwen's family"),
        ({"model_name_or_path": "/no/such"}, "the processor of /no/such does not load"),
        ({"config": "/no/such.yaml"}, "/no/such.yaml"),
        ({"resume_from_checkpoint": "last"}, "holds no checkpoint to go on from"),
        ({"resume_from_checkpoint": "/no/such"}, "there is no checkpoint /no/such"),
    ],
)
def test_a_wrong_option_of_sft_is_one_sentence(
    model: Path, dataset: Path, tmp_path: Path, more: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SetupError, match=re.escape(sentence)):
        train("sft", model, dataset, tmp_path / "out", **more)


def test_a_dataset_on_the_hub_is_pinned_and_its_commit_known(dataset: Path, tmp_path: Path) -> None:
    files = {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in dataset.rglob("*")
        if path.is_file()
    }
    with HubServer() as hub:
        hub.add("org/demo", files)
        sha = hub.repos["org/demo"].head
        hub.repos["org/demo"].tags["v1.0.0"] = sha
        hub.repos["org/demo"].commit({"README.md": b"Gone."})
        program = (
            "from vlaa_thinking.loading import load_rows\n"
            "rows, origin = load_rows('org/demo', 'rl', 'train', 'v1.0.0')\n"
            "print(len(rows), origin.commit, origin.manifest, origin.on_hub)\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=hub.environment | {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    manifest = hashlib.sha256(files["manifest.json"]).hexdigest()
    assert done.stdout.split() == [str(len(rows_of(dataset, "rl"))), sha, manifest, "True"]
