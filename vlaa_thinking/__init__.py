"""VLAA-Thinking: image questions in, verified reasoning datasets out (arXiv 2504.11468)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlaa_thinking.forecast import Plan, plan
    from vlaa_thinking.ledger import CacheLine, CacheStats, Explanation, cache_stats, explain
    from vlaa_thinking.ledger.differ import Difference
    from vlaa_thinking.ledger.garbage import DryBuild, Garbage, cache_gc
    from vlaa_thinking.llm import LLM, Completion, Request
    from vlaa_thinking.pipeline import abuild, build
    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Gold, Outcome, Record, Row, Score
    from vlaa_thinking.result import BuildResult, Run
    from vlaa_thinking.trace import Trace, show

__version__ = "0.1.0"

__all__ = [
    "LLM",
    "BuildResult",
    "CacheLine",
    "CacheStats",
    "Completion",
    "Difference",
    "DryBuild",
    "Explanation",
    "Garbage",
    "Gold",
    "Outcome",
    "Plan",
    "Project",
    "Record",
    "Request",
    "Row",
    "Run",
    "Score",
    "Trace",
    "abuild",
    "build",
    "cache_gc",
    "cache_stats",
    "explain",
    "plan",
    "show",
]

_HOMES = {
    "forecast": ("Plan", "plan"),
    "ledger.differ": ("Difference",),
    "ledger.garbage": ("DryBuild", "Garbage", "cache_gc"),
    "ledger": ("CacheLine", "CacheStats", "Explanation", "cache_stats", "explain"),
    "llm": ("LLM", "Completion", "Request"),
    "pipeline": ("abuild", "build"),
    "project": ("Project",),
    "record": ("Gold", "Outcome", "Record", "Row", "Score"),
    "result": ("BuildResult", "Run"),
    "trace": ("Trace", "show"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `vlaa-thinking --help` need not wait."""
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
