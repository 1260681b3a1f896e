"""The structure of what is written for programs: RO-Crate and Croissant, without their validators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from scripts.audit.publication import SUMS, json_text
from scripts.audit.publish import publish
from scripts.audit.published_records import Pseudonyms, clean_text
from scripts.audit.run_crate import PROFILES, licence_address
from scripts.lib.files import sha256_file
from scripts.lib.tables import METADATA
from tests.audit.made_run import CARD, HOSTILE, MadeRun


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    MadeRun()
    publish(Path(), tmp_path / "out", (0, "clean"), url="https://data.example/stones")
    return tmp_path / "out"


@pytest.fixture
def crate(out: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    return entities


def references(value: Any) -> Iterator[str]:
    """Yield the `@id` of each reference within an entity."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        else:
            yield from (each for item in value.values() for each in references(item))
    elif isinstance(value, list):
        yield from (each for item in value for each in references(item))


def ids(value: Any) -> list[str]:
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def test_each_reference_of_the_crate_leads_to_an_entity(crate: dict[str, dict[str, Any]]) -> None:
    elsewhere = {"https://w3id.org/ro/crate/1.1", "https://snakemake.github.io"}
    for entity in crate.values():
        missing = [each for each in references(entity) if each not in crate and each not in elsewhere]
        assert not missing, entity["@id"]


def test_the_crate_holds_each_file_and_names_no_other(out: Path, crate: dict[str, dict[str, Any]]) -> None:
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    own = {"ro-crate-metadata.json", SUMS}
    records = {path for path in there if path.startswith("records/")} - {"records/seal.json"}
    parts = {unquote(each) for each in ids(crate["./"]["hasPart"])} - {"records/"}
    assert parts == there - own - records
    for name, entity in crate.items():
        if "File" in entity["@type"] and not name.startswith("#"):
            assert unquote(name) in there
            if "sha256" in entity:
                assert entity["sha256"] == sha256_file(out / unquote(name))
                assert entity["contentSize"] == str((out / unquote(name)).stat().st_size)


def test_the_crate_tells_who_made_what_from_what(crate: dict[str, dict[str, Any]]) -> None:
    root = crate["./"]
    assert set(ids(root["conformsTo"])) == set(PROFILES)
    assert ids(root["license"]) == ["https://spdx.org/licenses/CC-BY-2.0"]
    made = crate["#job/shard/write_shards/00001.tar"]
    assert ids(made["instrument"]) == ["scripts/shard/write_shards.py"]
    assert "#results/filter/select.parquet" in ids(made["object"])
    assert ids(made["result"]) == ["results/shard/write_shards/00001.tar", "results/shard/write_shards/00001.parquet"]
    assert made["startTime"] < made["endTime"]
    values = [crate[each]["value"] for each in ids(made["object"]) if crate[each]["@type"] == "PropertyValue"]
    assert json.loads(values[0])["recipe"] == {"count": 2, "embedded_metadata": "strip"}
    assert values[1] == "0123 shard.write_shards env:data:45"
    assert "included" in crate["#results/curate/download/0.tar"]["description"]
    actions = [name for name, entity in crate.items() if entity["@type"] == "CreateAction"]
    assert len(actions) == 10  # nine jobs and the run
    assert set(actions) < set(ids(root["mentions"]))
    assert len(ids(crate["#engine-run"]["object"])) == 9
    requirements = ids(crate["scripts/filter/judge.py"]["softwareRequirements"])
    assert requirements == ["pkg:generic/python@3.11.7", "pkg:pypi/numpy@2.4.6", "pkg:pypi/pillow@13.0.0"]


def test_croissant_names_each_file_of_the_dataset(out: Path) -> None:
    said = json.loads((out / "croissant.json").read_text())
    files = [each for each in said["distribution"] if each["@type"] == "cr:FileObject"]
    assert len(files) == 7  # two shards with their indexes, two tables, the card
    for each in files:
        assert each["sha256"] == sha256_file(out / each["contentUrl"])
        assert each["contentSize"] == f"{(out / each['contentUrl']).stat().st_size} B"
    assert said["isLiveDataset"] is False
    assert said["version"] == "1.0.0"
    assert said["url"] == "https://data.example/stones"
    assert said["license"] == ["https://spdx.org/licenses/CC-BY-2.0"]
    fields = {each["name"]: each["source"]["extract"]["column"] for each in said["recordSet"][0]["field"]}
    assert list(fields) == list(fields.values()) == METADATA.names
    assert all(each["description"] for each in said["recordSet"][0]["field"])
    assert said["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]


def test_croissant_says_how_people_were_filtered_and_what_is_not_known(out: Path) -> None:
    said = json.loads((out / "croissant.json").read_text())
    assert said["rai:dataCollection"].startswith("5 candidates from made, of which 4 were kept.")
    assert "person 1" in said["rai:dataCollection"]
    assert said["rai:machineAnnotationTools"][0].startswith("hog (people): {")
    assert '"drop":{"hog":0.9}' in said["rai:dataPreprocessingProtocol"][0]
    assert said["rai:dataLimitations"][0] == (
        "Measured leak rate: Not audited: no sample of the kept images has been looked at for people who are left."
    )
    assert said["rai:dataAnnotationProtocol"] == ["No image was looked at by a reviewer."]
    assert said["rai:dataCollectionTimeframe"] == ["2026-01-02T03:01:00.000+00:00", "2026-01-02T03:01:30.000+00:00"]


def test_text_from_outside_stays_text(out: Path) -> None:
    title = CARD["title"]
    for name in ("croissant.json", "ro-crate-metadata.json"):
        text = (out / name).read_text(encoding="ascii")
        assert not set("<>&") & set(text), name
    assert json.loads((out / "croissant.json").read_text())["name"] == title
    root = next(
        each for each in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"] if each["@id"] == "./"
    )
    assert root["name"] == f"{title}, version 1.0.0"
    readme = (out / "README.md").read_text()
    assert "<script" not in readme and "\u202e" not in readme
    assert json.loads(json_text({"a": HOSTILE})) == {"a": HOSTILE}


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/scratch/anna/list of mine.csv", "outside/1.csv"),
        ("~anna/x", "outside/1"),
        ("read /scratch/anna/a.txt and file:///scratch/anna/b.txt", "read outside/1.txt and outside/2.txt"),
        ("roots=['/mnt/a','/mnt/b']", "roots=['outside/1','outside/2']"),
        ("C:\\Users\\anna\\x.csv", "outside/1.csv"),
        ("https://node7/x?token=abc&n=1", "https://machine-1/x?token=withheld&n=1"),
        ("ftp://anna:pw@example.org/x", "ftp://withheld@example.org/x"),
        ("node7.cluster, node77 and a-node7", "machine-1, node77 and a-node7"),
        ("https://example.org/a/b and either/or, 1/2, {key:3}/{key}.jpg, a / b", None),
        ("results/filter/judge.parquet", None),
    ],
)
def test_places_and_secrets_in_settings(text: str, published: str | None) -> None:
    names = Pseudonyms()
    names.machine("node7.cluster")
    assert clean_text(text, names) == (text if published is None else published)


def test_licences_have_addresses() -> None:
    assert licence_address("CC-BY-4.0") == "https://spdx.org/licenses/CC-BY-4.0"
    assert licence_address("PDM-1.0") == "https://creativecommons.org/publicdomain/mark/1.0/"
