"""Work in the background steps back behind the event loop, tells what went wrong, and is waited for."""

import asyncio
import os
import sys
import threading

import pytest

from vlaa_thinking.background import NICENESS, Background


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
def test_it_alone_steps_back() -> None:
    async def run() -> list[int]:
        async with Background() as background:
            found = [await background.do(niceness)]
            for _ in range(2):
                background.step_back()
                found.append(await background.do(niceness))
            return [*found, niceness(), await asyncio.to_thread(niceness)]

    before = niceness()
    back = min(before + NICENESS, 19)
    assert asyncio.run(run()) == [before, back, back, before, before]


def test_all_work_is_done_in_one_thread() -> None:
    async def run() -> set[int]:
        async with Background() as background:
            return {await background.do(threading.get_ident) for _ in range(5)}

    assert len(asyncio.run(run()) - {threading.get_ident()}) == 1


def test_what_it_raises_is_raised_here() -> None:
    async def run() -> None:
        async with Background() as background:
            await background.do(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        asyncio.run(run())


def test_work_under_way_is_waited_for_and_does_not_hold_up_the_loop() -> None:
    begun, ticked = threading.Event(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        begun.set()
        ticked.wait(60)  # in vain, if the loop stood still meanwhile
        ended.append("work")

    async def run() -> None:
        async def ticking() -> None:
            await asyncio.sleep(0.02)
            ended.append("tick")
            ticked.set()

        async with Background() as background:
            given_up = asyncio.create_task(background.do(work))
            await asyncio.to_thread(begun.wait)
            given_up.cancel()
            tick = asyncio.create_task(ticking())
        await tick

    asyncio.run(run())
    assert ended == ["tick", "work"]
