"""What each stage kept, beside the paper's figures; and what is told of each split, held against its rows."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sums_project import rows_of

from vlaa_thinking import BuildResult, Project, build
from vlaa_thinking.display import report
from vlaa_thinking.errors import ProjectError
from vlaa_thinking.figures import Figures
from vlaa_thinking.keeping import Kept, beside_paper, kept_by_source, kept_in_paper
from vlaa_thinking.record import CaptionSignals, Cue, Gold, Record, Score
from vlaa_thinking.spool import Spool

PAPER = Project.default().settings().paper


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildResult]:
    out = tmp_path_factory.mktemp("demo") / "set"
    return out, build(Project.default(), out=out, limit=200)


def record(number: int, source: str = "a", *, cue: bool = False) -> Record:
    return Record(
        id=f"{source}/{number}",
        source=source,
        source_id=str(number),
        source_license="CC0-1.0",
        question="?",
        gold=Gold(answer_type="digit", answer="1"),
        cues=(Cue(phrase="wait", start=0),) if cue else (),
    )


# --- what each stage kept ------------------------------------------------------------------------------------


def test_the_shares_are_those_of_rows_that_left_each_stage(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool.sqlite", fresh=True)) as spool:
        number = iter(range(99))
        for step, rows in {"collect": 1, "distill": 2, "rewrite": 1, "verify": 3}.items():
            for _ in range(rows):
                spool.put(record(next(number)).drop(step, "x", "x"), 0)
        for cue in (True, True, False):
            spool.put(record(next(number), cue=cue), 0)
        spool.put(record(next(number)).fail("distill", "no_reply", "x"), 0)
        spool.put(record(0, "b").drop("caption", "x", "x"), 0)
        whole, by_source = kept_by_source(spool)
    assert by_source == {
        "a": Kept(rewritten=0.6, verified=0.5, in_all=0.3, cued=0.6667),
        "b": Kept(rewritten=0.0, verified=None, in_all=0.0, cued=None),
    }
    assert whole == Kept(rewritten=0.5455, verified=0.5, in_all=0.2727, cued=0.6667)


@pytest.mark.parametrize(
    ("source", "percent"),
    [
        ("clevr_math", (98, 66, 80, 79)),
        ("geoqa170k", (84, 66, None, None)),
        ("math_puma", (100, 89, 89, 28)),
        ("arxivqa", (99, 95, 94, 33)),
        ("docvqa", (None, None, 80, 40)),
        ("vizwiz", (None, None, 32, 35)),
        ("allava_laion", (82, 60, 39, 42)),
    ],
)
def test_the_paper_s_shares(source: str, percent: tuple[int | None, ...]) -> None:
    kept = kept_in_paper(PAPER.source[source])
    shares = (kept.rewritten, kept.verified, kept.in_all, kept.cued)
    assert tuple(None if share is None else round(share * 100) for share in shares) == percent


def test_the_paper_s_columns_add_up() -> None:
    """Its totals are 203,182 and 144,895, of which COCO and Visual Genome are 6,000 each."""
    sources = PAPER.source.values()
    assert sum(source.original or 0 for source in sources) == 203_182 - 6_000
    assert sum(source.verified or 0 for source in sources) == 144_895 - 6_000
    earlier = [source.earlier for source in sources if source.earlier]
    assert sum(run.verified for run in earlier) == 76_469


def test_a_figure_that_is_none_is_told(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    path = project.root / "cards/paper.toml"
    path.write_text(path.read_text().replace("original = 35_000", "original = 0"))
    with pytest.raises(ProjectError, match=r'paper\.toml, line \d+: .*"original" must be at least 1'):
        project.settings()


def test_they_are_no_rule_and_change_no_row(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    assert "cards/paper.toml" not in project.settings().hashes
    build(project, out=tmp_path / "out", limit=20)
    rows = rows_of(tmp_path / "out")
    path = project.root / "cards/paper.toml"
    path.write_text(path.read_text().replace("original = 35_000", "original = 70_000"))
    assert build(project, out=tmp_path / "out", limit=20).changed
    assert rows_of(tmp_path / "out") == rows
    assert "| paper: CLEVR-Math | 98 % | 66 % | 40 % | 79 % |" in (tmp_path / "out/README.md").read_text()


def test_the_card_shows_every_source_and_the_paper_s(demo: tuple[Path, BuildResult]) -> None:
    out, _ = demo
    text = (out / "README.md").read_text(encoding="utf-8")
    facts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    shares = {**facts["kept"]["sources"], "this dataset": facts["kept"]["in_all"]}
    shares |= {
        f"paper: {source['name']}": source
        for source in facts["paper"]["sources"].values()
        if source["rewritten"] is not None or source["in_all"] is not None
    }
    assert len(shares) == 5 + 1 + 7
    shown = dict(re.findall(r"^\| `?([^`|]+?)`? \|((?: (?:-|\d+ %) \|){4})$", text, flags=re.MULTILINE))
    assert shown.keys() == {name.replace("(", r"(") for name in shares}
    for name, cells in shown.items():
        kept = shares[name]
        told = [
            "-" if kept[s] is None else f"{kept[s] * 100:.0f} %"
            for s in ("rewritten", "verified", "in_all", "cued")
        ]
        assert [cell.strip() for cell in cells.split("|")[:-1]] == told
    assert facts["paper"]["about"] in text


def test_a_build_ends_with_its_shares_beside_the_paper_s(demo: tuple[Path, BuildResult]) -> None:
    _, result = demo
    rates = {rate.stage: rate for rate in result.rates}
    steps = {step.step: step for step in result.funnel.steps}
    assert rates["rewritten"].here == pytest.approx(steps["rewrite"].rows_out / 200, abs=1e-4)
    assert rates["in_all"].here == pytest.approx(steps["verify"].rows_out / 200, abs=1e-4)
    assert rates["rewritten"].paper == (0.8165, 1.0)
    said = StringIO()
    report(result, Console(file=said, width=300))
    assert f"after the rewrite {rates['rewritten'].here:.0%} (82% to 100%)" in said.getvalue()
    assert f"with a cue {rates['cued'].here:.0%} (28% to 79%)" in said.getvalue()
    nothing = Kept(rewritten=None, verified=None, in_all=None, cued=None)
    said = StringIO()
    report(replace(result, rates=beside_paper(nothing, PAPER)), Console(file=said, width=300))
    assert "after the rewrite - (82% to 100%)" in said.getvalue()


# --- what is told of each split ------------------------------------------------------------------------------


def splits(out: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    facts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    for parts in facts["splits"].values():
        for split in parts.values():
            rows = [row for file in split["files"] for row in pq.ParquetFile(out / file).read().to_pylist()]
            yield split["figures"], rows


def test_figures_are_those_of_the_rows(demo: tuple[Path, BuildResult]) -> None:
    for figures, rows in splits(demo[0]):
        lengths = sorted(len(row["reasoning"].split()) for row in rows if row["reasoning"] is not None)
        assert figures["reasoning_words"]["mean"] == pytest.approx(fmean(lengths), abs=0.051)
        assert figures["reasoning_words"]["most"] == lengths[-1]
        assert sum(length <= figures["reasoning_words"]["p50"] for length in lengths) >= len(lengths) / 2
        phrases = Counter(cue for row in rows for cue in row["cues"] or ())
        assert figures["cues"] == {
            "rows": sum(bool(row["cues"]) for row in rows),
            "by_phrase": dict(sorted(phrases.items())),
        }
        words = [row["caption_signals"]["words"] for row in rows if row["caption_signals"]]
        assert words == [len(row["caption"].split()) for row in rows if row["caption"]]
        assert figures["captions"]["words"]["mean"] == pytest.approx(fmean(words), abs=0.051)
        by = Counter(row["score_by"] for row in rows if row["score"] is not None)
        assert figures["verdicts"] == dict(sorted(by.items()))
        assert figures["teacher_pass_rate"] is None
        assert figures["policy_pass_rate"] is None


def test_percentiles_rates_and_agreement() -> None:
    figures = Figures()
    for number in range(1, 11):
        row = replace(
            record(number, cue=number % 2 == 0),
            reasoning="so " * number,
            caption_signals=CaptionSignals(words=number, refusal=number == 3, repetition=number / 10),
            policy_pass_rate=(number - 1) % 5 / 4,
            teacher_pass_rate=None if number > 2 else 1.0,
            score=Score(value=0.6 if number > 5 else 0.4, reason=""),
            second=Score(value=1.0 if number > 4 else 0.0, reason="", how="judge") if number < 9 else None,
        )
        figures.add(row, 0.5)
    told = figures.told()
    assert told["reasoning_words"] == {"mean": 5.5, "p10": 1, "p50": 5, "p90": 9, "most": 10}
    assert told["policy_pass_rate"] == {"rows": 10, "mean": 0.5, "none_right": 2, "all_right": 2}
    assert told["teacher_pass_rate"] == {"rows": 2, "mean": 1.0, "none_right": 0, "all_right": 2}
    assert told["captions"] | {"words": None} == {"words": None, "refusals": 1, "repeating": 8}
    assert told["cues"] == {"rows": 5, "by_phrase": {"wait": 5}}
    assert told["both"] == {"agree": 7, "rule_alone": 0, "judge_alone": 1}
    assert told["verdicts"] == {"rule": 10}
    assert Figures().told()["reasoning_words"] is None
