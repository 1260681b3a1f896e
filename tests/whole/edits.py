"""Random edits of a small run: of config, code, inputs, order, environment and disk; each says what it did."""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.small_run import SmallRun

Edit = Callable[[SmallRun, random.Random], str]

# Key of the scale → values. Some change no result at all, some only a page, some everything.
VALUES: dict[str, list[Any]] = {
    "curate.inspect_images.max_pixels": [1_000_000, 900_000, 800_000],
    "curate.deduplicate.near_distance": [2, 3, 4],
    "curate.sources.0.images_per_class": [7, 8],
    "filter.judge.min_side": [32, 33, 48, 49],
    "filter.rules.1.drop.hog": [0.85, 0.9, 0.95],
    "filter.rules.0.drop.centerface": [0.5, 0.6],
    "filter.target_size": [20, 24, 28],
    "filter.max_per_photographer": [5, 50, 80],
    "filter.audit.images": [3, 4],
    "shard.card.title": ["Small", "Smaller"],
    "pretrain.runs.0.learning_rate": [0.06, 0.03],
    "pretrain.runs.0.threads": [1, 2],
    "pretrain.runs.0.cost": ["seconds", "a minute"],
    "evaluate.knn.votes.0.neighbours": [2, 3],
    "evaluate.tasks.0.seed": [0, 1],
    "report.title": ["A small run", "Another title"],
    "report.contact_sheets.columns": [4, 8],
}


def _holder(scale: dict[str, Any], key: str) -> tuple[Any, Any]:
    """Return the mapping or list that holds a key, made where the scale says nothing of it, and the last part."""
    *path, last = (int(part) if part.isdigit() else part for part in key.split("."))
    found: Any = scale
    for part in path:
        found = found[part] if isinstance(part, int) else found.setdefault(part, {})
    return found, last


def value(place: SmallRun, draw: random.Random) -> str:
    key = draw.choice(sorted(VALUES))
    holder, last = _holder(place.scale, key)
    holder[last] = draw.choice(VALUES[key])
    return f"{key} = {holder[last]!r}"


def swap(place: SmallRun, draw: random.Random) -> str:
    run = place.scale["pretrain"]["runs"][0]
    one, other = draw.sample(["sgd_momentum", "key_momentum", "temperature", "learning_rate"], 2)
    run[one], run[other] = run[other], run[one]
    return f"{one} and {other} swapped"


def order(place: SmallRun, draw: random.Random) -> str:
    key = draw.choice(["curate.sources", "filter.rules", "keys"])
    if key == "keys":  # of mappings: means nothing
        names = list(place.scale)
        draw.shuffle(names)
        place.scale = {name: place.scale[name] for name in names}
    else:
        holder, last = _holder(place.scale, key)
        holder[last].reverse()
    return f"order of {key}"


def _modules(place: SmallRun) -> list[Path]:
    return [path for path in sorted((place.root / "scripts").rglob("*.py")) if path.stat().st_size > 500]


def comment(place: SmallRun, draw: random.Random) -> str:
    path = draw.choice(_modules(place))
    path.write_text(f"# {draw.random()}\n{path.read_text()}\n\n# {draw.random()}\n")
    return f"comment in {path.name}"


def body(place: SmallRun, draw: random.Random) -> str:
    """Put a statement without effect into a function."""
    path = draw.choice(_modules(place))
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and len(node.body) > 1]
    if not functions:
        return comment(place, draw)
    chosen = draw.choice(functions)
    first = chosen.body[1]
    lines = path.read_text().splitlines()
    lines.insert(first.lineno - 1, f"{' ' * first.col_offset}_ = {draw.randrange(10**6)}")
    path.write_text("\n".join(lines) + "\n")
    ast.parse(path.read_text())
    return f"statement in {path.relative_to(place.root)}:{chosen.name}"


def environment(place: SmallRun, draw: random.Random) -> str:
    path = place.root / "envs" / draw.choice(["data.yaml", "torch.yaml"])
    if draw.random() < 0.5:
        path.write_text(f"# {draw.random()}\n{path.read_text()}")
        return f"comment in {path.name}"
    text, count = re.subn(r"pydantic==[\d.]+", f"pydantic==2.{draw.randrange(90)}.0", path.read_text())
    assert count == 1
    path.write_text(text)
    return f"pin in {path.name}"


def verdict(place: SmallRun, draw: random.Random) -> str:
    """Let reviewers say something, in a table from outside."""
    path = place.folder / "verdicts.csv"
    place.scale["filter"]["human_verdicts"] = "verdicts.csv"
    ids = sorted(pq.read_table(place.folder / "results/filter/select.parquet", columns=["image_id"])[0].to_pylist())
    before = path.stat() if path.exists() else None
    rows = {name: draw.choice(["keep", "drop"]) for name in draw.sample(ids, 2)}
    path.write_text("image_id,verdict,reviewer\n" + "".join(f"{name},{said},r\n" for name, said in rows.items()))
    if before is not None and draw.random() < 0.5:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as rsync and tar do
        return "verdicts under the old time"
    return "verdicts"


def touch(place: SmallRun, draw: random.Random) -> str:
    folder = draw.choice(["scripts", "rules", "results"])
    for path in sorted((place.folder if folder == "results" else place.root).joinpath(folder).rglob("*")):
        if path.is_file():
            path.touch()
    return f"all of {folder}/ touched"


def lose(place: SmallRun, draw: random.Random) -> str:
    """Remove a result that was asked for: it is put back, or made again where its second name is gone, too."""
    name = draw.choice(["report/index.html", "evaluate/compare_encoders.csv", "shard/write_card.md"])
    (place.folder / "results" / name).unlink()
    if draw.random() < 0.5:
        (place.folder / "records/kept" / name).unlink()
        place.lost.add(f"results/{name}")
    return f"lost {name}"


def nothing(place: SmallRun, draw: random.Random) -> str:
    shutil.rmtree(place.folder / "logs")
    return "nothing but the logs"


EDITS: list[Edit] = [value] * 8 + [swap, order, order, comment, body, body, body, environment]
EDITS += [verdict, verdict, touch, lose, nothing]
