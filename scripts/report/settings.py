"""The shape of `report:` in config.yaml."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.recipe import Settings


class ContactSheetSettings(Settings):
    """Recipe of `draw_contact_sheets`."""

    images: int = Field(gt=0, le=400)  # for each reason
    columns: int = Field(gt=0)
    thumbnail: int = Field(gt=0)  # pixels
    seed: int


class WriteReportSettings(Settings):
    """Recipe of `write_report`."""

    title: str
    detectors: tuple[dict[str, str | bool], ...]  # name, kind, target, demo_grade
    runs: tuple[dict[str, str], ...]  # name, method, encoder, cost, expected
    strangers: tuple[
        dict[str, str], ...
    ]  # encoders not trained here: name, encoder, source, checkpoint (of PASS, or "")
    twins: dict[str, str]  # encoder → the untrained or random one beside it
    figures: dict[str, tuple[str, ...]]  # task → the metrics that the field reports of it, which lead
    finetuned: tuple[str, ...]  # protocols that train the whole network
    review_pages: str  # address of the list of pages for reviewers, as seen from the report; "" when there are none
    rules: tuple[dict[str, str], ...]  # name, reason, drop, review: in the order of the config


class ReportSettings(Settings):
    """`report:`"""

    title: str
    contact_sheets: ContactSheetSettings
