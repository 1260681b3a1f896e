"""The shape of `evaluate:` in config.yaml."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from scripts.evaluate.settings_encoders import Encoder
from scripts.evaluate.settings_finetuned import ClassifierRecipe, FinetunedSettings
from scripts.evaluate.settings_protocols import (
    ClusterSettings,
    ComparisonSettings,
    FewShotSettings,
    KnnSettings,
    LinearProbeSettings,
    LinearSvmSettings,
    LowShotSettings,
    RankMeSettings,
    SgdProbeSettings,
)
from scripts.evaluate.settings_tasks import Name, Positive, Task
from scripts.lib.recipe import Settings

# Frozen protocols, each a step of its own, in the order of the config.
ProtocolName = Literal["knn", "linear_probe", "sgd_probe", "low_shot", "few_shot", "linear_svm", "cluster", "rank_me"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
WITHOUT_PREDICTIONS = ("few_shot", "rank_me")  # their figures are no share of the test images


class TwinSettings(Settings):
    """When a test image looks like a train image, and so is left out."""

    tasks: tuple[Name, ...] | None  # that are searched; None = all; blank in recipes
    near_distance: int = Field(ge=0, le=16)  # bits of 64 in which the hashes differ at most
    min_correlation: float = Field(gt=0, le=1)  # of the 16 x 16 grey miniatures, laid alike
    mirrored: bool  # also mirrored copies
    turned: bool  # also turned by 90, 180 or 270 degrees


class ListTaskSettings(Settings):
    """Recipe of `list_task`."""

    task: Task
    near_duplicates: TwinSettings | None


class SampleTaskSettings(Settings):
    """Recipe of `sample_task`: which train images of a task pretraining watches itself on."""

    task: Task
    classes: Positive | None  # a seeded choice of so many; None = all
    images: Positive  # of these classes, evenly


class CacheSettings(Settings):
    """How features are kept."""

    precision: Literal["float16", "float32"]
    shard_images: Positive  # images whose features are written at once: what a kill can cost
    last_blocks: Positive | None  # of a ViT: also keep the class tokens of so many blocks, and the mean patch token
    train_views: Positive | None  # also keep the features of so many augmented views of each train image
    seed: int  # of those views


# Whose sizes count where they differ. Normalisation and interpolation are the encoder's always.
Preprocess = Literal["encoder", "task"]


class EmbedSettings(Settings):
    """Recipe of `embed` for one encoder and task."""

    task: Task
    preprocess: Preprocess
    batch_size: Positive
    cache: CacheSettings


class EmbeddingMapSettings(Settings):
    """Test images laid out by their features, as pictures; every one that is shown goes into the report."""

    tasks: tuple[str, ...]  # names; () = no map
    images: Positive  # at most, drawn by lot
    perplexity: float = Field(gt=1)  # of t-SNE: about how many neighbours count
    thumbnail: int = Field(ge=16, le=128)  # pixels
    seed: int


class DrawEmbeddingSettings(Settings):
    """Recipe of `draw_embedding`, without the names of the tasks."""

    task: Task
    embedding_map: EmbeddingMapSettings


class FinetuneClassifierSettings(Settings):
    """Recipe of `finetune_classifier`."""

    task: Task
    preprocess: Preprocess
    recipe: ClassifierRecipe
    seed: int


class EvaluateSettings(Settings):
    """`evaluate:`"""

    tasks: tuple[Task, ...]
    near_duplicates: TwinSettings | None
    batch_size: Positive
    untrained: bool  # each run's encoder as it was before its first step; false: one for each architecture
    encoders: tuple[Encoder, ...]  # that were not trained here
    preprocess: Preprocess
    cache: CacheSettings
    after_head: tuple[ProtocolName, ...]  # also run after the projection head, as the encoder `<run>-head`
    knn: KnnSettings | None
    linear_probe: LinearProbeSettings | None
    sgd_probe: SgdProbeSettings | None
    low_shot: LowShotSettings | None
    few_shot: FewShotSettings | None
    linear_svm: LinearSvmSettings | None
    cluster: ClusterSettings | None
    rank_me: RankMeSettings | None
    embedding_map: EmbeddingMapSettings
    comparison: ComparisonSettings
    finetuned: FinetunedSettings

    @model_validator(mode="after")
    def _tasks_exist(self) -> EvaluateSettings:
        known = {task.name for task in self.tasks}
        for protocol in (*PROTOCOLS, "near_duplicates", "embedding_map"):
            settings = getattr(self, protocol)
            if unknown := sorted(set((settings and settings.tasks) or ()) - known):
                raise ValueError(f"{protocol}.tasks: evaluate.tasks has no task {', '.join(unknown)}")
        for recipe in self.finetuned.classifiers:
            if unknown := sorted(set(recipe.tasks or ()) - known):
                raise ValueError(
                    f"finetuned.classifiers.{recipe.name}.tasks: evaluate.tasks has no task {', '.join(unknown)}"
                )
        names = [recipe.name for recipe in self.sgd_probe.recipes] if self.sgd_probe else []
        if len(set(names)) < len(names):
            raise ValueError(f"sgd_probe.recipes: a name is used more than once among {', '.join(names)}")
        return self
