"""VLAA-Thinking: image questions in, verified reasoning datasets out (arXiv 2504.11468)."""

from vlaa_thinking.llm import LLM, Completion, Request
from vlaa_thinking.pipeline import abuild, build
from vlaa_thinking.project import Project
from vlaa_thinking.record import Gold, Outcome, Record, Row, Score
from vlaa_thinking.result import BuildResult, Run

__version__ = "0.1.0"

__all__ = [
    "LLM",
    "BuildResult",
    "Completion",
    "Gold",
    "Outcome",
    "Project",
    "Record",
    "Request",
    "Row",
    "Run",
    "Score",
    "abuild",
    "build",
]
