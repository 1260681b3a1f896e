"""What `rules/curate.smk` asks of the configuration."""

from __future__ import annotations

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
from scripts.lib import identity
from scripts.lib.errors import UserError
from scripts.lib.recipe import write_recipe
from scripts.plan.outside import present


class CuratePlan:
    """Files, partitions and stores of the sources."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._sources = {source.name: source for source in config.curate.sources}
        self._files = {
            f"{source.name}-{index:03d}": (source, file)
            for source in config.curate.sources
            for index, file in enumerate(source.files if isinstance(source, YfccSource) else [MetadataFile()])
        }

    @property
    def files(self) -> list[str]:
        """Names of the metadata files of all sources, sorted."""
        return sorted(self._files)

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
        return sorted({*made, *(path for path in present(*paths) if Path(path).is_file())})

    def source_kinds(self) -> list[str]:
        """Return the kinds of all sources, each once."""
        return sorted({source.kind for source in self._sources.values()})

    def inspect_images_recipe(self) -> str:
        """Return the recipe of `inspect_images`."""
        return write_recipe(self.config.curate.inspect_images)

    def deduplicate_recipe(self) -> str:
        """Return the recipe of `deduplicate`."""
        return write_recipe(self.config.curate.deduplicate)


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
