"""How sure a plan is: its sample, its range, and what it says of both."""

import math
import random
import statistics
from io import StringIO
from pathlib import Path

import pytest
from chat_server import ChatServer
from rich.console import Console
from sums_project import sums_project
from test_money import PRICES, Till, Wordy, foretold_and_charged, plainly

from vlaa_thinking import Plan, build, plan
from vlaa_thinking.certainty import Foretold, half_width, student
from vlaa_thinking.display import foretell
from vlaa_thinking.survey import Survey, Way, shares


def said_of(made: Plan) -> str:
    said = StringIO()
    foretell(made, Console(file=said, width=200))
    return said.getvalue()


def test_a_sample_is_shared_out_among_sources_and_answer_types() -> None:
    rows = {("a", "digit"): 600, ("a", "open"): 50, ("b", "choice"): 349, ("c", "iou"): 1}
    assert shares(rows, 50) == {("a", "digit"): 30, ("a", "open"): 3, ("b", "choice"): 17, ("c", "iou"): 0}
    assert shares(rows, 5000) == rows
    assert set(shares(rows, 0).values()) == {0}
    assert shares({}, 50) == {}


def test_a_kind_of_row_is_foretold_from_its_own_unless_they_are_few() -> None:
    survey = Survey()
    digits, others = [Way() for _ in range(4)], [Way() for _ in range(3)]
    survey.known[("a", "digit")], survey.known[("a", "open")] = digits, others
    for stratum in (("a", "digit"), ("a", "open"), ("b", "digit")):
        survey.open[stratum, "distill"] = 9
    assert survey.like(("a", "open")) == digits + others == survey.like(("a", "digit"))
    assert survey.like(("b", "digit")) == digits + others  # of this source nothing is known
    others.append(Way())
    known = Survey(known=survey.known, open=survey.open)
    assert known.like(("a", "open")) is others
    assert known.like(("a", "digit")) is digits


def test_the_range_holds_the_sum_19_times_out_of_20() -> None:
    """Rows of lognormal cost (sigma 0.8), 30 of 300 known: the range is neither too narrow nor too wide."""
    rng = random.Random(11)
    held, widths = 0, []
    for _ in range(400):
        costs = [rng.lognormvariate(0, 0.8) for _ in range(300)]
        known, rest = costs[:30], costs[30:]
        width = half_width([Foretold(by=1, rows=len(rest), costs=tuple(known))])
        assert width is not None
        held += abs(statistics.fmean(known) * len(rest) - sum(rest)) < width
        widths.append(width / sum(rest))
    assert 0.88 < held / 400 < 0.98  # the mean of 30 lognormal costs is not quite normal
    assert statistics.fmean(widths) < 0.4


def test_what_rests_on_the_same_rows_is_wrong_together() -> None:
    costs = (1.0, 2.0, 3.0, 4.0)
    one = half_width([Foretold(by=1, rows=200, costs=costs)])
    halves = half_width([Foretold(by=1, rows=100, costs=costs), Foretold(by=1, rows=100, costs=costs)])
    apart = half_width([Foretold(by=1, rows=100, costs=costs), Foretold(by=2, rows=100, costs=costs)])
    assert one == pytest.approx(halves)
    assert apart is not None
    assert halves is not None
    assert apart < halves
    assert half_width([Foretold(by=1, rows=9, costs=(1.0,))]) is None
    assert half_width([]) == 0


@pytest.mark.parametrize(
    ("degrees", "errors"), [(5, 2.571), (10, 2.228), (30, 2.042), (49, 2.010), (1000, 1.962)]
)
def test_small_samples_are_less_sure(degrees: int, errors: float) -> None:
    assert student(degrees) == pytest.approx(errors, abs=0.005)


def test_a_plan_says_how_sure_it_is_and_what_would_make_it_surer(tmp_path: Path) -> None:
    with ChatServer(Wordy(2)) as server:
        project = sums_project(tmp_path / "p", server.url, count=120, **PRICES)
        made = plan(project, out=tmp_path / "out", sample=12)
        assert made.within is not None
        assert made.within > 0.1
        said = said_of(made)
        assert f"what is left costs within {made.within:.0%} of what is expected" in said
        enough = min(120, math.ceil(made.sampled * (made.within / 0.1) ** 2))
        assert f"--sample {enough} would bring that to about 10%" in said
        assert made.low is not None
        assert made.expected is not None
        assert made.high is not None
        assert made.expected - made.low == pytest.approx(made.high - made.expected)
        larger = plan(project, out=tmp_path / "out", sample=60)
        assert larger.within is not None
        assert larger.within < made.within
        assert larger.sampled >= 60
        assert larger.spent + made.spent == pytest.approx(server.reply.charged)  # type: ignore[attr-defined]


def test_rows_of_one_cost_are_foretold_to_the_cent(tmp_path: Path) -> None:
    """No reply is longer than another: nothing is left to chance but which rows need a further call."""
    till = Till(lambda _: (100, 50))
    with ChatServer(till) as server:
        project = sums_project(tmp_path / "p", server.url, count=36, per_image=1, **PRICES)
        rows = (project.root / "rows.jsonl").read_text().splitlines(keepends=True)
        (project.root / "rows.jsonl").write_text(
            "".join(rows[n] for n in range(36) if n % 12 in {0, 7, 8, 9})
        )
        made = plan(project, out=tmp_path / "out", sample=4)
        assert made.within == pytest.approx(0, abs=1e-9)
        assert "--sample" not in said_of(made)
        build(project, out=tmp_path / "out")
        assert made.expected is not None
        assert made.spent + made.expected == pytest.approx(till.charged)


def test_each_price_that_is_not_known_is_named(tmp_path: Path) -> None:
    with ChatServer(Till(plainly)) as server:
        project = sums_project(tmp_path / "p", server.url, count=3, **PRICES)
        models = project.root / "generators/models.toml"
        models.write_text(models.read_text().replace("input_price = 2.0\n", "", 1))  # the captioner's
        made = plan(project, out=tmp_path / "out")
        assert (made.expected, made.within) == (None, None)
        said = said_of(made)
        assert 'The price of the model "eye" is not known: set input_price and output_price' in said
        assert "in [model.eye] of generators/models.toml" in said
        assert '"mind"' not in said


@pytest.mark.parametrize("seed", [2, 10])
def test_a_plan_from_fifty_rows_is_near_and_its_range_holds(tmp_path: Path, seed: int) -> None:
    """Lognormal replies (sigma 0.6): the error has a standard deviation of 7 %, by the sample's size alone."""
    made, charged = foretold_and_charged(tmp_path, seed, rows=240)
    assert made.expected is not None
    assert made.low is not None
    assert made.high is not None
    assert made.spent + made.expected == pytest.approx(charged, rel=0.1)
    assert made.spent + made.low < charged < made.spent + made.high
