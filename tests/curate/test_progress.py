"""The log line of a download."""

from __future__ import annotations

import pytest

from scripts.curate.progress import Progress
from scripts.curate.spool import Settled
from scripts.lib.errors import UserError
from tests.curate.download_run import POLICY


def settled(reason: str = "", *, size: int = 1_000_000, host: str = "host", by_server: bool = True) -> Settled:
    return Settled(reason, "HTTP 500" if reason else "", f"http://{host}/x", by_server, 0, 0 if reason else size, "")


def test_rate_and_time_left_are_those_of_this_process() -> None:
    progress = Progress(1000, POLICY, "3")
    assert progress.line(1.0) == "0 of 1000 photos (0%), 0 MB, 0.0 photos/s, time left unknown"
    for _ in range(400):
        progress.count(settled(), earlier=True)
    for _ in range(90):
        progress.count(settled(), earlier=False)
    for _ in range(10):
        progress.count(settled("not_found"), earlier=False)
    # 100 photos in 5 s, so 500 more in 25 s; the 400 of an earlier process say nothing about the rate.
    assert progress.line(5.0) == (
        "500 of 1000 photos (50%), 490 MB, 20.0 photos/s, 25 s left; without bytes: not_found 10"
    )
    assert "2.0 photos/s, 4 min left" in progress.line(50.0)
    assert "0.0 photos/s, 6.9 h left" in progress.line(5000.0)


def test_it_stops_when_the_share_cannot_be_met_any_more() -> None:
    policy = POLICY.model_copy(update={"max_failed_share": 0.1})
    progress = Progress(100, policy, "3")
    for _ in range(10):
        progress.count(settled("download_failed"), earlier=False)
    with pytest.raises(UserError, match=r"11 of 100 photos of partition 3 .* \(0\.1\) .*host: HTTP 500 \(11\)"):
        progress.count(settled("incomplete"), earlier=False)


def test_photos_of_local_stores_do_not_dilute_the_share() -> None:
    policy = POLICY.model_copy(update={"max_failed_share": 0.1})
    progress = Progress(100, policy, "3")
    for _ in range(98):
        progress.count(settled(by_server=False), earlier=False)
    progress.count(settled(), earlier=False)
    with pytest.raises(UserError, match="1 of 2 photos"):
        progress.count(settled("download_failed"), earlier=False)


def test_definite_answers_are_no_failures() -> None:
    progress = Progress(99, POLICY, "3")
    for _ in range(99):
        progress.count(settled("not_found"), earlier=False)
    progress.check()  # 99 are too few to suspect the server
    progress = Progress(100, POLICY, "3")
    for _ in range(100):
        progress.count(settled("not_found"), earlier=False)
    with pytest.raises(UserError, match="not one of the 100 photos"):
        progress.check()
