"""Bring the weights of an encoder here from its publisher, where its entry says `download: true`.

Nothing else downloads: torchvision and timm are only asked for the address. Where the publisher gives a SHA-256, or its
first digits, the file is checked against it, as against that of the config.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scripts.evaluate.encoder_sources import address_of
from scripts.evaluate.settings_encoders import ImportEncoderSettings, RandomEncoder
from scripts.lib.errors import UserError
from scripts.lib.fetch import fetch_file
from scripts.lib.flags import output_file
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser

log = logging.getLogger(__name__)

MAX_BYTES = 10_000_000_000


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ImportEncoderSettings")
    parser.add_argument("--out", required=True, type=output_file, help="file as it was published")
    options = parser.parse_args(argv)
    entry = read_recipe(ImportEncoderSettings, options.recipe).encoder
    if entry is None or isinstance(entry, RandomEncoder):
        raise UserError("a random encoder has no weights to fetch")
    url, published = address_of(entry)
    log.info("%s: fetching %s", entry.source_text, url)
    try:
        fetch_file(url, options.out, entry.sha256 or published, allow_private_addresses=False, max_bytes=MAX_BYTES)
    except UserError as error:
        raise UserError(
            f"the weights of the encoder {entry.name} did not come: {error}. A machine without internet takes "
            f"them from a file: in evaluate.encoders, {entry.name}, write `path` in the place of `download`"
        ) from None
    log.info("wrote %s", options.out)


if __name__ == "__main__":
    run_step(main)
