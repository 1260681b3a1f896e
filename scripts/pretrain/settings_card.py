"""The recipe of `write_model_card`."""

from __future__ import annotations

from scripts.lib.recipe import Settings
from scripts.pretrain.settings import Run


class WriteModelCardSettings(Settings):
    """What a card says that neither the weights nor the tables know."""

    run: Run
    expected: str  # figure to compare with, and of whom
    data_title: str  # of the dataset card, or the name of the image set
    data_version: str  # "" for an image set
    contact: str
