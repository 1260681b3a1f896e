"""What an encoder is shown of a task's pictures: its own size, or the task's, never silently another than its own."""

from __future__ import annotations

import logging
from typing import Any

from scripts.evaluate.settings import Preprocess
from scripts.evaluate.settings_tasks import Task
from scripts.lib.errors import UserError

log = logging.getLogger(__name__)

INTERPOLATIONS = ("bilinear", "bicubic")


def interpolation_of(description: dict[str, Any]) -> str:
    """Return how pictures are resized for an encoder; bilinear where its file does not say.

    Raises:
        UserError: the file names another way.
    """
    found = description.get("interpolation", INTERPOLATIONS[0])
    if found not in INTERPOLATIONS:
        raise UserError(
            f"the description of the encoder has the interpolation {found!r}; {' and '.join(INTERPOLATIONS)} are known"
        )
    return str(found)


def size_of(description: dict[str, Any], key: str) -> int | None:
    """Return a size in pixels that an encoder's file says, None where it does not.

    Raises:
        UserError: it is no size.
    """
    found = description.get(key)
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and found > 0):
        return found
    raise UserError(f"the description of the encoder has {key} {found!r}, which is no number of pixels")


def as_shown(task: Task, preprocess: Preprocess, description: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
    """Return a task with the sizes at which the encoder is shown it, and what results say of them.

    `encoder`: its input size and, where its file says it, the short side that this is cut from; else the margin is the
    task's. `task`: the task's sizes. Where the two crops differ this is logged, and a fact of each row of results: the
    size that was not taken.
    """
    own, resize = size_of(description, "image_size"), size_of(description, "resize")
    interpolation = interpolation_of(description)
    noted: dict[str, Any] = {} if interpolation == INTERPOLATIONS[0] else {"interpolation": interpolation}
    if own is None:
        log.warning("the encoder's file does not say its input size; it is shown the task's %d pixels", task.crop)
        return task, noted
    if preprocess == "task":
        if own != task.crop:
            log.warning(
                "the encoder takes pictures of %d pixels and is shown %d, as the task %s and evaluate.preprocess say",
                *(own, task.crop, task.name),
            )
            noted["encoder_image_size"] = own
        return task, noted
    if own != task.crop:
        log.warning(
            "the task %s asks for pictures of %d pixels, and the encoder is shown its own %d (evaluate.preprocess)",
            *(task.name, task.crop, own),
        )
        noted["task_crop"] = task.crop
    sizes = {"crop": own, "resize": max(own, resize or round(own * task.resize / task.crop))}
    return task.model_copy(update=sizes), noted
