"""What `rules/evaluate_finetuned.smk` asks of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from scripts.config import Config
from scripts.evaluate.settings import FinetuneClassifierSettings
from scripts.evaluate.settings_annotated import AnnotatedTask, ListAnnotationsSettings
from scripts.evaluate.settings_finetuned import (
    ClassifierRecipe,
    DenseRecipe,
    DetectorRecipe,
    FinetuneDetectorSettings,
    FinetuneSegmenterSettings,
    SegmenterRecipe,
)
from scripts.lib.encoder_names import family_of
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.plan.evaluate import EvaluatePlan
from scripts.plan.outside import present

RESNET = "resnet"
SHALLOW = ("resnet18",)  # torchvision cannot dilate their stages

RecipeType = TypeVar("RecipeType", ClassifierRecipe, DenseRecipe)


class FinetunePlan(EvaluatePlan):
    """Recipes that train the whole network, and the annotated sets of some of them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        settings = config.evaluate.finetuned
        self._annotated = {task.name: task for task in settings.tasks}
        self._classifiers = {each.name: each for each in settings.classifiers}
        self._dense: dict[str, DenseRecipe] = {each.name: each for each in (*settings.detectors, *settings.segmenters)}
        self._check_encoders()

    def _check_encoders(self) -> None:
        """Refuse recipes that name no encoder, or a detector's that is no ResNet."""
        known = self.encoders
        for name, recipe in self._recipes().items():
            for encoder in recipe.encoders or ():
                where = f"evaluate.finetuned, recipe {name}, encoders"
                if encoder not in known:
                    raise UserError(f"{where}: there is no encoder {encoder}; there are {', '.join(known)}")
                network = self.architecture_of(encoder)
                if name in self._dense and family_of(network) != RESNET:
                    raise UserError(
                        f"{where}: {encoder} is a {network}, and detectors and segmenters here are "
                        "built on ResNets: a vision transformer would need a feature pyramid of its own, which is "
                        "not built. Leave it out, or write null for all ResNets"
                    )

    @property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """Return task → the metrics that the report leads with, those of annotated sets too."""
        return {**super().figures, **{task.name: task.figures for task in self._annotated.values()}}

    @property
    def finetuned_protocols(self) -> list[str]:
        """Return the names that results of whole networks bear as their protocol."""
        return list(self._recipes())

    def _recipes(self) -> dict[str, ClassifierRecipe | DenseRecipe]:
        return {**self._classifiers, **self._dense}

    def annotated_kind(self, task: str) -> str:
        """Return the kind of an annotated set, which is the name of its module."""
        return self._annotated[task].kind

    def annotated_paths(self, task: str) -> list[str]:
        """Return the paths of a set's data in the order of its `path_fields`."""
        return _paths(self._annotated[task])

    def annotated_inputs(self, task: str) -> list[str]:
        """Return those of `annotated_paths` that are files and lie there."""
        return [path for path in present(*self.annotated_paths(task)) if Path(path).is_file()]

    def list_annotations_recipe(self, task: str) -> str:
        """Return the recipe of `list_annotations`."""
        return write_recipe(ListAnnotationsSettings(task=self._annotated[task]))

    def devices_of(self, recipe: str) -> int:
        """Return the processes of a dense recipe."""
        return self._dense[recipe].devices

    def finetune_classifier_recipe(self, recipe: str, task: str, seed: str) -> str:
        """Return the recipe of `finetune_classifier`."""
        chosen = _alone(self._classifiers[recipe])
        preprocess = self.config.evaluate.preprocess
        return write_recipe(
            FinetuneClassifierSettings(task=self._tasks[task], preprocess=preprocess, recipe=chosen, seed=int(seed))
        )

    def finetune_dense_recipe(self, recipe: str, task: str, seed: str) -> str:
        """Return the recipe of `finetune_detector` or `finetune_segmenter`."""
        chosen = _alone(self._dense[recipe])
        kind = FinetuneDetectorSettings if isinstance(chosen, DetectorRecipe) else FinetuneSegmenterSettings
        return write_recipe(kind.model_validate({"task": self._annotated[task], "recipe": chosen, "seed": int(seed)}))

    def _encoders_for(self, recipe: ClassifierRecipe | DenseRecipe) -> Sequence[str]:
        if recipe.encoders is not None:
            return recipe.encoders
        found = self.encoders
        if isinstance(recipe, DenseRecipe):
            found = [each for each in found if family_of(self.architecture_of(each)) == RESNET]
        if isinstance(recipe, SegmenterRecipe) and recipe.output_stride < 32:
            found = [each for each in found if self.architecture_of(each) not in SHALLOW]
        return found

    def _finetuned(self, suffix: str, recipes: Iterable[ClassifierRecipe | DenseRecipe]) -> Iterator[str]:
        for recipe in recipes:
            step = (
                "finetune_classifier" if isinstance(recipe, ClassifierRecipe)
                else "finetune_detector" if isinstance(recipe, DetectorRecipe)
                else "finetune_segmenter"
            )  # fmt: skip
            for encoder in self._encoders_for(recipe):
                for task in self.tasks if recipe.tasks is None else recipe.tasks:
                    for seed in recipe.seeds:
                        yield f"results/evaluate/{step}/{encoder}/{recipe.name}/{task}-{seed}{suffix}"

    @property
    def protocol_tables(self) -> list[str]:
        """Rows of results of all protocols, frozen and fine-tuned, sorted."""
        return sorted([*super().protocol_tables, *self._finetuned(".csv", self._recipes().values())])

    @property
    def protocol_predictions(self) -> list[str]:
        """What the protocols that answer for each test image answered, sorted."""
        return sorted([*super().protocol_predictions, *self._finetuned(".parquet", self._classifiers.values())])


def _alone(recipe: RecipeType) -> RecipeType:
    """Return a recipe without what says where else it runs."""
    return recipe.model_copy(update={"tasks": (), "encoders": None, "seeds": (0,)})


def _paths(task: AnnotatedTask) -> list[str]:
    values = (getattr(task, field) for field in task.path_fields)
    return [value for value in values if isinstance(value, str)]
