"""Lines of YFCC100M's metadata, and the rows that they become."""

from __future__ import annotations

from pathlib import Path

from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import Licence, MetadataFile, TarStore, YfccSource
from scripts.curate.sources import yfcc100m, yfcc_row

YFCC = YfccSource(name="yfcc", kind="yfcc100m", files=(MetadataFile(path=""),), stores=(TarStore(tar=""),))
URL = "http://farm1.staticflickr.com/59/159974628_7b9dd1d7e5.jpg"
KEY = "b66a26f0429984976a496a44812eb6"  # published with that address (Multimedia Commons)
RECORD = {
    "photoid": "159974628",
    "uid": "12345678@N00",
    "unickname": "Stef+Noble",
    "datetaken": "2006-05-31 21:07:00.0",
    "dateuploaded": "1150000000",
    "capturedevice": "Canon%2FEOS",
    "title": "A+%26+B%0Aline+two",
    "longitude": "-1.25",
    "latitude": "51.75",
    "accuracy": "16",
    "pageurl": "http://www.flickr.com/photos/12345678@N00/159974628/",
    "downloadurl": URL,
    "licensename": "Attribution License",
    "licenseurl": "http://creativecommons.org/licenses/by/2.0/",
    "ext": "jpg",
    "marker": "0",
}


def line(columns: tuple[str, ...] = yfcc_row.COLUMNS_25, **changes: str) -> bytes:
    record = {"line": "1", "hash": KEY, **RECORD, **changes}
    return "\t".join(record.get(name, "") for name in columns).encode()


def read(
    path: Path, *records: bytes, licences: tuple[Licence, ...] = ("CC-BY-2.0",)
) -> list[CandidateRow | RejectedRow]:
    if records:
        path.write_bytes(b"".join(record + b"\n" for record in records))
    return list(yfcc100m.read_rows(YFCC, "yfcc-000", path, None, licences))
