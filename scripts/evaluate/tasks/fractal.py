"""A labelled set that needs no data: each iterated function system is a class, its views are the images."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.evaluate.items import TEST, TRAIN, Item, named_paths
from scripts.evaluate.settings_tasks import FractalTask
from scripts.lib.fractals import render_fractal
from scripts.lib.images import Pixels


def list_items(task: FractalTask, paths: Sequence[str]) -> list[Item]:
    """Return `<system>/<view>` for each class; the test views are those after the train views, so none is in both."""
    named_paths(task, paths)
    views = task.train_per_class + task.test_per_class
    system_digits, view_digits = len(str(task.classes - 1)), len(str(views - 1))
    items = []
    for system in range(task.classes):
        class_name = f"{system:0{system_digits}}"
        for view in range(views):
            split = TRAIN if view < task.train_per_class else TEST
            items.append(Item(split, f"{class_name}/{view:0{view_digits}}", class_name, -1, 0))
    return items


class _FractalReader:
    def __init__(self, task: FractalTask) -> None:
        self._task = task

    def read(self, item: Item) -> Pixels:
        """Render the image."""
        system, view = map(int, item.name.split("/"))
        task = self._task
        return render_fractal(task.fractal_seed, system, view, task.image_size, task.iterations)


def open_reader(task: FractalTask, paths: Sequence[str]) -> _FractalReader:
    """Return a renderer of the listed views."""
    named_paths(task, paths)
    return _FractalReader(task)
