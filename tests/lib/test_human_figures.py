from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.human_figures import (
    Agreement,
    LeakRate,
    PairAgreement,
    ReviewFigures,
    leak_sentence,
    percent,
    read_figures,
)

NOBODY = Agreement(images=0, agree=0, pairs=())


def leak(**given: object) -> LeakRate:
    values = {
        "status": "complete",
        "population": 1_440_191,
        "sample": 2995,
        "looked_at": 2995,
        "people": 0,
        "confidence": 0.95,
        "lower": 0.0,
        "upper": 0.00123,
        "bound": 0.000999755,
        "seed": 0,
        "not_of_sample": 0,
        "auditors": {"Ann": 2995},
        "agreement": NOBODY,
    }
    return LeakRate(**{**values, **given})


@pytest.mark.parametrize(
    ("share", "down", "up"),
    [
        (0.0, "0 %", "0 %"),
        (0.000999755, "0.099 %", "0.10 %"),
        (0.0010, "0.10 %", "0.10 %"),  # no step beyond what is exact
        (0.00100001, "0.10 %", "0.11 %"),
        (0.0000123, "0.0012 %", "0.0013 %"),
        (0.01234, "1.2 %", "1.3 %"),
        (0.1234, "12 %", "13 %"),
        (0.999, "99 %", "100 %"),
        (1.0, "100 %", "100 %"),
    ],
)
def test_per_cent_is_rounded_to_the_safe_side(share: float, down: str, up: str):
    assert (percent(share, up=False), percent(share, up=True)) == (down, up)


def test_sentences():
    assert leak_sentence(None).startswith("Not audited: no sample")
    assert leak_sentence(leak(status="not_audited", looked_at=0)) == (
        "Not audited: 2,995 images drawn by lot from 1,440,191 kept wait for somebody to look at them."
    )
    assert leak_sentence(leak()) == (
        "None of 2,995 images drawn by lot from 1,440,191 kept shows a person: the leak rate is below 0.10 % at 95 % "
        "confidence (exact binomial bound)."
    )
    assert leak_sentence(leak(people=1, lower=8.45e-6, upper=0.00186, bound=0.001583)) == (
        "1 of 2,995 images drawn by lot from 1,440,191 kept shows a person: 0.033 %, 95 % interval 0.00084 % to 0.19 % "
        "(exact binomial), below 0.16 % at 95 % confidence. It was dropped; the figure is that of the selection before."
    )
    assert "They were dropped" in leak_sentence(leak(people=2))
    text = leak_sentence(leak(status="incomplete", looked_at=2990, people=1, bound=0.0041))
    assert "2,990 were looked at and 1 show a person" in text and "below 0.41 % at 95 % confidence even if" in text


def test_figures_come_back_as_they_were_written(tmp_path: Path):
    pair = PairAgreement(reviewers=("a", "b"), images=1, agree=1, kappa=None)
    written = leak(agreement=Agreement(images=1, agree=1, pairs=(pair,)))
    write_json(tmp_path / "x.json", written.model_dump())
    assert read_figures(LeakRate, tmp_path / "x.json") == written


def test_what_is_no_figure_is_named(tmp_path: Path):
    path = tmp_path / "x.json"
    with pytest.raises(UserError, match=r"x\.json cannot be read"):
        read_figures(LeakRate, path)
    path.write_text(json.dumps({"files": 1}))
    with pytest.raises(UserError, match=r"x\.json is not a ReviewFigures: .*rows: missing"):
        read_figures(ReviewFigures, path)
