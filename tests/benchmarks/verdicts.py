"""Hold this project's checks, Math-Verify, TRL's accuracy reward and plain equality against the labelled set.

    python tests/benchmarks/verdicts.py                     agreement, throughput and worst cases: two minutes
    python tests/benchmarks/verdicts.py agreement           a part of it
    python tests/benchmarks/verdicts.py agreement --show    and each pair that our checks and the labels differ on

Prints Markdown. The set is made in tests/labelled.py; verdicts/README.md says by which rules it was labelled.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from constructed import Pair, constructed  # noqa: E402
from hostile import HOSTILE  # noqa: E402
from labelled import agrees, everything, too_kind  # noqa: E402

from vlaa_thinking.checks import choice, digit, iou, math  # noqa: E402
from vlaa_thinking.checks import open as free  # noqa: E402
from vlaa_thinking.checks.pool import POOL  # noqa: E402
from vlaa_thinking.record import Gold, Score  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Verifier = Callable[[Pair], float | None]

CHECKS = {
    "digit": digit.check,
    "choice": choice.check,
    "math": math.check,
    "iou": iou.check,
    "open": free.check,
}
LETTERS = tuple("ABCDEFGHIJ")
MIX = 1_000
"""Pairs in the throughput mix: plain ones of the type `math`, with a seed that the labelled set does not use."""


@dataclass(frozen=True, slots=True)
class Dress:
    """How gold answer and prediction are handed to a verifier that wants its LaTeX between dollars."""

    name: str
    gold: str
    prediction: str


DRESSES = (
    Dress("as they are", "{}", "{}"),
    Dress("gold in $", "${}$", "{}"),
    Dress("both in $", "${}$", "${}$"),
    Dress("prediction in a box", "${}$", "\\boxed{{{}}}"),
)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=["agreement", "speed", "worst", "all"], default="all")
    parser.add_argument("--show", action="store_true", help="print each pair that our checks get wrong")
    parser.add_argument("--open", action="store_true", help="leave out the traps that are kept aside")
    options = parser.parse_args()
    parts = ["agreement", "speed", "worst"] if "all" in options.parts else options.parts
    warnings.simplefilter("ignore")
    if "agreement" in parts:
        agreement(show=options.show, aside=not options.open)
    if "speed" in parts:
        speed()
    if "worst" in parts:
        worst()


def agreement(*, show: bool, aside: bool) -> None:
    """Print, by type, how many pairs each verifier judges as their labels say, and how many it is too kind to."""
    print(
        "Share of the pairs judged as labelled (in brackets: pairs that were called better than they are).\n"
    )
    print("| type | part | pairs | this project | Math-Verify | TRL `accuracy_reward` | plain equality |")
    print("|---|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for answer_type, pairs in everything().items():
        for name, part in _parts(pairs, aside=aside).items():
            counts = {
                "ours": _tally(part, ours, show=show),
                "math-verify": _best(part, by_math_verify),
                "trl": _best(part, by_trl),
                "equal": _tally(part, by_equality),
            }
            for key, (right, kind) in counts.items():
                total.update({key: right, f"{key} kind": kind})
            total["pairs"] += len(part)
            cells = " | ".join(f"{right / len(part):.1%} ({kind})" for right, kind in counts.values())
            print(f"| {answer_type} | {name} | {len(part)} | {cells} |", flush=True)
    names = ("ours", "math-verify", "trl", "equal")
    cells = " | ".join(f"{total[name] / total['pairs']:.1%} ({total[f'{name} kind']})" for name in names)
    print(f"| all | | {total['pairs']} | {cells} |")


def _parts(pairs: Sequence[Pair], *, aside: bool) -> dict[str, list[Pair]]:
    """Split into plain pairs, open traps and those kept aside."""
    parts = {
        "plain": [pair for pair in pairs if not pair.why],
        "traps": [pair for pair in pairs if pair.why and not pair.aside],
    }
    return (
        parts | {"traps kept aside": [pair for pair in pairs if pair.why and pair.aside]} if aside else parts
    )


def _tally(pairs: Sequence[Pair], verifier: Verifier, *, show: bool = False) -> tuple[int, int]:
    """Count the pairs whose verdict is their label, and those that are called better."""
    right = kind = 0
    for pair in pairs:
        value = verifier(pair)
        right += (agreed := agrees(pair, value))
        kind += too_kind(pair, value)
        if show and not agreed:
            print(
                f"    {pair.gold.answer!r} / {pair.prediction!r}: label {pair.label}, verdict {value} ({pair.why})"
            )
    return right, kind


def _best(pairs: Sequence[Pair], verifier: Callable[[Dress], Verifier]) -> tuple[int, int]:
    """Tally in the dress that suits a verifier best."""
    return max((_tally(pairs, verifier(dress)) for dress in DRESSES), key=lambda tally: (tally[0], -tally[1]))


def ours(pair: Pair) -> float | None:
    """Ask this project's check."""
    return _score(pair).value


