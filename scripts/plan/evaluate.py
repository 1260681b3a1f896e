"""What `rules/evaluate.smk` asks of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.config import Config
from scripts.evaluate.settings import (
    PROTOCOLS,
    WITHOUT_PREDICTIONS,
    DrawEmbeddingSettings,
    EmbedSettings,
    ListTaskSettings,
    SampleTaskSettings,
)
from scripts.evaluate.settings_tasks import Task
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.plan.outside import present
from scripts.plan.strangers import StrangerPlan

UNTRAINED = "-untrained"  # cannot be part of a run's name, as the next
AFTER_HEAD = "-head"


class EvaluatePlan(StrangerPlan):
    """Encoders, tasks and protocols."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        # Which figure is shown first changes nothing that a step computes.
        self._tasks = {task.name: task.model_copy(update={"metric": None}) for task in config.evaluate.tasks}

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders that are evaluated: runs, runs before their first step, those from elsewhere."""
        runs = [run.name for run in self.config.pretrain.runs]
        twins = {self.untrained_of(run): None for run in runs}
        return [*runs, *twins, *self.strangers]

    def untrained_of(self, run: str) -> str:
        """Return the untrained encoder beside a run: its own, or that of the first run with its architecture."""
        if not self.config.evaluate.untrained:
            wanted = self.architecture_of(run)
            run = next(each.name for each in self.config.pretrain.runs if each.encoder == wanted)
        return run + UNTRAINED

    @property
    def tasks(self) -> list[str]:
        """Names of the evaluation tasks."""
        return list(self._tasks)

    @property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """Return task → the metrics that the report leads with."""
        return {task.name: (task.figure,) for task in self.config.evaluate.tasks}

    def encoder_path(self, encoder: str) -> str:
        """Return the weights of an encoder."""
        if encoder in self.strangers:
            return self.stranger_path(encoder)
        run = encoder.removesuffix(UNTRAINED)
        name = "encoder" if run == encoder else "untrained_encoder"
        return f"results/pretrain/train/{run}/{name}.safetensors"

    def features_path(self, encoder: str, task: str) -> str:
        """Return the features that a protocol reads for an encoder, which may be one `<run>-head`."""
        run = encoder.removesuffix(AFTER_HEAD)
        step = "embed" if run == encoder else "apply_head"
        return f"results/evaluate/{step}/{run}/{task}.safetensors"

    def architecture_of(self, encoder: str) -> str:
        """Return the name of the network of an encoder: that of its run, or of its entry."""
        if encoder in self.strangers:
            return self.stranger_architecture(encoder)
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
        twins = self.config.evaluate.near_duplicates
        searched = twins is not None and (twins.tasks is None or task in twins.tasks)
        near = twins.model_copy(update={"tasks": None}) if twins is not None and searched else None
        return write_recipe(ListTaskSettings(task=self._tasks[task], near_duplicates=near))

    def sample_task_recipe(self, task: str) -> str:
        """Return the recipe of `sample_task`.

        Raises:
            UserError: nothing is watched, so nobody asks for a sample.
        """
        monitor = self.config.pretrain.monitor
        if monitor is None:
            raise UserError(
                "pretrain.monitor is null, so no sample of a task is needed; give it settings in the config"
            )
        return write_recipe(SampleTaskSettings(task=self._tasks[task], classes=monitor.classes, images=monitor.images))

    def embed_recipe(self, task: str) -> str:
        """Return the recipe of `embed`."""
        settings = self.config.evaluate
        return write_recipe(
            EmbedSettings(
                task=self._tasks[task],
                preprocess=settings.preprocess,
                batch_size=settings.batch_size,
                cache=settings.cache,
            )
        )

    @property
    def embedding_maps(self) -> list[str]:
        """Maps of every encoder on the tasks that are shown as pictures."""
        names, tasks = sorted(self.encoders), sorted(self.config.evaluate.embedding_map.tasks)
        return [f"results/evaluate/draw_embedding/{name}/{task}.png" for name in names for task in tasks]

    def draw_embedding_recipe(self, task: str) -> str:
        """Return the recipe of `draw_embedding`."""
        chosen = self.config.evaluate.embedding_map.model_copy(update={"tasks": ()})
        return write_recipe(DrawEmbeddingSettings(task=self._tasks[task], embedding_map=chosen))

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
