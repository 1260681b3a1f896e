"""How one labelled set becomes two splits."""

from __future__ import annotations

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings


class HashSplit(Settings):
    """Train and test by a hash of each image's name: the share `test_share` is the test split."""

    test_share: float = Field(gt=0, lt=1)
    seed: int


class PerClassSplit(Settings):
    """Train and test drawn by lot within each class: so many train images of each, or so large a share of them."""

    train_per_class: int | None = Field(gt=0)
    train_share: float | None = Field(gt=0, lt=1)
    test_per_class: int | None = Field(gt=0)  # at most, of what is left; None = all of it
    seed: int

    @model_validator(mode="after")
    def _one_of_both(self) -> PerClassSplit:
        if (self.train_per_class is None) == (self.train_share is None):
            raise ValueError("give train_per_class (images) or train_share, and null for the other")
        return self
