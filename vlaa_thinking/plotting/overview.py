"""A manifest's numbers as plots show them, on a page or in a picture: labels, figures, and widths in percent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.columns import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a line of a plot."""

    kind: str
    """What it stands for: a class of the style sheet."""
    start: float
    """Percent of the plot's width."""
    width: float
    """Percent of the plot's width."""
    said: str
    """What a pointer over it reads."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot."""

    label: str
    bars: tuple[Bar, ...]
    figures: tuple[str, ...]
    """The numbers beside it."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A titled plot, which reads as a table, too."""

    title: str
    about: str
    head: tuple[str, ...]
    """Above labels and figures."""
    lines: tuple[Line, ...]
    legend: tuple[tuple[str, str], ...] = ()
    """Kind and name of its colours."""
    wide: bool = False


def plots(manifest: Mapping[str, Any]) -> list[Plot]:
    """Draw what the manifest has numbers for."""
    found = (
        _funnel(manifest),
        _dropped(manifest),
        _by(manifest, "sources", "Sources", "Rows of each source, by where they went."),
        _by(manifest, "answer_types", "Answer types", "Rows of each answer type, by where they went."),
        _lengths(manifest),
        _cues(manifest),
        _verdicts(manifest),
        *(_rates(manifest, who) for who in ("teacher", "policy")),
    )
    return [plot for plot in found if plot is not None]


def plots_of_card(manifest: Mapping[str, Any]) -> dict[str, Plot]:
    """Draw what a card shows, by the names of the files."""
    found = {
        "funnel": _funnel(manifest),
        "sources": _by(manifest, "sources", "Sources", "Rows of each source, by where they went."),
        "lengths": _lengths(manifest),
        "pass-rates-teacher": _rates(manifest, "teacher"),
        "pass-rates-policy": _rates(manifest, "policy"),
    }
    return {name: plot for name, plot in found.items() if plot is not None}


