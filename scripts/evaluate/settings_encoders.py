"""The shape of `evaluate.encoders:` in config.yaml: encoders that were not trained here."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from scripts.evaluate.pass_checkpoints import CHECKPOINTS
from scripts.evaluate.settings_weights import KeyMapping, Preprocessing
from scripts.lib.encoder_names import is_encoder_name
from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class EncoderBase(Settings):
    """What every entry has."""

    name: Name
    licence: str | None = None  # of the weights; null: what their publisher's files say

    @property
    def architecture_name(self) -> str:
        """Name of the network, as `build_encoder` takes it."""
        raise NotImplementedError

    @property
    def source_text(self) -> str:
        """What it is, for a reader."""
        raise NotImplementedError


class WeightsBase(EncoderBase):
    """An entry with weights: from a file, or from the publisher where `download` says so."""

    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str | None = None
    download: bool = False
    sha256: str | None = None  # of the file: 64 digits, or the first 8 or more

    @field_validator("sha256")
    @classmethod
    def _is_sha256(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(r"[0-9a-f]{8,64}", text):
            raise ValueError("should be 64 digits 0-9 a-f (8 at least): `sha256sum FILE` of a file that you trust")
        return text

    @model_validator(mode="after")
    def _has_a_source(self) -> WeightsBase:
        if (self.path is None) != self.download:
            raise ValueError("give the `path` of the file that you have, or `download: true`, and not both")
        return self


class PassCheckpointEncoder(WeightsBase):
    """A checkpoint that the authors of PASS publish (scripts/evaluate/pass_checkpoints.py)."""

    kind: Literal["pass_checkpoint"]
    checkpoint: str  # name of the file, without .pth.tar

    @field_validator("checkpoint")
    @classmethod
    def _is_published(cls, text: str) -> str:
        if text not in CHECKPOINTS:
            raise ValueError(f"PASS publishes no checkpoint of this name; there are {', '.join(CHECKPOINTS)}")
        return text

    @property
    def architecture_name(self) -> str:
        """As the table of checkpoints says."""
        return CHECKPOINTS[self.checkpoint].architecture

    @property
    def source_text(self) -> str:
        """The file of the authors."""
        return f"published PASS checkpoint {self.checkpoint}"


class TorchvisionEncoder(WeightsBase):
    """A ResNet of torchvision, with weights that it names or with a state dict of its layout."""

    kind: Literal["torchvision"]
    model: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
        "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
    ]  # fmt: skip
    weights: str | None  # as torchvision names them, IMAGENET1K_V2: says what is downloaded and its preprocessing
    preprocessing: Preprocessing | None = None  # null: that of `weights`

    @model_validator(mode="after")
    def _is_complete(self) -> TorchvisionEncoder:
        if self.weights is None and (self.download or self.preprocessing is None):
            missing = "nothing says what to download" if self.download else "`preprocessing` must be given"
            raise ValueError(f"weights: null names none of torchvision's weights, so {missing}")
        return self

    @property
    def architecture_name(self) -> str:
        """Ours where we have the network, so that all weights of it share a name."""
        return self.model if self.model in ("resnet18", "resnet50") else f"torchvision/{self.model}"

    @property
    def source_text(self) -> str:
        """Model and weights."""
        return f"torchvision {self.model}, {self.weights or 'own weights'}"


class TimmEncoder(WeightsBase):
    """Any network of timm, without its classifier."""

    kind: Literal["timm"]
    model: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")  # with the tag of its weights: resnet50.a1_in1k
    preprocessing: Preprocessing | None = None  # null: that of timm's entry

    @property
    def architecture_name(self) -> str:
        """Of the family timm; with the tag, because that can change the size of the input."""
        return f"timm/{self.model}"

    @property
    def source_text(self) -> str:
        """The model with the tag of its weights."""
        return f"timm {self.model}"


class Architecture(Settings):
    """A network by name."""

    architecture: str

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, text: str) -> str:
        if not is_encoder_name(text):
            raise ValueError(
                "there is no such network here: resnet18, resnet50, resnet18_cifar, vit_small_16, torchvision/<ResNet> "
                "(torchvision/resnet101) and timm/<model> (timm/convnext_tiny) are known"
            )
        return text


class StateDictEncoder(Architecture, WeightsBase):
    """Tensors by name in a file of anyone's, and how the names become those of a network here."""

    kind: Literal["state_dict"]
    mapping: KeyMapping
    preprocessing: Preprocessing

    @model_validator(mode="after")
    def _is_local(self) -> StateDictEncoder:
        if self.download:
            raise ValueError("download: a state dict has no publisher here; give the `path` of the file")
        return self

    @property
    def architecture_name(self) -> str:
        """As given."""
        return self.architecture

    @property
    def source_text(self) -> str:
        """The network; the file is told by its SHA-256."""
        return f"own state dict of {self.architecture}"


class RandomEncoder(Architecture, EncoderBase):
    """A network as it is initialised: what every other has to beat."""

    kind: Literal["random"]
    seed: int
    preprocessing: Preprocessing

    @property
    def architecture_name(self) -> str:
        """As given."""
        return self.architecture

    @property
    def source_text(self) -> str:
        """The seed."""
        return f"random initialisation, seed {self.seed}"


Encoder = Annotated[
    PassCheckpointEncoder | TorchvisionEncoder | TimmEncoder | StateDictEncoder | RandomEncoder,
    Field(discriminator="kind"),
]
Stranger = PassCheckpointEncoder | TorchvisionEncoder | TimmEncoder | StateDictEncoder


class ImportEncoderSettings(Settings):
    """Recipe of `import_encoder`; and of `fetch_encoder`, which reads the entry alone."""

    encoder: Encoder | None  # null: a fresh network like the one of another file, at `seed`
    seed: int
