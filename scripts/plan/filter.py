"""What `rules/filter.smk` and `rules/shard.smk` ask of the configuration."""

from __future__ import annotations

from scripts.config import Config
from scripts.filter.settings import (
    ConvertWeightsSettings,
    DetectSettings,
    FaceDetector,
    FaceVote,
    JudgeSettings,
    PersonDetector,
    PersonVote,
    RetinaFaceDetector,
    SelectSettings,
    TransformersDetector,
    WeightsFile,
)
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.shard.settings import WriteShardsSettings

Detector = FaceDetector | PersonDetector
MODEL_CONFIG = "__config"  # after a detector's name: the second file that `fetch_weights` brings for it


class FilterPlan:
    """Detectors, thresholds and the selection."""

    def __init__(self, config: Config) -> None:
        self.config = config
        votes: list[FaceVote | PersonVote] = [*config.filter.face_detectors, *config.filter.person_detectors]
        self._detectors: dict[str, Detector] = {vote.detector.name: vote.detector for vote in votes}

    @property
    def face_detectors(self) -> list[str]:
        """Names of the face detectors."""
        return [vote.detector.name for vote in self.config.filter.face_detectors]

    @property
    def person_detectors(self) -> list[str]:
        """Names of the person detectors."""
        return [vote.detector.name for vote in self.config.filter.person_detectors]

    def detector_kind(self, name: str) -> str:
        """Return the kind of a detector, which is the name of its module."""
        return self._detectors[name].kind

    def detect_recipe(self, name: str) -> str:
        """Return the recipe of `detect_faces` or `detect_people` for one detector."""
        return write_recipe(DetectSettings(detector=self._detectors[name]))

    def weights(self, name: str) -> WeightsFile:
        """Return where the weights of a detector come from."""
        detector = self._detectors.get(name.removesuffix(MODEL_CONFIG))
        weights = getattr(detector, "config" if name.endswith(MODEL_CONFIG) else "weights", None)
        if not isinstance(weights, WeightsFile):
            raise UserError(f"the detector {name} brings its own weights; there is nothing to fetch")
        return weights

    def weights_inputs(self, name: str) -> list[str]:
        """Return the checked weights that a detector reads, nothing for one that brings its own."""
        detector = self._detectors[name]
        if isinstance(detector, RetinaFaceDetector) and detector.engine == "onnxruntime":
            return [f"results/filter/convert_weights/{name}.onnx"]
        names = [name, f"{name}{MODEL_CONFIG}"] if isinstance(detector, TransformersDetector) else [name]
        has_file = isinstance(getattr(detector, "weights", None), WeightsFile)
        return [f"results/filter/fetch_weights/{each}.weights" for each in names] if has_file else []

    def convert_weights_recipe(self, name: str) -> str:
        """Return what `convert_weights` has to know of a detector."""
        detector = self._detectors[name]
        if not isinstance(detector, RetinaFaceDetector):
            raise UserError(f"the detector {name} ({detector.kind}) has no weights to convert")
        return write_recipe(ConvertWeightsSettings(backbone=detector.backbone))

    def detector_gpus(self, name: str) -> int:
        """Return how many GPUs a detector can make use of: 1 when torch runs it, else 0."""
        detector = self._detectors[name]
        return int(detector.kind in ("torchvision", "transformers") or getattr(detector, "engine", None) == "torch")

    def judge_recipe(self) -> str:
        """Return the recipe of `judge`."""
        return write_recipe(self.judge_settings())

    def judge_settings(self) -> JudgeSettings:
        """Return the limits and the drop score of each detector."""
        chosen = self.config.filter
        return JudgeSettings(
            min_side=chosen.judge.min_side,
            min_colour_std=chosen.judge.min_colour_std,
            face_scores={vote.detector.name: vote.drop_score for vote in chosen.face_detectors},
            person_scores={vote.detector.name: vote.drop_score for vote in chosen.person_detectors},
        )

    def select_recipe(self) -> str:
        """Return the recipe of `select`."""
        chosen = self.config.filter
        settings = SelectSettings(
            max_per_photographer=chosen.max_per_photographer, target_size=chosen.target_size, seed=chosen.seed
        )
        return write_recipe(settings)


class ShardPlan:
    """Shards and the partitions that they read."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def shards(self) -> list[str]:
        """Names of the shards."""
        return identity.shard_names(self.config.shard.count)

    def shard_parts(self, shard: str) -> list[str]:
        """Return the partitions whose images a shard can hold."""
        return identity.parts_of_shard(shard, self.config.shard.count, self.config.partition_bits)

    def write_shards_recipe(self) -> str:
        """Return the recipe of `write_shards` and `write_metadata`."""
        return write_recipe(WriteShardsSettings(count=self.config.shard.count))

    def write_card_recipe(self) -> str:
        """Return the recipe of `write_card`."""
        return write_recipe(self.config.shard.card)
