"""`make demo` from end to end, then everything that its outputs promise."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import re
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
import webdataset

from scripts.lib.images import decode_image
from scripts.lib.tables import RESULT_COLUMNS
from tests.conftest import ROOT
from tests.workflow import planned_jobs, run_snakemake

pytestmark = pytest.mark.whole

DEMO = str(ROOT / "scales" / "demo.yaml")
RUN = "moco_v2_r18_demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of a finished demo."""
    folder = tmp_path_factory.mktemp("demo")
    result = run_snakemake("--cores", "2", "--configfile", DEMO, folder=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def selection(demo: Path) -> pd.DataFrame:
    return pd.read_parquet(demo / "results/filter/select.parquet")


@pytest.fixture(scope="module")
def funnel(demo: Path) -> dict:
    return json.loads((demo / "results/report/funnel.json").read_text())


def truth(demo: Path) -> list[dict[str, str]]:
    with (demo / "results/curate/plant_hazards/truth.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_every_planted_hazard_ends_under_its_own_reason(demo: Path, selection: pd.DataFrame) -> None:
    planted = selection[selection.source == "planted"].set_index("row")
    rejected = pd.read_parquet(demo / "results/curate/select_candidates/planted-000.rejected.parquet").set_index("row")
    wrong = []
    for line in truth(demo):
        row = int(line["row"])
        got = rejected.reason[row] if row in rejected.index else planted.reason[row]
        expected = {line["expected_reason"]}
        if not line["expected_reason"]:  # clean: kept, or left out by the cap or the sample, never for what it shows
            expected = {"", "photographer_cap", "not_sampled"}
        if got not in expected:
            wrong.append((line["hazard"], row, line["expected_reason"], got))
    assert not wrong
    assert len({line["hazard"] for line in truth(demo)}) >= 12


def test_the_funnel_adds_up_and_counts_the_hazards(demo: Path, funnel: dict, selection: pd.DataFrame) -> None:
    assert funnel["read"] == funnel["kept"] + sum(funnel["rejected"].values())
    assert funnel["kept"] == int(selection.keep.sum()) > 0
    expected = Counter(line["expected_reason"] for line in truth(demo) if line["expected_reason"])
    for reason, count in expected.items():
        assert funnel["rejected"][reason] >= count, reason
    assert funnel["rejected"]["photographer_cap"] >= 1


def test_no_photographer_has_more_than_the_cap(selection: pd.DataFrame) -> None:
    kept = selection[selection.keep & (selection.source == "planted")]
    assert kept.creator_id.value_counts().max() <= 80


def test_a_second_run_has_nothing_to_do(demo: Path) -> None:
    result = run_snakemake("--cores", "2", "--configfile", DEMO, folder=demo)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_threshold_reruns_judge_and_what_follows(demo: Path, tmp_path: Path) -> None:
    scale = tmp_path / "scale.yaml"
    scale.write_text(Path(DEMO).read_text().replace("hog: 0.9}", "hog: 0.95}"))
    jobs = planned_jobs(run_snakemake("-n", "--configfile", str(scale), folder=demo).stdout)
    assert jobs["judge"] == 2
    assert jobs["select"] == jobs["train"] == jobs["write_report"] == 1
    before = {"plant_hazards", "select_candidates", "download", "inspect_images", "deduplicate"}
    assert not (before | {"detect_faces", "detect_people", "fetch_weights", "list_task"}) & jobs.keys()


def test_shards_open_in_webdataset(demo: Path, selection: pd.DataFrame) -> None:
    shards = sorted(str(path) for path in (demo / "results/shard/write_shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert {Path(sample["__key__"]).name for sample in samples} == set(selection.image_id[selection.keep])
    assert all(sample["jpg"].mode == "RGB" for sample in samples)


def test_shards_open_in_image_folder(demo: Path, funnel: dict, tmp_path: Path) -> None:
    for path in sorted((demo / "results/shard/write_shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                name = tmp_path / member.name
                name.parent.mkdir(exist_ok=True)
                name.write_bytes(tar.extractfile(member).read())
    folder = torchvision.datasets.ImageFolder(str(tmp_path))
    assert len(folder) == funnel["kept"]
    assert folder[0][0].size[0] > 0


def test_the_index_gives_random_access(demo: Path) -> None:
    from PIL import Image

    for path in sorted((demo / "results/shard/write_shards").glob("*.parquet")):
        index = pd.read_parquet(path)
        content = path.with_suffix(".tar").read_bytes()
        for row in index.itertuples():
            assert Image.open(io.BytesIO(content[row.offset : row.offset + row.size])).size[0] > 0


def test_no_shard_says_where_a_photo_was_taken(demo: Path, selection: pd.DataFrame) -> None:
    """The planted photos with a position pass, and their files in the shards are the same pictures without it."""
    ids = {line["image_id"] for line in truth(demo) if line["hazard"] == "position"}
    assert ids
    assert set(selection.reason[selection.image_id.isin(ids)]) <= {"", "photographer_cap", "not_sampled"}
    index = pd.concat(map(pd.read_parquet, sorted((demo / "results/shard/write_shards").glob("*.parquet"))))
    found = index[index.image_id.isin(ids)]
    assert len(found) >= 1
    assert set(found.source_metadata) == {"position"}
    assert (found.sha256 != found.source_sha256).all()
    inspected = pd.concat(map(pd.read_parquet, sorted((demo / "results/curate/inspect_images").glob("*.parquet"))))
    assert set(inspected.image_id[inspected.position.eq(True)]) == ids
    downloads = {}
    for path in sorted((demo / "results/curate/download").glob("*.parquet")):
        content = path.with_suffix(".tar").read_bytes()
        for row in pd.read_parquet(path).itertuples():
            if row.image_id in ids:
                downloads[row.image_id] = content[int(row.offset) : int(row.offset) + int(row.size)]
    for shard, rows in index.groupby("shard"):
        content = (demo / f"results/shard/write_shards/{shard}.tar").read_bytes()
        for row in rows.itertuples():
            member = content[row.offset : row.offset + row.size]
            assert hashlib.sha256(member).hexdigest() == row.sha256
            assert b"Exif" not in member
            if row.image_id in ids:
                source = downloads[row.image_id]
                assert b"Exif" in source
                assert hashlib.sha256(source).hexdigest() == row.source_sha256
                assert np.array_equal(decode_image(member), decode_image(source))
    card = (demo / "results/shard/write_card.md").read_text(encoding="utf-8")
    assert f"| a position (EXIF or XMP) | {len(found)} |" in card


def test_metadata_opens_in_pandas(demo: Path, funnel: dict) -> None:
    table = pd.read_csv(demo / "results/shard/write_metadata/pass_metadata.csv", index_col=0)
    assert list(table.columns) == ["unickname", "datetaken", "licensename", "hash", "latitude", "longitude"]
    full = pd.read_parquet(demo / "results/shard/write_metadata/metadata.parquet")
    assert len(table) == len(full) == funnel["kept"]
    assert (full.licence_url != "").all()
    assert (full.page_url != "").all()


@pytest.mark.parametrize("name", ["encoder", "untrained_encoder"])
def test_the_encoder_opens_in_torchvision(demo: Path, name: str) -> None:
    weights = safetensors.torch.load_file(demo / f"results/pretrain/train/{RUN}/{name}.safetensors")
    missing, unexpected = torchvision.models.resnet18().load_state_dict(weights, strict=False)
    assert set(missing) == {"fc.weight", "fc.bias"}
    assert not unexpected


def test_training_moved_the_encoder_and_the_loss(demo: Path) -> None:
    metrics = pd.read_csv(demo / f"results/pretrain/train/{RUN}/metrics.csv")
    reference = math.log(1 + 256)  # the loss of an encoder that gives every image the same features
    assert metrics.loss.tail(5).mean() < reference - 0.2
    trained, untrained = (
        safetensors.torch.load_file(demo / f"results/pretrain/train/{RUN}/{name}.safetensors")
        for name in ("encoder", "untrained_encoder")
    )
    assert not torch.equal(trained["conv1.weight"], untrained["conv1.weight"])


def test_the_model_card_names_the_images_of_the_shards(demo: Path, funnel: dict) -> None:
    card = (demo / f"results/pretrain/write_model_card/{RUN}.md").read_text(encoding="utf-8")
    dataset = (demo / "results/shard/write_card.md").read_text(encoding="utf-8")
    found = re.search(r"SHA-256 `([0-9a-f]{64})` over", dataset)
    assert found is not None and found[1] in card
    assert f"{funnel['kept']:,} images" in card and "CC0" in card
    assert "device-hours in all, measured" in card


def test_results_have_every_encoder_and_protocol(demo: Path) -> None:
    results = pd.read_csv(demo / "results/evaluate/collect_results.csv")
    assert list(results.columns) == list(RESULT_COLUMNS)
    assert set(results.run) == {RUN, f"{RUN}-head", f"{RUN}-untrained"}
    after = results[results.run == f"{RUN}-head"]
    assert {name.split("_")[0] for name in after.protocol} == {"knn", "rank"}
    assert {name.split("_")[0] for name in results.protocol} == {
        "knn",
        "linear",
        "low",
        "few",
        "kmeans",
        "rank",
        "semi",
    }
    shares = results[~results.metric.isin(["ari", "effective_rank"])]
    assert shares.value.between(0, 100).all()
    assert (shares.low.dropna() <= shares.value[shares.low.notna()]).all()
    assert all(json.loads(each) for each in results.settings)


def test_every_pair_of_encoders_is_compared(demo: Path) -> None:
    pairs = pd.read_csv(demo / "results/evaluate/compare_encoders.csv")
    assert set(pairs.run) == {RUN, f"{RUN}-head"} and set(pairs.other) == {f"{RUN}-head", f"{RUN}-untrained"}
    assert (pairs.low <= pairs.difference).all() and (pairs.difference <= pairs.high).all()


def test_the_report_stands_alone(demo: Path, funnel: dict) -> None:
    page = (demo / "results/report/index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"']*\.(?:js|css|png|jpe?g|svg|woff)""", page)
    assert "<script" not in page.lower()
    assert "Content-Security-Policy" in page
    for reason in funnel["rejected"]:
        assert reason in page, reason
    assert "demo" in page.lower()


def test_snakemakes_own_report_holds_the_figures_and_loads_nothing(demo: Path, tmp_path: Path) -> None:
    made = run_snakemake("--configfile", DEMO, "--report", str(tmp_path / "run.html"), folder=demo)
    assert made.returncode == 0, made.stdout + made.stderr
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    for name in ("report/index.html", "report/draw_funnel.svg", f"report/draw_curves/{RUN}.svg", "evaluate/collect_results.csv"):  # fmt: skip  # noqa: E501
        assert base64.b64encode((demo / "results" / name).read_bytes()).decode() in page, name
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]*\s(?:src|href)=["']?(?:https?:)?//""", page)


def test_the_pages_of_review_and_audit_are_linked(demo: Path, funnel: dict) -> None:
    folder = demo / "results/filter"
    listed = (folder / "list_review_pages.html").read_text(encoding="utf-8")
    pages = re.findall(r'href="([^"]+)"', listed)
    assert {Path(page).parent.name for page in pages} == {"write_review_page", "write_audit_page"}
    shown = {page: (folder / page).read_text(encoding="utf-8").count('"jpeg":"/9j/') for page in pages}
    assert sum(count for page, count in shown.items() if page.startswith("write_review")) == funnel["kept"]
    assert sum(count for page, count in shown.items() if page.startswith("write_audit")) == 60
    leak = json.loads((folder / "measure_leak_rate.json").read_text())
    assert (leak["status"], leak["population"], leak["bound"]) == ("not_audited", funnel["kept"], 1.0)
    assert "Not audited" in (demo / "results/report/index.html").read_text(encoding="utf-8")
    assert "Not audited" in (demo / "results/shard/write_card.md").read_text(encoding="utf-8")


def test_no_result_names_this_machine(demo: Path) -> None:
    for path in (demo / "results").rglob("*"):
        if path.is_file():
            assert str(demo).encode() not in path.read_bytes(), path
