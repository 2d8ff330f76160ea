"""The names that users import, and the ways in which their programs call them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typed_calls
from PIL import Image

import vlaa_thinking
from vlaa_thinking import BuildResult, Project, abuild, build, plan, show
from vlaa_thinking.errors import SetupError

NAMES = [
    "LLM",
    "Audit",
    "BatchFacts",
    "BuildResult",
    "BuildStatus",
    "CacheLine",
    "CacheStats",
    "Completion",
    "DefectCount",
    "Diff",
    "Difference",
    "Difficulty",
    "DryBuild",
    "Explanation",
    "Finding",
    "Garbage",
    "Gold",
    "ImportResult",
    "ImportedFile",
    "MissingAnswer",
    "Outcome",
    "Plan",
    "Preview",
    "Project",
    "Publication",
    "Rebuild",
    "Record",
    "Request",
    "Row",
    "Run",
    "Score",
    "ScoreReport",
    "ScoredLine",
    "Shard",
    "SourceFacts",
    "SourceSample",
    "Tally",
    "Trace",
    "abuild",
    "audit",
    "build",
    "build_on_ray",
    "cache_gc",
    "cache_stats",
    "diff",
    "difficulty",
    "explain",
    "import_release",
    "list_sources",
    "merge",
    "plan",
    "preview",
    "publish",
    "rebuild",
    "schema",
    "score",
    "show",
    "show_source",
    "status",
]
"""In ruff's order: constants, classes, functions."""


def test_the_public_names_are_these() -> None:
    assert vlaa_thinking.__all__ == NAMES
    kinds = [(not name.isupper(), not name[0].isupper(), name) for name in vlaa_thinking.__all__]
    assert kinds == sorted(kinds)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_can_be_imported(name: str) -> None:
    found = getattr(vlaa_thinking, name)
    assert found.__name__ == name
    assert found.__module__.startswith("vlaa_thinking.")
    assert found.__doc__


def test_a_star_import_gives_them_all_and_nothing_else() -> None:
    space: dict[str, object] = {}
    exec("from vlaa_thinking import *", space)
    assert set(space) - {"__builtins__"} == set(NAMES)


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        _ = vlaa_thinking.biuld  # pyright: ignore[reportAttributeAccessIssue]


def test_calls_as_users_write_them_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = typed_calls.every_argument(Project.default())
    assert result.funnel.rows == 20
    assert result.funnel.dropped == 20  # these models know nothing


def test_a_source_and_a_check_of_one_s_own(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    Image.new("RGB", (8, 8)).save(tmp_path / "p/one.png")
    (tmp_path / "p/generators/1_collect.toml").write_text(
        '[source.mine]\nreader = "typed_calls:read"\npath = "one.png"\nlimit = 2\n'
    )
    models = (tmp_path / "p/generators/models.toml").read_text()
    old = 'sources = ["counting", "bars", "lines", "boxes", "forms"]'
    (tmp_path / "p/generators/models.toml").write_text(models.replace(old, 'sources = ["mine"]'))
    choice = tmp_path / "p/verifiers/choice.toml"
    choice.write_text(choice.read_text().replace("vlaa_thinking.checks.choice:check", "typed_calls:check"))
    result = build(
        project, out=tmp_path / "out", llms=dict.fromkeys(("captioner", "reasoner"), typed_calls.my_model)
    )
    assert result.funnel.rows == 2
    assert result.funnel.steps[4].dropped == {"wrong_answer": 2}


def test_build_in_a_running_loop_says_what_to_use(tmp_path: Path) -> None:
    async def notebook() -> BuildResult:
        return build(Project.default(), out=tmp_path / "out", limit=2)

    with pytest.raises(SetupError, match=r"`await abuild\(\.\.\.\)`") as caught:
        asyncio.run(notebook())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.work").exists()


def test_abuild_runs_in_a_loop_beside_others(tmp_path: Path) -> None:
    async def notebook() -> tuple[BuildResult, BuildResult]:
        first = abuild(Project.default(), out=tmp_path / "a", limit=4)
        return await asyncio.gather(first, abuild(Project.default(), out=tmp_path / "b", limit=4))

    first, second = asyncio.run(notebook())
    assert (first.funnel.rows, second.funnel.rows) == (4, 4)
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


SCRIPT = """\
import vlaa_thinking
print("starts", flush=True)
result = vlaa_thinking.build(vlaa_thinking.Project.default(), out="set", limit=10)
print("kept", result.kept, "of", result.funnel.rows)
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_script_without_a_main_guard_builds(tmp_path: Path, way: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py" if way == "file" else "-"],
        cwd=tmp_path,
        env=environment,
        input=SCRIPT if way == "stdin" else "",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Once: math is checked in a worker process, which must not run the script again.
    assert done.stdout.count("starts") == 1
    assert " of 10" in done.stdout
    assert done.stderr == ""
    assert (tmp_path / "set/manifest.json").is_file()


def test_plan_and_show_work_where_an_event_loop_runs(tmp_path: Path) -> None:
    """In a notebook a loop is always running: they used to end in a traceback there."""
    out = tmp_path / "set"
    build(Project.default(), out=out, limit=5)

    async def notebook() -> tuple[int, int]:
        return plan(Project.default(), out=out, limit=5).rows, len(show("counting/0000", out=out))

    assert asyncio.run(notebook()) == (5, 1)
