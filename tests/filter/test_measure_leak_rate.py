from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from scripts.filter.measure_leak_rate import main
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.human_figures import LeakRate, read_figures
from scripts.lib.tables import AUDIT_SAMPLE
from tests.filter.made import row


def measured(folder: Path, images: int, verdicts: str | None) -> LeakRate:
    rows = [row(AUDIT_SAMPLE, image_id=f"i{number}", position=number, keep=True) for number in range(images)]
    write_table(folder / "sample.parquet", table_of(rows, AUDIT_SAMPLE))
    (folder / "sample.json").write_text(json.dumps({"population": 9000, "sample": images, "dropped_since": 0}))
    flag = ""
    if verdicts is not None:
        (folder / "audit.csv").write_text("image_id,verdict,reviewer\n" + verdicts)
        flag = str(folder / "audit.csv")
    recipe = json.dumps({"images": images or 1, "seed": 3, "confidence": 0.95, "verdicts": None})
    main(
        [
            *("--recipe", recipe, "--sample", str(folder / "sample.parquet")),
            *("--account", str(folder / "sample.json"), f"--audit-verdicts={flag}", "--out", str(folder / "leak.json")),
        ]
    )
    return read_figures(LeakRate, folder / "leak.json")


def looked(images: int, *people: int) -> str:
    return "".join(f"i{number},{'drop' if number in people else 'keep'},Cy\n" for number in range(images))


def test_nobody_found_bounds_the_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    leak = measured(tmp_path, 2995, looked(2995))
    assert (leak.status, leak.sample, leak.looked_at, leak.people, leak.population) == ("complete", 2995, 2995, 0, 9000)
    assert leak.lower == 0 and leak.bound == pytest.approx(1 - 0.05 ** (1 / 2995)) and leak.bound < 0.001
    assert leak.upper == pytest.approx(1 - 0.025 ** (1 / 2995))
    assert "the leak rate is below 0.10 % at 95 % confidence" in caplog.text


def test_people_found_by_hand_computed_interval(tmp_path: Path):
    leak = measured(tmp_path, 20, looked(20, 4, 5, 19))
    assert (leak.people, leak.looked_at) == (3, 20)
    assert (leak.lower, leak.upper) == pytest.approx((0.0320709, 0.3789268), abs=1e-6)  # tables of Clopper and Pearson
    assert leak.lower < leak.bound < leak.upper


def test_what_was_not_looked_at_counts_for_the_worse(tmp_path: Path):
    whole, part = measured(tmp_path, 20, looked(20, 4)), measured(tmp_path, 20, looked(18, 4))
    worst = measured(tmp_path, 20, looked(20, 4, 18, 19))
    assert part.status == "incomplete" and part.looked_at == 18
    assert part.lower == whole.lower and part.upper == worst.upper and part.bound == worst.bound


def test_before_anybody_has_looked(tmp_path: Path):
    for verdicts in (None, "", "elsewhere,drop,Cy\n"):
        leak = measured(tmp_path, 20, verdicts)
        assert (leak.status, leak.lower, leak.upper, leak.bound, leak.auditors) == ("not_audited", 0, 1, 1, {})


def test_two_auditors_and_an_older_sample(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    leak = measured(tmp_path, 4, looked(4) + "i1,drop,Di\ni2,keep,Di\nold,drop,Di\nold,keep,Cy\n")
    assert (leak.status, leak.people, leak.not_of_sample, leak.auditors) == ("complete", 1, 1, {"Cy": 4, "Di": 2})
    assert (leak.agreement.images, leak.agreement.agree) == (2, 1)
    assert "1 images that the auditors judged are not of this sample" in caplog.text
    assert "Cy and Di: 2 images, 1 equal, Cohen's kappa 0.000" in caplog.text


def test_an_empty_sample_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="nothing is kept"):
        measured(tmp_path, 0, None)
