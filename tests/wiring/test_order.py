"""The order of a list in the configuration: no job's inputs follow it, so none is passed over when it changes.

Snakemake compares a job's inputs as a set and its params as values: what follows the order of a list has to show it in
its params.
"""

from __future__ import annotations

from tests.wiring.many_entries import Jobs, lists_of, many_entries

# The metadata files of a source are numbered in the order of its list: with another order the name stands for another
# file, and the recipe, which holds the list, says so.
NUMBERED = {"select_candidates"}


def test_the_configuration_has_what_is_turned_round() -> None:
    found = set(lists_of(many_entries()))
    assert {
        *("curate.sources", "curate.sources.0.files", "curate.sources.0.stores", "filter.face_detectors"),
        *("filter.person_detectors", "filter.rules", "filter.tune.committees", "pretrain.runs", "evaluate.tasks"),
        *("evaluate.encoders", "evaluate.after_head", "evaluate.linear_probe.seeds", "evaluate.embedding_map.tasks"),
        *("evaluate.sgd_probe.recipes", "evaluate.finetuned.classifiers", "evaluate.finetuned.classifiers.0.seeds"),
        *("evaluate.finetuned.tasks", "evaluate.finetuned.detectors", "evaluate.finetuned.detectors.2.seeds"),
    } <= found


def test_the_same_jobs_are_planned(planned_twice: tuple[Jobs, Jobs]) -> None:
    forwards, backwards = planned_twice
    assert forwards.keys() == backwards.keys() and len(forwards) > 200


def test_no_input_follows_the_order_of_a_list(planned_twice: tuple[Jobs, Jobs]) -> None:
    forwards, backwards = planned_twice
    followed = {job.rule for key, job in forwards.items() if job.inputs != backwards[key].inputs}
    assert followed == NUMBERED
    for key, job in forwards.items():
        if job.rule in NUMBERED:
            assert job.settings != backwards[key].settings
