"""What `rules/filter.smk` and `rules/shard.smk` ask of the configuration."""

from __future__ import annotations

from scripts.config import Config
from scripts.filter.rule_settings import ScoreRule, detectors_of
from scripts.filter.settings import (
    ConvertWeightsSettings,
    DetectSettings,
    FaceDetector,
    JudgeSettings,
    PersonDetector,
    RetinaFaceDetector,
    SelectSettings,
    TransformersDetector,
    WeightsFile,
)
from scripts.filter.tune_settings import TuneSettings
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.shard.settings import WriteCardSettings, WriteShardsSettings

Detector = FaceDetector | PersonDetector
MODEL_CONFIG = "__config"  # after a detector's name: the second file that `fetch_weights` brings for it


class FilterPlan:
    """Detectors, rules and the selection."""

    def __init__(self, config: Config) -> None:
        self.config = config
        chosen = config.filter
        self._detectors: dict[str, Detector] = {
            detector.name: detector for detector in (*chosen.face_detectors, *chosen.person_detectors)
        }

    @property
    def face_detectors(self) -> list[str]:
        """Names of the face detectors, sorted."""
        return sorted(detector.name for detector in self.config.filter.face_detectors)

    @property
    def person_detectors(self) -> list[str]:
        """Names of the person detectors, sorted."""
        return sorted(detector.name for detector in self.config.filter.person_detectors)

    def asked(self, names: list[str]) -> list[str]:
        """Return those of `names` that a rule asks; the others are measured for `tune_threshold` alone."""
        wanted = {name for rule in self.config.filter.rules for name in detectors_of(rule)}
        return [name for name in names if name in wanted]

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
        """Return the limits and the rules."""
        chosen = self.config.filter
        return JudgeSettings(
            min_side=chosen.judge.min_side,
            min_colour_std=chosen.judge.min_colour_std,
            embedded=chosen.judge.embedded,
            suspicious_from=chosen.judge.suspicious_from,
            rules=chosen.rules,
        )

    def rule_texts(self) -> list[dict[str, str]]:
        """Return the rules for a reader: name, reason, and what drops or goes to a reviewer; "" for nothing."""
        texts = []
        for rule in self.config.filter.rules:
            if isinstance(rule, ScoreRule):
                drop, review = (
                    " or ".join(f"{name} ≥ {score:g}" for name, score in scores.items())
                    for scores in (rule.drop, rule.review)
                )
            else:
                voices = f"probability from {', '.join(detectors_of(rule))} ≥ "
                drop = f"{voices}{rule.drop:g}"
                review = "" if rule.review is None else f"{voices}{rule.review:g}"
            texts.append({"name": rule.name, "reason": rule.reason, "drop": drop, "review": review})
        return texts

    def tuned(self, *paths: str) -> list[str]:
        """Return `paths` when there are labels to tune on, else nothing."""
        return list(paths) if self.config.filter.labels else []

    @property
    def labels(self) -> str:
        """The table of labels, "" when nothing is tuned."""
        return self.config.filter.labels.table if self.config.filter.labels else ""

    def labels_by_path(self, paths: list[str]) -> list[str]:
        """Return `paths` (candidates) when labels name images by path, else nothing."""
        labels = self.config.filter.labels
        return paths if labels and labels.match == "path" else []

    def tune_recipe(self) -> str:
        """Return the recipe of `tune_threshold`."""
        chosen = self.config.filter
        if chosen.labels is None:
            raise UserError("filter.labels is null in the config: name a table of labelled images to tune on")
        limits = {name: getattr(chosen.tune, name) for name in type(chosen.tune).model_fields}
        names = (*self.face_detectors, *self.person_detectors)
        return write_recipe(TuneSettings(**limits, labels=chosen.labels, rules=chosen.rules, detectors=names))

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
        shard = self.config.shard
        return write_recipe(WriteShardsSettings(count=shard.count, embedded_metadata=shard.embedded_metadata))

    def write_card_recipe(self) -> str:
        """Return the recipe of `write_card`."""
        shard = self.config.shard
        return write_recipe(WriteCardSettings(**dict(shard.card), embedded_metadata=shard.embedded_metadata))
