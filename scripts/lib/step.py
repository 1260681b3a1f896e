"""What every step's `main` shares: flags, log lines and how errors leave the process."""

from __future__ import annotations

import argparse
import logging
import sys
import textwrap
from collections.abc import Callable, Sequence

from scripts.lib.errors import UserError


def step_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose description is the first paragraph of the step's docstring."""
    summary = (description or "").strip().split("\n\n")[0]
    return argparse.ArgumentParser(description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter)


def run_step(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run `main(None)` as a process: log lines with time on stderr, a `UserError` as one paragraph and status 1."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    try:
        main(None)
    except UserError as error:
        sys.stderr.write("\n" + textwrap.fill(f"ERROR: {error}", width=110, break_long_words=False) + "\n")
        raise SystemExit(1) from None
