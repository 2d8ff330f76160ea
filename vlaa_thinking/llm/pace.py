"""How fast calls of a model may start: so many a minute, and so many tokens a minute, evenly spread."""

from __future__ import annotations

from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING

from vlaa_thinking.prices import input_tokens, longest_reply

if TYPE_CHECKING:
    from vlaa_thinking.llm import Completion, Request
    from vlaa_thinking.settings import Model


class Pace:
    """A steady flow: what is taken now decides when the next may be taken."""

    def __init__(self, a_minute: float, *, slack: float) -> None:
        """Let `a_minute` be taken a minute; what was left untaken in the last `slack` seconds may be caught up."""
        self._each = 60.0 / a_minute
        self._slack = slack
        self.opens = -inf
        """The time from which on something may be taken."""

    def take(self, amount: float, now: float) -> None:
        """Take so much at the time `now`: more than a minute's worth, too, if it is time."""
        since = now if self.opens == -inf else max(self.opens, now - self._slack)
        self.opens = since + amount * self._each

    def settle(self, more: float) -> None:
        """Count `more` as taken than was said before; less, where it is below zero."""
        self.opens += more * self._each


class Tokens:
    """What the calls of one model take of its tokens a minute: by an estimate first, then by usage.

    The estimate of a reply is the mean of that step's replies so far, and `max_tokens` before there is one. An
    attempt that was turned away, or never sent, takes nothing; one that was lost stays at its estimate.
    """

    def __init__(self, model: Model, a_minute: float) -> None:
        """Keep the calls of `model` within `a_minute` tokens a minute."""
        self.pace = Pace(a_minute, slack=1.0)
        self._model = model
        self._replies: dict[str, int] = defaultdict(int)
        self._written: dict[str, int] = defaultdict(int)
        """Replies, and their tokens, by step."""

    def reserve(self, request: Request, now: float) -> float:
        """Take what a call will probably need; returns how much that is."""
        replies, written = self._replies[request.step], self._written[request.step]
        reply = written / replies if replies else longest_reply(request, self._model)
        amount = input_tokens(request, self._model) + reply
        self.pace.take(amount, now)
        return amount

    def settle(self, request: Request, reserved: float, completion: Completion) -> None:
        """Put what a reply took in the place of what was reserved."""
        usage = completion.usage
        if completion.status >= 400:
            self.pace.settle(-reserved)
        elif usage.input_tokens is not None and usage.output_tokens is not None:
            self._replies[request.step] += 1
            self._written[request.step] += usage.output_tokens
            self.pace.settle(usage.input_tokens + usage.output_tokens - reserved)

    def give_back(self, reserved: float) -> None:
        """Count a call as not made."""
        self.pace.settle(-reserved)
