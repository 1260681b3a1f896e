"""The shape of config.yaml, and the one place that reads it.

`load_config` turns the merged YAML of `config.yaml` and a scale into a frozen, checked `Config`. Every mistake is found
here, before a job is planned, and is reported with the path of its key. Each stage's part of the shape lies beside its
steps, in `scripts/<stage>/settings.py`.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, ValidationError

from scripts.curate.settings import CurateSettings, FolderSource, YfccSource
from scripts.evaluate.settings import EvaluateSettings
from scripts.filter.rule_settings import detectors_of, rule_conflicts
from scripts.filter.settings import FilterSettings, OnnxDetector, WeightsFile
from scripts.filter.tune_settings import Committee
from scripts.lib.errors import UserError
from scripts.lib.recipe import Settings, describe_errors
from scripts.pretrain.settings import PretrainSettings
from scripts.report.settings import ReportSettings
from scripts.shard.settings import ShardSettings

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


class Config(Settings):
    """All of config.yaml."""

    partition_bits: int = Field(ge=0, le=12)  # 2**bits partitions, each a chain of jobs
    curate: CurateSettings
    filter: FilterSettings
    shard: ShardSettings
    pretrain: PretrainSettings
    evaluate: EvaluateSettings
    report: ReportSettings


def load_config(raw: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Config:
    """Check a merged configuration and return it.

    `${NAME}` and `${NAME:-default}` in texts are replaced from `environment`, so that a scale can point at data whose
    place differs between machines.

    Raises:
        UserError: names every key that is unknown, missing, out of range or in conflict with another.
    """
    expanded = _expand(dict(raw), environment, "")
    try:
        # Through JSON, because strict validation takes a YAML list for a tuple only in JSON mode.
        config = Config.model_validate_json(json.dumps(expanded, default=str))
    except ValidationError as error:
        raise UserError(
            f"config.yaml (with the scale on top of it) is not valid: {describe_errors(error, expanded)}. "
            "Every key and its unit is in config.yaml; scales/*.yaml only replace values of it."
        ) from None
    problems = list(_conflicts(config))
    if problems:
        raise UserError("config.yaml (with the scale on top of it) contradicts itself: " + "; ".join(problems))
    return config


def _expand(value: Any, environment: Mapping[str, str], where: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, environment, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environment, f"{where}.{index}") for index, item in enumerate(value)]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _lookup(match, environment, where), value)
    return value


def _lookup(match: re.Match[str], environment: Mapping[str, str], where: str) -> str:
    found = environment.get(match["name"]) or match["default"]
    if found is None:
        raise UserError(f"{where}: the environment variable {match['name']} is not set; export it or write the value")
    return found


def _conflicts(config: Config) -> Iterable[str]:
    """Yield what no single field can know."""
    yield from _repeated("curate.sources", (source.name for source in config.curate.sources))
    yield from _repeated("pretrain.image_sets", (images.name for images in config.pretrain.image_sets))
    yield from _repeated("pretrain.runs", (run.name for run in config.pretrain.runs))
    names = [*(run.name for run in config.pretrain.runs), *(entry.name for entry in config.evaluate.encoders)]
    yield from _repeated("pretrain.runs and evaluate.encoders", names)
    yield from _repeated("evaluate.tasks", (task.name for task in config.evaluate.tasks))
    monitor = config.pretrain.monitor
    if monitor is not None and monitor.task is not None and monitor.task not in {t.name for t in config.evaluate.tasks}:
        yield f"pretrain.monitor.task: evaluate.tasks has no task {monitor.task}"
    yield from _filter_conflicts(config.filter)
    for source in config.curate.sources:
        if isinstance(source, YfccSource):
            for index, file in enumerate(source.files):
                if (file.path is None) == (file.url is None):
                    yield f"curate.sources.{source.name}.files.{index}: give either path or url"
        if isinstance(source, FolderSource) and source.table is None and source.licence is None:
            yield f"curate.sources.{source.name}: without a table, the licence of the folder must be given"


def _repeated(where: str, names: Iterable[str]) -> Iterable[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{where}: the name {name} is used {times} times"


def _filter_conflicts(chosen: FilterSettings) -> Iterable[str]:
    detectors = [*chosen.face_detectors, *chosen.person_detectors]
    names = [detector.name for detector in detectors]
    floors = {detector.name: detector.score_floor for detector in detectors}
    yield from _repeated("filter.face_detectors and filter.person_detectors", names)
    yield from _repeated("filter.rules", (rule.name for rule in chosen.rules))
    yield from rule_conflicts("filter.rules", chosen.rules, floors)
    yield from rule_conflicts("filter.tune.reference", chosen.tune.reference if chosen.labels else (), floors)
    asked = {name for rule in chosen.rules for name in detectors_of(rule)}
    for name in [] if chosen.labels else [name for name in names if name not in asked]:
        yield (
            f"filter.rules: no rule asks the detector {name}, so it would be measured for nothing; name it in a rule, "
            "take it out of the detectors, or give filter.labels to tune on"
        )
    for committee in chosen.tune.committees if chosen.labels else ():
        yield from _committee_conflicts(committee, set(names))
    for target, listed in (("face", chosen.face_detectors), ("person", chosen.person_detectors)):
        for detector in listed:
            where = f"filter.{target}_detectors.{detector.name}"
            if isinstance(detector, OnnxDetector) and detector.target != target:
                yield f"{where}: its target is {detector.target}"
            for key in ("weights", "config"):
                file = getattr(detector, key, None)
                if isinstance(file, WeightsFile) and file.path is None and file.url is None:
                    yield f"{where}.{key}: give a path or an url"


def _committee_conflicts(committee: Committee, names: set[str]) -> Iterable[str]:
    where = f"filter.tune.committees.{committee.name}"
    if unknown := sorted(set(committee.scores) - names):
        yield f"{where}: there is no detector {', '.join(unknown)}"
    if strangers := sorted(set(committee.areas) - set(committee.scores)):
        yield f"{where}: areas names {', '.join(strangers)}, which scores does not"
