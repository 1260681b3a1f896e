from __future__ import annotations

from pathlib import Path

import pytest

from scripts.filter.labels import Labelled, image_ids_of, is_end_of, read_labels
from scripts.filter.tune_settings import LabelSettings
from scripts.lib.errors import UserError

SETTINGS = LabelSettings(
    table="labels.csv",
    image_column="file",
    match="path",
    label_column="label",
    people=("person",),
    no_people=("none",),
    strata=("note",),
)


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode("latin-1"))
    return path


def test_lines_come_in_order_of_the_image_and_lines_without_one_are_passed_over(tmp_path: Path):
    path = write(tmp_path, "file,label,note,other\nb.jpg,person,crowd,1\n,person,,\na.jpg,none,,2\nc.jpg,statue,,\n")
    assert read_labels(path, SETTINGS) == [
        Labelled("a.jpg", "none", ("",)),
        Labelled("b.jpg", "person", ("crowd",)),
        Labelled("c.jpg", "statue", ("",)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,person\nb,none\n", r"have no column note \(they have file, label\)"),
        ("file,label,note\na,person,\na,none,\n", r"1 images on two lines \(first: a\)"),
        (
            "file,label,note\na,person,\nb,dog,\n",
            r"label of filter\.labels\.no_people \(none\); its labels are dog, person",
        ),
        ("file,label,note\na,none,\n", r"filter\.labels\.people \(person\)"),
        ("file,label,note\na,person,\xff\xfe\n", "not CSV in UTF-8"),
        ('file,label,note\n"a,person,\n', "not CSV in UTF-8"),
    ],
)
def test_mistakes_in_the_table_are_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError, match=message):
        read_labels(write(tmp_path, text), SETTINGS)


def test_a_missing_table_says_what_to_do(tmp_path: Path):
    with pytest.raises(UserError, match=r"absent\.csv cannot be read .*filter\.labels to null"):
        read_labels(tmp_path / "absent.csv", SETTINGS)


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [("c", "a/b/c", True), ("b/c", "a/b/c", True), ("c", "c", True), ("c", "a/bc", False), ("a/c", "a/b/c", False)],
)
def test_paths_are_compared_from_their_end_in_whole_names(short: str, long: str, expected: bool):
    assert is_end_of(short, long) is expected


def test_lines_find_their_images_by_path():
    rows = [Labelled("photos/a.jpg", "none", ()), Labelled("x/b.jpg", "none", ()), Labelled("gone.jpg", "none", ())]
    places = [("a.jpg", "1"), ("x/b.jpg", "2"), ("y/b.jpg", "3"), ("other.jpg", "4")]
    assert image_ids_of(rows, places) == {"1": rows[0], "2": rows[1]}
    assert image_ids_of(rows, None)["photos/a.jpg"] is rows[0]
    with pytest.raises(UserError, match=r"b\.jpg.*2 candidates.*image_id"):
        image_ids_of([Labelled("b.jpg", "none", ())], places)
    with pytest.raises(UserError, match="two lines fit one"):
        image_ids_of([Labelled("p/a.jpg", "none", ()), Labelled("q/a.jpg", "none", ())], places)
