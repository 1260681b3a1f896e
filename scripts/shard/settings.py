"""The shape of `shard:` in config.yaml."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.recipe import Settings


class WriteShardsSettings(Settings):
    """Recipe of `write_shards` and `write_metadata`."""

    count: int = Field(gt=0, le=99_999)  # an image's shard depends on its id and this number alone


class DatasetCard(Settings):
    """What `write_card` cannot know from the data."""

    title: str
    version: str
    contact: str


class ShardSettings(Settings):
    """`shard:`"""

    count: int = Field(gt=0, le=99_999)
    card: DatasetCard
