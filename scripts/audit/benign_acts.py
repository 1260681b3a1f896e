"""What the self-test does to a run that is no fault: nothing of it may be named."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from scripts.audit.copied_run import CopiedRun
from scripts.audit.run_folder import files_below
from scripts.lib.recipe import canonical_json
from scripts.lib.records import KEPT, LEASES, RECORDS, RESULTS

Act = Callable[[CopiedRun, random.Random], None]


def _result(copy: CopiedRun, draw: random.Random) -> Path:
    return draw.choice(sorted(path for path in files_below(copy.folder / RESULTS) if "/audit/" not in str(path)))


def touched(copy: CopiedRun, draw: random.Random) -> None:
    """Results have the time of this moment."""
    for _ in range(5):
        _result(copy, draw).touch()


def aged(copy: CopiedRun, draw: random.Random) -> None:
    """Results have a time of long ago, as after `tar x` or `rsync -t`."""
    for _ in range(5):
        os.utime(_result(copy, draw), (draw.randrange(10**9), draw.randrange(10**9)))


def rights_changed(copy: CopiedRun, draw: random.Random) -> None:
    """A result is read-only."""
    path = _result(copy, draw)
    path.chmod(0o444)
    copy.later(lambda: path.chmod(0o644))


def moved(copy: CopiedRun, draw: random.Random) -> None:
    """The folder lies elsewhere."""
    before = copy.folder
    after = before.with_name(f"moved {draw.randrange(10**6)} ü")
    before.rename(after)
    copy.folder = after

    def back() -> None:
        after.rename(before)
        copy.folder = before

    copy.later(back)


def cloned(copy: CopiedRun, draw: random.Random) -> None:
    """A copy without links: a result and its second name are two files."""
    before = copy.folder
    after = before.with_name(f"cloned_{draw.randrange(10**6)}")
    shutil.copytree(before, after, copy_function=shutil.copyfile)
    copy.folder = after

    def back() -> None:
        shutil.rmtree(after)
        copy.folder = before

    copy.later(back)


def seen_through_a_link(copy: CopiedRun, draw: random.Random) -> None:
    """The folder is reached through a link."""
    before = copy.folder
    link = before.with_name(f"link_{draw.randrange(10**6)}")
    link.symlink_to(before)
    copy.folder = link

    def back() -> None:
        link.unlink()
        copy.folder = before

    copy.later(back)


def on_another_disk(copy: CopiedRun, draw: random.Random) -> None:
    """A folder of results is a link to another place."""
    place = draw.choice(sorted(path for path in (copy.folder / RESULTS).iterdir() if path.is_dir()))
    away = copy.folder.with_name(f"disk_{draw.randrange(10**6)}")
    place.rename(away)
    place.symlink_to(away)

    def back() -> None:
        place.unlink()
        away.rename(place)

    copy.later(back)


def other_directory(copy: CopiedRun, draw: random.Random) -> None:
    """The audit is started elsewhere, and given a path with dots."""
    before, cwd = copy.folder, Path.cwd()
    inside = draw.choice(sorted(path for path in before.rglob("*") if path.is_dir()))
    os.chdir(inside)
    copy.folder = Path(os.path.relpath(before))

    def back() -> None:
        os.chdir(cwd)
        copy.folder = before

    copy.later(back)


def without_second_names(copy: CopiedRun, draw: random.Random) -> None:
    """The second names are gone: a file system without links, or room that was wanted."""
    kept, away = copy.folder / KEPT, copy.folder.with_name(f"kept_{draw.randrange(10**6)}")
    kept.rename(away)
    copy.later(lambda: away.rename(kept))


def unfinished_file(copy: CopiedRun, draw: random.Random) -> None:
    """A killed job has left its unfinished file."""
    path = _result(copy, draw)
    copy.write(str(path.with_name(f".{path.name}.0123456789ab.part").relative_to(copy.folder)), draw.randbytes(50))


def checkpoint(copy: CopiedRun, draw: random.Random) -> None:
    """A training has left the checkpoint from which it would continue."""
    copy.write(f"{RESULTS}/pretrain/train/other/{draw.choice(['last.ckpt', 'last-1.ckpt'])}", draw.randbytes(50))


def orphaned_lease(copy: CopiedRun, draw: random.Random) -> None:
    """A killed job has left its lease."""
    copy.write(f"{LEASES}/filter/judge/{draw.randrange(100)}.parquet.lease", b"{}")


def earlier_report(copy: CopiedRun, draw: random.Random) -> None:
    """A report of an audit lies there."""
    copy.write(f"{RESULTS}/audit/verify.json", draw.randbytes(20))


def set_aside(copy: CopiedRun, draw: random.Random) -> None:
    """An earlier download was set aside for the next run, as README says."""
    copy.write(f"{RESULTS}/curate/download/{draw.randrange(10)}.tar.before", draw.randbytes(20))


def foreign_folder(copy: CopiedRun, draw: random.Random) -> None:
    """Logs and Snakemake's folder are there."""
    copy.write(".snakemake/metadata/x", draw.randbytes(20))
    copy.write("logs/filter/judge/0.log", draw.randbytes(20))


