"""A step's settings as one canonical JSON text.

Snakemake compares params as a set of values without names, so two values that swap places rerun nothing
(docs/decisions.md#5). One text per rule does not have this hole, and it is also what a step gets on its command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scripts.lib.errors import UserError


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, no NaN, no silent conversion of numbers from text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    # Fields that say where data lies on this machine. They reach a step as flags and are blank in its recipe, so that
    # moving the data changes no result.
    path_fields: ClassVar[tuple[str, ...]] = ()
    # Fields that only a reader needs; blank in the recipe for the same reason.
    note_fields: ClassVar[tuple[str, ...]] = ()
    # Numbers that say how much of a machine to take; 1 in the recipe, so that another cluster repeats no work.
    machine_fields: ClassVar[tuple[str, ...]] = ()


SettingsType = TypeVar("SettingsType", bound=Settings)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _blanked(value: Any) -> Any:
    if isinstance(value, Settings):
        blank = (*value.path_fields, *value.note_fields)
        return {
            name: ""
            if name in blank and isinstance(item, str)
            else 1
            if name in value.machine_fields
            else _blanked(item)
            for name, item in value
        }
    if isinstance(value, dict):
        return {name: _blanked(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_blanked(item) for item in value]
    return value


def write_recipe(settings: Settings) -> str:
    """Return the canonical JSON of a settings object, its path and note fields blank, its machine fields 1."""
    return canonical_json(_blanked(settings))


def read_recipe(kind: type[SettingsType], text: str) -> SettingsType:
    """Parse a recipe.

    Raises:
        UserError: the text is not the JSON of `kind`; names each field that is wrong.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        try:
            given = json.loads(text)
        except ValueError:
            given = None  # no JSON at all, which is then the finding
        raise UserError(f"--recipe is not a {kind.__name__}: {describe_errors(error, given)}") from None


def describe_errors(error: ValidationError, given: Any) -> str:
    """Return pydantic's findings on `given` as one sentence: `path: what is wrong (got ...)`, split by semicolons."""
    parts = []
    for finding in error.errors(include_url=False):
        path = ".".join(_keys(finding["loc"], given))
        if finding["type"] == "extra_forbidden":
            parts.append(f"{path}: unknown key")
        elif finding["type"] == "missing":
            parts.append(f"{path}: missing")
        else:
            given = repr(finding.get("input"))
            given = given if len(given) <= 60 else given[:57] + "..."
            parts.append(f"{path}: {finding['msg'].removeprefix('Value error, ')} (got {given})")
    return "; ".join(parts)


def _keys(location: tuple[int | str, ...], given: Any) -> Iterator[str]:
    """Yield the keys of a finding's place in `given`, without what pydantic adds of its own.

    That is the tag of a union's member, `moco_v2` of `runs.0.moco_v2.seed`: no key where it stands, but a value.
    """
    tagged = False
    for item in location:
        if not tagged and isinstance(given, dict) and item not in given and item in given.values():
            tagged = True  # once: a key of the same name may be missing
            continue
        tagged = False
        yield str(item)
        if isinstance(given, dict):
            given = given.get(item)
        elif isinstance(given, list) and isinstance(item, int) and item < len(given):
            given = given[item]
