"""The shape of the protocols of `evaluate:` in config.yaml: what each needs to be repeated. `null` switches one off."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class ProtocolSettings(Settings):
    """What every protocol has."""

    tasks: tuple[Name, ...] | None  # names of the tasks that it runs on; None = all; blank in recipes


class KnnVote(Settings):
    """One way to count the votes of neighbours."""

    neighbours: Positive
    temperature: PositiveFloat


class KnnSettings(ProtocolSettings):
    """Weighted kNN (Wu et al. 2018; DINO's protocol)."""

    votes: tuple[KnnVote, ...] = Field(min_length=1)


class LinearProbeSettings(ProtocolSettings):
    """Multinomial logistic regression by L-BFGS; the regularisation is chosen on a held-out part of train."""

    c_values: tuple[float, ...] = Field(min_length=1)  # inverse regularisation strengths
    holdout_share: Share
    max_iterations: Positive
    seeds: tuple[int, ...] = Field(min_length=1)  # of the held-out part


class SgdRecipe(Settings):
    """A linear classifier trained by SGD as a method's authors do it, on cached features."""

    name: Name
    epochs: Positive
    batch_size: Positive
    learning_rate: PositiveFloat  # at this batch size
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0)
    milestones: tuple[Positive, ...] | None  # epochs after which the rate is multiplied by `factor`; None = cosine to 0
    factor: float = Field(gt=0, le=1)
    initial_std: float = Field(ge=0)  # of the weights; biases start at 0
    blocks: Positive | None  # class tokens of so many last blocks, one after another; None = the encoder's features
    average_pool: bool  # with the mean of the last block's patch tokens

    @model_validator(mode="after")
    def _milestones_fit(self) -> SgdRecipe:
        if self.milestones and (
            list(self.milestones) != sorted(set(self.milestones)) or self.milestones[-1] >= self.epochs
        ):
            raise ValueError(f"milestones {self.milestones} must rise and end before the {self.epochs} epochs do")
        return self


class SgdProbeSettings(ProtocolSettings):
    """SGD probes: the last epoch and the one chosen on a held-out part of train are both reported."""

    recipes: tuple[SgdRecipe, ...] = Field(min_length=1)
    holdout_share: Share
    seeds: tuple[int, ...] = Field(min_length=1)  # of weights, order and held-out part


class LowShotSettings(ProtocolSettings):
    """A ridge classifier on k train images of each class, several draws (big_vision's `fewshot_lsr`)."""

    shots: tuple[Positive, ...] = Field(min_length=1)  # train images of each class
    draws: Positive
    seed: int
    penalty: PositiveFloat  # lambda of the ridge
    bias: PositiveFloat  # value of the constant feature


class FewShotSettings(ProtocolSettings):
    """Episodes: a few classes, a few train images of each, queries of the test split."""

    ways: Annotated[int, Field(ge=2)]  # classes of an episode
    shots: tuple[Positive, ...] = Field(min_length=1)  # train images of each class
    queries: Positive  # test images of each class
    episodes: Positive
    classifiers: tuple[Literal["centroid", "logistic"], ...] = Field(min_length=1)
    c: PositiveFloat  # inverse regularisation strength of `logistic`
    seed: int


class LinearSvmSettings(ProtocolSettings):
    """One linear SVM for each class, its cost chosen by cross-validation on train (VOC07's protocol)."""

    costs: tuple[PositiveFloat, ...] = Field(min_length=1)
    folds: Annotated[int, Field(ge=2)]
    max_iterations: Positive
    positive_weight: PositiveFloat  # of images that have the class, against 1 of those that have not
    seeds: tuple[int, ...] = Field(min_length=1)  # of the folds


class ClusterSettings(ProtocolSettings):
    """k-means on train features; clusters are matched to classes on train and scored on test."""

    clusters: Positive | None  # None = as many as classes
    restarts: Positive  # the best by inertia counts
    max_iterations: Positive
    seeds: tuple[int, ...] = Field(min_length=1)


class RankMeSettings(ProtocolSettings):
    """RankMe (Garrido et al. 2023): the effective rank of the train features."""

    max_images: Positive  # a seeded part of train
    seed: int


class ComparisonSettings(Settings):
    """Paired bootstrap over test images for each pair of encoders under one protocol."""

    draws: Positive
    seed: int
