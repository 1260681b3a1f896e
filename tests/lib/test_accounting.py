"""The accounting identity."""

from __future__ import annotations

import pytest

from scripts.lib.accounting import account_for, add_accounts, check_account


def test_reasons_are_counted() -> None:
    account = account_for(4, ["", "face", "", "face"])
    assert account == {"read": 4, "kept": 2, "rejected": {"face": 2}}


def test_a_lost_row_fails() -> None:
    with pytest.raises(AssertionError, match="4 rows read, 3 rows accounted for"):
        account_for(4, ["", "face", ""])


def test_accounts_add_up() -> None:
    one, two = account_for(2, ["", "a"]), account_for(3, ["b", "a", ""])
    assert add_accounts([one, two]) == {"read": 5, "kept": 2, "rejected": {"a": 2, "b": 1}}
    with pytest.raises(AssertionError):
        check_account({"read": 1, "kept": 0, "rejected": {}})
