"""The fingerprint changes with what a step runs, and with nothing else."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from scripts.lib import fingerprint

STEP = """
    \"\"\"A step.\"\"\"
    from scripts.lib.files import write_json
    from scripts.lib import images
    import numpy as np

    LIMIT = 3

    def main():
        \"\"\"Run.\"\"\"
        from scripts.lib.late import helper
        return write_json(LIMIT, images.decode(), helper())

    if __name__ == "__main__":
        main()
"""
FILES = """
    import json
    INDENT = 2
    UNUSED = 5

    def write_json(*values):
        # say why
        return _dump(values)

    def _dump(values):
        return json.dumps(values, indent=INDENT)

    def read_json(text):
        return json.loads(text)
"""
IMAGES = "def decode():\n    return 1\n"
LATE = "def helper():\n    return 4\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "scripts/__init__.py": "",
        "scripts/lib/__init__.py": "",
        "scripts/stage/__init__.py": "",
        "scripts/stage/step.py": STEP,
        "scripts/stage/other.py": "X = 1\n",
        "scripts/lib/files.py": FILES,
        "scripts/lib/images.py": IMAGES,
        "scripts/lib/late.py": LATE,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def digest(root: Path, *modules: str) -> str:
    fingerprint.code_hash.cache_clear()
    fingerprint._build.cache_clear()
    return fingerprint.code_hash(*(modules or ("scripts.stage.step",)), root=root)


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("scripts/stage/step.py", "LIMIT = 3", "LIMIT = 4"),
        ("scripts/stage/step.py", "write_json(LIMIT", "write_json(1, LIMIT"),
        ("scripts/lib/files.py", "INDENT = 2", "INDENT = 3"),
        ("scripts/lib/files.py", "return _dump(values)", "return _dump(values) + '\\n'"),
        ("scripts/lib/files.py", "indent=INDENT", "indent=INDENT, sort_keys=True"),
        ("scripts/lib/images.py", "return 1", "return 2"),
        ("scripts/lib/late.py", "return 4", "return 5"),
    ],
)
def test_an_edit_of_what_runs_changes_it(tree: Path, name: str, old: str, new: str) -> None:
    before = digest(tree)
    edit(tree, name, old, new)
    assert digest(tree) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("scripts/stage/step.py", '"""A step."""', '"""Another text."""'),
        ("scripts/stage/step.py", '"""Run."""', ""),
        ("scripts/stage/step.py", "LIMIT = 3", "LIMIT  =  3   # as in the paper"),
        ("scripts/lib/files.py", "# say why", "# say why, better\n"),
        ("scripts/lib/files.py", "UNUSED = 5", "UNUSED = 6"),
        ("scripts/lib/files.py", "return json.loads(text)", "return json.loads(text.strip())"),
        ("scripts/stage/other.py", "X = 1", "X = 2"),
    ],
)
def test_an_edit_of_anything_else_does_not(tree: Path, name: str, old: str, new: str) -> None:
    before = digest(tree)
    edit(tree, name, old, new)
    assert digest(tree) == before


def test_a_named_module_is_covered(tree: Path) -> None:
    before = digest(tree, "scripts.stage.step", "scripts.stage.other")
    edit(tree, "scripts/stage/other.py", "X = 1", "X = 2")
    assert digest(tree, "scripts.stage.step", "scripts.stage.other") != before


def test_a_statement_with_an_effect_is_always_covered(tree: Path) -> None:
    before = digest(tree)
    edit(tree, "scripts/lib/files.py", "UNUSED = 5", "json.JSONEncoder.item_separator = ';'")
    assert digest(tree) != before


def test_moving_the_tree_does_not_matter(tree: Path, tmp_path: Path) -> None:
    before = digest(tree)
    (tree / "scripts").rename(tree / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tree / "moved").rename(tmp_path / "elsewhere" / "scripts")
    assert digest(tmp_path / "elsewhere") == before


def test_a_missing_module_is_named(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scripts\.stage\.absent"):
        digest(tree, "scripts.stage.absent")


def test_relative_imports_are_refused(tree: Path) -> None:
    edit(tree, "scripts/stage/other.py", "X = 1", "from . import step")
    with pytest.raises(ValueError, match="relative imports"):
        digest(tree, "scripts.stage.other")


def test_files_of_the_closure(tree: Path) -> None:
    fingerprint._build.cache_clear()
    names = [str(path.relative_to(tree)) for path in fingerprint.code_files("scripts.stage.step", root=tree)]
    assert names == [
        "scripts/lib/files.py",
        "scripts/lib/images.py",
        "scripts/lib/late.py",
        "scripts/stage/step.py",
    ]
