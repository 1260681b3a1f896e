"""The run as an RO-Crate: workflow, steps, jobs, files, with who made what from what and when.

RO-Crate 1.1 with the profiles Process, Workflow and Provenance Run Crate 0.5 and Workflow RO-Crate 1.0. Files that are
published have their path as `@id`; those that are not have `#` and their path, so that the chain from the metadata to
the shards has no gap although nobody gets the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from scripts.audit.publication import PublishedFile, media_type
from scripts.audit.run_crate_jobs import DONE, job_entities
from scripts.lib.records import Record

Entity = dict[str, Any]

_W3ID = "https://w3id.org"
CONTEXT = [f"{_W3ID}/ro/crate/1.1/context", f"{_W3ID}/ro/terms/workflow-run/context"]
WORKFLOW_CRATE = f"{_W3ID}/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    f"{_W3ID}/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    f"{_W3ID}/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    f"{_W3ID}/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
_SNAKEMAKE = f"{_W3ID}/workflowhub/workflow-ro-crate#snakemake"
_CODE_LICENCE = "https://spdx.org/licenses/Apache-2.0"


@dataclass(frozen=True)
class Facts:
    """What is said of the whole."""

    title: str
    version: str
    contact: str
    seal: str
    date: str  # ISO 8601: when the last job ended
    licences: tuple[str, ...]  # SPDX ids of the images
    snakemake: str  # version


def licence_address(licence: str) -> str:
    """Return the address that names a licence."""
    if licence == "PDM-1.0":  # a mark, no licence, so SPDX has none
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    return f"https://spdx.org/licenses/{quote(licence)}"


def ref(*ids: str) -> Any:
    """Return a reference, or the list of several."""
    found = [{"@id": each} for each in ids]
    return found[0] if len(found) == 1 else found


def build_crate(
    facts: Facts, jobs: Mapping[str, Record], files: Sequence[PublishedFile], others: Iterable[str], code: Sequence[str]
) -> dict[str, Any]:
    """Return the content of ro-crate-metadata.json.

    Args:
        facts: what is said of the whole.
        jobs: published records, by the name of the first output.
        files: published results.
        others: further files of the folder, without the code.
        code: files of the code.
    """
    tools = sorted({record["step"] for record in jobs.values()})
    made = job_entities(jobs, {each.path for each in files})
    code = [path for path in code if path != "Snakefile"]
    parts = [*(quote(each.path) for each in files), *map(quote, others), *map(quote, code), "records/"]
    known = {entity["@id"] for entity in made}
    plain = [_file(path) for path in [*others, *code] if quote(path) not in known]
    graph = [
        _descriptor(),
        _root(facts, ["Snakefile", *parts], [entity["@id"] for entity in made if entity["@type"] == "CreateAction"]),
        _workflow(tools),
        *_profiles(),
        *_licences(facts.licences),
        *_context(facts),
        _folder_of_records(len(jobs)),
        *_run(facts, jobs, files),
        *made,
        *plain,
    ]
    return {"@context": CONTEXT, "@graph": graph}


def _descriptor() -> Entity:
    return {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": ref("./"),
        "conformsTo": ref(f"{_W3ID}/ro/crate/1.1", WORKFLOW_CRATE),
    }


def _root(facts: Facts, parts: Sequence[str], actions: Sequence[str]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{facts.title}, version {facts.version}",
        "description": (
            "Images chosen so that no person is visible, encoders trained on them and their evaluation, with a record "
            "of each job that made them: settings, code, inputs and outputs by SHA-256. Files whose @id begins with # "
            "are named and not included."
        ),
        "version": facts.version,
        "datePublished": facts.date,
        "author": ref("#contact"),
        "publisher": ref("#contact"),
        "license": ref(*(licence_address(each) for each in facts.licences)),
        "conformsTo": ref(*PROFILES),
        "identifier": ref("#seal"),
        "mainEntity": ref("Snakefile"),
        "hasPart": [ref(each) for each in parts],
        "mentions": [ref(each) for each in ("#run", "#engine-run", *actions)],
    }


def _workflow(tools: Sequence[str]) -> Entity:
    return {
        "@id": "Snakefile",
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "unpeopled",
        "description": "Curate image datasets without people, pretrain on them, prove what you got.",
        "encodingFormat": "text/plain",
        "programmingLanguage": ref(_SNAKEMAKE),
        "license": ref(_CODE_LICENCE),
        "hasPart": [ref(f"scripts/{tool.replace('.', '/')}.py") for tool in tools],
        "step": [ref(f"#step/{tool}") for tool in tools],
    }


def _profiles() -> list[Entity]:
    return [
        {"@id": address, "@type": "CreativeWork", "name": name, "version": version}
        for address, (name, version) in PROFILES.items()
    ]


def _licences(licences: Iterable[str]) -> list[Entity]:
    named = {licence_address(each): each for each in licences} | {_CODE_LICENCE: "Apache-2.0"}
    return [
        {"@id": address, "@type": "CreativeWork", "name": name, "identifier": name, "url": address}
        for address, name in named.items()
    ]


def _context(facts: Facts) -> list[Entity]:
    return [
        {
            "@id": _SNAKEMAKE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": ref("https://snakemake.github.io"),
            "url": ref("https://snakemake.github.io"),
            "version": facts.snakemake,
        },
        {"@id": "#snakemake", "@type": "SoftwareApplication", "name": "Snakemake", "softwareVersion": facts.snakemake,
         "url": ref("https://snakemake.github.io")},
        {"@id": "#contact", "@type": "Organization", "name": facts.contact, "description": "Who publishes this, and "
         "whom to write to when an image is to be taken down: a person or an organisation."},
        {"@id": "#seal", "@type": "PropertyValue", "propertyID": "seal", "name": "Seal of the run (Merkle root, RFC "
         "6962, over the identities of all jobs, SHA-256)", "value": facts.seal},
    ]  # fmt: skip


def _folder_of_records(jobs: int) -> Entity:
    return {
        "@id": "records/",
        "@type": "Dataset",
        "name": "Records",
        "description": f"The records of {jobs} jobs, one JSON file each under the name of its first output.",
    }


def _run(facts: Facts, jobs: Mapping[str, Record], files: Sequence[PublishedFile]) -> list[Entity]:
    started = min(record["circumstances"]["started"] for record in jobs.values())
    ended = max(record["circumstances"]["ended"] for record in jobs.values())
    times = {"startTime": started, "endTime": ended, "actionStatus": DONE}
    return [
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"The run with the seal {facts.seal}",
            "description": "From the start of its first job to the end of its last; pauses between them are included.",
            "instrument": ref("Snakefile"),
            "agent": ref("#contact"),
            "result": [ref(quote(each.path)) for each in files],
            **times,
        },
        {
            "@id": "#engine-run",
            "@type": "OrganizeAction",
            "name": "Snakemake runs the jobs",
            "description": "One or more invocations of the workflow engine, until all targets were there.",
            "instrument": ref("#snakemake"),
            "agent": ref("#contact"),
            "object": [ref(f"#control/{quote(name)}") for name in jobs],
            "result": ref("#run"),
            **times,
        },
    ]


def _file(path: str) -> Entity:
    about = {"about": ref("./")} if path == "README.md" else {}
    return {"@id": quote(path), "@type": "File", "name": path, "encodingFormat": media_type(path), **about}
