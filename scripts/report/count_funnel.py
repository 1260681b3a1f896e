"""Count what was read, what was kept and each reason in between, over all sources: the funnel.

What `select_candidates` read is in its accounts; what it turned away and what it kept are two tables, whose rows must
be those that the accounts count; and what it kept must be the rows of the selection.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq

from scripts.lib.accounting import Account, add_accounts, check_account
from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.flags import input_file, output_file
from scripts.lib.reasons import all_reasons
from scripts.lib.selection_table import count_selection
from scripts.lib.step import run_step, step_parser
from scripts.report.accounts import read_account

log = logging.getLogger(__name__)


def check_tables(account: Account, path: Path, candidates: Path, rejected: Path) -> None:
    """Fail unless the two tables of a metadata file have the rows that its account counts.

    Raises:
        UserError: names the table.
    """
    for table, due in ((candidates, account["kept"]), (rejected, sum(account["rejected"].values()))):
        found = pq.read_metadata(table).num_rows
        if found != due:
            raise UserError(
                f"{table} has {found} rows, and the account {path} counts {due}: the files are of different runs. Make "
                "them again (snakemake --forcerun select_candidates)"
            )


def read_accounts(paths: Sequence[Path], candidates: Sequence[Path], rejected: Sequence[Path]) -> list[Account]:
    """Return the account of each metadata file, checked against its tables.

    Raises:
        UserError: the three lists do not name the same files, or a table has not the rows of its account.
    """
    names = [[path.name.split(".")[0] for path in listed] for listed in (paths, candidates, rejected)]
    if not names[0] == names[1] == names[2]:
        raise UserError(f"--accounts, --candidates and --rejected must name the same files in the same order: {names}")
    accounts = [read_account(path) for path in paths]
    for account, *files in zip(accounts, paths, candidates, rejected, strict=True):
        check_tables(account, *files)
    return accounts


def join_funnel(accounts: Iterable[Account], selection: Counter[str]) -> Account:
    """Return the account of everything that was read.

    Args:
        accounts: of `select_candidates`, one for each metadata file.
        selection: reason → rows of the selection, "" for the kept ones.

    Raises:
        UserError: the candidates are not the rows of the selection: files of different runs.
        AssertionError: a reason is not on the list, which is a defect of the code.
    """
    metadata = add_accounts(accounts)
    rows = sum(selection.values())
    if metadata["kept"] != rows:
        raise UserError(
            f"accounting identity broken between curate and filter: select_candidates kept {metadata['kept']} rows, "
            f"the selection results/filter/select.parquet has {rows}. The files are of different runs; make the "
            "selection again (snakemake --forcerun select)"
        )
    rejected = Counter(metadata["rejected"])
    rejected.update({reason: number for reason, number in selection.items() if reason != ""})
    known = all_reasons()
    if unknown := sorted(set(rejected) - set(known)):
        raise AssertionError(f"reasons that scripts/lib/reasons.py does not list: {', '.join(unknown)}")
    ordered = {reason: rejected[reason] for reason in known if rejected[reason]}
    funnel = Account(read=metadata["read"], kept=selection[""], rejected=ordered)
    check_account(funnel)
    return funnel


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--accounts", type=input_file, nargs="+", required=True, help="JSON accounts of select_candidates"
    )
    parser.add_argument("--candidates", type=input_file, nargs="+", required=True, help="tables of select_candidates")
    parser.add_argument(
        "--rejected", type=input_file, nargs="+", required=True, help="tables of rows that it turned away"
    )
    parser.add_argument("--selection", type=input_file, required=True, help="table of select")
    parser.add_argument("--out", type=output_file, required=True, help="JSON")
    args = parser.parse_args(argv)
    accounts = read_accounts(args.accounts, args.candidates, args.rejected)
    funnel = join_funnel(accounts, count_selection(args.selection))
    write_json(args.out, cast("dict[str, object]", funnel))
    log.info("%d metadata files: %d rows read, %d kept", len(args.accounts), funnel["read"], funnel["kept"])
    for reason, number in funnel["rejected"].items():
        log.info("  %10d %s", number, reason)


if __name__ == "__main__":
    run_step(main)
