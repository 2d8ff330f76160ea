"""VLAA-Thinking: image questions in, verified reasoning datasets out (arXiv 2504.11468)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlaa_thinking.auditing import Audit, Finding, audit
    from vlaa_thinking.batches.overview import BatchFacts, BuildStatus, status
    from vlaa_thinking.catalogue import SourceFacts, SourceSample, list_sources, show_source
    from vlaa_thinking.columns import schema
    from vlaa_thinking.differing import Diff, diff
    from vlaa_thinking.forecast import Plan, plan
    from vlaa_thinking.ledger import CacheLine, CacheStats, Explanation, cache_stats, explain
    from vlaa_thinking.ledger.differ import Difference
    from vlaa_thinking.ledger.garbage import DryBuild, Garbage, cache_gc
    from vlaa_thinking.llm import LLM, Completion, Request
    from vlaa_thinking.measuring import Difficulty, difficulty
    from vlaa_thinking.pipeline import abuild, build
    from vlaa_thinking.previewing import Preview, preview
    from vlaa_thinking.project import Project
    from vlaa_thinking.publishing import publish
    from vlaa_thinking.publishing.result import Publication
    from vlaa_thinking.rebuilding import Rebuild, rebuild
    from vlaa_thinking.rebuilding.walking import MissingAnswer
    from vlaa_thinking.record import Gold, Outcome, Record, Row, Score
    from vlaa_thinking.release import ImportResult, import_release
    from vlaa_thinking.release.result import DefectCount, ImportedFile
    from vlaa_thinking.result import BuildResult, Run
    from vlaa_thinking.scoring import ScoredLine, ScoreReport, Tally, score
    from vlaa_thinking.shards import Shard
    from vlaa_thinking.shards.cluster import build_on_ray
    from vlaa_thinking.shards.merging import merge
    from vlaa_thinking.trace import Trace, show

__version__ = "0.1.0"

__all__ = [
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

_HOMES = {
    "auditing": ("Audit", "Finding", "audit"),
    "batches.overview": ("BatchFacts", "BuildStatus", "status"),
    "catalogue": ("SourceFacts", "SourceSample", "list_sources", "show_source"),
    "columns": ("schema",),
    "differing": ("Diff", "diff"),
    "forecast": ("Plan", "plan"),
    "ledger": ("CacheLine", "CacheStats", "Explanation", "cache_stats", "explain"),
    "ledger.differ": ("Difference",),
    "ledger.garbage": ("DryBuild", "Garbage", "cache_gc"),
    "llm": ("LLM", "Completion", "Request"),
    "measuring": ("Difficulty", "difficulty"),
    "pipeline": ("abuild", "build"),
    "previewing": ("Preview", "preview"),
    "project": ("Project",),
    "rebuilding": ("Rebuild", "rebuild"),
    "rebuilding.walking": ("MissingAnswer",),
    "publishing": ("publish",),
    "publishing.result": ("Publication",),
    "record": ("Gold", "Outcome", "Record", "Row", "Score"),
    "release": ("ImportResult", "import_release"),
    "release.result": ("DefectCount", "ImportedFile"),
    "result": ("BuildResult", "Run"),
    "scoring": ("ScoreReport", "ScoredLine", "Tally", "score"),
    "shards": ("Shard",),
    "shards.cluster": ("build_on_ray",),
    "shards.merging": ("merge",),
    "trace": ("Trace", "show"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `vlaa-thinking --help` need not wait."""
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
