"""What `rules/pretrain.smk` and `rules/evaluate.smk` ask of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.config import Config
from scripts.evaluate.settings import PROTOCOLS, WITHOUT_PREDICTIONS, EmbedSettings, ListTaskSettings, Task
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.plan.outside import present
from scripts.pretrain.run_base import SHARDS
from scripts.pretrain.settings import Run, TrainSettings
from scripts.pretrain.settings_card import WriteModelCardSettings
from scripts.pretrain.settings_images import ImageSet, IndexImagesSettings

UNTRAINED = "-untrained"  # cannot be part of a run's name, as the next
AFTER_HEAD = "-head"


class PretrainPlan:
    """The pretraining runs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._runs = {run.name: run for run in config.pretrain.runs}

    @property
    def runs(self) -> list[str]:
        """Names of the pretraining runs."""
        return list(self._runs)

    def run(self, name: str) -> Run:
        """Return a run."""
        return self._runs[name]

    def train_shards(self, name: str) -> list[str]:
        """Return the shards that a run trains on; none when it trains on an image set."""
        return self._of_shards(name, "tar")

    def train_indexes(self, name: str) -> list[str]:
        """Return what says where a run's images lie: the indexes of the shards, or that of its image set."""
        images = self._runs[name].images
        return self._of_shards(name, "parquet") or [f"results/pretrain/index_images/{images}.parquet"]

    def _of_shards(self, name: str, suffix: str) -> list[str]:
        shards = identity.shard_names(self.config.shard.count) if self._runs[name].images == SHARDS else []
        return [f"results/shard/write_shards/{shard}.{suffix}" for shard in shards]

    def images_root(self, images: str) -> str:
        """Return the folder of an image set; "" for the shards."""
        return "" if images == SHARDS else self._image_set(images).path

    def image_set_inputs(self, images: str) -> list[str]:
        """Return the tars of an image set that lie there. A folder is too large to watch."""
        chosen = self._image_set(images)
        return present(*(str(Path(chosen.path) / file) for file in getattr(chosen, "files", ())))

    def index_images_recipe(self, images: str) -> str:
        """Return the recipe of `index_images` for one set."""
        limits = self.config.pretrain.index_images
        return write_recipe(IndexImagesSettings(images=self._image_set(images), limits=limits))

    def _image_set(self, name: str) -> ImageSet:
        found = next((images for images in self.config.pretrain.image_sets if images.name == name), None)
        if found is None:
            raise UserError(f"pretrain.image_sets has no entry {name}; name it in the config")
        return found

    def if_curated(self, name: str, paths: list[str]) -> list[str]:
        """Return `paths`, which are of the shards, for a run that trains on these, else nothing."""
        return paths if self._runs[name].images == SHARDS else []

    def write_model_card_recipe(self, name: str) -> str:
        """Return the recipe of `write_model_card` for one run."""
        run, card = self._runs[name], self.config.shard.card
        title, version = (card.title, card.version) if run.images == SHARDS else (run.images, "")
        settings = WriteModelCardSettings(
            run=run, expected=run.expected, data_title=title, data_version=version, contact=card.contact
        )
        return write_recipe(settings)

    @property
    def model_cards(self) -> list[str]:
        """The model cards of all runs."""
        return [f"results/pretrain/write_model_card/{run}.md" for run in self._runs]

    def train_recipe(self, name: str) -> str:
        """Return the recipe of `train` for one run."""
        return write_recipe(TrainSettings(run=self._runs[name]))


class EvaluatePlan:
    """Encoders, tasks and protocols."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._tasks = {task.name: task for task in config.evaluate.tasks}

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders that are evaluated: the runs, and each run before its first step."""
        runs = [run.name for run in self.config.pretrain.runs]
        return [*runs, *(run + UNTRAINED for run in runs if self.config.evaluate.untrained)]

    @property
    def tasks(self) -> list[str]:
        """Names of the evaluation tasks."""
        return list(self._tasks)

    def encoder_path(self, encoder: str) -> str:
        """Return the weights of an encoder."""
        run = encoder.removesuffix(UNTRAINED)
        name = "encoder" if run == encoder else "untrained_encoder"
        return f"results/pretrain/train/{run}/{name}.safetensors"

    def features_path(self, encoder: str, task: str) -> str:
        """Return the features that a protocol reads for an encoder, which may be one `<run>-head`."""
        run = encoder.removesuffix(AFTER_HEAD)
        step = "embed" if run == encoder else "apply_head"
        return f"results/evaluate/{step}/{run}/{task}.safetensors"

    def architecture_of(self, encoder: str) -> str:
        """Return the name of the network of an encoder: that of its run."""
        run = encoder.removesuffix(UNTRAINED)
        return next(item.encoder for item in self.config.pretrain.runs if item.name == run)

    def task_kind(self, task: str) -> str:
        """Return the kind of a task, which is the name of its module."""
        return self._tasks[task].kind

    def task_paths(self, task: str) -> list[str]:
        """Return the paths of a task's data in the order of its `path_fields`; none for a generated task."""
        return _path_values(self._tasks[task])

    def task_inputs(self, task: str) -> list[str]:
        """Return those of `task_paths` that are files and lie there."""
        return [path for path in present(*self.task_paths(task)) if Path(path).is_file()]

    def list_task_recipe(self, task: str) -> str:
        """Return the recipe of `list_task`."""
        return write_recipe(ListTaskSettings(task=self._tasks[task]))

    def embed_recipe(self, task: str) -> str:
        """Return the recipe of `embed`."""
        settings = self.config.evaluate
        return write_recipe(EmbedSettings(task=self._tasks[task], batch_size=settings.batch_size, cache=settings.cache))

    def protocol_recipe(self, protocol: str) -> str:
        """Return the recipe of a frozen protocol, without the names of the tasks that it runs on.

        Raises:
            UserError: it is switched off.
        """
        settings = getattr(self.config.evaluate, protocol)
        if settings is None:
            raise UserError(f"evaluate.{protocol} is null, so the protocol has no settings; give it some in the config")
        return write_recipe(settings.model_copy(update={"tasks": None}))

    def _protocol_files(self, protocols: Iterable[str], suffix: str) -> list[str]:
        """Return the files of `protocols` for every encoder, before and after the head, on the tasks of each."""
        found = []
        for protocol in protocols:
            settings = getattr(self.config.evaluate, protocol)
            if settings is not None:
                tasks = self.tasks if settings.tasks is None else settings.tasks
                after = protocol in self.config.evaluate.after_head
                heads = [run.name + AFTER_HEAD for run in self.config.pretrain.runs if after]
                found += [
                    f"results/evaluate/{protocol}/{encoder}/{task}{suffix}"
                    for encoder in [*self.encoders, *heads]
                    for task in tasks
                ]
        return found

    @property
    def protocol_tables(self) -> list[str]:
        """Rows of results of all frozen protocols."""
        return self._protocol_files(PROTOCOLS, ".csv")

    @property
    def protocol_predictions(self) -> list[str]:
        """What the protocols that answer for each test image answered."""
        return self._protocol_files((name for name in PROTOCOLS if name not in WITHOUT_PREDICTIONS), ".parquet")

    def compare_encoders_recipe(self) -> str:
        """Return the recipe of `compare_encoders`."""
        return write_recipe(self.config.evaluate.comparison)


def _path_values(task: Task) -> list[str]:
    values = (getattr(task, field) for field in task.path_fields)
    return [value for value in values if isinstance(value, str)]
