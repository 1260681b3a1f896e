"""What tests of the rules share."""

from __future__ import annotations

import pytest

from tests.wiring.many_entries import Jobs, many_entries, plan_jobs, turned_round


@pytest.fixture(scope="session")
def planned_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Jobs, Jobs]:
    """The jobs of a configuration with many entries, and those with its lists turned round."""
    folder = tmp_path_factory.mktemp("planned_twice")
    return plan_jobs(folder, many_entries()), plan_jobs(folder, turned_round(many_entries()))
