"""Write what goes to the public: RO-Crate of the run, Croissant of the dataset, checksums, seal, records, data.

Refuses where the audit is not clean or images wait for a reviewer; there is no way around that. The folder names no
machine, no person but authors and contact, and no place on a disk. The same run gives the same bytes.
With `--check FOLDER` it checks a publication instead, also one that came from somebody else. docs/publish.md
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.audit import verify
from scripts.audit.croissant import build_croissant
from scripts.audit.dataset_facts import SELECTION, gather_facts
from scripts.audit.findings import SAME, exit_code, verdict_line
from scripts.audit.process import audit_parser, run_audit
from scripts.audit.publication import (
    CRATE,
    CROISSANT,
    copy_code,
    json_text,
    link_files,
    published_files,
    put_text,
    replacing_folder,
    write_sums,
)
from scripts.audit.published_check import check_publication, seal_of_published
from scripts.audit.published_page import readme
from scripts.audit.published_records import publish_records
from scripts.audit.run_crate import Facts, build_crate
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import ROOT
from scripts.lib.reasons import FilterReason
from scripts.lib.records import RECORDS, Record, record_path, result_name
from scripts.lib.seal import closure, seal_of
from scripts.lib.selection_table import count_selection

LOG = logging.getLogger(__name__)
NOBODY = "your name and address here"  # of config.yaml, where nobody filled it in


class NotCleanError(UserError):
    """The audit found something: nothing is published."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def refuse_unclean(status: int, verdict: str) -> None:
    """Raise unless `verify` ended with 0.

    Raises:
        NotCleanError: it did not.
    """
    if status:
        raise NotCleanError(
            f"nothing is published, because the run does not verify. {verdict} Look at results/audit/verify.html, have "
            "what it names made again (snakemake, with your --configfile), then publish",
            status,
        )


def refuse_pending(selection: Path) -> None:
    """Raise where images wait for a reviewer.

    Raises:
        NotCleanError: some do.
    """
    if waiting := count_selection(selection)[FilterReason.AWAITS_REVIEW]:
        raise NotCleanError(
            f"nothing is published, because {waiting:,} images await review: a detector is in doubt, and nobody has "
            "decided. Open results/filter/list_review_pages.html, look at them, give the exported files to "
            "filter.human_verdicts in the config, run snakemake again, then publish",
            2,
        )


