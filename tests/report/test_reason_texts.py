from __future__ import annotations

import pytest

from scripts.lib.accounting import Account
from scripts.lib.reasons import all_reasons
from scripts.report.reason_texts import REASON_TEXTS, STAGES, stage_losses


def test_every_reason_has_a_text_and_no_text_is_left_over():
    assert sorted(REASON_TEXTS) == sorted(all_reasons())
    assert all(text.endswith(".") and len(text) > 15 for text in REASON_TEXTS.values())


def test_every_reason_is_in_one_stage_in_the_order_of_the_pipeline():
    assert [reason for stage in STAGES for reason in stage.reasons] == all_reasons()


def test_rows_left_after_each_stage():
    account = Account(
        read=20, kept=3, rejected={"licence": 9, "not_found": 2, "too_small": 1, "face": 4, "not_sampled": 1}
    )
    assert [left for _, _, left in stage_losses(account)] == [11, 9, 8, 8, 4, 3]
    assert [lost for _, lost, _ in stage_losses(account)][4] == {"face": 4}


def test_a_reason_of_no_stage_is_not_swallowed():
    with pytest.raises(AssertionError, match="3 rows are left"):
        stage_losses(Account(read=3, kept=2, rejected={"bad_hair": 1}))
