"""VLAA-Thinking: image questions in, verified reasoning datasets out (arXiv 2504.11468)."""

__version__ = "0.1.0"
