# /// script
# requires-python = ">=3.11"
# dependencies = ["vlaa-thinking", "torch>=2.13", "trl>=1.16", "accelerate>=1.15", "peft>=0.21"]
# ///
r"""The paper's question in miniature: whether SFT on imitated traces harms the GRPO that follows.

    python recipes/miniature/run.py --place DIR                                # every arm and seed, one after another
    python recipes/miniature/run.py --place DIR --arms sft-grpo --seeds 2      # one of them
    python recipes/miniature/plot.py DIR                                       # table, result.csv and result.png

1. Two builds: `seen`, drawn scenes that are answered in a word, and `asked`, scenes whose reasoning the demo's teacher
   wrote from a caption; as in the paper, traces with a cue of self-reflection are in `rl`, those without in `sft`.
2. The base of a seed: a LLaVA of fresh weights that recipes/sft.py teaches, on `seen`, to see and to answer.
3. From the base, the arms: GRPO alone on `rl`, SFT alone on `sft`, and SFT, then GRPO. Every step of either is on 128
   replies: 128 traces, or 8 draws to each of 16 prompts.
4. Every few steps the model answers the held-out rows of `rl`, greedily and drawn; one line of points.csv each.

What is there already is not made again; `sft-grpo` takes the first steps of `sft`. A run uses one core, and once the bases
are there several may share DIR, each for a seed of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from datasets import load_dataset
from model import write
from scenes import THOUGHTS

from vlaa_thinking import Project, build

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
COUNTS = {"seen": 4000, "asked": 5000}
"""Scenes drawn for each build."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How many steps each stage takes."""

    base: int = 100
    arm: int = 150
    sft: int = 75
    """Of an arm's steps, those of SFT where GRPO follows."""
    every: int = 25
    """Between two measurements."""
    held: int | None = None
    """Ask about the first so many held-out rows."""


SPENT = "core-seconds.txt"
"""In the folder of a stage that is done."""
ARMS = {"grpo": ("grpo",), "sft": ("sft",), "sft-grpo": ("sft", "grpo")}
"""The stages from the base on."""
COMMON: dict[str, object] = {
    "per_device_train_batch_size": 128,
    "lr_scheduler_type": "constant",
    "use_cpu": "true",
    "bf16": "false",
    "activation_checkpointing": "false",
    "logging_steps": 10,
    "report_to": "none",
    "disable_tqdm": "true",
}
RECIPES: dict[str, dict[str, object]] = {
    "sft": {"learning_rate": 2e-3, "freeze_vision": "false"},  # it is as fresh as the rest
    "grpo": {
        "learning_rate": 6e-4,
        "num_generations": 8,
        "temperature": 0.8,
        "beta": 0.0,
        "max_completion_length": 96,
    },
}


Stop = tuple[str, Path, int, float]
"""A model on an arm's way: the stage that trained it last, its folder, steps and core-seconds since the base."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model measured; shares are of the held-out rows, and all but `accuracy` is of one reply drawn to each."""

    arm: str
    seed: int
    stage: str
    """What trained it last: base, sft or grpo."""
    step: int
    """Steps since the base."""
    constant: float
    """The share of the held-out rows whose answer is the most frequent one."""
    accuracy: float
    """Right, answered greedily."""
    reward: float
    """Right, drawn: the mean of the mixed reward, which for digits is 0 or 1."""
    readable: float
    cut: float
    """At the longest reply."""
    words: float
    """A reply's mean length."""
    cues: float
    """Phrases of verifiers/cues.toml, to a reply."""
    seconds: float
    """Of one core, spent on training since the base."""


def main(argv: Sequence[str] | None = None, lengths: Lengths = Lengths()) -> None:
    """Make what is missing: the builds, the seeds' bases, their arms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="a folder for datasets and models")
    parser.add_argument(
        "--arms", nargs="*", choices=ARMS, default=list(ARMS), help="none: only what they start from"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-seed", type=int, default=0, help="of the drawn scenes")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = {name: dataset(options.place, name, options.data_seed) for name in COUNTS}
    for seed in options.seeds:
        folder = options.place / f"seed-{seed}"
        start = base(folder, seed, data, lengths)
        for arm in options.arms:
            if not (folder / arm / "points.csv").exists():
                run_arm(arm, seed, start, data["asked"], lengths)


def dataset(place: Path, name: str, seed: int) -> Path:
    """Build a dataset by the built-in project with one source, a reader of scenes.py; returns its folder."""
    out = place / f"{name}-{seed}"
    if out.exists():
        return out
    root = place / f"project-{name}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    Project.default().copy(root)
    shutil.copy(HERE / "scenes.py", root)
    way = "adopt" if name == "seen" else "full"
    (root / "generators/1_collect.toml").write_text(
        f'[source.{name}]\nreader = "scenes:{name}"\nlicense = "CC0-1.0"\nway = "{way}"\ncount = {COUNTS[name]}\n',
        encoding="utf-8",
    )
    changes = [
        ("generators/models.toml", r'sources = \["counting".*\]', f'sources = ["{name}"]'),
        ("cards/6_curate.toml", r"validation_share = .*", "validation_share = 0.25"),
    ]
    if name == "seen":  # a row with a cue is to be learnt, too
        changes.append(("verifiers/cues.toml", r"phrases = \[.*\]", "phrases = []"))
    for file, old, new in changes:
        text, count = re.subn(old, new, (root / file).read_text(encoding="utf-8"), count=1)
        assert count == 1, f"{file} no longer holds {old}"
        (root / file).write_text(text, encoding="utf-8")
    build(Project.open(root), out=out, seed=seed)
    return out


def base(folder: Path, seed: int, data: dict[str, Path], lengths: Lengths) -> Path:
    """Teach fresh weights to see; returns the model's folder."""
    out = folder / "base"
    if (out / SPENT).exists():
        return out
    torch.manual_seed(seed)
    rows: Any = load_dataset(str(data["asked"]), "sft", split="train")
    turns = [
        turn["content"]
        for row in rows.select_columns(["prompt", "completion"])
        for turn in (*row["prompt"], *row["completion"])
    ]
    write(folder / "fresh", [*turns, *THOUGHTS * 1000])
    train("sft", folder / "fresh", out, data["seen"], seed, lengths.base, lengths.base)
    return out


