"""A partition made of the photographs of `photos/`, as `download` and `inspect_images` leave one, for the detectors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from scripts.lib.files import table_of, write_table
from scripts.lib.images import decode_image
from scripts.lib.tables import DOWNLOADS, INSPECTIONS
from scripts.lib.tars import TarWriter

DATA = Path(os.environ.get("UNPEOPLED_SHARED", "../shared")) / "data"


def chosen_photos(count: int) -> list[Path]:
    """Return `count` photographs, evenly spaced over the sorted names; ends the program where there are none."""
    photos = sorted((DATA / "photos").glob("*.jpg"))
    if not photos:
        sys.exit(f"no photographs at {DATA / 'photos'}: set UNPEOPLED_SHARED to the folder that holds data/")
    count = min(count, len(photos))
    return [photos[index * len(photos) // count] for index in range(count)]


def write_part(folder: Path, photos: list[Path]) -> list[str]:
    """Write tar, status and inspection of a partition whose image ids are file names; return them as flags."""
    folder.mkdir(parents=True, exist_ok=True)
    status, inspections = [], []
    with TarWriter(folder / "part.tar") as tar:
        for photo in photos:
            content = photo.read_bytes()
            member = tar.add(photo.name, content)
            height, width = decode_image(content).shape[:2]
            place = {
                "image_id": photo.name,
                "reason": "",
                "member": member.name,
                "offset": member.offset,
                "size": member.size,
            }
            size = {"image_id": photo.name, "reason": "", "height": height, "width": width}
            status.append(dict.fromkeys(DOWNLOADS.names) | place)
            inspections.append(dict.fromkeys(INSPECTIONS.names) | size)
    write_table(folder / "status.parquet", table_of(status, DOWNLOADS))
    write_table(folder / "inspection.parquet", table_of(inspections, INSPECTIONS))
    files = {"--tar": "part.tar", "--status": "status.parquet", "--inspection": "inspection.parquet"}
    return [text for flag, name in files.items() for text in (flag, str(folder / name))]


def cpu_seconds(command: list[str]) -> float:
    """Run a command on one thread and return the CPU time of its process."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=os.environ | threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
