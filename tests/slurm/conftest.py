"""One cluster, and one local run to compare with, for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing_programs
from tests.slurm.place import Drivers, Place, adapted_profile, make_place


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; its folder's name is short because sockets lie in it."""
    if missing := missing_programs():
        pytest.skip(f"SLURM is not installed here ({', '.join(missing)} not found); .ci/run installs it where it can")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    found = Cluster(folder)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def local(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The workflow, finished on this machine."""
    place = make_place(tmp_path_factory.mktemp("place"), None, "local")
    place.run()
    return place


@pytest.fixture
def drivers(cluster: Cluster) -> Iterator[Drivers]:
    """The workflows that a test starts. What is left of them, and of their jobs and nodes, is put in order after it."""
    started: Drivers = []
    yield started
    for driver in started:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    if jobs := cluster.jobs():
        cluster.call("scancel", "--full", *jobs, check=False)
    for node in set(cluster.names) - set(cluster.idle()):
        if not (cluster.folder / f"run/{node}.pid").exists():
            cluster.start_node(node)


@pytest.fixture
def copy(local: Place, cluster: Cluster, drivers: Drivers, request: pytest.FixtureRequest) -> Callable[..., Place]:
    """Make a place for this test, with what the local run left but for what is to be made again on the cluster."""

    def make(*again: str) -> Place:
        name = request.node.name
        profile = adapted_profile(local.root.parent / f"profile-{name}")
        own = {"folder": local.folder.with_name(name), "drivers": drivers}
        place = replace(local, cluster=cluster, profile=profile, **own)
        if again:
            shutil.copytree(local.folder, place.folder)
            place.forget(*again)
        return place

    return make