def _score(pair: Pair) -> Score:
    return CHECKS[pair.gold.answer_type](pair.prediction, pair.gold)


def by_math_verify(dress: Dress) -> Verifier:
    """Ask Math-Verify: `verify(parse(gold), parse(prediction))`, with letters as strings where options are asked."""
    from math_verify import (  # noqa: PLC0415 - slow to import
        ExprExtractionConfig,
        LatexExtractionConfig,
        StringExtractionConfig,
        parse,
        verify,
    )

    usual = [LatexExtractionConfig(), ExprExtractionConfig()]

    def ask(pair: Pair) -> float | None:
        config = [StringExtractionConfig(strings=LETTERS)] if pair.gold.answer_type == "choice" else usual
        gold = parse(dress.gold.format(pair.gold.answer), config)
        said = parse(dress.prediction.format(pair.prediction), config)
        return float(verify(gold, said)) if gold else None

    return ask


def by_trl(dress: Dress) -> Verifier:
    """Ask TRL's `accuracy_reward`."""
    from trl.rewards.accuracy_rewards import accuracy_reward  # noqa: PLC0415 - slow to import

    def ask(pair: Pair) -> float | None:
        said = [[{"role": "assistant", "content": dress.prediction.format(pair.prediction)}]]
        (value,) = accuracy_reward(said, solution=[dress.gold.format(pair.gold.answer)])
        return value

    return ask


def by_equality(pair: Pair) -> float:
    """Compare the strings, case and outer blanks aside."""
    said = pair.prediction.strip().casefold()
    return float(any(said == text.strip().casefold() for text in (pair.gold.answer, *pair.gold.answers)))


def speed() -> None:
    """Time our math check against Math-Verify on the mix, one after the other, in this process."""
    mix = constructed("math", MIX, seed=1)
    warm = constructed("math", 50, seed=2)
    print("\n| math, plain mix | pairs a second | agreement | median | slowest of a hundred | slowest |")
    print("|---|---|---|---|---|---|")
    rates = {}
    for name, verifier in (("this project", ours), ("Math-Verify", by_math_verify(DRESSES[2]))):
        for pair in warm:
            verifier(pair)
        times, right = [], 0
        for pair in mix:
            start = time.perf_counter()
            value = verifier(pair)
            times.append(time.perf_counter() - start)
            right += agrees(pair, value)
        rates[name] = len(mix) / sum(times)
        times.sort()
        figures = " | ".join(
            f"{1000 * times[int(len(times) * share)]:.2f} ms" for share in (0.5, 0.99, 0.9999)
        )
        print(f"| {name} | {rates[name]:,.0f} | {right / len(mix):.1%} | {figures} |", flush=True)
    print(f"\nRatio: {rates['this project'] / rates['Math-Verify']:.1f}")


def worst() -> None:
    """Time our checks on texts that are meant to hang them."""
    POOL.compare("1", "1")  # a worker's start is no comparison
    rows: list[tuple[float, str, str, Any]] = []
    for text in HOSTILE:
        for answer_type, check in CHECKS.items():
            for answer in ("3", r"\frac{x^2+1}{x-1}"):
                gold = Gold(answer_type=answer_type, answer=answer, choices=("3", "x"), boxes=((0, 0, 1, 1),))  # type: ignore[arg-type]
                start = time.perf_counter()
                value = check(text, gold).value
                rows.append((time.perf_counter() - start, answer_type, text, value))
    rows.sort(key=lambda row: row[0], reverse=True)
    print(
        f"\n{len(rows)} hostile questions; the slowest:\n\n| type | text | seconds | verdict |\n|---|---|---|---|"
    )
    for seconds, answer_type, text, value in rows[:8]:
        shown = text[:40].replace("|", "\\|").replace("\n", " ")
        print(f"| {answer_type} | `{shown}` | {seconds:.3f} | {value} |")


if __name__ == "__main__":
    main()
