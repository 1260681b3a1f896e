"""The shape of cost.json: what a run took. Apart from the clock, so that its reader needs no torch."""

from __future__ import annotations

from pydantic import Field

from scripts.lib.recipe import Settings


class DeviceTime(Settings):
    """What a kind of device worked for the run."""

    device: str  # model of GPU or CPU
    processes: int = Field(gt=0)  # at once; one for each GPU
    wall_seconds: float = Field(ge=0)


class RunCost(Settings):
    """cost.json"""

    devices: tuple[DeviceTime, ...]
    device_hours: float = Field(ge=0)  # processes x wall clock
    sessions: int = Field(gt=0)  # 1 + continuations
    images_seen: int = Field(ge=0)  # an image counts in every epoch, once however many views it has
    software: dict[str, str]  # name → version
