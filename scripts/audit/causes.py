"""Why one job of two runs may have left other bytes: settings, code, pinned packages, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.audit.differences import differing_paths, first_of
from scripts.audit.order import Jobs
from scripts.lib.records import Code, Record, result_name


def setting_differences(left: Record, right: Record) -> list[str]:
    """Return in words which settings of a job differ."""
    found = list(differing_paths(left["values"], right["values"]))
    return [f"another setting, {first_of([each])}" for each in found]


def code_differences(left: Record, right: Record) -> list[str]:
    """Return in words whether code or pinned packages of a job differ."""
    one, other = (Code.parse(each["code"]["text"]) for each in (left, right))
    found = []
    if (one.fingerprint, one.modules) != (other.fingerprint, other.modules):
        files = [each["code"].get("files", {}) for each in (left, right)]
        changed = sorted(path for path in {*files[0], *files[1]} if files[0].get(path) != files[1].get(path))
        listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        found.append(
            f"other code, {one.fingerprint} and {other.fingerprint} ({listed or 'no file of it is on record'})"
        )
    if one.environment != other.environment:
        found.append(f"other pinned packages, {one.environment} and {other.environment}")
    return found


def input_differences(
    left: Record,
    right: Record,
    jobs: tuple[Jobs, Jobs],
    made_by: tuple[dict[str, str], ...],
    roots: Mapping[str, tuple[str, ...]],
) -> tuple[list[str], list[str]]:
    """Return in words how a job's inputs differ by themselves, and the names of those that inherit a difference."""
    lists = [[(each["flag"], result_name(each["path"])) for each in record["inputs"]] for record in (left, right)]
    if lists[0] != lists[1]:
        if sorted(map(str, lists[0])) == sorted(map(str, lists[1])):
            return ["the same inputs in another order"], []
        only = sorted({name or "data from outside" for _, name in {*lists[0]} ^ {*lists[1]}})
        follow = [name for name in only if name in roots]
        return ([] if follow else [f"other inputs: {', '.join(only[:5])} in one run only"]), follow
    own, inherited = [], []
    for a, b in zip(left["inputs"], right["inputs"], strict=True):
        content = [each["sha256"] or each.get("listing", "") for each in (a, b)]
        if content[0] == content[1] or a.get("varying"):
            continue
        name = result_name(a["path"])
        if name is None:
            own.append(f"data from outside differs under --{a['flag']}: {a['path']} and {b['path']}")
        elif name in roots:
            inherited.append(name)
        else:
            why = _stale(name, (a, b), jobs, made_by)
            own.append(f"its input {name} differs, though no job on record made it differ: {why}")
    return own, inherited


def _stale(
    name: str,
    inputs: tuple[dict[str, Any], dict[str, Any]],
    jobs: tuple[Jobs, Jobs],
    made_by: tuple[dict[str, str], ...],
) -> str:
    for run, entry, all_jobs, makers_of in zip(("first", "second"), inputs, jobs, made_by, strict=True):
        maker = all_jobs.get(makers_of.get(name, ""))
        left = next((each for each in (maker or {}).get("outputs", []) if result_name(each["path"]) == name), None)
        if left is not None and left["sha256"] != entry["sha256"]:
            return f"the {run} run read another version than its maker left (changed by hand, or made again since)"
    return "it has no maker on record"
