"""How one labelled set becomes two splits."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.recipe import Settings


class HashSplit(Settings):
    """Train and test by a hash of each image's name: the share `test_share` is the test split."""

    test_share: float = Field(gt=0, lt=1)
    seed: int
