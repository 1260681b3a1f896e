"""Make metadata and a store of photos that hold every hazard the funnel must catch, and the list of what is where.

The photos are generated or cut from scikit-image's samples; names, numbers and addresses are made up (`example.org`).
`truth.csv` says for each line of the metadata which hazard it is and the reason under which it must end, "" for a photo
that must pass. Of the photos of `heavy_user` as many pass as the photographer cap allows; `select` draws which.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote_plus

from scripts.curate import hazard_metadata as hidden
from scripts.curate import hazard_pictures as pictures
from scripts.curate.settings import PlantHazardsSettings
from scripts.lib.draws import derived_seed
from scripts.lib.files import replacing, write_bytes, write_csv
from scripts.lib.flags import output_file
from scripts.lib.fractals import encode_jpeg
from scripts.lib.identity import yfcc_key
from scripts.lib.reasons import DownloadReason, FilterReason, InspectionReason, MetadataReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tars import TarWriter

LOG = logging.getLogger(__name__)

TRUTH_HEADER = ("row", "image_id", "hazard", "expected_reason")
QUALITY = 88  # of clean JPEGs; a near duplicate has less
PHOTOS_PER_USER = 12  # except for heavy_user: far below any cap
OTHER_LICENCES = {
    "Attribution-ShareAlike License": "by-sa",
    "Attribution-NoDerivs License": "by-nd",
    "Attribution-NonCommercial License": "by-nc",
    "Attribution-NonCommercial-ShareAlike License": "by-nc-sa",
    "Attribution-NonCommercial-NoDerivs License": "by-nc-nd",
}
# Real titles hold all of this; whoever shows one must escape it.
TITLES = (
    "A fractal",
    "Blue & green, 100%",
    '<script>alert("title")</script>',
    "=1+1",
    "two\nlines\tand a tab",
    "Größe, 大きさ, \u202egpj.exe",
    "",
)
HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>This photo is no longer here.</body></html>\n"


@dataclass(frozen=True)
class Photo:
    """One line of the metadata, and the bytes that the store has for it."""

    hazard: str
    expected: str
    content: bytes | None  # None: the store does not have it
    user: str
    photo_id: str
    download_url: str
    page_url: str
    title: str
    licence_name: str = "Attribution License"
    licence_url: str = "http://creativecommons.org/licenses/by/2.0/"
    user_name: str = "a+maker"
    latitude: str = "51.760000"
    marker: str = "0"

    @property
    def key(self) -> str:
        """Return the photo's key, which is its image id."""
        return yfcc_key(self.download_url)

    def fields(self) -> list[str]:
        """Return the 25 fields but the line number, which the writer knows."""
        columns = [self.photo_id, self.key, self.user, self.user_name, "2012-08-09 18:00:20.0", "1350000000"]
        columns += ["Chaos+Game+2000", quote_plus(self.title), "", "fractal,generated", "", "-1.260000", self.latitude]
        columns += ["16", self.page_url, self.download_url, self.licence_name, self.licence_url]
        return [*columns, "65535", "9", "0123456789", "0123456789", "jpg", self.marker]


