"""What `rules/pretrain.smk` asks of the configuration."""

from __future__ import annotations

import re

from scripts.config import Config
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.pretrain.run_base import SHARDS
from scripts.pretrain.settings import Run, TrainSettings
from scripts.pretrain.settings_card import WriteModelCardSettings
from scripts.pretrain.settings_images import ImageSet, IndexImagesSettings


class PretrainPlan:
    """The pretraining runs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._runs = {run.name: run for run in config.pretrain.runs}

    @property
    def runs(self) -> list[str]:
        """Names of the pretraining runs, sorted."""
        return sorted(self._runs)

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

    def index_images_recipe(self, images: str) -> str:
        """Return the recipe of `index_images` for one set."""
        limits = self.config.pretrain.index_images
        return write_recipe(IndexImagesSettings(images=self._image_set(images), limits=limits))

    def _image_set(self, name: str) -> ImageSet:
        found = next((images for images in self.config.pretrain.image_sets if images.name == name), None)
        if found is None:
            raise UserError(f"pretrain.image_sets has no entry {name}; name it in the config")
        return found

    def runs_on(self, *, several_nodes: bool) -> str:
        """Return the pattern of the runs that take one node, or more."""
        found = [run.name for run in self._runs.values() if (run.nodes > 1) == several_nodes]
        return "|".join(map(re.escape, found)) or "(?!)"  # the latter matches nothing

    def tasks_of(self, name: str) -> dict[str, int]:
        """Return SLURM's tasks of a run on several nodes, as the executor wants them: one figure, the other 0.

        It refuses one task per node, and with a figure for all tasks SLURM could give one node more than another; with
        as many tasks as nodes it cannot, since each node has one.
        """
        run = self._runs[name]
        alone = run.devices == 1
        return {"per_node": 0 if alone else run.devices, "in_all": run.nodes if alone else 0}

    def launch(self, name: str) -> str:
        """Return what starts a run's processes on several nodes.

        The executor hides the job's geometry from `srun`, so it is said again. When one process fails the others would
        wait for it until the job's time is up.
        """
        run = self._runs[name]
        return (
            f"srun --nodes={run.nodes} --ntasks-per-node={run.devices} --cpus-per-task={run.threads} --kill-on-bad-exit"
        )

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

    def monitor_recipe(self) -> str:
        """Return the recipe of what runs are watched on; empty when they are not."""
        monitor = self.config.pretrain.monitor
        return "" if monitor is None else write_recipe(monitor)

    @property
    def monitor_sample(self) -> list[str]:
        """Return the labelled images that runs are watched on, when there are any."""
        monitor = self.config.pretrain.monitor
        named = monitor is not None and monitor.task is not None
        return [f"results/evaluate/sample_task/{monitor.task}.safetensors"] if monitor and named else []
