"""What the curves of a run say, in words: does it learn, did it collapse, in which way, and what the authors advise.

Pure: columns of metrics.csv and monitor.csv in, sentences out. Measures that a collapse cannot pass:

- the loss, against that of an encoder that gives every image the same features (`reference_loss`);
- the information in assignments or teacher outputs: 0 when all images have the same, whether one output takes them all
  (a collapse whose loss is far below the line) or all outputs are alike;
- the deviation of the features, 1 when they fill the sphere and 0 when all images have the same;
- RankMe, and kNN accuracy against the encoder before its first step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.pretrain.advice import advice_against_collapse
from scripts.pretrain.settings import RunBase
from scripts.pretrain.settings_multicrop import DinoRun, SwavRun

GOOD, WATCH, BAD = "good", "watch", "bad"  # from best to worst
LEVELS = (GOOD, WATCH, BAD)

FINAL_SHARE = 0.05  # of all rows, over which the last value is the mean
# A loss within this share of the reference line is called "at" it. A run that learns leaves it by more within an epoch.
AT_LINE = 0.02
SAME_FEATURES, SIMILAR_FEATURES = 0.05, 0.15  # deviations below which they are called so
NO_INFORMATION = 0.02  # of what the batch could hold
EXTREME_ENTROPY = 0.05  # of ln k, the distance from 0 or ln k that counts as there
FEW_DIRECTIONS = 0.01  # of the dimensions
LEAST_DIRECTIONS = 2.0
LOST_DIRECTIONS = 0.8  # of those before the first step
STANDARD_ERRORS = 2.0

Columns = Mapping[str, Sequence[float]]
Values = npt.NDArray[np.float64]


class Finding(NamedTuple):
    """One sentence on a run."""

    level: str  # of LEVELS
    text: str
    advice: str = ""


def final_value(values: Sequence[float] | Values) -> float:
    """Return the mean of the last rows, NaN when one of them is not finite."""
    rows = np.asarray(values, dtype=np.float64)
    return float(np.mean(rows[-max(1, round(FINAL_SHARE * len(rows))) :]))


def diagnose(run: RunBase, metrics: Columns, monitor: Columns) -> list[Finding]:
    """Return what there is to say, the worst first; at least one sentence.

    Args:
        run: its settings.
        metrics: column → values of metrics.csv so far, at least one row.
        monitor: the same of monitor.csv, perhaps without rows.
    """
    collapse = [*_outputs(run, metrics), *_features(run, metrics)]
    found = [*_loss(run, metrics, bool(collapse)), *collapse, *_directions(monitor), *_neighbours(monitor)]
    found.sort(key=lambda finding: -LEVELS.index(finding.level))
    said: set[str] = set()  # the same advice helps against several findings, and is given with the first
    for place, finding in enumerate(found):
        if finding.advice in said:
            found[place] = finding._replace(advice="")
        said.add(finding.advice)
    return found


def worst(findings: Sequence[Finding]) -> str:
    """Return the level of the worst finding."""
    return max((finding.level for finding in findings), key=LEVELS.index, default=GOOD)


def epochs_at_line(loss: Values, epoch: Values, line: float) -> int:
    """Return how many of the last epochs, one after the other, have a mean loss at the line."""
    means = [float(np.mean(loss[epoch == number])) for number in np.unique(epoch)]
    away = [place for place, mean in enumerate(means) if not abs(mean - line) <= AT_LINE * line]
    return len(means) - 1 - away[-1] if away else len(means)


def _loss(run: RunBase, metrics: Columns, collapsed: bool) -> list[Finding]:
    loss, epoch = np.asarray(metrics["loss"], dtype=np.float64), np.asarray(metrics["epoch"], dtype=np.float64)
    if not np.isfinite(loss).all():
        first = int(np.argmin(np.isfinite(loss))) + 1
        text = f"The loss stops being a finite number in row {first} of {len(loss)}: the run diverged."
        return [Finding(BAD, text, "Lower learning_rate, or use precision bf16 or fp32.")]
    final, line = final_value(loss), run.reference_loss
    name = f"{line.formula.partition(',')[0]} = {line.value:.3f}"
    margin = line.value - final
    if margin > AT_LINE * line.value:
        learns = f"The loss is {final:.3f}, {margin:.3f} below {name}"
        if collapsed:  # what makes the targets trivial makes the loss small
            return [Finding(WATCH, f"{learns}, which proves nothing here: see the other findings.")]
        return [Finding(GOOD, f"{learns}: it learns to tell images apart.")]
    advice = advice_against_collapse(run)
    if margin >= -AT_LINE * line.value:
        count, total = epochs_at_line(loss, epoch, line.value), len(np.unique(epoch))
        since = f" for the last {count} of {total} epochs" if count > 1 else ""
        text = f"The loss is {final:.3f}, stuck at {name}{since}: collapsed, or not learning."
        return [Finding(BAD, text, advice)]
    text = f"The loss is {final:.3f}, {-margin:.3f} above {name}: worse than guessing, the run goes wrong."
    return [Finding(BAD, text, advice)]


def _outputs(run: RunBase, metrics: Columns) -> list[Finding]:
    """Return what assignments (SwAV) or teacher outputs (DINO) say when all images have the same."""
    if isinstance(run, SwavRun):
        name, plural, whose, outputs = "assignment", "assignments", "prototype", run.prototypes
    elif isinstance(run, DinoRun):
        name, plural, whose, outputs = "teacher", "the teacher's outputs", "output of the teacher", run.output_dim
    else:
        return []
    if f"{name}_information" not in metrics:
        return []
    entropy, known = final_value(metrics[f"{name}_entropy"]), final_value(metrics[f"{name}_information"])
    most = math.log(min(outputs, run.batch_size))
    if known > NO_INFORMATION * most:
        return []
    highest = math.log(outputs)
    if entropy < EXTREME_ENTROPY * highest:
        what = f"one {whose} takes every image (entropy {entropy:.2f} of at most {highest:.2f})"
    elif entropy > (1 - EXTREME_ENTROPY) * highest:
        what = f"every image belongs equally to every {whose} (entropy {entropy:.2f} of at most {highest:.2f}: uniform)"
    else:
        what = f"every image has the same mixture of them (entropy {entropy:.2f} of at most {highest:.2f})"
    text = f"Collapsed: {what}; {plural} tell {max(known, 0.0):.3f} nats about an image, where {most:.2f} are possible."
    return [Finding(BAD, text, advice_against_collapse(run))]


def _features(run: RunBase, metrics: Columns) -> list[Finding]:
    if "feature_std" not in metrics:
        return []
    spread = final_value(metrics["feature_std"])
    scale = f"(feature deviation {spread:.3f}; 1 = they fill the sphere, 0 = one point)"
    if spread < SAME_FEATURES:
        return [Finding(BAD, f"All images get nearly the same features {scale}.", advice_against_collapse(run))]
    if spread < SIMILAR_FEATURES:
        return [Finding(WATCH, f"All images get similar features {scale}.", advice_against_collapse(run))]
    return []


def _directions(monitor: Columns) -> list[Finding]:
    if not monitor.get("rank_me"):
        return []
    first, last = monitor["rank_me"][0], monitor["rank_me"][-1]
    most = int(min(monitor["dimensions"][-1], monitor["images"][-1]))
    text = f"RankMe is {last:.1f} of {most}"
    if last < max(LEAST_DIRECTIONS, FEW_DIRECTIONS * most):
        return [Finding(BAD, f"{text}: the features vary in hardly any direction.")]
    if len(monitor["rank_me"]) < 2:
        return []
    if last < LOST_DIRECTIONS * first:
        text += f", {first:.1f} before the first step: the features lost directions."
        return [Finding(WATCH, text)]
    return [Finding(GOOD, f"{text}, {first:.1f} before the first step.")]


def _neighbours(monitor: Columns) -> list[Finding]:
    """Return how kNN accuracy compares with the untrained encoder's, which is far above chance."""
    values = [value for value in monitor.get("knn", ()) if not math.isnan(value)]
    if len(values) < 2:
        return []
    first, last, best = values[0], values[-1], max(values[1:])
    images = monitor["images"][-1]
    doubt = STANDARD_ERRORS * math.hypot(*(_standard_error(value, images) for value in (first, last)))
    text = f"kNN accuracy is {last:.1f} %, the untrained encoder's {first:.1f} %, chance {monitor['chance'][-1]:.1f} %"
    if last < first - doubt:
        advice = (
            "Look at views.png: do the views of an image show the same thing? Lower learning_rate, or train longer."
        )
        return [Finding(BAD, f"{text}: training made the features worse.", advice)]
    if last <= first + doubt:
        return [Finding(WATCH, f"{text}: no better, within {doubt:.1f} points of doubt ({images:.0f} images).")]
    if last < best - STANDARD_ERRORS * math.hypot(*(_standard_error(value, images) for value in (best, last))):
        return [Finding(WATCH, f"{text}; it was {best:.1f} % and fell.")]
    return [Finding(GOOD, f"{text}.")]


def _standard_error(percent: float, images: float) -> float:
    share = percent / 100
    return 100 * math.sqrt(max(share * (1 - share), 0.0) / images)
