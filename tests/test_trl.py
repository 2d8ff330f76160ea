"""TRL's own command line trains on a dataset folder as `build` leaves it, with the settings of recipes/."""

import ast
import math
import os
import re
import subprocess
import sys
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml  # type: ignore[import-untyped]
from safetensors.numpy import load_file
from trl.scripts.grpo import GRPOScriptArguments
from trl.scripts.utils import DatasetMixtureConfig, ScriptArguments
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.model_config import ModelConfig
from trl.trainer.sft_config import SFTConfig

from vlaa_thinking import Project, build
from vlaa_thinking.record import ANSWER_TYPES

ROOT = Path(__file__).parents[1]
RECIPES = Project.default().root / "recipes"
TRL = Path(sys.executable).with_name("trl")
ON_A_CPU = {
    "use_cpu": "true",
    "bf16": "false",
    "max_steps": "2",
    "gradient_accumulation_steps": "1",
    "logging_steps": "1",
    "save_strategy": "no",
    "log_level": "info",
}
REWARD = '''
def by_length(prompts, completions, answer, answer_type, answers, choices, boxes, image, **rest):
    """Tell replies apart, once all that a reward needs has come in."""
    assert {"id", "source", "score"} <= set(rest)
    assert {"completion", "messages"}.isdisjoint(rest)
    for turns, kind, option, box, picture in zip(prompts, answer_type, choices, boxes, image, strict=True):
        assert [turn["role"] for turn in turns] == ["system", "user"]
        assert (kind == "choice") == (option is not None)
        assert (kind == "iou") == (box is not None)
        assert picture.size[0] > 100
    assert all(answer)
    assert len(answers) == len(completions)
    return [float(len(turns[0]["content"])) for turns in completions]
'''


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build some rows of the demo."""
    out = tmp_path_factory.mktemp("dataset") / "set"
    build(Project.default(), out=out, limit=60)
    return out


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of random weights."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    script = Path(__file__).with_name("tiny_model.py")
    command = [sys.executable, "-W", "error", str(script), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return folder


def train(trainer: str, model: Path, dataset: Path, room: Path, **options: str) -> str:
    """Run `trl TRAINER` in `room` with the recipe of this name; returns what it printed."""
    named = {
        "config": str(RECIPES / f"{trainer}.yaml"),
        "dataset_name": str(dataset),
        "model_name_or_path": str(model),
        "output_dir": "out",
        **ON_A_CPU,
        **options,
    }
    words = [word for name, value in named.items() for word in (f"--{name}", *value.split())]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(room / "home"), "OMP_NUM_THREADS": "1"}
    environment |= {"HF_DATASETS_CACHE": str(room / "datasets"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [TRL, trainer, *words],
        cwd=room,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def logged(output: str) -> list[dict[str, float]]:
    """Read the figures of each step."""
    lines = [ast.literal_eval(found) for found in re.findall(r"\{'loss': .*?\}", output)]
    return [{name: float(value) for name, value in line.items()} for line in lines]


def rows(dataset: Path, config: str) -> int:
    count: int = pq.read_metadata(dataset / config / "train-00000-of-00001.parquet").num_rows
    return count


def changed(model: Path, trained: Path) -> set[str]:
    """Name the parts of the model whose weights training changed."""
    before, after = load_file(model / "model.safetensors"), load_file(trained / "model.safetensors")
    assert set(before) == set(after)
    return {
        part
        for name in before
        if (before[name] != after[name]).any()
        for part in ("vision_tower", "projector", "language_model")
        if part in name
    }


# --- training ---------------------------------------------------------------------------------------


def test_sft_trains_on_the_folder_as_it_is(model: Path, dataset: Path, tmp_path: Path) -> None:
    output = train("sft", model, dataset, tmp_path)
    steps = logged(output)
    assert len(steps) == 2
    for step in steps:
        assert math.isfinite(step["loss"])
        assert step["loss"] > 1
        assert step["grad_norm"] > 0
    assert steps[1]["learning_rate"] == pytest.approx(1e-5)
    assert f"Num examples = {rows(dataset, 'sft')}" in output
    assert changed(model, tmp_path / "out") == {"vision_tower", "projector", "language_model"}


def test_grpo_trains_on_the_folder_as_it_is(model: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "my_rewards.py").write_text(REWARD, encoding="utf-8")
    short = {"max_completion_length": "16", "steps_per_generation": "1"}
    rewards = " ".join([*recipe("grpo")["reward_funcs"], "my_rewards.by_length"])
    output = train("grpo", model, dataset, tmp_path, **short, reward_funcs=rewards)
    steps = logged(output)
    assert len(steps) == 2
    for step in steps:
        assert all(math.isfinite(step[name]) for name in ("loss", "reward", "kl"))
        assert step["rewards/mixed_reward/mean"] == 0  # random weights write no answer that can be read
        assert step["mixed_reward/readable"] == 0
        assert step["mixed_reward/unscored"] == 0
        assert any(step.get(f"mixed_reward/{kind}") == 0 for kind in ANSWER_TYPES)
        assert step["rewards/by_length/mean"] > 0
    assert any(step["reward_std"] > 0 for step in steps)
    assert steps[1]["learning_rate"] == pytest.approx(1e-6)
    assert f"Num examples = {rows(dataset, 'rl')}" in output
    assert "no reward for the row" not in output
    assert "rows were kept by another" not in output
    assert changed(model, tmp_path / "out") == {"vision_tower", "projector", "language_model"}


# --- recipes ----------------------------------------------------------------------------------------


def recipe(trainer: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((RECIPES / f"{trainer}.yaml").read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize(
    ("trainer", "classes"),
    [("sft", (ScriptArguments, SFTConfig)), ("grpo", (GRPOScriptArguments, GRPOConfig))],
)
def test_a_recipe_holds_only_what_trl_knows(trainer: str, classes: tuple[type, ...]) -> None:
    known = {f.name: f.type for cls in (*classes, ModelConfig, DatasetMixtureConfig) for f in fields(cls)}
    for name, value in recipe(trainer).items():
        assert name in known
        kind = known[name]  # as it is written, or, once a parser has read the class, the type itself
        text = "str" in str(kind) or (isinstance(kind, type) and issubclass(kind, Enum))
        assert text or not isinstance(value, str), f"{name}: {value!r} is read as text"


def test_the_recipes_batches_are_the_papers_on_eight_gpus() -> None:
    sft, grpo = recipe("sft"), recipe("grpo")
    assert sft["per_device_train_batch_size"] * sft["gradient_accumulation_steps"] * 8 == 128
    assert grpo["per_device_train_batch_size"] * grpo["gradient_accumulation_steps"] * 8 == 256
    samples = grpo["per_device_train_batch_size"] * grpo["steps_per_generation"] * 8
    assert samples == 512 * grpo["num_generations"]


def test_the_recipes_read_the_config_that_is_meant_for_them() -> None:
    assert (recipe("sft")["dataset_config"], recipe("grpo")["dataset_config"]) == ("sft", "rl")


def test_the_recipes_readme_names_only_files_that_are_there() -> None:
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"recipes/([\w.]+)", text))
    files = {"sft.yaml", "grpo.yaml", "sft.py", "grpo.py", "evaluate.py"}
    assert named == files == {p.name for p in RECIPES.iterdir() if p.is_file()} - {"README.md"}
