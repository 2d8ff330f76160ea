"""How hard are the rows of a finished folder for a model? The policy is asked later, and the folder is left as it is.

The requests are those of a build with that policy: once it stands in the profile, a build fills in the column
`policy_pass_rate` from these answers, and pays for none of them again.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlaa_thinking.background import Background
from vlaa_thinking.dataset import CONFIGS
from vlaa_thinking.errors import NoReply, OutputError, SetupError
from vlaa_thinking.figures import spread_of_rates
from vlaa_thinking.marking import gold_of
from vlaa_thinking.pipeline import first_failure, watched
from vlaa_thinking.places import MANIFEST, Places
from vlaa_thinking.project import Project
from vlaa_thinking.record import Picture, Record
from vlaa_thinking.result import Run
from vlaa_thinking.setup import Options, made_ready
from vlaa_thinking.steps.policy import measure
from vlaa_thinking.stop import run_to_end
from vlaa_thinking.trace import note_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vlaa_thinking.llm import LLM
    from vlaa_thinking.setup import Setup
    from vlaa_thinking.steps import Context

LOT = 64
"""Rows that are read at a time."""

COLUMNS = [
    "image", "prompt", "id", "source", "source_id", "source_license", "question", "answer", "answer_type", "answers",
    "choices", "boxes",
]  # fmt: skip
"""What is read of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """What `difficulty` found."""

    file: Path
    """JSON Lines: id, config, split and policy_pass_rate of each row, in the folder's order."""
    rows: int
    failed: int
    """Rows whose model gave no reply: they are not in the file, the next run tries them again."""
    rates: dict[str, dict[str, float]]
    """By config: how many rows were measured, their mean pass rate, how many have none or all draws right."""
    spent: float
    """US dollars, as far as prices are known."""

    @property
    def exit_code(self) -> int:
        """0: every row measured, or no rule can score it; 3: some failed, run again."""
        return 3 if self.failed else 0


def difficulty(
    folder: Path | str,
    project: Project | None = None,
    *,
    profile: str | None = None,
    limit: int | None = None,
    llms: Mapping[str, LLM] | None = None,
    run: Run | None = None,
) -> Difficulty:
    """Ask the policy of a profile about the rows of a dataset folder, and write their pass rates beside it.

    Without `project`, the one that the folder was built from here. `limit` takes that many rows of each split, the
    first, which are a random sample. Raises `SetupError` where the folder is none, or nobody plays the policy.
    """
    places = Places(folder)
    if not (places.out / MANIFEST).is_file():
        raise OutputError(f"{places.out} is no finished dataset folder: it holds no {MANIFEST}")
    if project is None:
        note = note_of(places)
        project, profile = Project.open(note["project"]), profile or note["profile"]
    options = Options(
        project=project,
        out=folder,
        profile=profile,
        limit=limit,
        seed=None,
        llms=llms,
        run=run or Run(),
        ctrl_c=True,
    )
    return run_to_end(_difficulty(options))


async def _difficulty(options: Options) -> Difficulty:
    async with made_ready(options, roles=("policy", "judge")) as setup:
        players = setup.context.players
        if "policy" not in players:
            raise SetupError(
                f'the profile "{setup.settings.profile}" has no policy: name the model that is to be trained as '
                "`policy` in generators/models.toml"
            )
        lines = await setup.stop.watch(_measure_all(setup, options.limit), setup.context.gates)
        file = setup.places.work / "difficulty.jsonl"
        part = file.with_suffix(".part")
        part.write_text(
            "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines if line), encoding="utf-8"
        )
        part.replace(file)
        rates: dict[str, Counter[float]] = {}
        for line in lines:
            if line and line["policy_pass_rate"] is not None:
                rates.setdefault(line["config"], Counter())[line["policy_pass_rate"]] += 1
        return Difficulty(
            file=file,
            rows=len(lines),
            failed=lines.count(None),
            rates={config: found for config, c in rates.items() if (found := spread_of_rates(c))},
            spent=setup.counts.spent,
        )


async def _measure_all(setup: Setup, limit: int | None) -> list[dict[str, Any] | None]:
    """Measure every row, a bounded window of them at once; None for a row that failed."""
    # The prompt is the row's own, as it was published.
    prompt = replace(setup.settings.prompts["curate"], system="{{system}}", user="{{question}}")
    settings = replace(setup.settings, prompts={**setup.settings.prompts, "curate": prompt})
    context = replace(setup.context, settings=settings)
    room = asyncio.Semaphore(context.players["policy"].model.room)
    lines: list[dict[str, Any] | None] = []

    async def one(place: int, row: _Row) -> None:
        try:
            async with setup.ending_whole():
                lines[place] = await _measured(row, context)
        finally:
            room.release()
        setup.counts.steps["verify"].done += lines[place] is not None
        setup.counts.steps["verify"].failed += lines[place] is None

    rows = _rows(setup, limit)
    try:
        async with (
            watched(setup.run, setup.counts),
            Background() as background,
            asyncio.TaskGroup() as group,
        ):
            while (row := await background.do(next, rows, None)) is not None:
                if setup.counts.asking:
                    background.step_back()
                await room.acquire()
                lines.append(None)
                setup.counts.steps["collect"].done += 1
                group.create_task(one(len(lines) - 1, row))
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None
    setup.images.settle()
    return lines


async def _measured(row: _Row, context: Context) -> dict[str, Any] | None:
    """Measure one row; None where it gets no reply."""
    try:
        record = await measure(row.record, context, row.values)
    except NoReply:
        return None
    return {
        "id": record.id,
        "config": row.config,
        "split": row.part,
        "policy_pass_rate": record.policy_pass_rate,
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the folder, made a record again, with its prompt."""

    config: str
    part: str
    record: Record
    values: Mapping[str, str]


def _rows(setup: Setup, limit: int | None) -> Iterator[_Row]:
    """Read the rows of `sft` and `rl` in the folder's order, the first `limit` of each split."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    for config, parts in CONFIGS.items():
        for part in parts if config != "rejected" else ():
            left = limit
            for file in sorted((setup.places.out / config).glob(f"{part}-*.parquet")):
                # What is buffered ahead is kept until the end: the images, here.
                with pq.ParquetFile(file, pre_buffer=False) as opened:
                    for batch in opened.iter_batches(batch_size=LOT, columns=COLUMNS):
                        rows = batch.to_pylist()[:left]
                        left = None if left is None else left - len(rows)
                        for row in rows:
                            yield _Row(config, part, _record(row, setup), _values(row))


def _record(row: Mapping[str, Any], setup: Setup) -> Record:
    picture = setup.images.add(row["image"]["bytes"])
    if not isinstance(picture, Picture):
        raise OutputError(f"the row {row['id']} cannot be measured: {picture.reason}")
    return Record(
        id=row["id"],
        source=row["source"],
        source_id=row["source_id"],
        source_license=row["source_license"],
        question=row["question"],
        gold=gold_of(row),
        picture=picture,
    )


def _values(row: Mapping[str, Any]) -> dict[str, str]:
    system, user = (turn["content"] for turn in row["prompt"])
    return {"system": system, "question": user}
