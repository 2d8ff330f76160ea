"""Does GRPO with the mixed reward teach? Both recipes on a dataset that `build` makes, with a tiny model of fresh weights.

    python tests/benchmarks/grpo.py --place DIR               # three seeds, one Markdown table on stdout
    python tests/benchmarks/grpo.py --place DIR --task demo

1. `build` makes the data without a server; a fifth of the rows go to `validation`, which nothing is trained on.
   `shapes`: 5,000 drawn images of one to three large shapes, and one question, how many there are. 1,500 rows bring a
   one-sentence reasoning with their answer and are adopted into `sft`; the others go to `rl`.
   `demo`: the built-in project as it is, with twelve times as many rows (7,200): five sources, five answer types. Beside
   it, another dataset of 10,000 further scenes of the same kinds, which bring a one-sentence reasoning with their answer.
2. `recipes/sft.py` teaches a LLaVA of fresh weights the form, in few steps, on what is answered in a sentence.
3. `recipes/grpo.py` lets `mixed_reward` teach it the rest, on `rl/train`.
4. `recipes/evaluate.py` reads greedy replies to `rl/validation` before and after. The best constant answer is the one
   that is right most often on these very rows. Held against the answer of the next row of the same answer type, what
   stays right is known without looking.

A seed decides the fresh weights, the order of rows and the draws; the dataset has one of its own. Settings were chosen
on a dataset of another seed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from datasets import load_dataset
from shapes import QUESTION, THOUGHT
from tiny_model import Size, write

from vlaa_thinking import Project, build
from vlaa_thinking.demo import KINDS
from vlaa_thinking.marking import Rules, gold_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
COLLECT = "generators/1_collect.toml"
ROWS = {"taught": ("adopt", 1500), "free": ("rl_only", 3500)}
OWN, TIMES, SEEN = 120, 12, 2000
"""Rows of each of the demo's sources; how many times so many are asked about; and rows of each that are shown."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>")


@dataclass(frozen=True, kw_only=True)
class Data:
    """The folders of two datasets, or twice of one."""

    taught: Path
    """`sft` of it teaches the form."""
    asked: Path
    """`rl` of it is what GRPO learns from, and what is measured."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data, a model that is large enough for them, and how that is trained."""

    data: Callable[[Path, int], Data]
    """Builds them in a folder, from a seed."""
    size: Size
    longest: int
    """Tokens of a reply."""
    corpus: Callable[[Any], list[str]]
    """Chooses among the rows of `sft` what the tokenizer's merges are made for."""
    sft: dict[str, object]
    grpo: dict[str, object]


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
    """Replies after GRPO that are right for the next row of the same answer type."""
    seconds: float
    """SFT, GRPO and the evaluations."""
    curve: list[float]
    """The mean reward of each ten steps of GRPO."""


