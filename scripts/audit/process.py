"""How an audit's command ends: its status is that of its findings, and 3 when it failed itself."""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.audit.findings import FAILED, REPORTS
from scripts.lib.errors import UserError


def audit_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags of every command: where the run lies, and where the report goes."""
    summary = (description or "").strip().split("\n\n")[0]
    parser = argparse.ArgumentParser(description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path(), help="folder with results/ and records/")
    parser.add_argument("--report", type=Path, default=REPORTS, help="folder for the report")
    parser.add_argument("--code", default="", help="fingerprint of this command, as the workflow knows it")
    return parser


def run_audit(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run `main(None)` as a process and end with the status that it returns.

    A status below 3 is a verdict, so nothing else may end with one: a mistake of the user or of ours ends with 3.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        code = main(None)
    except UserError as error:
        sys.stderr.write("\n" + textwrap.fill(f"ERROR: {error}", width=110, break_long_words=False) + "\n")
        code = FAILED
    except Exception:  # noqa: BLE001 (a defect of ours: its reader needs the traceback, and the status has to say so)
        traceback.print_exc()
        code = FAILED
    raise SystemExit(code)
