"""The sentences of the page that depend on what came out: the summary, the limits, the way back to the tables."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.lib.accounting import Account
from scripts.lib.human_figures import leak_sentence
from scripts.lib.reasons import FilterReason
from scripts.report.number_text import count, noun, of, share, signed
from scripts.report.people_looked import PeopleLooked, looked_limits, waiting_sentence
from scripts.report.published import COMPARED_TASKS
from scripts.report.result_table import Score
from scripts.report.selection_statistics import Statistics
from scripts.report.settings import WriteReportSettings

# First word of a metric → what it measures of a network that was trained on as a whole.
TRANSFER_TASKS = {
    "box": "detection",
    "mask": "instance segmentation",
    "keypoint": "key points",
    "miou": "semantic segmentation",
}
TRACES = (
    ("Funnel, accounting line, reasons", "results/report/funnel.json"),
    ("Metadata rows turned away, one by one", "results/curate/select_candidates/<file>.rejected.parquet"),
    ("Verdict and evidence for each image", "results/filter/select.parquet"),
    ("Scores and boxes behind a verdict", "results/filter/detect_faces/<detector>/<part>.parquet, detect_people/…"),
    ("Reviewers' verdicts, their agreement", "results/filter/gather_human_verdicts.csv, gather_human_verdicts.json"),
    ("Leak rate, its sample", "results/filter/measure_leak_rate.json, draw_audit_sample.parquet"),
    ("Selection in numbers", "results/filter/select.parquet, the rows with keep = true"),
    ("Where images were taken", "results/filter/select.parquet, results/report/draw_positions.png"),
    ("Attribution of each kept image", "results/shard/write_metadata/metadata.parquet"),
    ("Pictures", "results/report/draw_contact_sheets/<reason>.png"),
    ("Clusters of duplicates, one by one", "results/report/draw_duplicates/clusters.csv"),
    (
        "Training curves, what they say",
        "results/pretrain/train/<run>/metrics.csv, monitor.csv, diagnose_run/<run>.json",
    ),
    ("Results", "results/evaluate/collect_results.csv"),
    ("Maps of test images", "results/evaluate/draw_embedding/<encoder>/<task>.png"),
)


def key_figures(funnel: Account, statistics: Statistics, settings: WriteReportSettings) -> list[tuple[str, str]]:
    """Return the four numbers at the top."""
    return [
        (count(funnel["read"]), "rows read"),
        (count(funnel["kept"]), f"images kept ({share(funnel['kept'], funnel['read'])})"),
        (count(statistics.photographers), noun("photographer", statistics.photographers)),
        (count(len(settings.runs)), "encoders trained" if len(settings.runs) != 1 else "encoder trained"),
    ]


def five_lines(
    funnel: Account,
    statistics: Statistics,
    settings: WriteReportSettings,
    scores: Sequence[Score],
    looked: PeopleLooked,
) -> list[tuple[str, str]]:
    """Return what was asked and what came out."""
    return [
        ("Asked", _asked(settings)),
        ("Kept", _kept(funnel, statistics)),
        ("People", f"{_people(funnel)} {waiting_sentence(funnel)} {leak_sentence(looked.leak)}"),
        ("Trained", _trained(settings)),
        ("Learnt", _learnt(scores, settings)),
    ]


def _asked(settings: WriteReportSettings) -> str:
    faces = [str(item["name"]) for item in settings.detectors if item["target"] == "face"]
    people = [str(item["name"]) for item in settings.detectors if item["target"] == "person"]
    return (
        "Photographs under an allowed licence, with a creator to credit, in which neither "
        f"{_both(faces)} finds a face nor {_both(people)} a person."
    )


def _both(names: Sequence[str]) -> str:
    return " nor ".join(names) if names else "any detector"


def _kept(funnel: Account, statistics: Statistics) -> str:
    if not funnel["kept"]:
        return f"None of {count(funnel['read'])} rows."
    licences = ", ".join(entry.name for entry in statistics.licences)
    lost = max(funnel["rejected"].items(), key=lambda item: item[1], default=("nothing", 0))
    return (
        f"{count(funnel['kept'])} of {count(funnel['read'])} rows, by {of('photographer', statistics.photographers)}, "
        f"under {licences}. The most frequent reason against a row is {lost[0].replace('_', ' ')} ({count(lost[1])})."
    )


def _people(funnel: Account) -> str:
    face, person = (funnel["rejected"].get(reason, 0) for reason in (FilterReason.FACE, FilterReason.PERSON))
    human, waiting, tagged = (
        funnel["rejected"].get(reason, 0)
        for reason in (FilterReason.HUMAN_VERDICT, FilterReason.AWAITS_REVIEW, FilterReason.TAGGED_PERSON)
    )
    text = f"{of('image', face)} dropped for a face and {count(person)} more for a person"
    text += f"; {count(tagged)} because their own metadata tag one" if tagged else ""
    text += f"; {count(human)} by reviewers" if human else "; none by a reviewer"
    return text + (f"; {count(waiting)} are left out until a reviewer has looked at them." if waiting else ".")


def _trained(settings: WriteReportSettings) -> str:
    if not settings.runs:
        return "Nothing: no run is configured."
    return "; ".join(f"{run['name']}: {run['encoder']}, {run['epochs']} epochs" for run in settings.runs) + "."


def _learnt(scores: Sequence[Score], settings: WriteReportSettings) -> str:
    elsewhere = {each["name"] for each in settings.strangers}
    scores = [score for score in scores if score.run not in elsewhere]
    # The effective rank is a number of directions, not per cent.
    shares = [score for score in scores if score.leads and score.metric != "effective_rank"]
    differences = [score.difference for score in shares if score.difference is not None]
    if not scores:
        return "Not measured: no encoder was evaluated."
    if not differences:
        return "Not comparable: untrained encoders were not evaluated."
    better = sum(difference > 0 for difference in differences)
    return (
        f"Better than the untrained encoder in {better} of {of('comparison', len(differences))}; differences from "
        f"{signed(min(differences), 1)} to {signed(max(differences), 1)} points."
    )


def limits(settings: WriteReportSettings, scores: Sequence[Score], looked: PeopleLooked) -> list[str]:
    """Return what a reader must not take from the page."""
    found = []
    if any(item["demo_grade"] for item in settings.detectors):
        found.append("Detectors fit to clear a dataset were not run: at least one is demo-grade.")
    found += looked_limits(looked)
    found += [
        "Licence plates, signatures, handwriting and disturbing content: nothing here looks for them.",
        "Whether a licence is true. It is taken from the metadata as the photographer's site gave it.",
    ]
    tasks = {score.task for score in scores}
    if missing := [task for task in COMPARED_TASKS if task not in tasks]:
        found.append(f"The tasks of the published figures that were not run here: {', '.join(missing)}.")
    if settings.runs:
        found.append("Spread over repeated pretraining: each run was trained from one seed.")
    metrics = {score.metric.partition("_")[0] for score in scores}
    whole = any(score.protocol in settings.finetuned for score in scores)
    found += [] if whole else ["Fine-tuning of whole networks: only frozen encoders are measured."]
    missing = [task for metric, task in TRANSFER_TASKS.items() if metric not in metrics]
    found += [f"Transfer to {', '.join(missing)}."] if missing else []
    return found
