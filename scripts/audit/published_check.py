"""Check a publication that one got from somewhere: its files, its records and its seal, with nothing else at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, UNDECIDABLE, Finding
from scripts.audit.publication import CRATE, CROISSANT, SUMS, read_sums
from scripts.audit.published_records import WITHHELD
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from scripts.lib.records import Record, identity, result_name
from scripts.lib.seal import Closure, closure, merkle_root

_GET = "Get it again from who published it, and compare the seal with the one that the paper or the page quotes."


def check_publication(folder: Path, quoted: str = "") -> tuple[str, list[Finding]]:
    """Return the seal that the records of a publication give, and what was found.

    Args:
        folder: the publication.
        quoted: the seal that somebody quoted elsewhere; empty: unknown.

    Raises:
        UserError: it has no list of sums, or no seal that can be read.
    """
    sums = read_sums(folder)
    try:
        sealed = json.loads((folder / "records/seal.json").read_text(encoding="utf-8"))
        found = closure([str(each) for each in sealed["targets"]], folder / "records")
        said = str(sealed["seal"])
        seal = seal_of_published(found.jobs)
        findings = [*_files(folder, sums), *_records(found, sums), *_descriptions(folder, found.jobs)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: its records cannot be read ({type(error).__name__}: {error}). It is damaged. {_GET}"
        ) from None
    findings.append(_compared("seal", "records/seal.json", said, seal))
    if quoted:
        findings.append(_compared("seal", "the seal that was quoted", quoted.lower(), seal))
    return seal, findings


def seal_of_published(jobs: Mapping[str, Record]) -> str:
    """Return the seal over published records: that of the run, also where settings of a job were withheld."""
    leaves = [
        f"{name}\0{record['identity'] if record.get(WITHHELD) else identity(record)}".encode()
        for name, record in sorted(jobs.items())
    ]
    return merkle_root(leaves).hex()


def _compared(check: str, subject: str, said: str, found: str) -> Finding:
    if said == found:
        return Finding(check, SAME, subject, f"{subject} says {said}, and so do the records.")
    return Finding(check, DIFFERENT, subject, f"{subject} says {said}, the records give {found}.", _GET)


def _files(folder: Path, sums: Mapping[str, str]) -> Iterator[Finding]:
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    there = {name for name in there if name != SUMS and "__pycache__" not in name}  # which running the code leaves
    for name in sorted(there | set(sums)):
        if name not in sums:
            yield Finding("files", DIFFERENT, name, f"{name} is in the folder and not in {SUMS}.", _GET)
        elif name not in there:
            yield Finding("files", DIFFERENT, name, f"{name} is in {SUMS} and not in the folder.", _GET)
        else:
            digest = sha256_file(folder / name)
            if digest == sums[name]:
                yield Finding("files", SAME, name, f"{name} has the SHA-256 of {SUMS}.")
            else:
                text = f"{name} has the SHA-256 {digest}, {SUMS} says {sums[name]}."
                yield Finding("files", DIFFERENT, name, text, _GET)


def _records(found: Closure, sums: Mapping[str, str]) -> Iterator[Finding]:
    for name in found.unrecorded:
        yield Finding("records", UNDECIDABLE, name, f"No record says how {name} was made.", _GET)
    made = {
        each["path"]: (record["step"], each["sha256"]) for record in found.jobs.values() for each in record["outputs"]
    }
    for name, record in found.jobs.items():
        if record.get(WITHHELD):
            text = (
                f"Settings of {name} were withheld ({', '.join(record[WITHHELD])}): its identity is taken as written."
            )
            yield Finding("records", NOT_CHECKED, name, text, "Ask who published it for these settings.")
        elif identity(record) != record["identity"]:
            text = f"The record of {name} says the identity {record['identity']}, its content gives another one."
            yield Finding("records", DIFFERENT, name, text, _GET)
        for each in record["inputs"]:
            maker, digest = made.get(each["path"], ("", each["sha256"]))
            if digest != each["sha256"] and not each.get("varying"):
                text = f"{name} read another {each['path']} than the one that {maker} made."
                yield Finding("records", DIFFERENT, name, text, _GET)
        for each in record["outputs"]:
            path = f"results/{result_name(each['path'])}"
            if path in sums:
                yield _compared("records", path, sums[path], each["sha256"])


def _descriptions(folder: Path, jobs: Mapping[str, Record]) -> Iterator[Finding]:
    """Compare what crate and Croissant say of files with the records."""
    made = {each["path"]: each["sha256"] for record in jobs.values() for each in record["outputs"]}
    crate = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
    croissant = json.loads((folder / CROISSANT).read_text(encoding="utf-8"))["distribution"]
    for name, entries in ((CRATE, crate), (CROISSANT, croissant)):
        said = {each["name"]: each["sha256"] for each in entries if each.get("sha256") and each.get("name") in made}
        wrong = sorted(path for path, digest in said.items() if digest != made[path])
        if wrong:
            yield Finding(
                "descriptions", DIFFERENT, name, f"{name} gives another SHA-256 for {', '.join(wrong)}.", _GET
            )
        else:
            yield Finding("descriptions", SAME, name, f"{name} says of {len(said)} files what the records say.")
