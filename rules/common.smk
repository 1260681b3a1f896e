# In:  config (config.yaml, with the scale's file on top)
# Out: PLAN, the checked configuration as the rules see it; `python -m scripts...` works from any working directory

import os
import sys

# Steps run as `python -m scripts.<stage>.<step>` with this interpreter, whatever the working directory is
# (`--directory`) and wherever the job lands. An activated conda environment comes first in PATH and so wins.
sys.path.insert(0, str(workflow.basedir))
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([str(workflow.basedir), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
).rstrip(os.pathsep)
os.environ["PATH"] = os.pathsep.join(
    dict.fromkeys([os.path.dirname(sys.executable), *os.environ["PATH"].split(os.pathsep)])
)

from snakemake.exceptions import WorkflowError

from scripts.config import load_config
from scripts.lib.errors import UserError
from scripts.lib.reasons import FilterReason
from scripts.plan import Plan, present

try:
    PLAN = Plan(load_config(config))
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    file=r"[a-z][a-z0-9_]*-\d{3}",
    part=r"[0-9a-f]+",
    detector=r"[a-z][a-z0-9_]*",
    shard=r"\d{5}",
    run=r"[a-z][a-z0-9_]*",
    encoder=r"[a-z][a-z0-9_]*(-untrained)?",
    task=r"[a-z][a-z0-9_]*",