class Planter:
    """Makes the photos of one recipe, in a fixed order."""

    def __init__(self, settings: PlantHazardsSettings) -> None:
        self.settings = settings
        self._made = 0

    def photo(self, hazard: str, expected: str, content: bytes | None, user: str | None = None) -> Photo:
        """Return the next photo, with a number, user and addresses of its own."""
        number = self._made
        self._made += 1
        photo_id = str(9_000_000_000 + number)
        secret = f"{derived_seed(self.settings.seed, 'secret', number) % 16**10:010x}"
        owner = user or f"{70_000_000 + number // PHOTOS_PER_USER}@N00"
        return Photo(
            hazard=hazard,
            expected=expected,
            content=content,
            user=owner,
            photo_id=photo_id,
            download_url=f"http://photos.example.org/65535/{photo_id}_{secret}.jpg",
            page_url=f"http://www.example.org/photos/{owner}/{photo_id}/",
            title=TITLES[number % len(TITLES)],
        )

    def clean(self, purpose: str, index: int) -> bytes:
        """Return a JPEG of a clean picture."""
        side = self.settings.image_size
        return encode_jpeg(pictures.clean_picture(self.settings.seed, purpose, index, side), QUALITY)

    def all_photos(self) -> Iterator[Photo]:
        """Yield every planted photo."""
        for index in range(self.settings.clean):
            yield self.photo("clean", "", self.clean("clean", index))
        for index in range(self.settings.heavy_user):
            yield self.photo("heavy_user", "", self.clean("heavy_user", index), user="60000000@N00")
        for index in range(self.settings.per_hazard):
            yield from self._metadata_hazards(index)
            yield from self._download_hazards(index)
            yield from self._file_hazards(index)
            yield from self._duplicates(index)
            yield from self._metadata_inside(index)

    def _metadata_hazards(self, index: int) -> Iterator[Photo]:
        for name, path in OTHER_LICENCES.items():
            url = f"http://creativecommons.org/licenses/{path}/2.0/"
            photo = self.photo(f"licence_{path}", MetadataReason.LICENCE, self.clean(path, index))
            yield replace(photo, licence_name=name, licence_url=url)
        photo = self.photo("unknown_licence", MetadataReason.UNKNOWN_LICENCE, self.clean("unknown", index))
        yield replace(photo, licence_name="All Rights Reserved", licence_url="")
        yield replace(self.photo("video", MetadataReason.NOT_A_PHOTO, None), marker="1")
        photo = self.photo("missing_attribution", MetadataReason.MISSING_ATTRIBUTION, self.clean("unnamed", index))
        yield replace(photo, user_name="") if index % 2 else replace(photo, page_url="")
        photo = self.photo("bad_field", MetadataReason.BAD_FIELD, self.clean("bad_field", index))
        yield (
            replace(photo, latitude="north"),
            replace(photo, page_url="javascript:alert(1)"),
            replace(photo, photo_id="9e9"),
            replace(photo, marker="2"),
        )[index % 4]
        yield self.photo("wrong_field_count", MetadataReason.WRONG_FIELD_COUNT, None)
        yield self.photo("not_utf8", MetadataReason.NOT_UTF8, None)

    def _download_hazards(self, index: int) -> Iterator[Photo]:
        first = self.photo("repeated_id_first", "", self.clean("repeated", index))
        yield first
        yield replace(first, hazard="repeated_id", expected=DownloadReason.REPEATED_ID)
        yield self.photo("not_found", DownloadReason.NOT_FOUND, None)
        yield self.photo("html", DownloadReason.NOT_AN_IMAGE, HTML)
        yield self.photo("empty_file", DownloadReason.INCOMPLETE, b"")
        yield self.photo("placeholder", DownloadReason.PLACEHOLDER, pictures.placeholder_jpeg())

    def _file_hazards(self, index: int) -> Iterator[Photo]:
        seed, side = self.settings.seed, self.settings.image_size
        sound = pictures.clean_picture(seed, "file", index, side)
        share = 0.3 + 0.5 * (index % 4) / 4
        cut = pictures.truncated_jpeg(encode_jpeg(sound, QUALITY), share)
        yield self.photo("truncated", InspectionReason.UNDECODABLE, cut)
        yield self.photo("other_format", InspectionReason.UNSUPPORTED_FORMAT, pictures.other_format(sound, index))
        yield self.photo("animated", InspectionReason.ANIMATED, pictures.animated_png(sound))
        yield self.photo("huge", InspectionReason.TOO_MANY_PIXELS, pictures.huge_png(index))
        flat = encode_jpeg(pictures.flat_picture(seed, index, side), QUALITY)
        yield self.photo("single_colour", FilterReason.SINGLE_COLOUR, flat)
        small = encode_jpeg(pictures.clean_picture(seed, "small", index, 20), QUALITY)
        yield self.photo("too_small", FilterReason.TOO_SMALL, small)
        face = encode_jpeg(pictures.face_picture(seed, index, side), QUALITY)
        yield self.photo("face", FilterReason.FACE, face)

    def _metadata_inside(self, index: int) -> Iterator[Photo]:
        """Yield photos without people whose files say something else, and one that says where it was taken."""
        seed, side = self.settings.seed, self.settings.image_size
        tagged = hidden.with_tagged_face(self.clean("tagged", index))
        yield self.photo("tagged_person", FilterReason.TAGGED_PERSON, tagged)
        other = pictures.face_picture(seed, index, side)
        cropped = hidden.with_thumbnail(self.clean("cropped", index), hidden.thumbnail_of(other))
        yield self.photo("thumbnail_differs", FilterReason.THUMBNAIL_DIFFERS, cropped)
        # It passes, and the file in the shard must not say where it was taken.
        yield self.photo("position", "", hidden.with_position(self.clean("position", index)))

    def _duplicates(self, index: int) -> Iterator[Photo]:
        """Yield originals and copies. The original is the better picture, has the larger file and the smaller id."""
        same = self.clean("exact", index)
        yield from self._pair("exact_duplicate", FilterReason.EXACT_DUPLICATE, same, same)
        pixels = pictures.wave_picture(self.settings.seed, index, self.settings.image_size)
        copy = pictures.near_duplicate(pixels, index)
        yield from self._pair("near_duplicate", FilterReason.NEAR_DUPLICATE, encode_jpeg(pixels, 95), copy)

    def _pair(self, hazard: str, reason: FilterReason, original: bytes, copy: bytes) -> list[Photo]:
        first, second = sorted((self.photo(hazard, reason, copy) for _ in range(2)), key=lambda photo: photo.key)
        return [replace(first, hazard=f"{hazard}_kept", expected="", content=original), second]


