"""The peers of `scan_metadata`, each a whole program: `python scan_peers.py READER TASK METADATA FOLDER`.

Run by the interpreter of .venv-peers; imports nothing of ours. TASK `answer` leaves kept.parquet, rejected.parquet and
licences.json in FOLDER, TASK `count` prints the number of CC BY photos. Each reader is used as its documentation says a
large file should be read: duckdb in SQL, polars lazily, pyarrow and pandas in pieces. None of them checks its rows.
What polars, pyarrow and pandas lack (URL decoding, SHA-256) is done by Python for the kept rows alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from urllib.parse import unquote_plus

_NAMES = """
line photoid hash uid unickname datetaken dateuploaded capturedevice title description usertags machinetags
longitude latitude accuracy pageurl downloadurl licensename licenseurl serverid farmid secret secretoriginal ext
marker"""
NAMES = _NAMES.split()
KEPT = {  # column of the answer: column of the file
    "image_id": "hash", "locator": "downloadurl", "photo_id": "photoid", "creator_id": "uid", "creator": "unickname",
    "title": "title", "page_url": "pageurl", "download_url": "downloadurl", "licence_name": "licensename",
    "licence_url": "licenseurl", "date_taken": "datetaken", "capture_device": "capturedevice",
}  # fmt: skip
DECODED = ("creator_id", "creator", "title", "capture_device")
SPDX = {
    "Attribution License": "CC-BY-2.0",
    "Attribution-ShareAlike License": "CC-BY-SA-2.0",
    "Attribution-NoDerivs License": "CC-BY-ND-2.0",
    "Attribution-NonCommercial License": "CC-BY-NC-2.0",
    "Attribution-NonCommercial-ShareAlike License": "CC-BY-NC-SA-2.0",
    "Attribution-NonCommercial-NoDerivs License": "CC-BY-NC-ND-2.0",
}
ASKED = "Attribution License"
READ = sorted({"line", "marker", "longitude", "latitude", *KEPT.values()}, key=NAMES.index)


def parts(image_ids: list[str]) -> list[str]:
    """Return the partitions of 2**8."""
    return [hashlib.sha256(image_id.encode()).hexdigest()[:2] for image_id in image_ids]


def use_duckdb(task: str, metadata: str, folder: Path) -> None:
    """Do the task in SQL: two passes over the file, which cost less than one that keeps all columns in a table."""
    import duckdb

    base = duckdb.connect(config={"threads": 1})
    columns = json.dumps(dict.fromkeys(NAMES, "VARCHAR"))
    text = (
        f"read_csv('{metadata}', delim='\t', quote='', escape='', header=false, auto_detect=false, columns={columns})"
    )
    asked = f"marker = '0' AND licensename = '{ASKED}'"
    if task == "count":
        print(base.execute(f"SELECT count(*) FROM {text} WHERE {asked}").fetchall()[0][0])
        return
    licence = "CASE licensename " + " ".join(f"WHEN '{name}' THEN '{spdx}'" for name, spdx in SPDX.items()) + " END"
    base.execute(f"CREATE TEMP TABLE rows AS SELECT line, photoid, marker, {licence} AS licence FROM {text}")
    counts = base.execute("SELECT licence, count(*) FROM rows WHERE marker = '0' GROUP BY licence").fetchall()
    (folder / "licences.json").write_text(json.dumps(dict(counts)))
    rejected = f"""
        SELECT line::BIGINT + 1 AS row, CASE marker WHEN '1' THEN 'not_a_photo' ELSE 'licence' END AS reason,
            photoid AS photo_id, CASE marker WHEN '1' THEN 'a video' ELSE licence || ' is not asked for' END AS detail
        FROM rows WHERE NOT (marker = '0' AND licence = '{SPDX[ASKED]}')"""
    base.execute(f"COPY ({rejected}) TO '{folder}/rejected.parquet' (FORMAT parquet, COMPRESSION zstd)")
    values = {name: f"coalesce({column}, '')" for name, column in KEPT.items()}
    values |= {name: f"url_decode(replace({values[name]}, '+', ' '))" for name in DECODED}
    values["date_taken"] = "coalesce(nullif(datetaken, 'null'), '')"
    values |= {"part": "substr(sha256(hash), 1, 2)", "row": "line::BIGINT + 1", "licence": f"'{SPDX[ASKED]}'"}
    values |= {"latitude": "latitude::DOUBLE", "longitude": "longitude::DOUBLE"}
    listed = ", ".join(f"{value} AS {name}" for name, value in values.items())
    kept = f"SELECT {listed} FROM {text} WHERE {asked} ORDER BY part, image_id, row"
    base.execute(f"COPY ({kept}) TO '{folder}/kept.parquet' (FORMAT parquet, COMPRESSION zstd)")


def use_polars(task: str, metadata: str, folder: Path) -> None:
    """Do the task lazily, in one pass."""
    import polars as pl

    options = {"separator": "\t", "has_header": False, "quote_char": None, "infer_schema": False}
    text = pl.scan_csv(metadata, new_columns=NAMES, empty_string_is_null=False, **options)
    is_photo, asked = pl.col("marker") == "0", pl.col("licensename") == ASKED
    if task == "count":
        print(text.filter(is_photo & asked).select(pl.len()).collect(engine="streaming").item())
        return
    row, licence = pl.col("line").cast(pl.Int64) + 1, pl.col("licensename").replace_strict(SPDX)
    degrees = [pl.col(name).replace("", None).cast(pl.Float64) for name in ("latitude", "longitude")]
    date = pl.col("datetaken").replace("null", "").alias("date_taken")
    values = [pl.col(column).alias(name) for name, column in KEPT.items() if name != "date_taken"]
    kept = text.filter(is_photo & asked).select(*values, date, *degrees, row.alias("row"), licence.alias("licence"))
    reason = pl.when(is_photo).then(pl.lit("licence")).otherwise(pl.lit("not_a_photo")).alias("reason")
    detail = pl.when(is_photo).then(licence + " is not asked for").otherwise(pl.lit("a video")).alias("detail")
    others = [row.alias("row"), reason, pl.col("photoid").alias("photo_id"), detail]
    rejected = text.filter(~(is_photo & asked)).select(others)
    counts = text.filter(is_photo).group_by(licence.alias("licence")).len()
    kept, rejected, counts = pl.collect_all([kept, rejected, counts], engine="streaming")
    (folder / "licences.json").write_text(json.dumps(dict(counts.iter_rows())))
    rejected.write_parquet(folder / "rejected.parquet", compression="zstd")
    decoded = [pl.Series(name, [unquote_plus(value) for value in kept[name]], pl.String) for name in DECODED]
    kept = kept.with_columns(*decoded, pl.Series("part", parts(kept["image_id"].to_list())))
    kept.sort("part", "image_id", "row").write_parquet(folder / "kept.parquet", compression="zstd")


def use_pyarrow(task: str, metadata: str, folder: Path) -> None:
    """Do the task block by block."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import csv

    pa.set_cpu_count(1)
    wanted = ["licensename", "marker"] if task == "count" else READ
    reader = csv.open_csv(
        metadata,
        csv.ReadOptions(column_names=NAMES, use_threads=False, block_size=8 << 20),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(NAMES, pa.string())),
    )
    count, counts, kept, writer = 0, {}, [], None
    spdx_names, spdx = pa.array(SPDX), pa.array(SPDX.values())
    for block in reader:
        is_photo = pc.equal(block["marker"], "0")
        asked = pc.and_(is_photo, pc.equal(block["licensename"], ASKED))
        if task == "count":
            count += pc.sum(asked).as_py()
            continue
        licence = spdx.take(pc.index_in(block["licensename"], spdx_names))
        for pair in licence.filter(is_photo).value_counts().to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
        row = pc.add(block["line"].cast(pa.int64()), 1)
        reason = pc.if_else(is_photo, "licence", "not_a_photo")
        detail = pc.if_else(is_photo, pc.binary_join_element_wise(licence, "is not asked for", " "), "a video")
        table = pa.table({"row": row, "reason": reason, "photo_id": block["photoid"], "detail": detail})
        writer = writer or pq.ParquetWriter(folder / "rejected.parquet", table.schema, compression="zstd")
        writer.write_table(table.filter(pc.invert(asked)))
        columns = {name: block[column].filter(asked) for name, column in KEPT.items()}
        for name in DECODED:
            columns[name] = pa.array([unquote_plus(value) for value in columns[name].to_pylist()], pa.string())
        columns["date_taken"] = pc.if_else(pc.equal(columns["date_taken"], "null"), "", columns["date_taken"])
        for name in ("latitude", "longitude"):
            degrees = block[name].filter(asked)
            columns[name] = pc.if_else(pc.equal(degrees, ""), None, degrees).cast(pa.float64())
        columns |= {"row": row.filter(asked), "licence": licence.filter(asked)}
        kept.append(pa.table({**columns, "part": parts(columns["image_id"].to_pylist())}))
    if task == "count":
        print(count)
        return
    writer.close()
    (folder / "licences.json").write_text(json.dumps(counts))
    table = pa.concat_tables(kept).sort_by([(name, "ascending") for name in ("part", "image_id", "row")])
    pq.write_table(table, folder / "kept.parquet", compression="zstd")


