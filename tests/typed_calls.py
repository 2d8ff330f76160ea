"""Calls as users write them: read by mypy and pyright, and run by test_api.py where that is cheap."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import assert_type

from vlaa_thinking import (
    LLM,
    Audit,
    BuildResult,
    CacheStats,
    Completion,
    Diff,
    Difficulty,
    Explanation,
    Finding,
    Garbage,
    Gold,
    ImportResult,
    Outcome,
    Plan,
    Preview,
    Project,
    Publication,
    Rebuild,
    Record,
    Request,
    Row,
    Run,
    Score,
    Shard,
    SourceFacts,
    SourceSample,
    Trace,
    abuild,
    audit,
    build,
    build_on_ray,
    cache_gc,
    cache_stats,
    diff,
    difficulty,
    explain,
    import_release,
    list_sources,
    merge,
    plan,
    preview,
    publish,
    rebuild,
    schema,
    show,
    show_source,
)
from vlaa_thinking.checks import Check
from vlaa_thinking.counts import Counts
from vlaa_thinking.llm import State, Usage
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.sources import Source


async def my_model(request: Request, /) -> Completion:
    """Answer in the plain form."""
    asked: str = request.messages[-1].text
    if request.role == "captioner":
        image = request.messages[-1].images[0]
        return Completion.of(
            f"A {image.format} of {image.width} by {image.height}, {len(image.read())} bytes."
        )
    if request.role == "judge":
        return Completion.of(
            '{"reason": "They are the same.", "verdict": "yes"}', usage=Usage(input_tokens=9)
        )
    return Completion.of(f"<answer>{len(asked)}</answer>", reasoning="I count the letters.")


class MyServer:
    """A model with state; its answers are cached under its identity."""

    identity = "my-server/1"

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, request: Request, /) -> Completion:
        self.calls += 1
        state: State = "ok" if request.sample == 0 else "truncated"
        return Completion.of("42", reasoning="Six by seven.", state=state, detail="stop")


def read(at: Source, *, path: str, limit: int = 3) -> Iterator[Row]:
    """Read rows of one's own, as `reader = "typed_calls:read"` names it."""
    for number in range(limit):
        yield Row(
            id=f"{at.name}-{number}",
            image=at.root / path,
            question=f"Which of the {number + 2}?",
            answer="A",
            answer_type="choice",
            choices=("this", "that"),
        )


def check(prediction: str, gold: Gold) -> Score:
    """Score as one likes, as `check = "typed_calls:check"` names it."""
    if not prediction:
        return Score(value=None, reason="There is nothing to score.")
    return Score(value=float(prediction == gold.answer), reason="The same string, or not.")


def watch(counts: Counts) -> None:
    """Look at a build while it runs."""
    print(counts.rows_ended, counts.expected, counts.made, counts.spared, counts.steps["distill"].under_way)


def every_argument(project: Project) -> BuildResult:
    """Build with all that can be said."""
    fake = Fake(lambda request: f"You asked: {request.messages[-1].text}", identity="fake/1")
    llms: Mapping[str, LLM] = {
        "captioner": my_model,
        "reasoner": MyServer(),
        "rewriter": fake,
        "judge": Fake(lambda _: Completion.of("no", state="refused")),
    }
    run = Run(preset="paper", replace=True, cache=Path("answers.sqlite"), budget=None, watch=watch)
    result = build(project, out=Path("set"), profile="offline", limit=20, seed=1, llms=llms, run=run)
    assert_type(result.out, Path | None)
    assert_type(result.kept, int)
    assert_type(result.exit_code, int)
    return result


def few_arguments() -> int:
    """Build with as little as can be said."""
    result = build(Project.default())
    for step in result.funnel.steps:
        print(step.step, step.rows_in, step.rows_out, step.dropped, step.failed)
    return build(Project.open("my-project"), out="set", llms={"reasoner": my_model}).funnel.rows


async def in_a_notebook() -> BuildResult:
    """Build where a loop is running already."""
    return await abuild(
        Project.default().copy("mine"),
        out="set",
        profile=None,
        limit=None,
        seed=None,
        llms={"judge": my_model},
        run=Run(),
    )


def look(row_id: str) -> list[str]:
    """Read a row's way again."""
    traces: list[Trace] = show(row_id, out="set")
    record: Record = traces[0].record
    outcome: Outcome | None = record.outcome
    print(outcome.code if outcome else "", record.gold.answer, record.score)
    return [e.completion.text for trace in traces for e in trace.exchanges if e.completion is not None]


