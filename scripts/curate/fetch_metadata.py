"""Bring one metadata file of a source from the web, checked.

The bytes are kept as they come; `select_candidates` recognises compression and layout by content.
"""

from __future__ import annotations

from collections.abc import Sequence

from scripts.lib.fetch import fetch_file
from scripts.lib.flags import output_file
from scripts.lib.step import run_step, step_parser


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch `--url` to `--out`."""
    parser = step_parser(__doc__)
    parser.add_argument("--url", required=True, help="http or https address")
    parser.add_argument("--sha256", required=True, help='SHA-256 that the file must have; "" when none is known')
    parser.add_argument("--out", required=True, type=output_file, help="file to write")
    arguments = parser.parse_args(argv)
    # Metadata addresses are written by the user, not by strangers: a server of the own network is a fair choice.
    fetch_file(arguments.url, arguments.out, arguments.sha256, allow_private_addresses=True)


if __name__ == "__main__":
    run_step(main)
