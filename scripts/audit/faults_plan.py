"""Faults in code and configuration: what is there is not what today's checkout would make. See `faults.py`."""

from __future__ import annotations

import ast
import json
import random
from dataclasses import replace
from itertools import pairwise

from scripts.audit import code_drift, configuration
from scripts.audit.copied_run import CopiedRun
from scripts.audit.faults import Expected, Fault
from scripts.audit.run_folder import subject
from scripts.lib.records import RESULTS


def edited_code(copy: CopiedRun, draw: random.Random) -> Expected:
    """A function of a step has one more statement."""
    run = copy.read()
    step = draw.choice(sorted({record["step"] for record in run.jobs.values()}))
    path = f"scripts/{step.replace('.', '/')}.py"
    place = copy.edited_checkout(copy.folder.parent / f"code_{draw.randrange(10**9)}") / path
    lines = place.read_text(encoding="utf-8").splitlines(keepends=True)
    functions = [node for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.FunctionDef)]
    last = draw.choice([each for each in functions if each.body[-1].lineno > each.lineno]).body[-1]
    lines.insert(last.lineno - 1, f"{' ' * last.col_offset}planted = {draw.randrange(100)}\n")
    place.write_text("".join(lines), encoding="utf-8")
    return Expected((code_drift.CHECK,), tuple(subject(job) for job, _ in run.of_step(step)), path)


def edited_pins(copy: CopiedRun, draw: random.Random) -> Expected:
    """An environment asks for one more package."""
    run = copy.read()
    job = draw.choice(sorted(run.jobs))
    name = run.jobs[job]["code"]["environment"].split(":")[1]
    root = copy.edited_checkout(copy.folder.parent / f"code_{draw.randrange(10**9)}")
    place = root / "envs" / f"{name}.yaml"
    place.write_text(place.read_text(encoding="utf-8") + f"planted: {draw.randrange(100)}\n", encoding="utf-8")
    return Expected((code_drift.CHECK,), (subject(job),), "envs/")


def _replan(copy: CopiedRun, index: int, *words: tuple[str, str]) -> None:
    before = copy.plan
    argv = list(before[index].argv)
    for old, new in words:
        argv = [new if word == old else word for word in argv]
    copy.plan = [*before[:index], replace(before[index], argv=tuple(argv)), *before[index + 1 :]]
    copy.later(lambda: setattr(copy, "plan", before))


def _leaves(value: object, kind: type) -> list[list[str | int]]:
    """Return the paths of all values of a kind in a piece of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [[key, *path] for key, item in items for path in _leaves(item, kind)]
    return [*found, []] if type(value) is kind else found


def _place(copy: CopiedRun, index: int) -> str:
    return subject(copy.read().makers[copy.plan[index].outputs[0].removeprefix(f"{RESULTS}/")])


def _recipes(copy: CopiedRun) -> list[tuple[int, str]]:
    return [(i, word) for i, job in enumerate(copy.plan) for word in job.argv if word.startswith("{")]


def other_setting(copy: CopiedRun, draw: random.Random) -> Expected:
    """The configuration has another number."""
    options = [(i, word, path) for i, word in _recipes(copy) for path in _leaves(json.loads(word), float)]
    index, word, path = draw.choice(options)
    recipe = json.loads(word)
    at = recipe
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] += 0.015625
    _replan(copy, index, (word, json.dumps(recipe)))
    return Expected((configuration.CHECK,), (_place(copy, index),), str(path[-1]))


def swapped_settings(copy: CopiedRun, draw: random.Random) -> Expected:
    """Two numbers of one mapping in the configuration have changed places."""
    options = []
    for index, word in _recipes(copy):
        for path in _leaves(json.loads(word), dict):
            at = json.loads(word)
            for key in path:
                at = at[key]
            numbers = sorted(key for key, value in at.items() if type(value) in (int, float))
            options += [(index, word, path, a, b) for a in numbers for b in numbers if a < b and at[a] != at[b]]
    index, word, path, one, other = draw.choice(options)
    recipe = json.loads(word)
    at = recipe
    for key in path:
        at = at[key]
    at[one], at[other] = at[other], at[one]
    _replan(copy, index, (word, json.dumps(recipe)))
    return Expected((configuration.CHECK,), (_place(copy, index),), one)


def other_order(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """The rules name the inputs of a job in another order."""
    run = copy.read()
    options = []
    for index, job in enumerate(copy.plan):
        record = run.jobs[run.makers[job.outputs[0].removeprefix(f"{RESULTS}/")]]
        for flag in {each["flag"] for each in record["inputs"]}:
            paths = [each["path"] for each in record["inputs"] if each["flag"] == flag]
            options += [(index, *pair) for pair in pairwise(paths)]
    if not options:
        return None
    index, one, other = draw.choice(sorted(options))
    _replan(copy, index, (one, "\0"), (other, one), ("\0", other))
    return Expected((configuration.CHECK,), (_place(copy, index),), "another order")


def job_more(copy: CopiedRun, draw: random.Random) -> Expected:
    """The configuration asks for a job that was not made."""
    job = draw.choice(copy.plan)
    outputs = tuple(path.replace(".", ".planted.", 1) for path in job.outputs)
    before = copy.plan
    copy.plan = [*before, replace(job, outputs=outputs)]
    copy.later(lambda: setattr(copy, "plan", before))
    return Expected((configuration.CHECK,), (outputs[0],), "not finished")


def job_less(copy: CopiedRun, draw: random.Random) -> Expected:
    """The configuration asks no more for a job that was made."""
    index = draw.randrange(len(copy.plan))
    place, before = _place(copy, index), copy.plan
    copy.plan = [*before[:index], *before[index + 1 :]]
    copy.later(lambda: setattr(copy, "plan", before))
    return Expected((configuration.CHECK,), (place,), "leftover")


PLAN_FAULTS: tuple[Fault, ...] = (
    edited_code, edited_pins, other_setting, swapped_settings, other_order, job_more, job_less,
)  # fmt: skip
