"""What every step's `main` shares: flags, log lines and how errors leave the process."""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

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
    """Show why the process ends: on stderr and in the log files."""
    sys.stderr.write(text)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            with open(handler.baseFilename, "a", encoding="utf-8") as log:
                log.write(text)


def run_step(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run `main(None)` as a process: log lines with time on stderr, a `UserError` as one paragraph and status 1."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LINE, datefmt=TIME)
    try:
        main(None)
    except UserError as error:
        _end("\n" + textwrap.fill(f"ERROR: {error}", width=110, break_long_words=False) + "\n")
        raise SystemExit(1) from None
    except Exception:  # noqa: BLE001 (a defect of ours: its reader needs the traceback)
        _end(traceback.format_exc())
        raise SystemExit(1) from None
