"""A folder of photos, with an optional CSV table that says whose they are and under which licence."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from scripts.curate.licences import licence_address, normalise_licence
from scripts.curate.rows import CandidateRow, RejectedRow, RowError, check_address, clean_text, shorten
from scripts.curate.settings import FolderSource, Licence
from scripts.lib.errors import UserError
from scripts.lib.identity import derived_id
from scripts.lib.images import EXTENSIONS
from scripts.lib.reasons import MetadataReason

COLUMNS = ("file", "creator", "creator_id", "licence", "licence_url", "page_url", "title")
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in (*EXTENSIONS.values(), "jpeg"))

Entry = dict[str, str]


def read_rows(
    source: FolderSource, file_name: str, metadata: Path, table: Path | None, licences: Collection[Licence]
) -> Iterator[CandidateRow | RejectedRow]:
    """Yield one row for each file of the folder in sorted order, then one for each line of the table that has no file.

    Raises:
        UserError: the folder or the table is missing, or the table cannot be read as one.
    """
    if not metadata.is_dir():
        raise UserError(
            f"there is no folder {metadata}: put the photos of the source {source.name} there, or correct "
            f"curate.sources.{source.name}.path in the config"
        )
    entries, repeated = read_table(source, table) if table else ({}, [])
    row = 0
    for path, is_link in walk(metadata):
        if table and path.endswith(table.name) and (metadata / path).resolve() == table.resolve():
            continue  # the table itself, kept among the photos
        row += 1
        entry = entries.pop(path, {})
        try:
            check_file(path, is_link)
            yield _candidate(source, row, path, entry, licences)
        except RowError as error:
            yield error.row(row, printable_path(path))
    for name in [*entries, *repeated]:
        row += 1
        detail = "the table names this file twice" if name in repeated else "the table names a file that is not there"
        yield RejectedRow(row, MetadataReason.BAD_FIELD, shorten(name, 200), detail)


def walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield (path relative to `folder` with `/`, is a symbolic link) of all files, sorted; links are not followed."""

    def visit(directory: str, prefix: str) -> Iterator[tuple[str, bool]]:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from visit(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, not entry.is_file(follow_symlinks=False)

    yield from visit(str(folder), "")


def read_table(source: FolderSource, path: Path) -> tuple[dict[str, Entry], list[str]]:
    """Return the table's lines by file, and the names of files that further lines repeat.

    Raises:
        UserError: missing, not UTF-8, or without the column `file`; unknown columns are refused, because a misspelt
            `license` would otherwise be a silent "no licence".
    """
    where = f"curate.sources.{source.name}.table"
    if not path.is_file():
        raise UserError(f"there is no table {path}: put it there, or correct {where} in the config (null = no table)")
    entries: dict[str, Entry] = {}
    repeated: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, restkey="", restval="", strict=True)
            names = list(reader.fieldnames or [])
            if "file" not in names or not set(names) <= set(COLUMNS) or len(set(names)) != len(names):
                raise UserError(
                    f"the table {path} ({where}) has the columns {', '.join(names) or 'none'}; expected is a first "
                    f"line with `file` and any of {', '.join(COLUMNS[1:])}"
                )
            for line in reader:
                if line.pop("", None):
                    raise UserError(
                        f"line {reader.line_num} of the table {path} ({where}) has more fields than columns"
                    )
                name = line["file"].strip().removeprefix("./")
                if name in entries:
                    repeated.append(name)
                else:
                    entries[name] = line
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the table {path} ({where}) is not CSV in UTF-8: {error}; save it again as such") from None
    return entries, repeated


def printable_path(path: str) -> str:
    """Return a file's name as UTF-8 text, with marks where its bytes are not."""
    return os.fsencode(path).decode("utf-8", "replace")


def check_file(path: str, is_link: bool) -> None:
    """Raise `RowError` for what cannot be a photo of this source."""
    if printable_path(path) != path:
        raise RowError(MetadataReason.NOT_UTF8, "the file's name is not UTF-8")
    if is_link:
        raise RowError(MetadataReason.NOT_A_PHOTO, "a symbolic link or device, which is not followed")
    suffix = Path(path).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise RowError(MetadataReason.NOT_A_PHOTO, f"not an image by its extension: {shorten(suffix) or 'none'}")


def _licence(source: FolderSource, entry: Entry, licences: Collection[Licence]) -> Licence:
    name, url = entry.get("licence", ""), entry.get("licence_url", "")
    stated = bool(name.strip() or url.strip())
    # What the table says counts even where it is not understood: the folder's licence only fills silence.
    licence = normalise_licence(name, url) if stated else source.licence
    if licence is None:
        detail = shorten(f"{name} {url}") if stated else "neither the table nor the config gives a licence"
        raise RowError(MetadataReason.UNKNOWN_LICENCE, detail)
    if licence not in licences:
        raise RowError(MetadataReason.LICENCE, f"{licence} is not asked for", licence)
    return licence


def _candidate(source: FolderSource, row: int, path: str, entry: Entry, licences: Collection[Licence]) -> CandidateRow:
    licence = _licence(source, entry, licences)
    creator = clean_text(entry.get("creator", "")) or (source.creator or "")
    return CandidateRow(
        row=row,
        image_id=derived_id(source.name, path),
        locator=path,
        photo_id=path,
        creator_id=clean_text(entry.get("creator_id", "")) or creator,
        creator=creator,
        title=clean_text(entry.get("title", "")),
        page_url=check_address("page_url", entry.get("page_url", "").strip()),
        # A file has no address; this says which file of which source it was, without this machine's paths.
        download_url=f"folder:{source.name}/{quote(path)}",
        licence=licence,
        licence_name=clean_text(entry.get("licence", "")) or licence,
        licence_url=entry.get("licence_url", "").strip() or licence_address(licence),
        date_taken="",
        latitude=None,
        longitude=None,
        capture_device="",
    )
