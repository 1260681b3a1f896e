"""Draw clusters of near duplicates, the kept image first, list all clusters, and count them.

One sheet shows the clusters with the farthest copies, where different pictures would have been joined if anywhere, and
one shows clusters drawn by lot. Of a cluster wider than a sheet the farthest copies are shown. Faces are hidden as on
the contact sheets, and whole pictures where the best image of the cluster was dropped for a person.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.draws import rank
from scripts.lib.duplicate_table import check_clusters
from scripts.lib.errors import UserError
from scripts.lib.files import write_bytes, write_csv
from scripts.lib.flags import input_file, output_file
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.sheet import Tile, draw_sheet, encode_sheet
from scripts.lib.step import run_step, step_parser
from scripts.lib.thumbnails import id_values
from scripts.report.draw_contact_sheets import PEOPLE, Pick, Sheet, draw_tiles
from scripts.report.duplicate_figures import DuplicateFigures, count_clusters, write_figures
from scripts.report.number_text import count
from scripts.report.settings import ContactSheetSettings

log = logging.getLogger(__name__)

FARTHEST, BY_LOT = "farthest", "by_lot"  # the sheets
COLUMNS = ("cluster", "image_id", "reason", "distance", "mirrored", "turned")  # of the list
SELECTED = ["image_id", "part", "reason", "creator", "width", "height"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A kept image and its copies, the farthest first."""

    best: Row
    copies: Sequence[Row]

    @property
    def distance(self) -> int:
        """Bits between the kept image and its farthest copy."""
        return max(int(row["distance"]) for row in self.copies)


def near_clusters(duplicates: pa.Table) -> list[Cluster]:
    """Return the clusters that hold a near duplicate, by image id; copies with the same bytes are left out of them."""
    near = duplicates.filter(pc.equal(duplicates["reason"], str(FilterReason.NEAR_DUPLICATE)))
    heads = duplicates.filter(
        pc.and_(pc.equal(duplicates["reason"], ""), pc.is_in(duplicates["cluster"], near["cluster"].combine_chunks()))
    )
    copies: dict[str, list[Row]] = {row["cluster"]: [] for row in near.select(["cluster"]).to_pylist()}
    for row in near.to_pylist():
        copies[row["cluster"]].append(row)
    return [
        Cluster(best, sorted(copies[best["cluster"]], key=lambda row: (-row["distance"], row["image_id"])))
        for best in heads.sort_by("cluster").to_pylist()
    ]


def choose_clusters(clusters: Sequence[Cluster], settings: ContactSheetSettings) -> dict[str, list[Cluster]]:
    """Return sheet → its clusters, in their order: as many as fill the images of a sheet."""
    lots = {cluster.best["cluster"]: rank(settings.seed, "duplicates", cluster.best["cluster"]) for cluster in clusters}
    by_lot = sorted(clusters, key=lambda cluster: lots[cluster.best["cluster"]])
    farthest = sorted(by_lot, key=lambda cluster: -cluster.distance)
    return {name: list(_fill(listed, settings)) for name, listed in ((FARTHEST, farthest), (BY_LOT, by_lot))}


def _fill(clusters: Sequence[Cluster], settings: ContactSheetSettings) -> Iterator[Cluster]:
    left = settings.images
    for cluster in clusters:
        shown = Cluster(cluster.best, cluster.copies[: max(1, settings.columns - 1)])
        left -= 1 + len(shown.copies)
        if left < 0 and left + 1 + len(shown.copies) < settings.images:
            return
        yield shown


def find_selected(selection: Path, wanted: set[str]) -> dict[str, Row]:
    """Return image id → its row in the selection: of rows that name the same image the first, which has the bytes.

    Raises:
        UserError: an image of a cluster is no row of the selection.
    """
    found: dict[str, Row] = {}
    values = id_values(wanted)
    for batch in pq.ParquetFile(selection).iter_batches(columns=SELECTED):
        for row in batch.filter(pc.is_in(batch.column("image_id"), value_set=values)).to_pylist():
            if row["width"] is not None:
                found.setdefault(row["image_id"], row)
    if missing := sorted(wanted - found.keys()):
        raise UserError(
            f"{selection} lacks {len(missing)} images of the clusters of duplicates (first: {missing[0]}): the files "
            "are of different runs. Make the selection again (snakemake --forcerun select)"
        )
    return found


def caption(row: Row, cluster: Cluster, selected: Row) -> str:
    """Return what stands under a picture: whether it was kept and why not, or how the copy differs."""
    size = f"{selected['width']}×{selected['height']}"
    if row is cluster.best:
        fate = "kept" if selected["reason"] == "" else selected["reason"].replace("_", " ")
        return f"best of {row['members']}: {fate}, {size}"
    turned = f", turned {row['turned']}°" if row["turned"] else ""
    mirrored = ", mirrored" if row["mirrored"] else ""
    return f"{row['distance']} bit{'' if row['distance'] == 1 else 's'}{mirrored}{turned}, {size}"


