"""The shape of `curate:` in config.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(gt=0)]
# It begins with the name by which robots.txt may address us (RFC 9309, 2.2.1), as in `name/1.0 (whose robot, contact)`.
UserAgent = Annotated[str, Field(pattern=r"^[A-Za-z_-]+([/ ][ -~]*)?$")]
Licence = Literal[
    "CC-BY-2.0",
    "CC-BY-SA-2.0",
    "CC-BY-ND-2.0",
    "CC-BY-NC-2.0",
    "CC-BY-NC-SA-2.0",
    "CC-BY-NC-ND-2.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-NC-ND-4.0",
    "CC0-1.0",
    "PDM-1.0",  # Public Domain Mark; no SPDX id exists, the name is Creative Commons' own
]
AttributionField = Literal[
    "photo_id", "creator_id", "creator", "title", "page_url", "download_url", "licence_url", "date_taken"
]


class MetadataFile(Settings):
    """One metadata file of a source: a local path, or an address that `fetch_metadata` brings."""

    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str | None = None
    url: str | None = None
    sha256: Sha256 | None = None


class HttpStore(Settings):
    """Photos on a server. In `url`, `{key}` is the photo's key, `{key:3}` its first three digits, `{key:3:6}` the next
    three, `{download_url}` the address that the metadata gives.
    """

    url: str


class TarStore(Settings):
    """Photos in one local tar, as members `<key>.jpg`."""

    path_fields: ClassVar[tuple[str, ...]] = ("tar",)

    tar: str


class FolderStore(Settings):
    """Photos in a local copy of the Multimedia Commons layout: `<folder>/<3 digits>/<3 digits>/<key>.jpg`."""

    path_fields: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str


Store = HttpStore | TarStore | FolderStore


class YfccSource(Settings):
    """YFCC100M metadata: text with 23 or 25 columns (plain, .gz, .bz2, .zst) or the SQLite form (.sql, .sqlite)."""

    name: Name
    kind: Literal["yfcc100m"]
    files: tuple[MetadataFile, ...] = Field(min_length=1)
    stores: tuple[Store, ...] = Field(min_length=1)  # tried in this order


class FolderSource(Settings):
    """A folder of photos, with an optional CSV table.

    Its columns: file, creator, creator_id, licence, licence_url, page_url, title.
    """

    path_fields: ClassVar[tuple[str, ...]] = ("path", "table")

    name: Name
    kind: Literal["folder"]
    path: str
    table: str | None
    # Used where the table is silent. None: rows without a value of their own are rejected.
    licence: Licence | None
    creator: str | None


class FractalSource(Settings):
    """Images of iterated function systems; needs no outside data."""

    name: Name
    kind: Literal["fractal"]
    classes: Positive  # number of systems
    images_per_class: Positive
    image_size: Positive  # pixels, square
    iterations: Positive  # points drawn for each image
    seed: int


Source = Annotated[YfccSource | FolderSource | FractalSource, Field(discriminator="kind")]


class PlantHazardsSettings(Settings):
    """The demo's metadata and store: clean fractal photos and every hazard that the funnel must catch."""

    clean: Positive  # ordinary photos
    per_hazard: Positive  # rows for each kind of hazard
    heavy_user: Positive  # photos of one user, more than the photographer cap
    image_size: Positive  # long side, pixels
    seed: int


class SelectCandidatesSettings(Settings):
    """Recipe of `select_candidates` for one metadata file."""

    source: Source
    licences: tuple[Licence, ...]
    require: tuple[AttributionField, ...]
    partition_bits: int


OptOut = Literal["robots_txt", "x_robots_tag", "tdm_reservation"]


class DownloadPolicy(Settings):
    """How `download` behaves towards servers."""

    connections: Positive  # at once, for each partition
    connections_per_host: Positive
    timeout_seconds: float = Field(gt=0)  # in total for one file, whatever the server does
    max_bytes: Positive
    retries: int = Field(ge=0)
    backoff_seconds: float = Field(ge=0)  # first wait; doubles, with jitter
    allow_private_addresses: bool
    obey: tuple[OptOut, ...]  # what servers may say against being copied
    patience_seconds: float = Field(gt=0)  # a host without a good answer for so long is not asked any more
    # A partition of which a larger share cannot be fetched after all tries fails as a job, and leaves no failed rows.
    max_failed_share: float = Field(gt=0, le=1)
    placeholder_sha256: tuple[Sha256, ...]
    placeholder_bytes: tuple[int, ...]


class DownloadSettings(Settings):
    """Recipe of `download`."""

    policy: DownloadPolicy
    sources: tuple[Source, ...]
    user_agent: UserAgent


class InspectImagesSettings(Settings):
    """Limits of the guarded decode."""

    max_pixels: Positive
    max_bytes: Positive
    cpu_seconds: float = Field(gt=0)  # processor time for each image: the same on a busy machine
    timeout_seconds: float = Field(gt=0)  # wall clock for each image, for a process that does nothing
    memory_mb: Positive  # address space of a decoding process above its own, which takes about 45 MB


class DeduplicateSettings(Settings):
    """What counts as a duplicate."""

    near_distance: int = Field(ge=0, le=8)  # bits of 64; 0 switches near duplicates off
    min_correlation: float = Field(gt=0, le=1)  # of the 16 x 16 grey miniatures, laid alike
    mirrored: bool  # a mirrored copy is a copy
    turned: bool  # a copy turned by 90, 180 or 270 degrees is a copy
    # Images flatter than this have no usable perceptual hash and are compared by bytes alone.
    min_colour_std: float = Field(ge=0)


class CurateSettings(Settings):
    """`curate:`"""

    sources: tuple[Source, ...] = Field(min_length=1)
    licences: tuple[Licence, ...] = Field(min_length=1)
    require: tuple[AttributionField, ...]
    plant_hazards: PlantHazardsSettings | None
    download: DownloadPolicy
    user_agent: UserAgent
    inspect_images: InspectImagesSettings
    deduplicate: DeduplicateSettings
