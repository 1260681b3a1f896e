"""Would today's code be recorded as the code that ran? Decided from the files alone, without Snakemake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from scripts.audit.findings import DIFFERENT, SAME, UNDECIDABLE, Finding
from scripts.audit.run_folder import RunFolder, subject
from scripts.lib.fingerprint import PACKAGE, code_files, code_hash
from scripts.lib.pins import pins_digest
from scripts.lib.records import Code, Record

CHECK = "code"
_NAMED = 5  # files in a sentence


def check_code(run: RunFolder, checkout: Path) -> Iterator[Finding]:
    """Yield a finding for each job: the fingerprint of its modules, and the pins of its environment.

    Args:
        run: what lies there.
        checkout: the folder with the Snakefile, whose code is compared.
    """
    for name, record in run.jobs.items():
        yield _judge(subject(name), record, checkout)


def _judge(place: str, record: Record, checkout: Path) -> Finding:
    code = Code.parse(record["code"]["text"])
    step = record["step"]
    if not code.modules:
        return Finding(
            CHECK, UNDECIDABLE, place, f"{step} recorded no fingerprint of its code.",
            "It was run by hand without --code. Have the workflow run it.",
        )  # fmt: skip
    found = _fingerprint(code.modules, checkout)
    if isinstance(found, Exception):
        return Finding(
            CHECK, DIFFERENT, place, f"The code of {step} cannot be found: {found}.",
            "The step was renamed or removed since. Check out the version that ran.",
        )  # fmt: skip
    if found != code.fingerprint:
        return Finding(
            CHECK, DIFFERENT, place,
            f"The code of {step} is another one: its fingerprint is {found}, recorded {code.fingerprint}.",
            f"{_changed(code.modules, record['code']['files'], checkout)}. Check out what ran, or run it again.",
        )  # fmt: skip
    environment = _environment(code.environment, checkout)
    if environment != code.environment:
        return Finding(
            CHECK, DIFFERENT, place,
            f"The environment of {step} is asked for with other pins: {environment}, recorded {code.environment}.",
            "envs/ was edited since. Check out the version that ran, or run the workflow again.",
        )  # fmt: skip
    return Finding(CHECK, SAME, place, f"The code of {step} has the fingerprint that was recorded.")


@cache
def _fingerprint(modules: tuple[str, ...], checkout: Path) -> str | Exception:
    try:
        return code_hash(*(f"{PACKAGE}.{name}" for name in modules), root=checkout)
    except (OSError, ValueError, SyntaxError) as error:
        return error


@cache
def _files(modules: tuple[str, ...], checkout: Path) -> tuple[Path, ...]:
    return tuple(code_files(*(f"{PACKAGE}.{name}" for name in modules), root=checkout))


def _environment(text: str, checkout: Path) -> str:
    """Return what `env:<name>:<digest>` is today."""
    kind, name, _ = (*text.split(":"), "", "")[:3]
    try:
        return f"{kind}:{name}:{pins_digest(name, checkout)}"
    except (OSError, yaml.YAMLError) as error:
        return f"{kind}:{name} ({error})"


def _changed(modules: tuple[str, ...], recorded: dict[str, str], checkout: Path) -> str:
    """Return which of the files that the modules need differ from those that were loaded when the job ran."""
    needed = {path.relative_to(checkout).as_posix() for path in _files(modules, checkout)}
    changed = sorted(path for path in needed & recorded.keys() if _sha256(checkout / path) != recorded[path])
    changed = changed or sorted(needed - recorded.keys())  # only loaded where it is used
    if not changed:
        return "No file that it needs has changed: it needed another one, which it no longer uses"
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return f"Edited since: {', '.join(changed[:_NAMED])}{more}"


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "gone"