def lay_out(clusters: Sequence[Sequence[Tile]], columns: int) -> list[Tile | None]:
    """Return tiles in rows: a cluster lies in one row, its tiles joined; what is left of a row stays empty."""
    laid: list[Tile | None] = []
    for tiles in clusters:
        if len(laid) % columns + len(tiles) > columns:
            laid += [None] * (-len(laid) % columns)
        laid += [tiles[0], *(replace(tile, joined=True) for tile in tiles[1:])]
    return laid


def describe(name: str, shown: int, total: int) -> str:
    """Return how many clusters a sheet shows, of how many, and what was done to them."""
    if not total:
        return "no near duplicates"
    how = "those with the farthest copies" if name == FARTHEST else "drawn by lot"
    chosen = f"all {count(total)}" if shown == total else f"{count(shown)} of {count(total)} clusters, {how}"
    return f"{chosen}; faces blurred"


def draw(
    chosen: dict[str, list[Cluster]], selected: dict[str, Row], files: dict[str, list[Path]], side: int
) -> dict[tuple[str, str], Tile]:
    """Return (cluster, image id) → tile. `files`: tars, statuses, faces, as of `draw_contact_sheets`."""
    picks: dict[str, dict[str, Pick]] = {FilterReason.PERSON: {}, FilterReason.NEAR_DUPLICATE: {}}
    hidden_as = {}
    for cluster in {item.best["cluster"]: item for listed in chosen.values() for item in listed}.values():
        people = selected[cluster.best["image_id"]]["reason"] in PEOPLE
        sheet = FilterReason.PERSON if people else FilterReason.NEAR_DUPLICATE
        for row in (cluster.best, *cluster.copies):
            known = selected[row["image_id"]]
            text = caption(row, cluster, known)
            picks[sheet][row["image_id"]] = Pick(row["image_id"], known["part"], text, known["creator"] or "")
            hidden_as[row["image_id"]] = sheet
    sheets = [Sheet(str(name), list(listed.values()), len(listed)) for name, listed in picks.items()]
    tiles = draw_tiles(sheets, files["tars"], files["statuses"], files["faces"], side)
    return {(sheet, image_id): tile for (sheet, image_id), tile in tiles.items() if hidden_as[image_id] == sheet}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of report.contact_sheets")
    parser.add_argument("--duplicates", type=input_file, required=True, help="table of deduplicate")
    parser.add_argument("--selection", type=input_file, required=True, help="table of select")
    parser.add_argument("--tars", type=input_file, nargs="+", required=True, help="bytes of each part, <part>.tar")
    parser.add_argument(
        "--statuses", type=input_file, nargs="+", required=True, help="tables of download, <part>.parquet"
    )
    parser.add_argument(
        "--faces", type=input_file, nargs="*", default=[], help="tables of detect_faces, <part>.parquet each"
    )
    parser.add_argument(
        "--sheets", type=output_file, nargs=2, required=True, help=f"PNGs, {FARTHEST}.png and {BY_LOT}.png"
    )
    parser.add_argument("--clusters", type=output_file, required=True, help="CSV of all clusters")
    parser.add_argument("--figures", type=output_file, required=True, help="JSON: how many clusters and copies")
    args = parser.parse_args(argv)
    settings = read_recipe(ContactSheetSettings, args.recipe)
    duplicates = pq.read_table(args.duplicates)
    check_clusters(duplicates, str(args.duplicates))
    figures: DuplicateFigures = count_clusters(duplicates)
    clusters = near_clusters(duplicates)
    chosen = choose_clusters(clusters, settings)
    shown = [cluster for listed in chosen.values() for cluster in listed]
    selected = find_selected(
        args.selection, {row["image_id"] for cluster in shown for row in (cluster.best, *cluster.copies)}
    )
    files = {"tars": args.tars, "statuses": args.statuses, "faces": args.faces}
    tiles = {image_id: tile for (_, image_id), tile in draw(chosen, selected, files, settings.thumbnail).items()}
    for path in args.sheets:
        listed = chosen[path.stem]
        rows = [[tiles[row["image_id"]] for row in (cluster.best, *cluster.copies)] for cluster in listed]
        description = describe(path.stem, len(listed), len(clusters))
        sheet = draw_sheet(
            f"near duplicates: {description}", lay_out(rows, settings.columns), settings.columns, settings.thumbnail
        )
        write_bytes(path, encode_sheet(sheet, description))
        log.info("%s: %s", path.stem, description)
    rows_listed = zip(*(duplicates[name].to_pylist() for name in COLUMNS), strict=True)
    write_csv(args.clusters, COLUMNS, rows_listed)
    write_figures(args.figures, figures)
    log.info("%s: %s", args.clusters, Counter(duplicates["reason"].to_pylist()))


if __name__ == "__main__":
    run_step(main)
