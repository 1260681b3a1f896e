"""One host's gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from scripts.curate.gate import BAD_IN_A_ROW, DeadHostError, Gate
from tests.curate.download_run import POLICY


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


def gate(**policy: float) -> Gate:
    return Gate("host", POLICY.model_copy(update={"connections_per_host": 4, **policy}))


async def most_at_once(door: Gate, count: int) -> int:
    """Send `count` requests through; return how many were inside at once."""
    inside = most = 0

    async def request() -> None:
        nonlocal inside, most
        async with door:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(request() for _ in range(count)))
    return most


def test_no_more_than_the_limit_at_once_and_first_come_first_served() -> None:
    async def test() -> None:
        door, order = gate(), list[int]()

        async def request(index: int) -> None:
            async with door:
                order.append(index)
                await asyncio.sleep(0)

        await asyncio.gather(*(request(index) for index in range(50)))
        assert order == list(range(50))
        assert await most_at_once(door, 50) == 4

    run(test)


def test_an_overloaded_host_gets_fewer_connections_and_recovers() -> None:
    async def test() -> None:
        door = gate()
        door.note_bad("HTTP 503", overloaded=True)
        assert await most_at_once(door, 20) == 2
        door.note_bad("HTTP 503", overloaded=True)
        door.note_bad("HTTP 503", overloaded=True)
        assert await most_at_once(door, 20) == 1  # never none
        for _ in range(20):
            door.note_good()
        assert await most_at_once(door, 20) == 4

    run(test)


def test_nobody_passes_before_the_host_wants() -> None:
    async def test() -> None:
        door = gate()
        loop = asyncio.get_running_loop()
        began = loop.time()
        door.note_bad("HTTP 503", wait=0.2)
        door.note_bad("reset")  # a later answer without a wish does not shorten the wait
        await most_at_once(door, 8)
        assert loop.time() - began >= 0.2

    run(test)


def test_interval_between_starts() -> None:
    async def test() -> None:
        door, starts = gate(), list[float]()
        door.interval = 0.05

        async def request() -> None:
            async with door:
                starts.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(request() for _ in range(5)))
        assert all(later - earlier >= 0.049 for earlier, later in pairwise(starts))

    run(test)


def test_a_host_in_trouble_is_asked_by_one_at_a_time() -> None:
    async def test() -> None:
        door = gate(patience_seconds=60.0)
        for _ in range(BAD_IN_A_ROW):
            door.note_bad("reset")
        assert await most_at_once(door, 10) == 1
        door.note_good()
        assert await most_at_once(door, 10) == 2

    run(test)


def test_a_dead_host_lets_everybody_go() -> None:
    async def test() -> None:
        door = gate(patience_seconds=0.05)
        door.note_bad("reset", wait=0.1)
        waiting = [asyncio.create_task(door.__aenter__()) for _ in range(20)]
        await asyncio.sleep(0.15)
        for _ in range(BAD_IN_A_ROW):
            door.note_bad("HTTP 502")
        async with asyncio.timeout(5):
            for _ in range(4):  # those that were inside come out
                await door.__aexit__(None, None, None)
            ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [type(None)] * 4 + [DeadHostError] * 16
        with pytest.raises(DeadHostError, match=r"host gave no good answer for 0\.05 s, the last was HTTP 502"):
            await door.__aenter__()

    run(test)


def test_one_good_answer_forgives() -> None:
    async def test() -> None:
        door = gate(patience_seconds=0.05)
        for _ in range(10 * BAD_IN_A_ROW):
            door.note_bad("reset")
            await asyncio.sleep(0.001)
            door.note_good()
        assert await most_at_once(door, 3) == 3

    run(test)
