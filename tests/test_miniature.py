"""The paper's question in miniature: its runs from scenes to points, and its table as README.md has it."""

import csv
import sys
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vlaa_thinking import Project

MINIATURE = Project.default().root / "recipes/miniature"

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is deprecated and will be removed in v6.*:FutureWarning"  # TRL's own calls
)


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a script as Python does that runs it: with its folder first on the path."""
    monkeypatch.syspath_prepend(str(MINIATURE))
    spec = spec_from_file_location(f"miniature_{name}", MINIATURE / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_arms_run_from_drawn_scenes_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plot = script("run", monkeypatch), script("plot", monkeypatch)
    threads = torch.get_num_threads()
    monkeypatch.setattr(run, "COUNTS", {"seen": 60, "asked": 100})
    monkeypatch.setitem(run.COMMON, "per_device_train_batch_size", 8)
    monkeypatch.setitem(run.RECIPES["grpo"], "max_completion_length", 8)
    place = tmp_path / "runs"
    asked = ["--place", str(place), "--seeds", "5"]
    lengths = run.Lengths(base=1, arm=2, sft=1, every=1, held=4)
    run.main(asked, lengths)
    torch.set_num_threads(threads)

    plot.main([str(place), "--out", str(tmp_path)])
    points = plot.read(tmp_path / "result.csv")
    assert list(points[0]) == [field.name for field in fields(run.Point)]
    stages = {arm: [point["stage"] for point in points if point["arm"] == arm] for arm in run.ARMS}
    assert stages == {
        "grpo": ["base", "grpo", "grpo"],
        "sft": ["base", "sft", "sft"],
        "sft-grpo": ["base", "sft", "grpo"],
    }
    assert {point["step"] for point in points} == {"0", "1", "2"}
    bases = [{k: v for k, v in point.items() if k != "arm"} for point in points if point["stage"] == "base"]
    assert bases[0] == bases[1] == bases[2]  # measured anew in every arm
    for point in points:
        shares = [float(point[name]) for name in ("constant", "accuracy", "reward", "readable", "cut")]
        assert all(0 <= share <= 1 for share in shares)
        assert float(point["reward"]) <= float(point["readable"])
        assert (float(point["seconds"]) > 0) == (point["stage"] != "base")
    assert capsys.readouterr().out.endswith(plot.table(points) + "\n")

    done = [file.stat().st_mtime_ns for file in sorted(place.rglob("*")) if file.is_file()]
    run.main(asked, lengths)
    torch.set_num_threads(threads)
    assert [file.stat().st_mtime_ns for file in sorted(place.rglob("*")) if file.is_file()] == done


def test_the_base_learns_from_rows_with_and_without_cues(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = script("scenes", monkeypatch)
    from random import Random  # noqa: PLC0415

    for number in range(40):
        _, notes, question, answer = scenes.scene(Random(number))
        named = [line.split()[2] for line in notes.splitlines()[1:]]
        colour = question.split()[2]
        assert int(answer) == (len(named) if colour == "objects" else named.count(colour))
        assert 1 <= len(named) <= 4


def test_the_readme_holds_the_table_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = script("plot", monkeypatch)
    points = plot.read(MINIATURE / "result.csv")
    assert plot.table(points) in (MINIATURE / "README.md").read_text(encoding="utf-8")
    assert len({point["seed"] for point in points}) >= 3
    with (MINIATURE / "result.csv").open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == len(points) + 1
    with Image.open(MINIATURE / "result.png") as kept:
        assert (kept.format, kept.size) == ("PNG", plot.draw(points).size)
