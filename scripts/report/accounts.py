"""Accounts as files."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib.accounting import Account, check_account
from scripts.lib.errors import UserError


def read_account(path: Path) -> Account:
    """Return the account in a JSON file; other keys than read, kept and rejected are passed over.

    Raises:
        UserError: the file is not such an account.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rejected = {str(reason): _count(number) for reason, number in content["rejected"].items()}
        return Account(read=_count(content["read"]), kept=_count(content["kept"]), rejected=rejected)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path} is not an account ({type(error).__name__}: {error}); expected {{"read": n, "kept": n, "rejected": '
            "{reason: n}}. Make it again with the rule that writes it."
        ) from None


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"{number!r} is not a number of rows")
    return number


def read_funnel(path: Path) -> Account:
    """Return a funnel that this step wrote.

    Raises:
        UserError: the file is not an account, or its numbers do not add up.
    """
    funnel = read_account(path)
    try:
        check_account(funnel)
    except AssertionError as error:
        raise UserError(f"{path}: {error}. Delete it and run again.") from None
    return funnel
