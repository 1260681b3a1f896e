"""Choose the dataset: at most so many images for each photographer, then a sample of the size that is asked for.

Both draws are ranks that depend on (seed, purpose, image id) alone, so that an image's fate does not change with the
order of rows. One row is written for each candidate of all parts, kept or not, in the order (part, image id, source,
file, row); the rows of each part are written alone too, for the steps that work on one part.

The tables are read twice, part by part: once to decide, on ids and ranks alone, and once to write.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.selection import REASONS, Codes, Eligible, choose, concatenate, photographer, refuse_empty, words
from scripts.filter.settings import SelectSettings
from scripts.lib.accounting import Account, account_for, add_accounts, check_account
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.files import ROW_GROUP_ROWS, read_tables, replacing, write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.part_tables import FLAG, HELP, Parts
from scripts.lib.reasons import DownloadReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, SELECTION

LOG = logging.getLogger(__name__)

KEY = ("image_id", "source", "file", "row")
CREATOR = ("creator_id", "creator")


@dataclass(frozen=True)
class Part:
    """The tables of one partition."""

    name: str
    verdicts: str
    inspections: str


def sort_rows(table: pa.Table) -> pa.Table:
    """Return a table of one part in the order (image id, source, file, row)."""
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in KEY]))


def read_part(part: Part, candidates: Sequence[str], columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Return the candidates (`columns` only) and the verdicts of a part, row by row the same ones.

    Raises:
        UserError: the two are not the same rows.
    """
    mine = [("part", "=", part.name)]
    rows = sort_rows(read_tables(candidates, CANDIDATES, columns=list(columns), filters=mine))
    verdicts = sort_rows(pq.read_table(part.verdicts))
    if not rows.select(list(KEY)).equals(verdicts.select(list(KEY))):
        raise UserError(
            f"the verdicts {part.verdicts} ({verdicts.num_rows} rows) are not those of the {rows.num_rows} candidates "
            f"of part {part.name}: the files are of different runs. Run `judge` of this part again"
        )
    return rows, verdicts


def find_eligible(rows: pa.Table, verdicts: pa.Table, seed: int) -> Eligible:
    """Return the images of a part that nothing speaks against.

    Raises:
        UserError: two of them are the same image.
    """
    chosen = rows.filter(pc.equal(verdicts["reason"], ""))
    ids = chosen["image_id"].to_pylist()
    if len(set(ids)) != len(ids):
        twice = next(name for name, count in Counter(ids).items() if count > 1)
        raise UserError(f"image {twice} is kept twice in one part: run `download` and `judge` of this part again")
    who = zip(*(chosen[name].to_pylist() for name in ("source", *CREATOR, "image_id")), strict=True)
    return Eligible(
        photographers=words([photographer(*fields) for fields in who]),
        cap_ranks=words([bytes.fromhex(rank(seed, "photographer_cap", name)) for name in ids]),
        sample_ranks=words([bytes.fromhex(rank(seed, "sample", name)) for name in ids]),
    )


def decide(parts: Sequence[Part], candidates: Sequence[str], settings: SelectSettings) -> tuple[list[Codes], Account]:
    """Return, for each part, one code for each image that passed `judge`, and the account of all rows."""
    found: list[Eligible] = []
    accounts = []
    for part in parts:
        rows, verdicts = read_part(part, candidates, [*KEY, *CREATOR, "part"])
        found.append(find_eligible(rows, verdicts, settings.seed))
        accounts.append(account_for(rows.num_rows, verdicts["reason"].to_pylist()))
    judged = add_accounts(accounts)
    due = sum(pq.read_metadata(path).num_rows for path in candidates)
    if due != judged["read"]:
        raise UserError(
            f"the candidate tables have {due} rows and the verdicts of the {len(parts)} parts {judged['read']}: some "
            "candidates are of a part that has no verdicts. Run `select_candidates` and all that follows again"
        )
    LOG.info("%d candidates in %d parts; judged: %s", due, len(parts), judged)
    if not judged["kept"]:
        return [np.empty(0, np.uint8) for _ in parts], judged
    codes = choose(concatenate(found), settings.max_per_photographer, settings.target_size)
    ends = np.cumsum([len(each.cap_ranks) for each in found])
    drawn = Counter(
        {reason: int(number) for reason, number in zip(REASONS, np.bincount(codes, minlength=3), strict=True)}
    )
    kept = drawn.pop("")
    account = Account(read=due, kept=kept, rejected=dict(sorted((drawn + Counter(judged["rejected"])).items())))
    check_account(account)
    return np.split(codes, ends[:-1]), account