def before_a_build(project: Project) -> list[str]:
    """Look at where the rows come from."""
    for facts in list_sources(project, preset="paper", timeout=5.0):
        assert_type(facts, SourceFacts)
        print(facts.name, facts.license, facts.rows, facts.reachable, facts.reason)
    sample: SourceSample = show_source(project, "counting", n=3, sheet=Path("counting.png"))
    return [row.question for row in sample.rows]


def before_and_after(project: Project) -> list[str]:
    """Ask what a build will cost, and what its cache holds."""
    foretold: Plan = plan(
        project, out="set", profile="offline", limit=20, seed=1, llms={}, sample=2, run=Run()
    )
    held: CacheStats = cache_stats(out="set")
    why: Explanation = explain("counting/0001:distill", "counting/0002:distill", out=Path("set"))
    unused: Garbage = cache_gc([project], out="set", profiles=["offline"], delete=False)
    return [repr(foretold), str(held.bytes), why.a, repr(unused)]


def how_hard(project: Project) -> dict[str, float]:
    """Measure a finished folder by the model that one means to train."""
    found: Difficulty = difficulty(
        Path("set"), project, profile="offline", limit=10, llms={"policy": my_model}, run=Run(budget=1.0)
    )
    print(found.rows, found.failed, found.exit_code, found.spent)
    assert_type(found.file, Path)
    return difficulty("set").rates["rl"]


def from_the_authors() -> dict[str, int]:
    """Read the released files."""
    found: ImportResult = import_release("VLAA-Thinking", check=True)
    print({defect.code: defect.rows for defect in found.defects}, found.missing)
    made = import_release(
        Path("VLAA-Thinking"), out="set", project=Project.default(), embed=False, replace=True, watch=print
    )
    assert_type(made.out, Path | None)
    return made.kept


def judge_a_folder(project: Project) -> dict[str, object]:
    """Check a finished dataset, compare it, look at it."""
    checked: Audit = audit("set", project=project)
    for finding in checked.findings:
        assert_type(finding, Finding)
        print(finding.code, finding.what, finding.count, finding.examples)
    compared: Diff = diff("set-1", Path("set"))
    if compared.part:
        print(compared.after("1.0.0"), compared.changelog())
    page: Preview = preview(Path("set"), out="set.html", rows=100)
    print(page.file, page.bytes, checked.exit_code)
    return {config: schema(config)["properties"] for config in ("sft", "rl", "rejected")}


def make_it_again(project: Project) -> list[str]:
    """Make a finished dataset again, from what is stored."""
    made: Rebuild = rebuild("set", project, out=Path("set-again"), cache=None, replace=False)
    assert_type(made.out, Path | None)
    print(made.identical, made.rows, made.answers, made.differing, made.versions, made.exit_code)
    return [f"{each.row} {each.step}" for each in rebuild(Path("set")).missing]


def pass_it_on() -> str:
    """Publish a version, after a look at what it would change."""
    planned: Publication = publish("org/set", "set", version="1.1.0", dry_run=True)
    print(planned.last, planned.changelog, planned.removed, planned.diff and planned.diff.part)
    made = publish(
        "org/set",
        Path("set"),
        version="1.1.0",
        public=True,
        onto="0123abc",
        date=date(2026, 1, 31),
        watch=print,
    )
    assert_type(made.warnings, tuple[str, ...])
    assert_type(made.commit, str | None)
    return made.tag


def in_parts(project: Project, out: Path) -> BuildResult:
    """Build in two parts, and bring them together."""
    for number in (1, 2):
        part = build(project, out=out, limit=4, run=Run(shard=Shard(number=number, count=2)))
        folder: Path | None = part.shard
        assert folder
        assert part.funnel.waiting <= part.funnel.rows
    return assert_type(merge(out=out), BuildResult)


def on_a_cluster(project: Project, out: Path) -> BuildResult:
    """Let Ray carry eight parts over its nodes."""
    return build_on_ray(project, out=out, shards=8, run=Run(work="s3://bucket/run", budget=20.0))


async def streaming(request: Request, /) -> AsyncIterator[str]:
    """No `LLM`: it gives pieces and no completion."""
    yield request.step


my_check: Check = check
my_llm: LLM = my_model
not_an_llm: LLM = streaming  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
build(Project.default(), llms={"judge": len}) if __name__ == "never" else None  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
