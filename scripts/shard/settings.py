"""The shape of `shard:` in config.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scripts.lib.recipe import Settings

# strip: EXIF, XMP, comments, thumbnails, tails are left out, the picture stays as it is; keep: the file as downloaded
EmbeddedMetadata = Literal["strip", "keep"]


class WriteShardsSettings(Settings):
    """Recipe of `write_shards` and `write_metadata`."""

    count: int = Field(gt=0, le=99_999)  # an image's shard depends on its id and this number alone
    embedded_metadata: EmbeddedMetadata


class DatasetCard(Settings):
    """What `write_card` cannot know from the data."""

    title: str
    version: str
    contact: str


class WriteCardSettings(DatasetCard):
    """Recipe of `write_card`."""

    embedded_metadata: EmbeddedMetadata


class ShardSettings(Settings):
    """`shard:`"""

    count: int = Field(gt=0, le=99_999)
    embedded_metadata: EmbeddedMetadata
    card: DatasetCard
