"""What changes in one partition is no input of another's jobs (docs/decisions.md#112)."""

from __future__ import annotations

from pathlib import Path

from tests.wiring.many_entries import Jobs

# Of all partitions, for a reason: candidates come by metadata file, weights are of a detector.
OF_ALL = {f"results/{step}" for step in ("curate/select_candidates", "filter/fetch_weights", "filter/convert_weights")}
STEPS = {"download", "inspect_images", "detect_faces", "detect_people", "judge", "write_review_page", "write_shards"}


def test_jobs_of_a_partition_read_tables_of_that_partition(planned_twice: tuple[Jobs, Jobs]) -> None:
    found, seen = planned_twice[0].values(), set()
    for job in found:
        # two partitions and two shards: shard 00000 is of partition 0
        part = job.wildcards.get("part") or job.wildcards.get("shard", "")[-1:]
        made = [Path(path) for path in job.inputs if path.startswith("results/")]
        if part and made:
            seen.add(job.rule)
            assert not [path for path in made if path.stem != part and str(path.parent) not in OF_ALL], job.rule
    assert seen == STEPS


def test_no_other_step_has_a_job_for_each_partition(planned_twice: tuple[Jobs, Jobs]) -> None:
    assert {job.rule for job in planned_twice[0].values() if {"part", "shard"} & job.wildcards.keys()} == STEPS
