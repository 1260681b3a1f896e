"""Count what was read, what was kept and each reason in between, over all sources: the funnel.

Rows that `select_candidates` turned away are in its accounts only; all others are rows of the selection. The two must
meet: the accounts' kept rows are the selection's rows.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq

from scripts.lib.accounting import Account, add_accounts, check_account
from scripts.lib.files import write_json
from scripts.lib.reasons import all_reasons
from scripts.lib.step import run_step, step_parser
from scripts.report.accounts import read_account

log = logging.getLogger(__name__)


def count_selection(path: Path) -> Counter[str]:
    """Return reason → rows of a selection, "" for the kept ones. Holds two columns of one row group at a time.

    Raises:
        AssertionError: a row says keep and gives a reason, or the other way round.
    """
    counts: Counter[str] = Counter()
    for batch in pq.ParquetFile(path).iter_batches(columns=["keep", "reason"]):
        pairs = Counter(zip(batch.column("keep").to_pylist(), batch.column("reason").to_pylist(), strict=True))
        for (keep, reason), number in pairs.items():
            if keep != (reason == ""):
                raise AssertionError(f"{path}: {number} rows have keep = {keep} and the reason {reason!r}")
            counts[reason] += number
    return counts


def join_funnel(accounts: Iterable[Account], selection: Counter[str]) -> Account:
    """Return the account of everything that was read.

    Args:
        accounts: of `select_candidates`, one for each metadata file.
        selection: reason → rows of the selection, "" for the kept ones.

    Raises:
        AssertionError: the candidates are not the rows of the selection, or a reason is not on the list. Both are
            defects of the code or a mix of files of different runs, never a property of the data.
    """
    metadata = add_accounts(accounts)
    rows = sum(selection.values())
    if metadata["kept"] != rows:
        raise AssertionError(
            f"accounting identity broken between curate and filter: select_candidates kept {metadata['kept']} rows, "
            f"the selection has {rows}"
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
    parser.add_argument("--accounts", type=Path, nargs="+", required=True, help="JSON accounts of select_candidates")
    parser.add_argument("--selection", type=Path, required=True, help="table of select")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    args = parser.parse_args(argv)
    funnel = join_funnel((read_account(path) for path in args.accounts), count_selection(args.selection))
    write_json(args.out, cast("dict[str, object]", funnel))
    log.info("%d metadata files: %d rows read, %d kept", len(args.accounts), funnel["read"], funnel["kept"])
    for reason, number in funnel["rejected"].items():
        log.info("  %10d %s", number, reason)


if __name__ == "__main__":
    run_step(main)
