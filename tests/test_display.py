"""What a person sees: plain lines into a file, a live table on a terminal, and data as it is."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from vlaa_thinking import Project, build, show
from vlaa_thinking.counts import STEP_NAMES, Counts
from vlaa_thinking.display import PLAIN_EVERY, Progress, report, tell
from vlaa_thinking.llm import Completion, Message, Request
from vlaa_thinking.record import Cue, Gold, Outcome, Record, Score
from vlaa_thinking.result import BuildResult, Funnel, FunnelStep
from vlaa_thinking.trace import Exchange, Trace

MARKUP = "[red]x[/red] [link=http://z]y[/link] :smile: [1, 2]"
TERMINAL = "a\x1b[31mred\x07\x9b2J\rb"


def console(width: int = 80, *, terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    options: dict[str, Any] = {"no_color": True} if not terminal else {"_environ": {"TERM": "xterm"}}
    return Console(file=file, force_terminal=terminal, width=width, legacy_windows=False, **options), file


def printed(result: BuildResult, width: int = 80) -> str:
    screen, file = console(width)
    report(result, screen)
    return file.getvalue()


def made(out: Path | None = Path("/data/my set"), **changes: Any) -> BuildResult:
    """Make the result of a large build."""
    dropped: dict[str, dict[str, int]] = {
        "collect": {"missing_image": 3_000},
        "verify": {f"code_{n}": 1_000 + n for n in range(6)},
    }
    left, steps = 126_413, []
    for name in STEP_NAMES:
        here, failed = dropped.get(name, {}), 7 if name == "distill" else 0
        rest = left - sum(here.values()) - failed
        steps.append(FunnelStep(step=name, rows_in=left, rows_out=rest, dropped=here, failed=failed))
        left = rest
    splits = {"sft": {"train": left - 4_000, "validation": 1_000}, "rl": {"train": 3_000}}
    values: dict[str, Any] = {
        "out": out,
        "changed": True,
        "funnel": Funnel(steps=tuple(steps), splits=splits, not_taken=5),
        "calls": 250_000,
        "spared": 1_234,
        "spent": 0.0,
        "saved": 0.0,
        "unpriced": 0,
        "seconds": 3.21,
    }
    return BuildResult(**values | changes)


# --- the report -------------------------------------------------------------------------------------


def test_a_report_of_the_demo_holds_funnel_sum_and_the_line_to_load_it(tmp_path: Path) -> None:
    result = build(Project.default(), out=tmp_path / "set", limit=40)
    text = printed(result)
    for step in result.funnel.steps:
        (line,) = re.findall(rf"^{step.step} .*$", text, flags=re.MULTILINE)
        assert line.split()[1:3] == [str(step.rows_in), str(step.rows_out)]
        assert all(f"{code} {count}" in line for code, count in step.dropped.items())
    kept = result.kept
    assert f"40 rows in = {kept} kept + {40 - kept} dropped + 0 failed (560 more were not taken)\n" in text
    assert f"\n  sft: train {result.funnel.splits['sft']['train']}\n" in text
    assert f"\n  rejected: train {40 - kept}\n" in text
    (load,) = re.findall(r"^  rows = (.*)$", text, flags=re.MULTILINE)
    assert load == f'load_dataset("{tmp_path / "set"}", "sft")'


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_report_into_a_file_is_plain_and_loses_nothing(width: int) -> None:
    text = printed(made(), width)
    assert "\x1b" not in text
    assert "…" not in text
    words = "".join(text.split())
    for whole in ("126,413", "missing_image3,000", *(f"code_{n}1,00{n}" for n in range(6))):
        assert whole in words


def test_a_report_fits_a_terminal_of_eighty_columns() -> None:
    table = printed(made()).split("\n\n")[0]
    assert max(len(line) for line in table.splitlines()) <= 80


def test_columns_of_numbers_are_aligned() -> None:
    lines = printed(made(), 120).splitlines()
    ends = {
        line.index(word) + len(word) for line, word in zip(lines, ("in", "126,413", "123,413"), strict=False)
    }
    assert len(ends) == 1


def test_numbers_are_grouped_and_nothing_is_a_dot() -> None:
    text = printed(made(), 120)
    assert re.search(
        r"^collect +126,413 +123,413 +3,000 +\. +missing_image 3,000 *$", text, flags=re.MULTILINE
    )
    assert re.search(r"^curate +[\d,]+ +[\d,]+ +\. +\. *$", text, flags=re.MULTILINE)
    assert "250,000 calls made, 1,234 spared, 3.2 s\n" in text


def test_failed_rows_are_to_be_run_again() -> None:
    assert printed(made()).endswith(
        "\n7 rows failed: their model gave no reply. Run the same command again to try them.\n"
    )


def test_a_build_that_kept_nothing_names_no_folder() -> None:
    text = printed(made(out=None))
    assert "No row was kept, so no dataset was written." in text
    assert "load_dataset" not in text
    assert "rejected: train" not in text


def test_a_folder_that_held_the_same_bytes_is_said_to() -> None:
    assert "Wrote /data/my set (it held the very same bytes before)." in printed(made(changed=False))


def test_the_line_to_load_is_python_whatever_the_folder_is_called() -> None:
    folder = '/data/[red]"x" [/] é'
    (load,) = re.findall(r"^  rows = load_dataset(.*)$", printed(made(out=Path(folder))), flags=re.MULTILINE)
    assert eval(load) == (folder, "sft")


def test_money_is_told_where_it_is_known_and_where_it_is_not() -> None:
    assert "$" not in printed(made())
    assert "\n$1,234.50 spent, $0.0450 saved\n" in printed(made(spent=1234.5, saved=0.045))
    assert "\n$2.00 + 3 calls of unknown price spent" in printed(made(spent=2.0, unpriced=3))
    assert "names no prices for 3 of them" in printed(made(unpriced=3))


# --- progress ---------------------------------------------------------------------------------------


def counted(**changes: Any) -> Counts:
    counts = Counts(expected=1_200)
    counts.steps["collect"].done = 600
    counts.steps["caption"].under_way = 12
    counts.steps["verify"].done = 288
    counts.steps["verify"].dropped = 12
    counts.role("captioner").made = 1_500
    counts.role("reasoner").spared = 30
    for name, value in changes.items():
        setattr(counts, name, value)
    return counts


def test_a_file_gets_a_plain_line_now_and_then() -> None:
    screen, file = console()
    with Progress(screen) as progress:
        progress(counted())
        assert file.getvalue() == ""
        progress._last -= PLAIN_EVERY
        progress(counted(retries=4, started=counted().started - 60))
        progress(counted())
    (line,) = file.getvalue().splitlines()
    assert line == (
        "300 of 1,200 rows · 1,500 calls made · 30 spared · 4 tried again · 1:00 elapsed · about 3:00 to go"
    )


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_a_live_table_and_is_left_clean(width: int) -> None:
    screen, file = console(width, terminal=True)
    with Progress(screen) as progress:
        progress(counted())
        drawn = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", file.getvalue())
        assert re.search(r"^caption +\. +12 +\. +\.", drawn, flags=re.MULTILINE)
        assert re.search(r"^verify +288 +\. +12 +\.", drawn, flags=re.MULTILINE)
        assert "curate" not in drawn
        assert "300 of 1,200 rows" in drawn
    assert file.getvalue().rstrip().endswith("\x1b[2K")
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1


def test_a_terminal_is_left_clean_by_an_error_too() -> None:
    screen, file = console(terminal=True)

    def fail() -> None:
        with Progress(screen) as progress:
            progress(counted())
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert "\x1b[?25h" in file.getvalue()


def test_the_last_stretch_and_a_stop_are_told() -> None:
    for changes, told in (
        ({"expected": 300}, "writing"),
        (
            {"expected": 300, "comparing": True, "compared": 1280},
            "comparing images that look alike: 1,280 pairs",
        ),
        ({"stopping": True}, "Ctrl-C ends at once"),
        ({"expected": None}, "300 rows · 1,500 calls made · 30 spared · 0:00 elapsed"),
        ({"started": counted().started - 7_325}, "2:02:05 elapsed"),
    ):
        screen, file = console(200, terminal=True)
        with Progress(screen) as progress:
            progress(counted(**changes))
        assert told in file.getvalue()


# --- one row's way ----------------------------------------------------------------------------------


def told(trace: Trace, *, terminal: bool = False) -> str:
    screen, file = console(terminal=terminal)
    tell(trace, screen)
    return file.getvalue()


def trace(text: str) -> Trace:
    """Make a row's way whose every text is `text`."""
    record = Record(
        id=f"s/{text}",
        source="s",
        source_id=text,
        source_license="x",
        question=text,
        gold=Gold(answer_type="open", answer=text),
        prediction=text,
        found_by="tag",
        word_gap=-3,
        score=Score(value=None, reason=text, how="judge"),
        cues=(Cue(phrase="wait", start=12),),
        outcome=Outcome(status="dropped", step="verify", code="wrong_answer", reason=text, evidence=text),
    )
    request = Request(messages=(Message(role="system", text=text),), params={"stop": text})
    reply = Completion.of(text, reasoning=text)
    answered = Exchange(
        step="distill", role="reasoner", model="m", request=request, asked=b"{}", completion=reply
    )
    exchanges = (answered, replace(answered, completion=None))
    return Trace(record=record, exchanges=exchanges, split="rejected/train", why=None)