def metadata_line(row: int, photo: Photo, variant: int) -> bytes:
    """Return a line of the 25-column layout, broken where that is the hazard. `variant` chooses how."""
    fields = [str(row).encode(), *(field.encode("utf-8") for field in photo.fields())]
    if photo.hazard == "wrong_field_count":
        fields = (fields[:-1], [*fields, b""], [], fields[:12])[variant % 4]
    elif photo.hazard == "not_utf8":
        fields[8] = (b"\xff\xfe", b"caf\xe9", b"\xc3(", b"\xed\xa0\x80")[variant % 4]
    return b"\t".join(fields) + b"\n"


def image_id_of(photo: Photo) -> str:
    """Return the image id, "" where the line cannot be read far enough to have one."""
    unreadable = (MetadataReason.WRONG_FIELD_COUNT, MetadataReason.NOT_UTF8)
    return "" if photo.expected in unreadable else photo.key


def write_planted(photos: Sequence[Photo], metadata: Path, store: Path, truth: Path) -> None:
    """Write the metadata, the tar store (members `<key>.jpg`, sorted) and the truth table."""
    seen: Counter[str] = Counter()
    lines, rows = [], []
    for row, photo in enumerate(photos, start=1):
        lines.append(metadata_line(row, photo, seen[photo.hazard]))
        seen[photo.hazard] += 1
        rows.append((row, image_id_of(photo), photo.hazard, str(photo.expected)))
    contents = {photo.key: photo.content for photo in photos if photo.content is not None}
    write_bytes(metadata, b"".join(lines))
    with replacing(store) as private, TarWriter(private) as tar:
        for key, content in sorted(contents.items()):
            tar.add(f"{key}.jpg", content)
    write_csv(truth, TRUTH_HEADER, rows)
    LOG.info("%d rows and %d files planted: %s", len(lines), len(contents), dict(sorted(seen.items())))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of PlantHazardsSettings")
    parser.add_argument("--metadata", required=True, type=output_file, help="written: text in the 25-column layout")
    parser.add_argument("--store", required=True, type=output_file, help="written: tar of the photos")
    parser.add_argument(
        "--truth", required=True, type=output_file, help="written: CSV row,image_id,hazard,expected_reason"
    )
    args = parser.parse_args(argv)
    settings = read_recipe(PlantHazardsSettings, args.recipe)
    write_planted(list(Planter(settings).all_photos()), args.metadata, args.store, args.truth)


if __name__ == "__main__":
    run_step(main)
