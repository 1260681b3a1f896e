"""What the rules ask of the configuration: names of files and parts, recipes, code fingerprints, data from outside.

Everything that `rules/*.smk` need to know beyond file names is here, typed and tested, so that a rule stays a statement
of inputs, outputs and one command. Never imports torch: planning must stay a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.config import Config
from scripts.curate.settings import (
    DownloadSettings,
    FolderSource,
    FolderStore,
    HttpStore,
    MetadataFile,
    PlantHazardsSettings,
    SelectCandidatesSettings,
    Source,
    TarStore,
    YfccSource,
)
from scripts.evaluate.settings import EmbedSettings, ListTaskSettings, Task
from scripts.filter.settings import (
    DetectSettings,
    FaceDetector,
    FaceVote,
    JudgeSettings,
    PersonDetector,
    PersonVote,
    SelectSettings,
    WeightsFile,
)
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import code_hash
from scripts.lib.recipe import write_recipe
from scripts.pretrain.settings import Run, TrainSettings
from scripts.report.settings import WriteReportSettings
from scripts.shard.settings import WriteShardsSettings

Detector = FaceDetector | PersonDetector
UNTRAINED = "-untrained"  # cannot be part of a run's name


def present(*paths: str | None) -> list[str]:
    """Return those paths that exist.

    Data from outside becomes an input, and so a reason to rerun, where it lies there; where it does not, planning still
    works, and the first step that needs it says what is missing and where to put it.
    """
    return [path for path in paths if path and Path(path).exists()]


class Plan:
    """A checked configuration, seen from the rules."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._sources = {source.name: source for source in config.curate.sources}
        votes: list[FaceVote | PersonVote] = [*config.filter.face_detectors, *config.filter.person_detectors]
        self._detectors: dict[str, Detector] = {vote.detector.name: vote.detector for vote in votes}
        self._runs = {run.name: run for run in config.pretrain.runs}
        self._tasks = {task.name: task for task in config.evaluate.tasks}
        self._files = {
            f"{source.name}-{index:03d}": (source, file)
            for source in config.curate.sources
            for index, file in enumerate(source.files if isinstance(source, YfccSource) else [MetadataFile()])
        }

    # ---- curate

    @property
    def files(self) -> list[str]:
        """Names of the metadata files of all sources."""
        return list(self._files)

    @property
    def parts(self) -> list[str]:
        """Names of the partitions."""
        return identity.part_names(self.config.partition_bits)

    def fetched_address(self, file: str) -> str:
        """Return the address of a metadata file that has to be fetched."""
        return self._files[file][1].url or ""

    def fetched_sha256(self, file: str) -> str:
        """Return the SHA-256 that the fetched file must have, "" when the config gives none."""
        return self._files[file][1].sha256 or ""

    def metadata(self, file: str) -> str:
        """Return the path of a metadata file or folder; "" for a generated source."""
        source, entry = self._files[file]
        if isinstance(source, FolderSource):
            return source.path
        if entry.url is not None:
            return f"results/curate/fetch_metadata/{file}"
        return entry.path or ""

    def metadata_inputs(self, file: str) -> list[str]:
        """Return what `select_candidates` reads: made by a rule, or lying there."""
        path = self.metadata(file)
        source = self._files[file][0]
        table = source.table if isinstance(source, FolderSource) else None
        return [path] if path.startswith("results/") else present(path, table)

    def folder_table(self, file: str) -> str:
        """Return the path of a folder source's attribution table, "" when it has none."""
        source = self._files[file][0]
        return (source.table or "") if isinstance(source, FolderSource) else ""

    def source_kind(self, file: str) -> str:
        """Return the kind of the source that a metadata file belongs to."""
        return self._files[file][0].kind

    def plant_hazards_recipe(self) -> str:
        """Return the recipe of `plant_hazards`."""
        settings: PlantHazardsSettings | None = self.config.curate.plant_hazards
        if settings is None:
            raise UserError(
                "a source reads results/curate/plant_hazards, but curate.plant_hazards is null in the config"
            )
        return write_recipe(settings)

    def select_candidates_recipe(self, file: str) -> str:
        """Return the recipe of `select_candidates`."""
        curate = self.config.curate
        return write_recipe(
            SelectCandidatesSettings(
                source=self._files[file][0],
                licences=curate.licences,
                require=curate.require,
                partition_bits=self.config.partition_bits,
            )
        )

    def download_recipe(self) -> str:
        """Return the recipe of `download`."""
        curate = self.config.curate
        settings = DownloadSettings(policy=curate.download, sources=curate.sources, user_agent=curate.user_agent)
        return write_recipe(settings)

    def local_stores(self) -> list[str]:
        """Return `source=path` for each store that is a path here, in the order in which the sources name them."""
        return [f"{name}={path}" for name, source in self._sources.items() for path in _store_paths(source)]

    def local_store_inputs(self) -> list[str]:
        """Return the local stores that a rule makes, and the tars that lie there. Folders are too large to watch."""
        paths = [path for source in self._sources.values() for path in _store_paths(source)]
        made = [path for path in paths if path.startswith("results/")]
        return made + [path for path in present(*paths) if path not in made and Path(path).is_file()]

    def source_kinds(self) -> list[str]:
        """Return the kinds of all sources, each once."""
        return sorted({source.kind for source in self._sources.values()})

    def inspect_images_recipe(self) -> str:
        """Return the recipe of `inspect_images`."""
        return write_recipe(self.config.curate.inspect_images)

    def deduplicate_recipe(self) -> str:
        """Return the recipe of `deduplicate`."""
        return write_recipe(self.config.curate.deduplicate)

    # ---- filter

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
        weights = getattr(self._detectors[name], "weights", None)
        if not isinstance(weights, WeightsFile):
            raise UserError(f"the detector {name} brings its own weights; there is nothing to fetch")
        return weights

    def weights_inputs(self, name: str) -> list[str]:
        """Return the checked weights that a detector reads, nothing for one that brings its own."""
        has_file = isinstance(getattr(self._detectors[name], "weights", None), WeightsFile)
        return [f"results/filter/fetch_weights/{name}.weights"] if has_file else []

    def judge_recipe(self) -> str:
        """Return the recipe of `judge`."""
        return write_recipe(self._judge_settings())

    def _judge_settings(self) -> JudgeSettings:
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

    # ---- shard

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

    # ---- pretrain

    @property
    def runs(self) -> list[str]:
        """Names of the pretraining runs."""
        return list(self._runs)

    def run(self, name: str) -> Run:
        """Return a run."""
        return self._runs[name]

    def train_recipe(self, name: str) -> str:
        """Return the recipe of `train` for one run."""
        return write_recipe(TrainSettings(run=self._runs[name]))

    # ---- evaluate

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders that are evaluated: the runs, and each run before its first step."""
        untrained = [run + UNTRAINED for run in self._runs] if self.config.evaluate.untrained else []
        return [*self._runs, *untrained]

    @property
    def tasks(self) -> list[str]:
        """Names of the evaluation tasks."""
        return list(self._tasks)

    def encoder_path(self, encoder: str) -> str:
        """Return the weights of an encoder."""
        run = encoder.removesuffix(UNTRAINED)
        name = "encoder" if run == encoder else "untrained_encoder"
        return f"results/pretrain/train/{run}/{name}.safetensors"

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
        return write_recipe(EmbedSettings(task=self._tasks[task], batch_size=self.config.evaluate.batch_size))

    def knn_recipe(self) -> str:
        """Return the recipe of `knn`."""
        return write_recipe(self.config.evaluate.knn)

    def linear_probe_recipe(self) -> str:
        """Return the recipe of `linear_probe`."""
        return write_recipe(self.config.evaluate.linear_probe)

    # ---- report

    def contact_sheets_recipe(self) -> str:
        """Return the recipe of `draw_contact_sheets`."""
        return write_recipe(self.config.report.contact_sheets)

    def write_report_recipe(self) -> str:
        """Return the recipe of `write_report`."""
        judge = self._judge_settings()
        detectors: list[dict[str, str | bool]] = [
            {"name": item.name, "kind": item.kind, "target": target, "demo_grade": item.demo_grade}
            for target, names in (("face", self.face_detectors), ("person", self.person_detectors))
            for item in (self._detectors[name] for name in names)
        ]
        runs = [
            {
                "name": run.name,
                "method": run.method,
                "encoder": run.encoder,
                "epochs": str(run.epochs),
                "cost": run.cost,
                "expected": run.expected,
            }
            for run in self._runs.values()
        ]
        return write_recipe(
            WriteReportSettings(
                title=self.config.report.title,
                detectors=tuple(detectors),
                runs=tuple(runs),
                thresholds={**judge.face_scores, **judge.person_scores},
            )
        )

    # ---- code

    def code(self, step: str, package: str = "", kinds: Iterable[str] = ()) -> str:
        """Return the fingerprint of a step and of the modules that it loads by name: `scripts.<package>.<kind>`."""
        return code_hash(f"scripts.{step}", *(f"scripts.{package}.{kind}" for kind in sorted(kinds)))


def _store_paths(source: Source) -> list[str]:
    if isinstance(source, FolderSource):
        return [source.path]
    if not isinstance(source, YfccSource):
        return []
    paths = []
    for store in source.stores:
        if isinstance(store, TarStore):
            paths.append(store.tar)
        elif isinstance(store, FolderStore):
            paths.append(store.folder)
        else:
            assert isinstance(store, HttpStore)
    return paths


def _path_values(task: Task) -> list[str]:
    values = (getattr(task, field) for field in task.path_fields)
    return [value for value in values if isinstance(value, str)]
