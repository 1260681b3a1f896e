"""The jobs of a run as entities of an RO-Crate: steps and their parameters, actions, and the files between them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from scripts.audit.publication import media_type
from scripts.lib.recipe import canonical_json
from scripts.lib.records import Record

Entity = dict[str, Any]

DONE = "http://schema.org/CompletedActionStatus"
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn"}  # by what is imported


def job_entities(jobs: Mapping[str, Record], published: Collection[str]) -> list[Entity]:
    """Return the entities of all jobs, each once, sorted by `@id`.

    Args:
        jobs: published records, by the name of the first output.
        published: paths of the files that the crate holds.
    """
    entities: dict[str, Entity] = {}
    for name, record in jobs.items():
        for entity in _of_job(name, record, published):
            _merge(entities.setdefault(entity["@id"], {}), entity)
    for entity in entities.values():
        _settle(entity)
    return [entities[each] for each in sorted(entities)]


def _of_job(name: str, record: Record, published: Collection[str]) -> Iterator[Entity]:
    step, tool = record["step"], f"scripts/{record['step'].replace('.', '/')}.py"
    inputs = [_file(step, each, published) for each in record["inputs"]]
    outputs = [_file(step, each, published) for each in record["outputs"]]
    settings = [
        _value("settings", canonical_json(record["values"]), step),
        _value("code", record["code"]["text"], step),
    ]
    software = [
        {"@id": _package_address(package, version), "@type": "SoftwareApplication", "name": package,
         "softwareVersion": version}
        for package, version in sorted(record["circumstances"].get("packages", {}).items())
    ]  # fmt: skip
    yield from inputs
    yield from outputs
    yield from settings
    yield from software
    for flag, kind in [*((each["flag"], "File") for each in record["inputs"]), ("settings", "PropertyValue")]:
        yield _parameter(step, flag, kind)
    yield _parameter(step, "code", "PropertyValue")
    for each in record["outputs"]:
        yield _parameter(step, each["flag"], "File")
    yield {
        "@id": tool,
        "@type": ["File", "SoftwareSourceCode"],
        "name": step,
        "encodingFormat": media_type(tool),
        "programmingLanguage": "Python",
        "version": [record["code"]["text"].partition(" ")[0] or "unknown"],
        "softwareRequirements": [{"@id": each["@id"]} for each in software],
        "input": [
            {"@id": _parameter_id(step, flag)}
            for flag in dict.fromkeys([*(each["flag"] for each in record["inputs"]), "settings", "code"])
        ],
        "output": [{"@id": _parameter_id(step, each["flag"])} for each in record["outputs"]],
    }
    yield {"@id": f"#step/{step}", "@type": "HowToStep", "name": step, "workExample": {"@id": tool}}
    action = f"#job/{quote(name)}"
    yield {
        "@id": action,
        "@type": "CreateAction",
        "name": f"{step} makes results/{name}",
        "description": f"One job of the step {step}, of {record['circumstances'].get('cpu_seconds', 0)} CPU-seconds.",
        "identifier": record["identity"],
        "agent": {"@id": "#contact"},
        "instrument": {"@id": tool},
        "object": [{"@id": each["@id"]} for each in (*inputs, *settings)],
        "result": [{"@id": each["@id"]} for each in outputs],
        "startTime": record["circumstances"]["started"],
        "endTime": record["circumstances"]["ended"],
        "actionStatus": DONE,
    }
    yield {
        "@id": f"#control/{quote(name)}",
        "@type": "ControlAction",
        "name": f"Snakemake starts {step} for results/{name}",
        "description": "The workflow engine starts the job when its inputs are there.",
        "agent": {"@id": "#contact"},
        "instrument": {"@id": f"#step/{step}"},
        "object": {"@id": action},
    }


def _file(step: str, entry: Mapping[str, Any], published: Collection[str]) -> Entity:
    path = entry["path"]
    kept_back = path not in published
    found: Entity = {
        "@id": f"#{quote(path)}" if kept_back else quote(path),
        "@type": "Dataset" if entry.get("folder") else "File",
        "name": path,
        "exampleOfWork": [{"@id": _parameter_id(step, entry["flag"])}],
    }
    if not entry.get("folder"):
        found |= {"sha256": entry["sha256"], "contentSize": str(entry["bytes"]), "encodingFormat": media_type(path)}
    if kept_back:
        found["description"] = "Named here and not included."
    return found


def _value(name: str, text: str, step: str) -> Entity:
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
    return {
        "@id": f"#{name}/{digest}",
        "@type": "PropertyValue",
        "name": name,
        "propertyID": name,
        "value": text,
        "exampleOfWork": [{"@id": _parameter_id(step, name)}],
    }


def _parameter_id(step: str, flag: str) -> str:
    return f"#parameter/{step}/{quote(flag)}"


def _parameter(step: str, flag: str, kind: str) -> Entity:
    return {
        "@id": _parameter_id(step, flag),
        "@type": "FormalParameter",
        "name": flag,
        "additionalType": kind,
        "description": f"--{flag} of {step}" if flag != "settings" else f"All settings of {step}, as JSON",
    }


def _merge(known: Entity, other: Entity) -> None:
    """Add to an entity what another mention of it says: lists grow, all else is the same in both."""
    for key, value in other.items():
        if isinstance(value, list) and key in known:
            known[key] = [*known[key], *(each for each in value if each not in known[key])]
        else:
            known[key] = value


def _settle(entity: Entity) -> None:
    """Sort what other jobs added to, and make a list of one value this value, as RO-Crate recommends."""
    for key in ("exampleOfWork", "softwareRequirements", "input", "output", "version"):
        if key in entity:
            entity[key] = sorted(entity[key], key=str)
    for key, value in entity.items():
        if isinstance(value, list) and len(value) == 1:
            entity[key] = value[0]
    for key in [key for key, value in entity.items() if value == []]:
        del entity[key]


def _package_address(package: str, version: str) -> str:
    """Return the address that names a version of a package everywhere (Package URL)."""
    kind = "generic" if package == "python" else "pypi"
    return f"pkg:{kind}/{quote(_DISTRIBUTIONS.get(package, package).lower())}@{quote(version)}"
