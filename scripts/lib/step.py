"""What every step's `main` shares: flags, log lines and how errors leave the process."""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import logging
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.lib.disk import disk_problem
from scripts.lib.errors import UserError

LINE, TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"


_running: dict[str, Any] = {}  # the job of this process, where it is the process of a step


class StepParser(argparse.ArgumentParser):
    """A parser that tells the job of this process what its flags are (`scripts/lib/flags.py`)."""

    asks_outside = False

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and begin the job: it ends the process here when its results are there already."""
        given = super().parse_args(args, namespace)
        if job := _running.get("job"):
            job.begin(self, given, asks_outside=self.asks_outside)
        return given


def step_parser(description: str | None, *, asks_outside: bool = False) -> StepParser:
    """Return a parser whose description is the first paragraph of the step's docstring.

    `asks_outside`: the step's result depends on what no flag holds, such as a server or the files in a folder, so it is
    computed whenever it is asked for.
    """
    summary = (description or "").strip().split("\n\n")[0]
    parser = StepParser(description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.asks_outside = asks_outside
    parser.add_argument("--code", default="", help="fingerprint of the step's code, as the workflow knows it")
    return parser


def log_to_file(path: Path) -> None:
    """Write log lines, and the error that ends the process, to a file as well: for steps that keep the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter(LINE, TIME))
    logging.getLogger().addHandler(handler)


def _end(text: str) -> None:
    """Show why the process ends: on stderr and in the log files, as far as these can still be written."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            with suppress(OSError), open(handler.baseFilename, "a", encoding="utf-8") as log:
                log.write(text)


def _paragraph(text: str) -> str:
    return "\n" + textwrap.fill(f"ERROR: {text}", width=110, break_long_words=False) + "\n"


class _WithoutPandas(importlib.abc.MetaPathFinder):
    """An import finder that knows that there is no pandas."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Refuse pandas, and leave all else to the other finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not loaded in this process, see scripts.lib.step.spare_pandas")


def spare_pandas() -> None:
    """Let this process do without pandas: pyarrow loads it only to see whether a list holds something of pandas'.

    It saves a quarter of a CPU-second of each process, which counts where a step is short. For a step's own process
    only, before `run_step`: a later `import pandas` fails.
    """
    sys.meta_path.insert(0, _WithoutPandas())


def _step_name() -> str:
    """Return the step that this process runs, e.g. filter.judge."""
    found = getattr(sys.modules["__main__"], "__spec__", None)
    return str(found.name if found is not None else sys.argv[0]).removeprefix("scripts.")


def run_step(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run `main(None)` as a process: log lines with time on stderr; on an error, status 1.

    The process is a job then (`scripts/lib/job.py`): it has a lease, is spared what is there already, leaves a record.
    A `UserError` and what the disk is to blame for are shown as one paragraph, a defect of ours with its traceback.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LINE, datefmt=TIME)
    # By name: how jobs are recorded is no part of what they compute, and an edit there must not train anything again.
    job = _running["job"] = importlib.import_module("scripts.lib.job").Job(_step_name())
    try:
        with job.held:
            main(None)
            job.finish()
    except UserError as error:
        _end(_paragraph(str(error)))
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001 (the disk, or a defect of ours: its reader needs the traceback)
        problem = disk_problem(error)
        _end(_paragraph(problem) if problem else traceback.format_exc())
        raise SystemExit(1) from None
