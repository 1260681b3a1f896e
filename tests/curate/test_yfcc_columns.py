"""yfcc_columns: blocks read as columns give what the row parser gives, to the last byte, whatever the file holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.curate import select_candidates as step
from scripts.curate.row_batches import RowBatch, batches_of
from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import Licence, MetadataFile, SelectCandidatesSettings, TarStore, YfccSource
from scripts.curate.sources import lines, yfcc100m, yfcc_columns
from scripts.curate.sources.yfcc_row import COLUMNS_23, COLUMNS_25, LAYOUTS, Fields, RowParser
from scripts.lib.errors import UserError

YFCC = YfccSource(name="yfcc", kind="yfcc100m", files=(MetadataFile(path=""),), stores=(TarStore(tar=""),))
BY = b"http://creativecommons.org/licenses/by/2.0/"
URL = b"http://farm1.staticflickr.com/59/159974628_7b9dd1d7e5.jpg"


def split(text: bytes) -> list[bytes]:
    return text.split(b"|")


TEXTS = split(
    rb"|A+%26+B|IMG_1234|%E6%9D%B1%E4%BA%AC|a++b|+a|a+|%|%4|%zz%41|%2525|%C3|%C3%A9%|%00x%0A|%7F|%E2%80%AE%2B"
)
TEXTS += split(
    b'\xc3\xa9|\xc3\xa9%C3|%C3\xc3\xa9%A9|a\rb| a|\xff|\xed\xa0\x80|%ED%A0%80|\xe2\x80\xa8|%C2%85|~|\x7f|\x01|null|"'
)
VALUES: dict[str, list[bytes]] = {
    "photoid": [*split("159974628|0||12a|١٢| 12|-1|1\r".encode()), b"1" * 20, b"1" * 21, b"1" * 41],
    "hash": [*split(b"b66a26f0429984976a496a44812eb6|0123456789abcdef|0123456789ABCDEF||../../etc/pw"), b"f" * 33],
    "uid": [b"12345678@N00", b"12345678%40N00", *TEXTS],
    "unickname": [b"Stef+Noble", *TEXTS],
    "title": TEXTS,
    "capturedevice": [b"Canon+EOS+5D", *TEXTS],
    "datetaken": split(b"2006-05-31 21:07:00.0|null|| null|2006  05|\xc3\xa9|%41+"),
    "longitude": split(b"|-1.25|180|180.0001|null|1e2|+1|1.|.5|0001|nan|-0|1_0"),
    "latitude": split(b"|51.75|90.0|90.000000000000000001|91|-1.7976931348623157|- 1|0." + b"3" * 400),
    "pageurl": split(b"http://www.flickr.com/photos/1@N00/2/||javascript:x|https://a:80/%C3?x#y|http://a b/"),
    "downloadurl": [
        URL,
        *split(b"|file:///etc/passwd|HTTP://a/|http://a|http://a:123456/|http://h/\xc3\xa9|http://a/x\\"),
    ],
    "licensename": split(b"Attribution License|Attribution-NonCommercial License||4|All Rights Reserved|\xc3\xa9"),
    "licenseurl": [BY, BY.replace(b"by/", b"by-nc/"), b"", BY.rstrip(b"/"), b"http://example.org/", b"x\ry"],
    "marker": split(b"0|1||0\r|1\r\r|\r|2|00|0 "),
}
PLAIN = {name: values[0] for name, values in VALUES.items()}


@st.composite
def records(draw: st.DrawFn, columns: tuple[str, ...]) -> bytes:
    """A line: a plain one with a few fields exchanged, sometimes with more or fewer fields, or anything at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=60)).replace(b"\n", b"")
    fields = dict(PLAIN)
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4)):
        fields[name] = draw(st.sampled_from(VALUES[name]))
    joined = b"\t".join(fields.get(name, b"") for name in columns)
    cut = draw(st.integers(-9, 2))
    return joined + b"\t" if cut == 1 else joined.rpartition(b"\t")[0] if cut == 2 else joined


@st.composite
def files(draw: st.DrawFn) -> tuple[int, bytes]:
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    some = draw(st.lists(records(LAYOUTS[layout]), min_size=1, max_size=40))
    return layout, draw(st.sampled_from([b"\n", b"\r\n"])).join(some) + draw(st.sampled_from([b"", b"\n", b"\n\n"]))


