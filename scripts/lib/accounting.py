"""The accounting identity: rows read = rows kept + the sum over reasons. A step that breaks it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict


class Account(TypedDict):
    """What went in and where it ended."""

    read: int
    kept: int
    rejected: dict[str, int]


def account_for(read: int, reasons: Iterable[str]) -> Account:
    """Count `reasons` ("" = kept) against the number of rows that were read.

    Raises:
        AssertionError: rows were lost or invented: a defect of the code, never of the data, hence no `UserError`.
    """
    counts = Counter(reasons)
    kept = counts.pop("", 0)
    account = Account(read=read, kept=kept, rejected=dict(sorted(counts.items())))
    check_account(account)
    return account


def check_account(account: Account) -> None:
    """Fail when read != kept + sum of rejected."""
    out = account["kept"] + sum(account["rejected"].values())
    if account["read"] != out:
        raise AssertionError(
            f"accounting identity broken: {account['read']} rows read, {out} rows accounted for: {account}"
        )


def add_accounts(accounts: Iterable[Account]) -> Account:
    """Return the sum of accounts of disjoint rows."""
    total = Account(read=0, kept=0, rejected={})
    rejected: Counter[str] = Counter()
    for account in accounts:
        check_account(account)
        total["read"] += account["read"]
        total["kept"] += account["kept"]
        rejected.update(account["rejected"])
    total["rejected"] = dict(sorted(rejected.items()))
    return total
