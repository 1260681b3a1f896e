from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS
from scripts.report.result_table import metric_text, read_results

HEADER = ",".join(RESULT_COLUMNS) + "\n"
MORE = "," * (len(RESULT_COLUMNS) - 8)  # the columns that may be empty


def table(folder: Path, *rows: str):
    path = folder / "results.csv"
    path.write_text(HEADER + "".join(f"{row}{MORE * (row.count(',') == 7)}\n" for row in rows))
    return path


def test_seeds_are_averaged_and_the_twin_stands_beside(tmp_path: Path):
    path = table(
        tmp_path,
        *(f"a,t,linear_probe,top1,{value},100,{seed},10" for seed, value in enumerate((50, 52, 57))),
        *(f"a-untrained,t,linear_probe,top1,{value},100,{seed},10" for seed, value in enumerate((40, 44))),
    )
    (score,) = read_results(path)
    assert score.mean == 53 and score.twin == 42 and score.difference == 11
    assert score.spread == pytest.approx(statistics.stdev([50, 52, 57])) and score.seeds == 3
    assert (score.images, score.chance) == (100, 10)


def test_one_fit_has_no_spread_and_a_missing_twin_no_difference(tmp_path: Path):
    (score,) = read_results(table(tmp_path, "a,t,knn20,top1,50,100,,10"))
    assert score.spread is None and score.twin is None and score.difference is None


def test_a_row_of_episodes_brings_its_own_spread(tmp_path: Path):
    (score,) = read_results(table(tmp_path, "a,t,few_shot,top1,50,100,,20,49,51,8.5,600,,{},{}"))
    assert (score.spread, score.repeats, score.seeds) == (8.5, 600, 1)


def test_order_is_that_of_numbers_and_no_row_is_lost(tmp_path: Path):
    path = table(
        tmp_path,
        "a,t,kmeans,nmi,1,1,0,1",
        "a,t,semi_1,top1,1,1,0,1",
        "a,t,knn200,top1,1,1,,1",
        "a,t,knn20,mean_per_class,1,1,,1",
        "a,t,knn20,top1,1,1,,1",
        "a,t,linear_probe,top1,1,1,0,1",
        "b-untrained,t,knn20,top1,1,1,,1",
    )
    assert [(score.run, score.protocol, score.metric) for score in read_results(path)] == [
        ("a", "linear_probe", "top1"),
        ("a", "knn20", "top1"),
        ("a", "knn20", "mean_per_class"),
        ("a", "knn200", "top1"),
        ("a", "semi_1", "top1"),
        ("a", "kmeans", "nmi"),
        ("b-untrained", "knn20", "top1"),
    ]


def test_no_rows_are_no_results(tmp_path: Path):
    assert read_results(table(tmp_path)) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,t,knn,top1,high,1,,1", "line 2: value, n and chance must be numbers"),
        ("a,t,knn,top1,nan,1,,1", "line 2: value and chance must be finite"),
        ("a,t,knn,top1,1", "line 2: value, n and chance must be numbers"),
    ],
)
def test_bad_numbers_are_named(tmp_path: Path, row: Any, words: str):
    with pytest.raises(UserError, match=words):
        read_results(table(tmp_path, row))


def test_other_columns_are_refused(tmp_path: Path):
    path = tmp_path / "results.csv"
    path.write_text("run,value\na,1\n")
    with pytest.raises(UserError, match="has the columns run, value; expected run, task"):
        read_results(path)


def test_the_figure_of_a_task_leads_and_the_others_follow(tmp_path: Path):
    path = table(
        tmp_path,
        *(f"a,pets,knn20,{metric},1,1,,1" for metric in ("top1", "mean_per_class")),
        *(f"a,pets,kmeans,{metric},1,1,0,1" for metric in ("nmi", "purity")),
        *(f"a,voc,linear_svm,{metric},1,1,0,1" for metric in ("map_area", "map_11_point")),
        *(f"a,coco,mask_rcnn,{metric},1,1,0,1" for metric in ("mask_ap", "box_ap50", "box_ap")),
        "a,cifar,knn20,mean_per_class,1,1,,1",
        "a,cifar,knn20,top1,1,1,,1",
    )
    figures = {"pets": ("mean_per_class",), "voc": ("map_11_point",), "coco": ("box_ap", "mask_ap")}
    assert [(score.task, score.metric, score.leads) for score in read_results(path, figures=figures)] == [
        ("cifar", "top1", True),  # of which nothing is said
        ("cifar", "mean_per_class", False),
        ("coco", "box_ap", True),
        ("coco", "mask_ap", True),
        ("coco", "box_ap50", False),
        ("pets", "mean_per_class", True),
        ("pets", "top1", False),
        ("pets", "nmi", True),  # clustering does not have the figure of the task
        ("pets", "purity", True),
        ("voc", "map_11_point", True),
        ("voc", "map_area", False),
    ]


def test_metrics_have_names_for_readers():
    names = ("top1", "mean_per_class", "map_11_point", "box_ap50_11_point", "miou")
    texts = ["top\u20111", "mean per class", "mAP (11 points)", "box AP50 11 point", "mIoU"]
    assert [metric_text(name) for name in names] == texts
