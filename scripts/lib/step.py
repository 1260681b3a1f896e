"""What every step's `main` shares: flags, log lines and how errors leave the process."""

from __future__ import annotations

import argparse
import importlib.abc
import logging
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from scripts.lib.disk import disk_problem
from scripts.lib.errors import UserError

LINE, TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"


def step_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose description is the first paragraph of the step's docstring."""
    summary = (description or "").strip().split("\n\n")[0]
    return argparse.ArgumentParser(description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter)


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


def run_step(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run `main(None)` as a process: log lines with time on stderr; on an error, status 1.

    A `UserError` and what the disk is to blame for are shown as one paragraph, a defect of ours with its traceback.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LINE, datefmt=TIME)
    try:
        main(None)
    except UserError as error:
        _end(_paragraph(str(error)))
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001 (the disk, or a defect of ours: its reader needs the traceback)
        problem = disk_problem(error)
        _end(_paragraph(problem) if problem else traceback.format_exc())
        raise SystemExit(1) from None
