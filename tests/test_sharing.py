"""What the workers of one build share: limits in parts, a budget in small sums, and one display."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from vlaa_thinking import Project, Run, Shard
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import BudgetReached, SetupError
from vlaa_thinking.llm.budget import Budget
from vlaa_thinking.settings import Model
from vlaa_thinking.shards.cluster import build_on_ray
from vlaa_thinking.shards.office import gathered, told
from vlaa_thinking.shards.sharing import Purse, Share, places_for


@pytest.mark.parametrize("places", [1, 2, 3, 7])
def test_the_parts_of_a_limit_are_the_whole_and_each_has_some(places: int) -> None:
    model = Model(api="openai", max_concurrency=7, rpm=100, tpm=1001)
    parts = [Share(place=n, places=places).model(model) for n in range(places)]
    assert sum(p.max_concurrency for p in parts) == 7
    assert sum(p.rpm or 0 for p in parts) == 100
    assert sum(p.tpm or 0 for p in parts) == 1001
    assert all(p.max_concurrency and p.rpm and p.tpm for p in parts)
    settings = Project.default().settings("offline")
    shared = Share(place=0, places=places).settings(settings)
    assert {m.rpm for m in shared.models.values()} == {None}


def test_no_more_parts_than_the_smallest_limit() -> None:
    assert places_for([Model(api="openai", max_concurrency=9), Model(api="openai", rpm=5)], 20) == 5
    assert places_for([Model(api="openai", max_concurrency=9)], 4) == 4
    assert places_for([], 0) == 1


def test_a_budget_is_lent_in_small_sums_and_what_a_killed_worker_held_is_gone() -> None:
    purse = Purse(10.0)
    assert purse.lend("a", 0.01) == pytest.approx(0.1)
    assert purse.lend("b", 4.0) == 4.0
    assert purse.lend("c", 6.0) == 0.0
    purse.settle("a", 0.03)
    purse.settle("nobody", 5.0)
    assert purse.left == pytest.approx(5.97)  # b never settled
    assert purse.lend("c", 5.97) == pytest.approx(5.97)
    assert purse.lend("c", 0.01) == 0.0
    assert Purse(None).lend("a", 3.0) == 3.0
    assert Purse(None).left is None


def test_a_worker_borrows_as_it_goes_and_stops_when_nothing_is_lent() -> None:
    purse, counts, asked = Purse(1.0), Counts(), []

    async def lend(lacking: float) -> float:
        asked.append(lacking)
        await asyncio.sleep(0)
        return purse.lend("w", lacking)

    async def call(budget: Budget) -> None:
        await budget.reserve(0.004)
        await asyncio.sleep(0)
        counts.role("reasoner").spent += 0.004
        budget.settle(0.004)

    async def spend() -> None:
        budget = Budget(0.0, counts, lend=lend)
        await asyncio.gather(*(call(budget) for _ in range(240)))
        with pytest.raises(BudgetReached):
            await asyncio.gather(*(call(budget) for _ in range(20)))

    asyncio.run(spend())
    assert 0.99 < counts.spent < 1.0 + 1e-9
    assert 90 < len(asked) < 130


def test_one_display_shows_rows_of_the_latest_workers_and_calls_of_all() -> None:
    first, second, other = Counts(), Counts(), Counts()
    for counts, done, made in ((first, 5, 7), (second, 2, 1), (other, 3, 3)):
        counts.expected = 10
        counts.steps["collect"].done = done
        counts.steps["verify"].done = done
        counts.role("judge").made = made
        counts.role("judge").spent = made / 10
        counts.retries = 1
    said = {"1/2#1": told(first), "1/2#2": told(second), "2/2#1": told(other)}
    whole = Counts()
    gathered(whole, said, ["1/2#2", "2/2#1"])
    assert (whole.rows_ended, whole.expected, whole.made, whole.retries) == (5, 20, 11, 3)
    assert whole.spent == pytest.approx(1.1)
    gathered(whole, {"1/2#2": told(second)}, ["1/2#2"])
    assert (whole.made, whole.expected) == (1, 20)


def test_a_cluster_wants_storage_and_chooses_by_itself(tmp_path: Path) -> None:
    project = Project.default()
    with pytest.raises(SetupError, match="a place that all nodes share"):
        build_on_ray(project, out=tmp_path / "set")
    run = Run(work=str(tmp_path / "net"))
    for wrong in (replace(run, shard=Shard(number=1, count=2)), replace(run, cache=tmp_path / "c")):
        with pytest.raises(SetupError, match="leave out shard, cache and log"):
            build_on_ray(project, out=tmp_path / "set", run=wrong)
    with pytest.raises(SetupError, match="no number of parts"):
        build_on_ray(project, out=tmp_path / "set", shards=0, run=run)
