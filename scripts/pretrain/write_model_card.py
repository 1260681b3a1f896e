"""Write a run's model card: what it was trained on and how, what differs from the official code, what it cost.

Markdown with the YAML head that Hugging Face reads. What the card says of data and weights is read from the files
themselves, and that the encoder was trained on the images of the metadata is checked by their digest.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
from pydantic import ValidationError

from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, write_text
from scripts.lib.flags import input_file, optional_input, varying_file
from scripts.lib.human_figures import LeakRate, read_figures
from scripts.lib.identity import content_digest
from scripts.lib.markdown import markdown_table, markdown_text
from scripts.lib.recipe import describe_errors, read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import METADATA
from scripts.pretrain.card_sections import (
    cost_section,
    data_section,
    deviation_section,
    fixed_sections,
    head,
    loading_section,
    method_section,
    title_section,
)
from scripts.pretrain.run_cost import RunCost
from scripts.pretrain.settings_card import WriteModelCardSettings

LOG = logging.getLogger(__name__)

NEEDED = ("images", "images_digest", "mean", "std", "image_size")  # of an encoder's description
UNTOLD_CURATED = "Detectors and reviewers miss people, and licences are what the sources say."
UNTOLD = "Nothing is known here of people in the images or of their licences."


def licence_table(metadata: pa.Table) -> list[str]:
    """Return how many images there are under each licence, most frequent first."""
    counts = Counter(metadata["licence"].to_pylist())
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return markdown_table(("licence", "images"), [(markdown_text(name), f"{number:,}") for name, number in rows])


def check_images(metadata: pa.Table, about: dict[str, Any]) -> None:
    """Refuse a card that would say that an encoder comes from other images than it does."""
    found = content_digest(metadata["image_id"].to_pylist(), metadata["sha256"].to_pylist())
    if found != about["images_digest"]:
        raise UserError(
            f"the encoder was trained on images with the digest {about['images_digest'][:12]}…, the metadata are of "
            f"{found[:12]}…: they are of different selections. Run snakemake again, which makes both from one"
        )


def read_about(path: Path) -> dict[str, Any]:
    """Return the description of an encoder.

    Raises:
        UserError: the file is not of `train`, or an older one that does not say which images it was trained on.
    """
    try:
        with safetensors.safe_open(path, framework="np") as handle:
            about: dict[str, Any] = json.loads((handle.metadata() or {})["description"])
        missing = [name for name in NEEDED if name not in about]
    except (KeyError, OSError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not an encoder of this project ({error}); make it again with the rule `train`"
        ) from None
    if missing:
        raise UserError(f"the description of {path} lacks {', '.join(missing)}; make it again with the rule `train`")
    return about


def read_cost(path: Path) -> RunCost:
    """Return what a run took.

    Raises:
        UserError: the file is not of `train`.
    """
    try:
        return RunCost.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it again with the rule `train`") from None
    except ValidationError as error:
        raise UserError(f"{path} is not what `train` writes: {describe_errors(error, None)}. Make it again") from None


def write_card(
    card: WriteModelCardSettings,
    about: dict[str, Any],
    *,
    digests: dict[str, str],
    cost: RunCost,
    licences: list[str] | None,
    leak: LeakRate | None,
) -> str:
    """Return the model card.

    Args:
        card: the run, and what its data are called.
        about: description of the encoder.
        digests: file name → SHA-256.
        cost: what the run took.
        licences: of the images, a table; None for images that were not curated here.
        leak: how many of the images show a person, by an audit; None when there was none.
    """
    files = markdown_table(("file", "SHA-256"), [(f"`{name}`", f"`{digest}`") for name, digest in digests.items()])
    sections = [
        head(card),
        title_section(card, about),
        files,
        data_section(card, about, licences, leak),
        method_section(card),
        deviation_section(card),
        cost_section(cost),
        loading_section(card, about),
        fixed_sections(card, UNTOLD if licences is None else UNTOLD_CURATED),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read, write the card."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="WriteModelCardSettings as JSON")
    parser.add_argument("--encoder", required=True, type=input_file)
    parser.add_argument("--head", required=True, type=input_file)
    parser.add_argument("--cost", required=True, type=input_file, help="cost.json")
    parser.add_argument(
        "--metadata", required=True, type=optional_input, help="metadata of the shards; empty for an image set"
    )
    parser.add_argument(
        "--leak-rate",
        required=True,
        type=optional_input,
        help="JSON of measure_leak_rate; empty when there is no audit",
    )
    parser.add_argument("--out", required=True, type=varying_file)
    flags = parser.parse_args(argv)
    card = read_recipe(WriteModelCardSettings, flags.recipe)
    about = read_about(flags.encoder)
    licences = None
    if flags.metadata:
        metadata = pq.read_table(flags.metadata, schema=METADATA, columns=["image_id", "sha256", "licence"])
        check_images(metadata, about)
        licences = licence_table(metadata)
    leak = read_figures(LeakRate, Path(flags.leak_rate)) if flags.leak_rate else None
    digests = {path.name: sha256_file(path) for path in (flags.encoder, flags.head)}
    cost = read_cost(flags.cost)
    write_text(flags.out, write_card(card, about, digests=digests, cost=cost, licences=licences, leak=leak))
    LOG.info("wrote the card of run %s, %d images: %s", card.run.name, about["images"], flags.out)


if __name__ == "__main__":
    run_step(main)
