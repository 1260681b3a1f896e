# In:  config (config.yaml, with the scale's file on top)
# Out: PLAN, the checked configuration as the rules see it; `python -m scripts...` works from any working directory
#      grow, by which a rule says that it needs more when a job is repeated

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(workflow.basedir))

from scripts.config import load_config
from scripts.lib.errors import UserError
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import canonical_json
from scripts.lib.seal import seal_run
from scripts.plan import Plan, make_steps_runnable, present, present_csvs, stamp
from scripts.plan.driver import free_dead_lock, name_driver

make_steps_runnable(workflow.basedir)
if freed := free_dead_lock():
    logger.warning(freed)

try:
    PLAN = Plan(load_config(config))
except UserError as error:
    raise WorkflowError(str(error)) from None


# A step takes the place of the shell that starts it. The shell would die of the signal by which SLURM asks a job to end,
# Snakemake would count the step as ended, and it would live on unseen, or be killed while it saves.
shell.prefix("exec ")


def grow(need):
    """Return the resource `need`, as many times as it is the job's attempt: one may have ended for lack of it."""
    return lambda wildcards, attempt: attempt * (need(wildcards) if callable(need) else need)


onstart:
    name_driver()


onsuccess:
    logger.info(seal_run(rules.all.input) or "not sealed: `all` is not complete, or made without records")


wildcard_constraints:
    file=r"[a-z][a-z0-9_]*-\d{3}",
    part=r"[0-9a-f]+",
    detector=r"[a-z][a-z0-9_]*",
    shard=r"\d{5}",
    images=r"[a-z][a-z0-9_]*",
    run=r"[a-z][a-z0-9_]*",
    encoder=r"[a-z][a-z0-9_]*(-untrained|-random|-head)?",
    task=r"[a-z][a-z0-9_]*",
    recipe=r"[a-z][a-z0-9_]*",
    seed=r"\d+",


def shown(path, category, caption, shows, **labels):
    """Mark an output for Snakemake's own report (`snakemake --report run.html`); of several, each shows its own name."""
    if isinstance(path, list):
        return [shown(each, category, caption, f"{shows}: {Path(each).stem}", **labels) for each in path]
    return report(path, caption=f"captions/{caption}.rst", category=category, labels={"shows": shows, **labels})