def records_laid_out(copy: CopiedRun, draw: random.Random) -> None:
    """A record is laid out otherwise: the same JSON in one line."""
    job = draw.choice(sorted(copy.read().jobs))
    copy.write(f"{RECORDS}/{job}.json", canonical_json(copy.record(job)).encode())


def other_circumstances(copy: CopiedRun, draw: random.Random) -> None:
    """A job ran on another machine, at another time."""
    job = draw.choice(sorted(copy.read().jobs))
    record = copy.record(job)
    record["circumstances"] |= {"host": "elsewhere", "started": "2020-01-01T00:00:00.000+00:00", "lock": "f" * 64}
    copy.write_record(job, record, with_identity=True)


def other_key_order(copy: CopiedRun, draw: random.Random) -> None:
    """The configuration names its keys in another order."""

    def turned(word: str) -> str:
        return json.dumps(dict(reversed(json.loads(word).items()))) if word.startswith("{") else word

    before = copy.plan
    copy.plan = [type(job)(**{**vars(job), "argv": tuple(turned(word) for word in job.argv)}) for job in before]
    draw.shuffle(copy.plan)
    copy.later(lambda: setattr(copy, "plan", before))


def other_resources(copy: CopiedRun, draw: random.Random) -> None:
    """Jobs are given another number of threads."""
    before = copy.plan
    copy.plan = [
        type(job)(**{**vars(job), "argv": (*job.argv, "--threads", str(draw.randrange(1, 64)))}) for job in before
    ]
    copy.later(lambda: setattr(copy, "plan", before))


def _edit(copy: CopiedRun, draw: random.Random, edit: Callable[[str], str]) -> None:
    root = copy.edited_checkout(copy.folder.parent / f"code_{draw.randrange(10**9)}")
    for place in draw.sample(sorted((root / "scripts").rglob("*.py")), 12):
        place.write_text(edit(place.read_text(encoding="utf-8")), encoding="utf-8")


def commented(copy: CopiedRun, draw: random.Random) -> None:
    """Modules have one more comment."""
    _edit(copy, draw, lambda text: text + "\n# A comment.\n")


def laid_out_code(copy: CopiedRun, draw: random.Random) -> None:
    """Modules have more blank lines, and a docstring at their end."""
    _edit(copy, draw, lambda text: text.replace("\ndef ", "\n\n\ndef ") + '\n"""A text that does nothing."""\n')


def touched_code(copy: CopiedRun, draw: random.Random) -> None:
    """Modules have the time of this moment, as after `git checkout`."""
    _edit(copy, draw, lambda text: text)


def commented_pins(copy: CopiedRun, draw: random.Random) -> None:
    """The environments have one more comment."""
    root = copy.edited_checkout(copy.folder.parent / f"code_{draw.randrange(10**9)}")
    for place in (root / "envs").glob("*.yaml"):
        place.write_text("# A comment.\n" + place.read_text(encoding="utf-8"), encoding="utf-8")


def tool_beside(copy: CopiedRun, draw: random.Random) -> None:
    """The checkout has a module that no step uses."""
    root = copy.edited_checkout(copy.folder.parent / f"code_{draw.randrange(10**9)}")
    (root / "scripts/lib/beside.py").write_text("VALUE = 1\n", encoding="utf-8")


ACTS: tuple[Act, ...] = (
    touched, aged, rights_changed, moved, cloned, seen_through_a_link, on_another_disk, other_directory,
    without_second_names, unfinished_file, checkpoint, orphaned_lease, earlier_report, set_aside, foreign_folder,
    records_laid_out, other_circumstances, other_key_order, other_resources, commented, laid_out_code, touched_code,
    commented_pins, tool_beside,
)  # fmt: skip
CHEAP_ACTS = tuple(
    act for act in ACTS if act not in (commented, laid_out_code, touched_code, commented_pins, tool_beside)
)
