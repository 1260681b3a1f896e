"""The shape of `pretrain.image_sets` and `pretrain.index_images`: images to train on that were not curated here."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from scripts.lib.recipe import Settings
from scripts.pretrain.run_base import SHARDS, Name, Positive

# Above twice this, Pillow refuses a picture, whatever the caller allows.
PILLOW_PIXELS = 89_478_485


class ImageSetBase(Settings):
    """What every set has."""

    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    name: Name
    path: str  # a folder

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name == SHARDS:
            raise ValueError(f"{SHARDS} means the images that this project curated; choose another name")
        return name


class FolderImages(ImageSetBase):
    """All pictures below a folder, such as ImageNet's `train`; class folders mean nothing here."""

    kind: Literal["folder"]


class TarImages(ImageSetBase):
    """All pictures in plain tars, such as the published PASS."""

    kind: Literal["tars"]
    files: tuple[str, ...] = Field(min_length=1)  # relative to `path`

    @field_validator("files")
    @classmethod
    def _stay_below(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for name in files:
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ".." in parts or name != str(PurePosixPath(name)):
                raise ValueError(f"{name!r} is not the name of a file below `path`")
            if files.count(name) > 1:
                raise ValueError(f"{name} is named twice")
        return files


ImageSet = Annotated[FolderImages | TarImages, Field(discriminator="kind")]


class DecodeLimits(Settings):
    """What `index_images` lets one image take."""

    max_bytes: Positive
    max_pixels: int = Field(gt=0, le=2 * PILLOW_PIXELS)
    cpu_seconds: float = Field(gt=0)  # processor time


class IndexImagesSettings(Settings):
    """Recipe of `index_images` for one set."""

    images: ImageSet
    limits: DecodeLimits
