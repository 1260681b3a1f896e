"""One cluster, and one local run to compare with, for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing_programs
from tests.slurm.place import Place, adapted_profile, make_place


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
def copy(local: Place, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., Place]]:
    """Make a place for this test, with what the local run left but for what is to be made again on the cluster."""

    drivers: list[subprocess.Popen[bytes]] = []

    def make(*again: str) -> Place:
        name = request.node.name
        profile = local.root.parent / f"profile-{name}"
        found = {"folder": local.folder.with_name(name), "drivers": drivers}
        place = replace(local, **found, cluster=cluster, profile=adapted_profile(profile))
        if again:
            shutil.copytree(local.folder, place.folder)
            place.forget(*again)
        return place

    yield make
    for driver in drivers:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    cluster.call("scancel", "--full", *cluster.jobs(), check=False)
    for node in set(cluster.names) - set(cluster.idle()):
        if not (cluster.folder / f"run/{node}.pid").exists():
            cluster.start_node(node)