def cost(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List what each role's answers took, and their sum; empty where the manifest does not say."""
    answers, models = manifest.get("answers", {}), manifest.get("models", {})
    lines = []
    for role, count in answers.items():
        model = models.get(role, {})
        lines.append({"role": role, "model": model.get("model") or model.get("name") or "", **count})
    if len(lines) > 1:
        names = ("answers", "input_tokens", "output_tokens", "usd")
        sums = {name: _sum(line.get(name) for line in lines) for name in names}
        lines.append({"role": "all", "model": "", **sums})
    return lines


def _sum(values: Iterable[float | None]) -> float | None:
    """Add up; None where a part is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _funnel(manifest: Mapping[str, Any]) -> Plot | None:
    steps = manifest.get("funnel")
    rows = manifest["rows"].get("in")
    if not steps or not rows:
        return None
    lines = []
    for step in steps:
        dropped, failed, out = sum(step["dropped"].values()), step["failed"], step["out"]
        bars = _stacked({"kept": out, "dropped": dropped, "failed": failed}, rows, "")
        reasons = sorted(step["dropped"].items(), key=lambda pair: -pair[1])
        note = ", ".join(
            [*(f"{code} {count:,}" for code, count in reasons), *([f"failed {failed:,}"] * bool(failed))]
        )
        lines.append(
            Line(step["step"], bars, (f"{step['in']:,}", _minus(dropped + failed), f"{out:,}"), note)
        )
    legend = (("kept", "went on"), ("dropped", "dropped"), ("failed", "failed"))
    return Plot(
        title="The funnel",
        about="How many rows each step let through, and why it dropped the others.",
        head=("step", "in", "lost", "out"),
        lines=tuple(lines),
        legend=legend if any(step["failed"] for step in steps) else legend[:2],
        wide=True,
    )


def _dropped(manifest: Mapping[str, Any]) -> Plot | None:
    codes = manifest.get("dropped")
    if not codes:
        return None
    return _counted("Why rows were dropped", "Rejected rows by their code.", codes, "dropped")


def _by(manifest: Mapping[str, Any], key: str, title: str, about: str) -> Plot | None:
    groups = manifest.get(key)
    if not groups:
        return None
    licenses = manifest.get("licenses", {})
    totals = {name: sum(counts.get(config, 0) for config in ALL) for name, counts in groups.items()}
    most = max(totals.values())
    lines = tuple(
        Line(
            name,
            _stacked({config: counts.get(config, 0) for config in ALL}, most, name),
            tuple(_or_dot(counts.get(config, 0)) for config in ALL),
            licenses.get(name, "") if key == "sources" else "",
        )
        for name, counts in sorted(groups.items(), key=lambda pair: -totals[pair[0]])
        if totals[name]
    )
    return Plot(title, about, (key.rstrip("s").replace("_", " "), *ALL), lines, tuple((c, c) for c in ALL))


def _lengths(manifest: Mapping[str, Any]) -> Plot | None:
    spreads = {place: found for place, f in _figures(manifest) if (found := f.get("reasoning_words"))}
    if not spreads:
        return None
    most = max(spread["most"] for spread in spreads.values()) or 1
    lines = []
    for place, spread in spreads.items():
        kind = place.partition("/")[0]
        ends = [100 * spread[name] / most for name in ("p10", "p50", "p90")]
        said = f"{place}: 10 % up to {spread['p10']:,} words, half up to {spread['p50']:,}, 90 % up to {spread['p90']:,}"
        bars = (Bar(kind, ends[0], ends[2] - ends[0], said), Bar("middle", ends[1] - 0.4, 0.8, said))
        figures = tuple(f"{spread[name]:,.0f}" for name in ("p10", "p50", "p90", "most"))
        lines.append(Line(place, bars, figures))
    about = f"Words of the published reasoning: the middle 80 % of each split, and its median, on a line up to {most:,.0f}."
    return Plot("Length of the reasoning", about, ("split", "10 %", "half", "90 %", "most"), tuple(lines))


def _cues(manifest: Mapping[str, Any]) -> Plot | None:
    counts: Counter[str] = Counter()
    for place, figures in _figures(manifest):
        if not place.startswith("rejected"):
            counts.update(figures.get("cues", {}).get("by_phrase", {}))
    if not counts:
        return None
    return _counted(
        "Cues of self-reflection", "Kept rows whose teacher's reply holds the phrase.", counts, "rl"
    )


def _verdicts(manifest: Mapping[str, Any]) -> Plot | None:
    counts: Counter[str] = Counter()
    for place, figures in _figures(manifest):
        if not place.startswith("rejected"):
            counts.update(figures.get("verdicts", {}))
    if not counts:
        return None
    return _counted("Who verified", "Kept rows by who called their answer right.", counts, "kept")


def _rates(manifest: Mapping[str, Any], who: str) -> Plot | None:
    found = {place: rates for place, f in _figures(manifest) if (rates := f.get(f"{who}_pass_rate"))}
    if not found:
        return None
    lines = []
    for place, rates in found.items():
        none, every = rates["none_right"], rates["all_right"]
        shares = {"wrong": none, "some": rates["rows"] - none - every, "right": every}
        figures = (f"{rates['mean']:.2f}", *(_or_dot(count) for count in shares.values()))
        lines.append(Line(place, _stacked(shares, rates["rows"], place), figures))
    return Plot(
        title=f"Pass rates of the {who}",
        about=f"How many of the {who}'s draws of a row are right: none, some or all of them.",
        head=("split", "mean", "none", "some", "all"),
        lines=tuple(lines),
        legend=(("wrong", "none right"), ("some", "some right"), ("right", "all right")),
    )


def _counted(title: str, about: str, counts: Mapping[str, int], kind: str) -> Plot:
    """Draw plain counts, the greatest first."""
    most = max(counts.values()) or 1
    lines = tuple(
        Line(name, (Bar(kind, 0, 100 * count / most, f"{name}: {count:,}"),), (f"{count:,}",))
        for name, count in sorted(counts.items(), key=lambda pair: -pair[1])
    )
    return Plot(title, about, ("", "rows"), lines)


def _stacked(counts: Mapping[str, int], whole: int, label: str) -> tuple[Bar, ...]:
    """Put bars behind each other; those of nothing are left out."""
    bars, start = [], 0.0
    for kind, count in counts.items():
        if count:
            width = 100 * count / whole
            bars.append(Bar(kind, start, width, f"{label + ', ' if label else ''}{kind}: {count:,}"))
            start += width
    return tuple(bars)


def _figures(manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Give each split's figures, where a manifest has any."""
    return [
        (f"{config}/{part}", split["figures"])
        for config, parts in manifest["splits"].items()
        for part, split in parts.items()
        if split.get("figures")
    ]


def _or_dot(count: int) -> str:
    return f"{count:,}" if count else "·"


def _minus(count: int) -> str:
    return f"−{count:,}" if count else "·"  # noqa: RUF001 - a minus sign
