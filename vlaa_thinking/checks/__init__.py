"""What counts as right: an answer held against the gold one, and a verdict with its reason.

One module per answer type, each with `check`; `answer.read_answer` is the one rule by which answers are taken
out of replies, `canonical` the one by which a source's gold answers are read. Only `math.check` may block (up
to its time limit): run it in a thread, or try `math.exact` first, which never does.
"""

from __future__ import annotations

from collections.abc import Callable

from vlaa_thinking.record import Gold, Score

__all__ = ["Check"]

Check = Callable[[str, Gold], Score]
"""Scores a prediction, already taken out of its answer tags, against the gold answer.

It never raises because of what a prediction holds, and the same arguments give the same score. A value of
None means that the rule cannot tell, which is neither right nor wrong.
"""
