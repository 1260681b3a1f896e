"""What weights from elsewhere need said of them: what the network is shown, and how its tensors are named."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings

Positive = Annotated[int, Field(gt=0)]
AboveZero = Annotated[float, Field(gt=0)]


class Preprocessing(Settings):
    """What an encoder expects to be shown."""

    mean: tuple[float, float, float]  # of pixels from 0 to 1: red, green, blue
    std: tuple[AboveZero, AboveZero, AboveZero]
    image_size: Positive  # side of its input, pixels
    resize: Positive  # short side of the picture from whose centre the input is cut
    interpolation: Literal["bilinear", "bicubic"]

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocessing:
        if self.image_size > self.resize:
            raise ValueError(f"image_size {self.image_size} is larger than resize {self.resize}, which it is cut from")
        return self


class KeyMapping(Settings):
    """From the names in a file to the names of the network."""

    section: str | None  # key of the file under which the tensors lie, "state_dict" mostly; null: the file is they
    prefixes: tuple[str, ...]  # the first that a name begins with is taken off; names with none of them are left out
    rename: dict[str, str]  # beginnings of names, after that
    drop: tuple[str, ...]  # beginnings of names that are no part of the encoder, after that