def selection_of(rows: pa.Table, verdicts: pa.Table, inspections: pa.Table, codes: Codes) -> pa.Table:
    """Return the SELECTION rows of a part, in its order."""
    reasons = np.array(verdicts["reason"].to_pylist(), dtype=object)
    reasons[np.flatnonzero(reasons == "")] = np.array(REASONS, dtype=object)[codes]
    # A candidate without bytes has no inspection: its index is null, and so are the values taken.
    index = pc.index_in(rows["image_id"], value_set=inspections["image_id"].combine_chunks())
    columns = {
        **{name: rows[name] for name in rows.column_names},
        "keep": pa.array(reasons == "", pa.bool_()),
        "reason": pa.array(reasons.tolist(), pa.string()),
        "evidence": verdicts["evidence"],
        **{name: inspections[name].take(index) for name in ("width", "height", "sha256")},
    }
    return pa.table([columns[name] for name in SELECTION.names], schema=SELECTION)


def check_inspections(rows: pa.Table, verdicts: pa.Table, inspections: pa.Table, path: str) -> None:
    """Fail unless each image that has bytes was inspected once, and no other.

    Raises:
        UserError: names the table and the first image that is missing or too many.
    """
    without = pc.is_in(verdicts["reason"], value_set=pa.array([str(reason) for reason in DownloadReason]))
    due = Counter(rows["image_id"].filter(pc.invert(without)).to_pylist())
    got = Counter(inspections["image_id"].to_pylist())
    if due != got:
        wrong = sorted(((due - got) + (got - due)).elements())
        raise UserError(
            f"{path} does not fit the verdicts of this part: {len(wrong)} images are missing or too many (first: "
            f"{wrong[0]}). The files are of different runs; run `inspect_images` and `judge` of this part again"
        )


def selections(
    parts: Sequence[Part], candidates: Sequence[str], codes: Sequence[Codes]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield each part with its SELECTION."""
    wanted = [name for name in SELECTION.names if name in CANDIDATES.names]
    for part, part_codes in zip(parts, codes, strict=True):
        rows, verdicts = read_part(part, candidates, wanted)
        inspections = pq.read_table(part.inspections, columns=["image_id", "width", "height", "sha256"])
        check_inspections(rows, verdicts, inspections, part.inspections)
        yield part.name, selection_of(rows, verdicts, inspections, part_codes)


def write_selection(
    path: Path, tables: Iterator[tuple[str, pa.Table]], account: Account, paths: Mapping[str, Path]
) -> None:
    """Write the tables as one, with the writer options of `write_table`, and check them against `account`.

    Args:
        path: the table of all parts.
        tables: (part, its rows).
        account: what all rows must add up to.
        paths: part → where its rows are written alone; may be empty.
    """
    written: list[Account] = []
    with replacing(path) as private:
        with pq.ParquetWriter(private, SELECTION, compression="zstd") as writer:
            for part, table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                if part in paths:
                    write_table(paths[part], table)
                written.append(account_for(table.num_rows, table["reason"].to_pylist()))
        if add_accounts(written) != account:
            raise AssertionError(f"accounting identity broken: decided {account}, wrote {add_accounts(written)}")


def pair_parts(verdicts: Sequence[str], inspections: Sequence[str]) -> list[Part]:
    """Return the parts in order of name.

    Raises:
        UserError: a part has one table and not the other.
    """
    judged, inspected = ({Path(path).stem: path for path in paths} for paths in (verdicts, inspections))
    if judged.keys() != inspected.keys() or len(judged) != len(verdicts) or len(inspected) != len(inspections):
        odd = sorted(judged.keys() ^ inspected.keys()) or "a part is named twice"
        raise UserError(f"--verdicts and --inspections must name the same parts, each once: {odd}")
    return [Part(name, judged[name], inspected[name]) for name in sorted(judged)]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of SelectSettings")
    parser.add_argument("--candidates", nargs="*", default=[], type=input_file, help="CANDIDATES of all files")
    parser.add_argument("--inspections", nargs="*", default=[], type=input_file, help="INSPECTIONS, <part>.parquet")
    parser.add_argument("--verdicts", nargs="*", default=[], type=input_file, help="VERDICTS, <part>.parquet")
    parser.add_argument("--out", required=True, type=output_file, help="table to write")
    parser.add_argument(FLAG, nargs="*", default=[], type=output_file, help=HELP)
    arguments = parser.parse_args(argv)
    settings = read_recipe(SelectSettings, arguments.recipe)
    candidates = [path for path in arguments.candidates if path]
    parts = pair_parts([path for path in arguments.verdicts if path], [path for path in arguments.inspections if path])
    paths = Parts(arguments.parts).paths
    if paths and paths.keys() != {part.name for part in parts}:
        raise UserError(f"{FLAG} and --verdicts must name the same parts: {sorted(paths)[:3]}..., {len(paths)} of them")
    codes, account = decide(parts, candidates, settings)
    refuse_empty(account)
    write_selection(arguments.out, selections(parts, candidates, codes), account, paths)
    LOG.info("wrote %s: %s", arguments.out, account)


if __name__ == "__main__":
    run_step(main)
