"""What `rules/filter_review.smk` asks of the configuration."""

from __future__ import annotations

from pathlib import Path

from scripts.config import Config
from scripts.filter.human_verdicts import csv_files
from scripts.filter.settings import AuditSettings, ReviewSettings, WriteAuditPageSettings, WriteReviewPageSettings
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe

LIST = "results/filter/list_review_pages.html"
LEAK_RATE = "results/filter/measure_leak_rate.json"


class ReviewPlan:
    """Pages for reviewers and auditors, and what they hand in."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def human_verdicts(self) -> str:
        """Return where the reviewers' tables lie, "" for none."""
        return self.config.filter.human_verdicts or ""

    @property
    def audit_verdicts(self) -> str:
        """Return where the auditors' tables lie, "" for none."""
        audit = self.config.filter.audit
        return (audit.verdicts or "") if audit else ""

    @property
    def page_numbers(self) -> list[str]:
        """Return the numbers of the review pages that each part has."""
        review = self.config.filter.review
        return _numbers(review.pages_per_part if review else 1)

    @property
    def audit_pages(self) -> list[str]:
        """Return the names of the pages of the audit: as many as its sample needs."""
        audit = self.config.filter.audit
        return _numbers(-(-audit.images // self.config.filter.review_page.images_per_page) if audit else 1)

    def reviewed_selection(self, part: str) -> list[str]:
        """Return the selection of a part, when reviewers look at kept images too."""
        return [f"results/filter/select/{part}.parquet"] if "kept" in self._review().of else []

    @property
    def page_accounts(self) -> tuple[list[str], list[str]]:
        """Return the accounts of all review pages and of the audit pages."""
        chosen = self.config.filter
        parts = identity.part_names(self.config.partition_bits) if chosen.review else []
        reviews = [f"results/filter/write_review_page/{part}.json" for part in parts]
        return reviews, ["results/filter/write_audit_page/account.json"] if chosen.audit else []

    @property
    def leak_rate(self) -> list[str]:
        """Return the leak rate, when an audit is configured."""
        return [LEAK_RATE] if self.config.filter.audit else []

    @property
    def review_targets(self) -> list[str]:
        """Return what `snakemake review` makes."""
        chosen = self.config.filter
        return ([LIST] if chosen.review or chosen.audit else []) + self.leak_rate

    @property
    def review_list_address(self) -> str:
        """Return where the list of pages lies as seen from the report, "" when there is none."""
        return LIST.replace("results/", "../", 1) if LIST in self.review_targets else ""

    def write_review_page_recipe(self) -> str:
        """Return the recipe of `write_review_page`."""
        settings = WriteReviewPageSettings(
            title=self.config.report.title, review=self._review(), page=self.config.filter.review_page
        )
        return write_recipe(settings)

    def write_audit_page_recipe(self) -> str:
        """Return the recipe of `write_audit_page`."""
        settings = WriteAuditPageSettings(
            title=self.config.report.title, seed=self._audit().seed, page=self.config.filter.review_page
        )
        return write_recipe(settings)

    def audit_recipe(self) -> str:
        """Return the recipe of `draw_audit_sample` and `measure_leak_rate`."""
        return write_recipe(self._audit())

    def _review(self) -> ReviewSettings:
        if self.config.filter.review is None:
            raise UserError("pages for reviewers were asked for, but filter.review is null in the config")
        return self.config.filter.review

    def _audit(self) -> AuditSettings:
        if self.config.filter.audit is None:
            raise UserError("an audit was asked for, but filter.audit is null in the config")
        return self.config.filter.audit


def _numbers(count: int) -> list[str]:
    """Return 1 to `count` in equal width, so that names sort as the numbers do."""
    return [f"{number:0{len(str(count))}d}" for number in range(1, count + 1)]


def present_csvs(path: str) -> list[str]:
    """Return the CSV at `path`, or those in the folder, that lie there now.

    The files and not their folder are the inputs: a folder's time does not change when a file in it is edited.
    """
    place = Path(path)
    return [str(each) for each in csv_files(place)] if path and place.exists() else []