@contextmanager
def sizes(chunk: int, block: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", chunk)
        patch.setattr(lines, "BLOCK_BYTES", block)
        patch.setattr(lines, "MAX_LINE_BYTES", max(2000, chunk))
        yield


def outputs_of(folder: Path, batches: Iterable[RowBatch], recipe: SelectCandidatesSettings) -> list[bytes] | str:
    outputs = step.Outputs(candidates=folder / "c", rejected=folder / "r", account=folder / "a")
    try:
        step.select_candidates(recipe, "yfcc-000", batches, outputs)
    except UserError as error:
        return str(error)
    return [path.read_bytes() for path in (folder / "c", folder / "r", folder / "a")]


def check(content: bytes, chunk: int, block: int, licences: tuple[Licence, ...], require: tuple[str, ...]) -> None:
    recipe = {"source": YFCC, "licences": licences, "require": require, "partition_bits": 3}
    parsed = SelectCandidatesSettings.model_validate(recipe)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "metadata"
        path.write_bytes(content)
        with sizes(chunk, block):
            columns = outputs_of(Path(name), yfcc100m.read_batches(YFCC, "yfcc-000", path, licences, 1), parsed)
        with sizes(max(chunk, 1 << 10), 1 << 20):
            rows = batches_of(yfcc100m.read_rows(YFCC, "yfcc-000", path, None, licences))
            assert columns == outputs_of(Path(name), rows, parsed)


CASES = given(
    file=files(),
    chunk=st.sampled_from([1, 50, 300, 1 << 20]),
    block=st.sampled_from([1, 700, 5000, 1 << 20]),
    licences=st.sampled_from([("CC-BY-2.0",), ("CC-BY-2.0", "CC-BY-NC-2.0"), ("CC0-1.0",)]),
    require=st.sampled_from(
        [(), ("creator", "page_url"), ("creator", "page_url", "download_url", "title", "date_taken")]
    ),
)
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@CASES
@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_columns_give_the_bytes_of_rows(
    file: tuple[int, bytes], chunk: int, block: int, licences: tuple[Licence, ...], require: tuple[str, ...]
):
    check(file[1], chunk, block, licences, require)


@pytest.mark.slow
@CASES
@settings(max_examples=1000, deadline=None, suppress_health_check=QUIET)
def test_columns_give_the_bytes_of_rows_in_many_files(
    file: tuple[int, bytes], chunk: int, block: int, licences: tuple[Licence, ...], require: tuple[str, ...]
):
    check(file[1], chunk, block, licences, require)


@pytest.mark.parametrize("columns", [COLUMNS_23, COLUMNS_25], ids=len)
def test_each_listed_value_in_each_column(columns: tuple[str, ...]):
    some = [dict(PLAIN)]
    some += [{**PLAIN, name: value} for name, values in VALUES.items() for value in values]
    some += [{**PLAIN, name: value} for name in columns for value in TEXTS]
    content = b"".join(b"\t".join(fields.get(name, b"") for name in columns) + b"\n" for fields in some)
    for licences in (("CC-BY-2.0", "CC-BY-NC-2.0"), ("CC0-1.0",)):
        check(content, 1 << 20, 1 << 20, licences, ("creator",))


def test_only_odd_rows_reach_the_row_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Otherwise the columns would be right because they are not used."""
    fields = {**PLAIN, "latitude": b"51.75", "title": b"%E6%9D%B1+%28x%29"}
    plain = b"\t".join(fields.get(name, b"") for name in COLUMNS_25) + b"\n"
    video, odd = plain.replace(b"\t0\n", b"\t1\r\n"), plain.replace(b"51.75", b"north")
    (tmp_path / "metadata").write_bytes(plain * 50 + odd + video + plain * 50)
    asked: list[int] = []

    class Counted(RowParser):
        def __call__(self, row: int, fields: Fields | None) -> CandidateRow | RejectedRow:
            asked.append(row)
            return super().__call__(row, fields)

    monkeypatch.setattr(yfcc_columns, "RowParser", Counted)
    batches = list(yfcc100m.read_batches(YFCC, "yfcc-000", tmp_path / "metadata", ("CC-BY-2.0",), 1))
    assert asked == [51]
    assert pa.concat_tables(batch.candidates for batch in batches)["row"].to_pylist() == [
        *range(1, 51),
        *range(53, 103),
    ]
    rejected = pa.concat_tables(batch.rejected for batch in batches)
    assert rejected["reason"].to_pylist() == ["bad_field", "not_a_photo"]
    assert [batch.share for batch in batches] == [1.0]
