"""Does GRPO with the mixed reward teach? Both recipes on a dataset of easy scenes, with a tiny model of fresh weights.

    python tests/benchmarks/grpo.py --place DIR          # three seeds, one Markdown table on stdout

1. `build` makes a dataset without a model: 5,000 drawn images of one to three large shapes, and one question, how many
   there are. 1,500 rows bring a one-sentence reasoning with their answer and are adopted into `sft`; the others go
   to `rl`, a fifth of them to its `validation`, which nothing is trained on.
2. `recipes/sft.py` teaches a LLaVA of fresh weights the form, in few steps.
3. `recipes/grpo.py` lets `mixed_reward` teach it the rest, on `rl/train`.
4. `recipes/evaluate.py` reads greedy replies to `rl/validation` before and after. The best constant answer is the one
   that is right most often on these very rows. Held against the next row's answer, what stays
   right is known without looking.

A seed decides the fresh weights, the order of rows and the draws; the dataset has one of its own. Settings were chosen
on a dataset of another seed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from datasets import load_dataset
from shapes import QUESTION, THOUGHT
from tiny_model import Size, write

from vlaa_thinking import Project, build

ROOT = Path(__file__).parents[2]
ROWS = {"taught": ("adopt", 1500), "free": ("rl_only", 3500)}
SIZE = Size(
    side=28, patch=7, hidden=48, layers=2, words=700, whole=True, spread=0.05, ground=(0.95, 0.95, 0.95)
)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
SFT: dict[str, object] = {
    "max_steps": 40,
    "per_device_train_batch_size": 64,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "freeze_vision": "false",  # it is as fresh as the rest
}
GRPO: dict[str, object] = {
    "max_steps": 250,
    "per_device_train_batch_size": 128,
    "num_generations": 8,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "linear",
    "temperature": 0.8,
    "beta": 0.0,
    "max_completion_length": 16,
}
COMMON: dict[str, object] = {
    "use_cpu": "true",
    "bf16": "false",
    "activation_checkpointing": "false",
    "logging_steps": 10,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": "true",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one seed came to; each figure but the last two is a share of the held-out rows."""

    seed: int
    constant: float
    readable: float
    """Of the greedy replies before GRPO."""
    readable_drawn: float
    """Of the replies drawn in the first ten steps of GRPO."""
    before: float
    after: float
    exchanged: float
    """Replies after GRPO that are right for the next row: every row asks the same, so only the image tells them apart."""
    seconds: float
    """SFT, GRPO and the evaluations."""
    curve: list[float]
    """The mean reward of each ten steps of GRPO."""


def main() -> None:
    """Build once, train a model per seed, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="a folder for the dataset and the models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-seed", type=int, default=0, help="of the drawn dataset")
    parser.add_argument("--json", type=Path, help="write the figures as data, too")
    options = parser.parse_args()
    data = dataset(options.place, options.data_seed)
    outcomes = []
    for seed in options.seeds:
        with redirect_stdout(sys.stderr):
            outcomes.append(one(seed, data, options.place / f"seed-{seed}"))
        print(asdict(outcomes[-1]), file=sys.stderr, flush=True)
    print(table(outcomes))
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")


def dataset(place: Path, seed: int) -> Path:
    """Build the dataset by the built-in project with other sources; what is there already is used again."""
    root = place / "project"
    if not root.exists():
        place.mkdir(parents=True, exist_ok=True)
        Project.default().copy(root)
        shutil.copy(Path(__file__).with_name("shapes.py"), root)
        sources = (
            f'[source.{name}]\nreader = "shapes:read"\nlicense = "CC0-1.0"\nway = "{way}"\ncount = {count}\n'
            for name, (way, count) in ROWS.items()
        )
        (root / "generators/1_collect.toml").write_text("\n".join(sources), encoding="utf-8")
        for name, old, new in (
            (
                "generators/models.toml",
                '["counting", "bars", "lines", "boxes", "forms"]',
                json.dumps([*ROWS]),
            ),
            ("cards/6_curate.toml", "validation_share = 0.02", "validation_share = 0.2"),
        ):
            text = (root / name).read_text(encoding="utf-8")
            assert old in text, f"{name} no longer holds {old}"
            (root / name).write_text(text.replace(old, new), encoding="utf-8")
    out = place / f"set-{seed}"
    build(Project.open(root), out=out, seed=seed)
    return out


def one(seed: int, data: Path, folder: Path) -> Outcome:
    """Make a model, teach it the form, then let the reward teach it."""
    start = time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    turns = load_dataset(str(data), "sft", split="train")[0]["prompt"]
    corpus = [*(turn["content"] for turn in turns), QUESTION, THOUGHT]
    write(folder / "fresh", SIZE, corpus=corpus, tags=TAGS)
    run("sft", folder / "fresh", folder / "sft", data, seed, SFT)
    before = evaluate(folder / "sft", data)
    trainer = run("grpo", folder / "sft", folder / "grpo", data, seed, GRPO)
    after = evaluate(folder / "grpo", data)
    steps = [line for line in trainer.state.log_history if "reward" in line]
    return Outcome(
        seed=seed,
        constant=before["constant"],
        readable=before["readable"],
        readable_drawn=steps[0]["mixed_reward/readable"],
        before=before["right"],
        after=after["right"],
        exchanged=after["exchanged"],
        seconds=time.perf_counter() - start,
        curve=[line["reward"] for line in steps],
    )


def run(recipe: str, model: Path, out: Path, data: Path, seed: int, settings: dict[str, object]) -> Any:
    """Run a recipe as its command line would; returns its trainer."""
    named = {
        "dataset_name": data,
        "model_name_or_path": model,
        "output_dir": out,
        "seed": seed,
        **COMMON,
        **settings,
    }
    return load(recipe).main([word for name, value in named.items() for word in (f"--{name}", str(value))])


def evaluate(model: Path, data: Path) -> dict[str, float]:
    """Have a model answer the held-out rows; the shares that are right and readable."""
    out = model / "replies.jsonl"
    words = [
        str(model),
        "--dataset_name",
        str(data),
        "--batch",
        "128",
        "--max_new_tokens",
        "16",
        "--out",
        str(out),
    ]
    report, _ = load("evaluate").main(words)
    said = [line.answer for line in report.lines]
    held: Any = load_dataset(str(data), "rl", split="validation")
    gold = dict(zip(held["id"], held["answer"], strict=True))
    answers = [gold[line.id] for line in report.lines]
    return {
        "right": report.total.right / report.total.lines,
        "readable": 1 - report.total.unreadable / report.total.lines,
        "constant": Counter(answers).most_common(1)[0][1] / len(answers),
        "exchanged": sum(a == b for a, b in zip(said, answers[1:] + answers[:1], strict=True)) / len(answers),
    }


def load(recipe: str) -> Any:
    """Import a recipe: a script, and no package's."""
    name = f"recipe_{recipe}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, ROOT / "recipes" / f"{recipe}.py")
        assert spec
        assert spec.loader
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def table(outcomes: list[Outcome]) -> str:
    """Write the outcomes as Markdown."""
    head = "| seed | best constant | readable before | drawn | right before | right after | image exchanged | rises above both | minutes |"
    lines = [head, "|--:|--:|--:|--:|--:|--:|--:|---|--:|"]
    for o in outcomes:
        figures = (o.constant, o.readable, o.readable_drawn, o.before, o.after, o.exchanged)
        rises = "yes" if o.after > max(o.constant, o.before) else "no"
        shares = " | ".join(f"{figure:.1%}" for figure in figures)
        lines.append(f"| {o.seed} | {shares} | {rises} | {o.seconds / 60:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