def test_a_rows_whole_way_is_told(tmp_path: Path) -> None:
    build(Project.default(), out=tmp_path / "set", limit=20)
    for found in show("bars/0000", out=tmp_path / "set"):
        text = told(found)
        assert text.startswith(f"row       bars/0000\nquestion  {found.record.question}\n")
        for exchange in found.exchanges:
            assert f"--- {exchange.step}: {exchange.role} teacher" in text
            assert all(message.text in text for message in exchange.request.messages)
            assert exchange.completion is not None
            assert exchange.completion.text in text
        assert found.record.outcome is not None
        assert f"outcome       {found.record.outcome.status} in {found.split}" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_data_is_never_read_as_markup(terminal: bool) -> None:
    text = told(trace(MARKUP), terminal=terminal)
    assert text.count(MARKUP) == 13
    assert "\x1b" not in text


def test_data_gives_the_terminal_no_orders() -> None:
    text = told(trace(TERMINAL), terminal=True)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert r"a\x1b[31mred\x07\x9b2J\x0db" in text


def test_a_long_line_is_left_whole() -> None:
    long = "word " * 100
    assert f"question  {long}\n" in told(trace(long))


def test_what_is_not_known_is_said() -> None:
    text = told(trace("t"))
    assert "score         not scored, by judge: t" in text
    assert "word gap      -3" in text
    assert 'cues          "wait" at 12' in text
    assert "outcome       dropped in rejected/train (wrong_answer): t\nevidence:\nt\n" in text
    assert "[no reply: as the project's files stand now, this was not asked yet" in text


def test_a_refusal_shows_what_the_server_said() -> None:
    refused = Completion.of("", state="refused", detail="policy")
    way = trace("t")
    exchange = replace(way.exchanges[0], completion=refused)
    text = told(replace(way, exchanges=(exchange,)))
    assert "[reply: refused, " in text
    assert "\npolicy\n" in text