def run_arm(arm: str, seed: int, start: Path, data: Path, lengths: Lengths) -> None:
    """Train what the arm lacks, then measure every checkpoint on its way, the base first.

    SFT before GRPO is the beginning of SFT alone, which is trained but once.
    """
    folder = start.parent / arm
    measured: list[Stop] = [("base", start, 0, 0.0)]
    for stage in ARMS[arm]:
        out = start.parent / stage / stage if arm == "sft-grpo" and stage == "sft" else folder / stage
        before, spent = measured[-1][2:]
        steps = lengths.arm - before
        took = train(stage, measured[-1][1], out, data, seed, steps, lengths.every)
        last = lengths.sft if stage != ARMS[arm][-1] else steps
        measured += [
            (stage, out / f"checkpoint-{step}", before + step, spent + took * step / steps)
            for step in range(lengths.every, last + 1, lengths.every)
        ]
    folder.mkdir(exist_ok=True)
    points = [
        Point(
            arm=arm,
            seed=seed,
            stage=stage,
            step=step,
            seconds=round(seconds, 1),
            **measure(model, data, lengths.held),
        )
        for stage, model, step, seconds in measured
    ]
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)


def train(recipe: str, model: Path, out: Path, data: Path, seed: int, steps: int, every: int) -> float:
    """Run a recipe as its command line would, with a checkpoint every few steps; returns the core-seconds that it took."""
    if (out / SPENT).exists():
        return float((out / SPENT).read_text(encoding="utf-8"))
    named = {
        "dataset_name": data,
        "model_name_or_path": model,
        "output_dir": out,
        "seed": seed,
        "max_steps": steps,
        "save_strategy": "steps",
        "save_steps": every,
        **COMMON,
        **RECIPES[recipe],
    }
    script, begun = load(recipe), time.process_time()
    script.main([word for name, value in named.items() for word in (f"--{name}", str(value))])
    took = time.process_time() - begun
    (out / SPENT).write_text(f"{took:.1f}", encoding="utf-8")
    return took


def measure(model: Path, data: Path, held: int | None) -> dict[str, float]:
    """Have a model answer the held-out rows, greedily and drawn."""
    words = [str(model), "--dataset_name", str(data), "--batch", "256", "--device", "cpu"]
    words += ["--max_new_tokens", str(RECIPES["grpo"]["max_completion_length"])]
    words += ["--limit", str(held)] if held else []
    greedy, _ = load("evaluate").main([*words, "--out", str(model / "greedy.jsonl")])
    heat = ["--temperature", str(RECIPES["grpo"]["temperature"])]
    drawn, cut = load("evaluate").main([*words, *heat, "--out", str(model / "drawn.jsonl")])
    phrases = sorted(Project.default().settings().cues.phrases, key=len, reverse=True)
    cue = re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)
    lines = (model / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
    replies = [json.loads(line)["completion"] for line in lines]
    rows: Any = load_dataset(str(data), "rl", split="validation")
    answers = rows["answer"][:held]
    found = {
        "constant": Counter(answers).most_common(1)[0][1] / len(answers),
        "accuracy": greedy.total.right / greedy.total.lines,
        "reward": drawn.total.right / drawn.total.lines,
        "readable": 1 - drawn.total.unreadable / drawn.total.lines,
        "cut": cut,
        "words": fmean(len(re.findall(r"\w+", reply)) for reply in replies),
        "cues": fmean(len(cue.findall(reply)) for reply in replies),
    }
    return {name: round(value, 4) for name, value in found.items()}


def load(recipe: str) -> Any:  # noqa: ANN401 - a module
    """Import a recipe of the folder above: a script, and no package's."""
    name = f"recipe_{recipe}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, HERE.parent / f"{recipe}.py")
        assert spec
        assert spec.loader
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


if __name__ == "__main__":
    main()