def sealed_jobs(run: Path) -> tuple[str, list[str], dict[str, Record]]:
    """Return the seal of the run, the targets and the records below them.

    Raises:
        NotCleanError: the run is not sealed, or not as its records say.
    """
    folder = run / RECORDS
    try:
        sealed = json.loads((folder / "seal.json").read_text(encoding="utf-8"))
        seal, targets = str(sealed["seal"]), [str(each) for each in sealed["targets"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise NotCleanError(
            f"{folder}/seal.json is not there or cannot be read: the run has not come to its end. Run snakemake until "
            "it says `seal ...`, then publish",
            2,
        ) from None
    found = closure(targets, folder)
    if found.unrecorded or (actual := seal_of(found.jobs)) != seal:
        what = f"no record of {found.unrecorded[0]}" if found.unrecorded else f"the records give the seal {actual}"
        raise NotCleanError(
            f"the run is sealed as {seal}, but {what}: something ran after the seal, or a record was changed. Run "
            "snakemake until it says `seal ...`, then publish",
            1,
        )
    return seal, targets, found.jobs


def verify_run(run: Path, report: Path, flags: Sequence[str]) -> tuple[int, str]:
    """Verify a run with all checks, and return the status and the verdict in a sentence."""
    status = verify.main(["--run", str(run), "--report", str(report), *flags])
    return status, str(json.loads((run / report / "verify.json").read_text(encoding="utf-8"))["verdict"])


def publish(run: Path, out: Path, verified: tuple[int, str], url: str = "") -> Facts:
    """Write the publication of a run.

    Args:
        run: folder with results/ and records/.
        out: folder to write; replaced as a whole.
        verified: status and verdict of `verify` on this run.
        url: where the publication will lie; empty when nobody knows yet.

    Raises:
        UserError: it cannot be published, and why.
    """
    refuse_unclean(*verified)
    seal, targets, originals = sealed_jobs(run)
    jobs = publish_records(originals)
    files = published_files(jobs)
    if seal_of_published(jobs) != seal:
        raise AssertionError("the published records give another seal: a defect of the publication")
    with replacing_folder(out) as folder:
        link_files(run, files, folder)
        dataset = gather_facts(run, jobs)
        refuse_pending(run / SELECTION)
        facts = _facts(jobs, seal, dataset.licences)
        code = copy_code(folder)
        _write_records(folder, jobs, seal, targets)
        put_text(folder / CROISSANT, json_text(build_croissant(facts, dataset, files, url)))
        put_text(folder / "README.md", readme(facts, dataset, files, len(jobs)))
        others = [CROISSANT, "README.md", "records/seal.json"]
        put_text(folder / CRATE, json_text(build_crate(facts, jobs, files, others, code)))
        write_sums(folder, {each.path: each.sha256 for each in files})
    return facts


def _facts(jobs: dict[str, Record], seal: str, licences: tuple[str, ...]) -> Facts:
    card = next(record for record in jobs.values() if record["step"] == "shard.write_card")["values"]["recipe"]
    if card["contact"] == NOBODY:
        raise UserError(
            "nothing is published, because nobody is named whom to write to when an image is to be taken down: "
            "shard.card.contact is still the example. Fill it in, run snakemake again, then publish"
        )
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return Facts(
        title=card["title"],
        version=card["version"],
        contact=card["contact"],
        seal=seal,
        date=max(record["circumstances"]["ended"] for record in jobs.values()),
        licences=licences,
        snakemake=lock.partition("\nsnakemake==")[2].split(maxsplit=1)[0],
    )


def _write_records(folder: Path, jobs: dict[str, Record], seal: str, targets: list[str]) -> None:
    for name, record in jobs.items():
        put_text(record_path(name, folder / RECORDS), json_text(record))
        for each in record["outputs"]:
            if (other := str(result_name(each["path"]))) != name:
                pointer = {"format": record["format"], "record": name}
                put_text(record_path(other, folder / RECORDS), json_text(pointer))
    sealed = {"format": 1, "seal": seal, "jobs": len(jobs), "targets": targets}
    put_text(folder / RECORDS / "seal.json", json_text(sealed))


def main(argv: Sequence[str] | None = None) -> int:
    """Publish, or check a publication, and return the status."""
    parser = audit_parser(__doc__)
    parser.add_argument("--url", default="", help="address at which the folder will lie, for croissant.json")
    parser.add_argument("--check", type=Path, help="check this publication instead of writing one")
    parser.add_argument("--seal", default="", help="with --check: the seal that a paper or a page quotes")
    parser.add_argument("--configfile", nargs="*", default=[], type=Path, help="for verify: over config.yaml")
    parser.add_argument("--config", default="", help="for verify: JSON of values over these")
    parser.add_argument("--targets", nargs="*", default=[], help="for verify: what the run was asked for; empty: all")
    flags = parser.parse_args(argv)
    if flags.check:
        seal, findings = check_publication(flags.check, flags.seal)
        LOG.info("%s The records give the seal %s", verdict_line(findings), seal)
        for each in findings:
            if each.verdict != SAME:
                LOG.warning("%s: %s %s", each.verdict, each.text, each.cause)
        return exit_code(findings)
    out = flags.run / flags.report / "publish"  # the report's folder alone, where that is absolute
    asked = ["--configfile", *map(str, flags.configfile), "--targets", *flags.targets]
    asked += ["--config", flags.config] if flags.config else []
    try:
        facts = publish(flags.run, out, verify_run(flags.run, flags.report, asked), flags.url)
    except NotCleanError as refusal:
        LOG.error("%s", refusal)
        return refusal.status
    LOG.info("published %s, version %s, seal %s: %s", facts.title, facts.version, facts.seal, out)
    return 0


if __name__ == "__main__":
    run_audit(main)
