"""Recipes: one canonical text, paths left out, errors that name the key."""

from __future__ import annotations

from typing import ClassVar

import pytest

from scripts.lib.errors import UserError
from scripts.lib.recipe import Settings, canonical_json, read_recipe, write_recipe


class Inner(Settings):
    path_fields: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None
    rate: float


class Outer(Settings):
    first: float
    second: float
    inner: tuple[Inner, ...]


def outer(first: float = 0.1, second: float = 0.2, path: str | None = "/data/a") -> Outer:
    return Outer(first=first, second=second, inner=(Inner(path=path, rate=1.0),))


def test_swapped_values_change_the_text() -> None:
    assert write_recipe(outer(0.1, 0.2)) != write_recipe(outer(0.2, 0.1))


def test_paths_do_not_enter_but_absence_does() -> None:
    assert write_recipe(outer(path="/data/a")) == write_recipe(outer(path="/elsewhere"))
    assert write_recipe(outer(path=None)) != write_recipe(outer(path="/data/a"))


def test_a_recipe_reads_back() -> None:
    text = write_recipe(outer())
    assert write_recipe(read_recipe(Outer, text)) == text


def test_key_order_does_not_matter() -> None:
    assert canonical_json({"b": 1, "a": [1, {"d": 2, "c": 3}]}) == '{"a":[1,{"c":3,"d":2}],"b":1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"first":1.0,"second":1.0,"inner":[],"third":1}', "third: unknown key"),
        ('{"first":1.0,"inner":[]}', "second: missing"),
        ('{"first":"1e-4","second":1.0,"inner":[]}', r"first: Input should be a valid number .*1e-4"),
        ('{"first":1.0,"second":1.0,"inner":[{"path":null}]}', "inner.0.rate: missing"),
        ("not json", "Invalid JSON"),
        ('{"first":NaN,"second":1.0,"inner":[]}', "first"),
    ],
)
def test_a_wrong_recipe_names_the_field(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(Outer, text)