def main() -> None:
    """Build once, train a model per seed, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="a folder for the dataset and the models")
    parser.add_argument("--task", choices=TASKS, default="shapes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-seed", type=int, default=0, help="of the drawn dataset")
    parser.add_argument("--json", type=Path, help="write the figures as data, too")
    options = parser.parse_args()
    task, place = TASKS[options.task], options.place / options.task
    data = task.data(place, options.data_seed)
    outcomes = []
    for seed in options.seeds:
        with redirect_stdout(sys.stderr):
            outcomes.append(one(seed, task, data, place / f"seed-{seed}"))
        print(asdict(outcomes[-1]), file=sys.stderr, flush=True)
    print(table(outcomes))
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")


def shapes(place: Path, seed: int) -> Data:
    """Build one dataset of easy scenes, for both recipes."""

    def changed(root: Path) -> None:
        tables = {name: f'way = "{way}"\ncount = {count}' for name, (way, count) in ROWS.items()}
        add_sources(root, "shapes:read", tables)

    out = made(place / f"set-{seed}", seed, changed)
    return Data(taught=out, asked=out)


def demo(place: Path, seed: int) -> Data:
    """Build the demo with more rows, for GRPO, and beside it further scenes of its kinds that bring their answer."""
    own = OWN * TIMES

    def changed(root: Path) -> None:
        change(root / COLLECT, rf"^count = {OWN}$", f"count = {own}", times=len(KINDS))

    def seen(root: Path) -> None:
        tables = {kind: f'way = "adopt"\nkind = "{kind}"\nafter = {own}\ncount = {SEEN}' for kind in KINDS}
        add_sources(root, "shapes:answered", tables)

    return Data(
        taught=made(place / f"seen-{seed}", seed, seen), asked=made(place / f"set-{seed}", seed, changed)
    )


def made(out: Path, seed: int, changed: Callable[[Path], None]) -> Path:
    """Build a dataset by a changed copy of the built-in project; what is there already is used again."""
    if not out.exists():
        root = out.with_name(f"project-{out.name}")
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        Project.default().copy(root)
        change(root / "cards/6_curate.toml", r"^validation_share = 0.02$", "validation_share = 0.2")
        changed(root)
        build(Project.open(root), out=out, seed=seed)
    return out


def add_sources(root: Path, reader: str, tables: dict[str, str]) -> None:
    """Have a project read these sources alone, by a reader of shapes.py."""
    shutil.copy(Path(__file__).with_name("shapes.py"), root)
    lines = (
        f'[source.{name}]\nreader = "{reader}"\nlicense = "CC0-1.0"\n{table}\n'
        for name, table in tables.items()
    )
    (root / COLLECT).write_text("\n".join(lines), encoding="utf-8")
    change(root / "generators/models.toml", re.escape(json.dumps([*KINDS])), json.dumps([*tables]))


def change(file: Path, old: str, new: str, *, times: int = 1) -> None:
    """Change all that fits a pattern in a project's file, which it must do so many times."""
    text, count = re.subn(old, lambda _: new, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == times, f"{file.name} holds {old} {count} times"
    file.write_text(text, encoding="utf-8")


def one(seed: int, task: Task, data: Data, folder: Path) -> Outcome:
    """Make a model, teach it the form, then let the reward teach it."""
    start = time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    taught: Any = load_dataset(str(data.taught), "sft", split="train").remove_columns("image")
    write(folder / "fresh", task.size, corpus=task.corpus(taught), tags=TAGS)
    run("sft", folder / "fresh", folder / "sft", data.taught, seed, task.sft)
    before = evaluate(folder / "sft", data.asked, task.longest)
    drawn = {**task.grpo, "max_completion_length": task.longest}
    trainer = run("grpo", folder / "sft", folder / "grpo", data.asked, seed, drawn)
    after = evaluate(folder / "grpo", data.asked, task.longest)
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


def evaluate(model: Path, data: Path, longest: int) -> dict[str, float]:
    """Have a model answer the held-out rows; the shares that are right and readable."""
    out = model / "replies.jsonl"
    named = {"dataset_name": data, "batch": 128, "max_new_tokens": longest, "out": out}
    words = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    report, _ = load("evaluate").main([str(model), *words])
    held: Any = load_dataset(str(data), "rl", split="validation").remove_columns("image")
    rows = list(held)
    said = {line.id: line.answer or "" for line in report.lines}
    following = [
        (row, next(r for r in [*rows[at + 1 :], *rows] if r["answer_type"] == row["answer_type"]))
        for at, row in enumerate(rows)
    ]
    usual = [answer for answer, _ in Counter(row["answer"] for row in rows).most_common(20)]
    return {
        "right": report.total.right / report.total.lines,
        "readable": 1 - report.total.unreadable / report.total.lines,
        "constant": max(fmean(is_right(answer, row) for row in rows) for answer in usual),
        "exchanged": fmean(is_right(said[row["id"]], other) for row, other in following),
    }


RULES = Rules.of()


def is_right(answer: str, row: dict[str, Any]) -> bool:
    """Tell whether an answer is right for a row, by the check of its type."""
    gold = gold_of(row)
    return bool(RULES.is_right(RULES.score(answer, gold), gold))


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


FRESH: dict[str, object] = {"lr_scheduler_type": "constant", "freeze_vision": "false"}
"""The vision encoder is as fresh as the rest."""
DRAWN: dict[str, object] = {
    "per_device_train_batch_size": 128,
    "num_generations": 8,
    "lr_scheduler_type": "linear",
    "temperature": 0.8,
    "beta": 0.0,
}
WHITE = (0.95, 0.95, 0.95)
TASKS = {
    "shapes": Task(
        data=shapes,
        size=Size(side=28, patch=7, hidden=48, layers=2, words=700, whole=True, spread=0.05, ground=WHITE),
        longest=16,
        corpus=lambda rows: [*(turn["content"] for turn in rows[0]["prompt"]), QUESTION, THOUGHT],
        sft={"max_steps": 40, "per_device_train_batch_size": 64, "learning_rate": 2e-3, **FRESH},
        grpo={"max_steps": 250, "learning_rate": 1e-3, **DRAWN},
    ),
    "demo": Task(
        data=demo,
        size=Size(side=56, patch=8, hidden=64, layers=2, words=2000, whole=True, spread=0.05, ground=WHITE),
        longest=32,
        corpus=lambda rows: [
            turn["content"] for row in rows.select(range(4000)) for turn in row["prompt"] + row["completion"]
        ],
        sft={"max_steps": 70, "per_device_train_batch_size": 64, "learning_rate": 2e-3, **FRESH},
        grpo={"max_steps": 600, "learning_rate": 1e-3, **DRAWN},
    ),
}

if __name__ == "__main__":
    main()