def use_pandas(task: str, metadata: str, folder: Path) -> None:
    """Do the task in chunks."""
    import pandas as pd

    wanted = ["licensename", "marker"] if task == "count" else READ
    options = {"sep": "\t", "header": None, "dtype": str, "quoting": 3, "keep_default_na": False, "names": NAMES}
    count, counts, kept, rejected = 0, pd.Series(dtype=int), [], []
    compression = "bz2" if Path(metadata).read_bytes()[:3] == b"BZh" else None
    for chunk in pd.read_csv(metadata, usecols=wanted, chunksize=50_000, compression=compression, **options):
        is_photo = chunk["marker"] == "0"
        asked = is_photo & (chunk["licensename"] == ASKED)
        count += int(asked.sum())
        if task == "count":
            continue
        chunk = chunk.assign(row=chunk["line"].astype("int64") + 1, licence=chunk["licensename"].map(SPDX))  # noqa: PLW2901
        counts = counts.add(chunk["licence"][is_photo].value_counts(), fill_value=0)
        other = chunk.loc[~asked, ["row", "photoid", "licence", "marker"]].rename(columns={"photoid": "photo_id"})
        video = other["marker"] == "1"
        other["reason"] = video.map({True: "not_a_photo", False: "licence"})
        other["detail"] = (other["licence"] + " is not asked for").mask(video, "a video")
        rejected.append(other[["row", "reason", "photo_id", "detail"]])
        mine = chunk[asked]
        columns = {name: mine[column] for name, column in KEPT.items()}
        columns |= {name: [unquote_plus(value) for value in columns[name]] for name in DECODED}
        columns["date_taken"] = columns["date_taken"].mask(columns["date_taken"] == "null", "")
        columns |= {name: pd.to_numeric(mine[name]) for name in ("latitude", "longitude")}
        columns |= {"row": mine["row"], "licence": mine["licence"], "part": parts(list(mine["hash"]))}
        kept.append(pd.DataFrame(columns))
    if task == "count":
        print(count)
        return
    (folder / "licences.json").write_text(json.dumps({name: int(number) for name, number in counts.items()}))
    pd.concat(rejected).to_parquet(folder / "rejected.parquet", compression="zstd", index=False)
    table = pd.concat(kept).sort_values(["part", "image_id", "row"])
    table.to_parquet(folder / "kept.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    reader, task, metadata, folder = sys.argv[1:]
    readers = {"duckdb": use_duckdb, "polars": use_polars, "pyarrow": use_pyarrow, "pandas": use_pandas}
    readers[reader](task, metadata, Path(folder))
