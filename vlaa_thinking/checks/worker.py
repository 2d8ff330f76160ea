"""The process in which Math-Verify runs: one JSON question per line in, one JSON answer per line out.

Started by `pool` as `python -m vlaa_thinking.checks.worker`. It imports Math-Verify once and forks a child, which
answers until a question ends it; the next child is there in milliseconds. (A fork is safe here: this process has
no threads, and nothing of its caller's.) The time limit is the kernel's: a timer whose signal ends the child even
inside one long integer operation, and with all its parents gone.
"""

from __future__ import annotations

import gc
import json
import logging
import mmap
import os
import resource
import signal
import warnings
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Comparison = Callable[[str, str, float], bool | None]

NUMBER = 8
"""Bytes in which parent and child share the number of the question under way."""
MEMORY = 2 << 30
"""Bytes of address space; a power tower would otherwise take the machine's."""


def main() -> None:
    """Answer questions until standard input ends."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for number in (signal.SIGPROF, signal.SIGALRM):  # a parent may have ignored or blocked them
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGALRM))
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with _own_output() as out:
        compare = _comparison()
        under_way = mmap.mmap(-1, NUMBER)
        gc.freeze()  # what is loaded by now stays shared with the children
        _say(out, {"ready": True})
        while (status := _child(out, compare, under_way)) != 0:
            if question := int.from_bytes(under_way[:], "big"):
                _say(out, {"number": question, "ended": os.WTERMSIG(status)})


def _child(out: IO[str], compare: Comparison, under_way: mmap.mmap) -> int:
    """Fork a child that answers until standard input ends; returns its wait status."""
    under_way[:] = bytes(NUMBER)
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    with open(0, encoding="utf-8", closefd=False) as questions:
        for line in questions:
            question = json.loads(line)
            under_way[:] = question["number"].to_bytes(NUMBER, "big")
            _limit(question["limit"])
            equal = compare(question["prediction"], question["gold"], question["tolerance"])
            _limit(0)
            _say(out, {"number": question["number"], "equal": equal})
            under_way[:] = bytes(NUMBER)
    os._exit(0)


def _own_output() -> IO[str]:
    """Keep standard output for answers alone: whatever a library prints goes nowhere."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nowhere.fileno(), 1)
    return out


def _say(out: IO[str], message: dict[str, int | None]) -> None:
    """Write one line at once."""
    out.write(json.dumps(message) + "\n")
    out.flush()


def _limit(seconds: float) -> None:
    """Set the timers that end this process: its own CPU time, and three times that by the clock; 0 stops them."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 3 * seconds)


def _comparison() -> Comparison:
    """Import Math-Verify, warm it up, and return the comparison of a prediction with the gold answer."""
    # Heavy, and only wanted here.
    from latex2sympy2_extended import NormalizationConfig  # noqa: PLC0415
    from math_verify import LatexExtractionConfig, parse, verify  # noqa: PLC0415

    # Not its plain-number extraction, which reads "3" out of "3x²"; nor its units, which make "3m" of "3".
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    config = [LatexExtractionConfig(normalization_config=normal)]

    def compare(prediction: str, gold: str, tolerance: float) -> bool | None:
        try:
            mine, right = (
                parse(f"${text}$", config, fallback_mode="no_fallback", parsing_timeout=0)
                for text in (prediction, gold)
            )
            if not mine or not right:
                return None
            return bool(verify(right, mine, timeout_seconds=0)) or _near(mine[0], right[0], tolerance)
        except (Exception, RecursionError, MemoryError):  # noqa: BLE001 - any fault of the library: not read
            return None

    compare("\\frac{1}{2}x + 1", "y = 0.5x + 1", 0.0)  # grammars and caches load on first use
    return compare


def _near(mine: object, right: object, tolerance: float) -> bool:
    """Compare two closed expressions by value, within a relative tolerance."""
    if not tolerance or getattr(mine, "free_symbols", True) or getattr(right, "free_symbols", True):
        return False
    try:
        left, target = (complex(side.evalf()) for side in (mine, right))  # type: ignore[attr-defined]
    except (TypeError, ValueError, AttributeError):
        return False
    return abs(left - target) <= tolerance * abs(target)


if __name__ == "__main__":
    main()
