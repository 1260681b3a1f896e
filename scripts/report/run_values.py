"""What `train` and `diagnose_run` left of each run, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from scripts.lib.errors import UserError
from scripts.lib.recipe import Settings, read_recipe
from scripts.report.inline_svg import Drawing
from scripts.report.page_values import Values, picture_values
from scripts.report.settings import WriteReportSettings

TITLES = {"good": "Good", "watch": "Watch", "bad": "Bad"}

Level = Literal["good", "watch", "bad"]


class Finding(Settings):
    """One sentence of a diagnosis."""

    level: Level
    text: str
    advice: str


class Diagnosis(Settings):
    """What `diagnose_run` writes."""

    run: str
    level: Level
    findings: tuple[Finding, ...]


def read_diagnoses(paths: Sequence[Path]) -> dict[str, Diagnosis]:
    """Return run → its diagnosis.

    Raises:
        UserError: a file is not what `diagnose_run` writes.
    """
    found = {}
    for path in paths:
        try:
            found[path.stem] = read_recipe(Diagnosis, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UserError) as error:
            text = str(error).replace("--recipe", str(path))
            raise UserError(f"{path} is no diagnosis ({text}): delete it and run again") from None
    return found


def run_values(
    settings: WriteReportSettings,
    drawings: Mapping[str, Drawing],
    diagnoses: Mapping[str, Diagnosis],
    views: Sequence[Path],
) -> Values:
    """Return the runs with curves, sentences and picture of the first batch, where they are there.

    Args:
        settings: with the runs.
        drawings: run → its curves.
        diagnoses: run → what its curves say.
        views: PNGs of `train`, each in the folder of its run.
    """
    pictures = {path.parent.name: picture_values(path) for path in views}
    runs = []
    for run in settings.runs:
        name = run["name"]
        findings = diagnoses[name].findings if name in diagnoses else ()
        listed = [{"title": TITLES[each.level], **each.model_dump()} for each in findings]
        runs.append({**run, "drawing": drawings.get(name), "findings": listed, "views": pictures.get(name)})
    return {"runs": runs}
