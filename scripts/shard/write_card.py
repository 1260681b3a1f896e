"""Write the dataset card: what the set is, where it comes from, how it was chosen, how to credit and how to take down.

Markdown with the YAML head that Hugging Face reads. Every figure is counted from the tables; text from the sources is
escaped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.accounting import Account
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, write_text
from scripts.lib.flags import input_file, optional_input, output_file
from scripts.lib.human_figures import LeakRate, read_figures
from scripts.lib.recipe import read_recipe
from scripts.lib.selection_table import count_selection
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import METADATA, SHARD_INDEX
from scripts.shard.card_sections import (
    choice_section,
    counted,
    embedded_section,
    fixed_sections,
    head,
    leak_section,
    photographer_section,
    size_section,
    title_section,
    year_section,
)
from scripts.shard.settings import WriteCardSettings

LOG = logging.getLogger(__name__)


def write_card(
    card: WriteCardSettings, account: Account, metadata: pa.Table, index: pa.Table, leak: LeakRate | None
) -> str:
    """Return the dataset card.

    Args:
        card: title, version, contact, and what was done with the files' metadata.
        account: candidates read, kept and rejected by reason.
        metadata: rows of `METADATA`.
        index: rows of `SHARD_INDEX`.
        leak: how many images show a person, by an audit; None when there was none.

    Raises:
        UserError: there is no image to describe, or the tables count differently.
    """
    images = metadata.num_rows
    if not account["kept"] == images == index.num_rows:
        raise UserError(
            f"the selection keeps {account['kept']} images, the metadata has {images}, the shards hold "
            f"{index.num_rows}; remake them with snakemake --forcerun write_shards"
        )
    if images == 0:
        raise UserError(
            f"the selection keeps none of {account['read']} candidates ({account['rejected']}): there is no dataset to "
            "describe. Look at the reasons, then at the thresholds in filter: of the config"
        )
    licences = metadata["licence"].to_pylist()
    sections = [
        head(card, licences, images),
        title_section(card, images),
        choice_section(account),
        ["## Licences", "", *counted(licences, images, "licence")],
        ["## Sources", "", *counted(metadata["source"].to_pylist(), images, "source")],
        photographer_section(metadata),
        year_section(metadata),
        size_section(metadata, index),
        leak_section(leak),
        embedded_section(card.embedded_metadata, index["source_metadata"].to_pylist()),
        fixed_sections(card),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read, write the card."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="WriteCardSettings as JSON")
    parser.add_argument("--selection", required=True, type=input_file)
    parser.add_argument("--metadata", required=True, type=input_file)
    parser.add_argument("--indexes", nargs="*", default=[], type=input_file, help="indexes of all shards")
    parser.add_argument(
        "--leak-rate",
        required=True,
        type=optional_input,
        help="JSON of measure_leak_rate; empty when there is no audit",
    )
    parser.add_argument("--out", required=True, type=output_file)
    flags = parser.parse_args(argv)
    card = read_recipe(WriteCardSettings, flags.recipe)

    counts = count_selection(flags.selection)
    kept = counts.pop("", 0)
    account = Account(read=kept + counts.total(), kept=kept, rejected=dict(sorted(counts.items())))
    metadata = pq.read_table(flags.metadata, schema=METADATA)
    leak = read_figures(LeakRate, Path(flags.leak_rate)) if flags.leak_rate else None
    write_text(flags.out, write_card(card, account, metadata, read_tables(flags.indexes, SHARD_INDEX), leak))
    LOG.info("wrote the card of %d images from %d candidates: %s", account["kept"], account["read"], flags.out)


if __name__ == "__main__":
    run_step(main)
