"""The README of a publication: what is in the folder, and how to check it."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.audit.dataset_facts import DatasetFacts
from scripts.audit.publication import CRATE, CROISSANT, SUMS, PublishedFile
from scripts.audit.run_crate import Facts, licence_address
from scripts.lib.human_figures import leak_sentence
from scripts.lib.markdown import markdown_table, markdown_text


def readme(facts: Facts, dataset: DatasetFacts, files: Sequence[PublishedFile], jobs: int) -> str:
    """Return the page as Markdown. Text from the config and the sources can neither format nor run anything."""
    rows = [(f"`{each.path}`", f"{each.bytes:,}") for each in files if each.flag not in ("tar", "index")]
    shards = [each for each in files if each.flag in ("tar", "index") and each.step == "shard.write_shards"]
    lines = [
        f"# {markdown_text(facts.title)}, version {markdown_text(facts.version)}",
        "",
        f"{dataset.images:,} images chosen so that no person is visible in them, and how they came about.",
        "",
        f"- Seal of the run: `{facts.seal}`",
        f"- Licences of the images: {', '.join(licence_address(each) for each in facts.licences)}; the code is under "
        "Apache-2.0. Author, page and licence of each image are in `results/shard/write_metadata/metadata.parquet`.",
        f"- People who are left: {markdown_text(leak_sentence(dataset.leak), 1000)}",
        f"- Contact, also for having an image taken down: {markdown_text(facts.contact)}",
        "",
        "## How to check it",
        "",
        "```sh",
        f"sha256sum -c {SUMS} --quiet          # each byte of this folder",
        "python -B -m scripts.audit.publish --check .   # and records, lineage, seal; needs pyarrow, pydantic",
        "```",
        "",
        "The second command is in this folder; who does not trust it takes it from the project. It computes the "
        "identity of each job from its record, and from these the "
        "seal (a Merkle root, RFC 6962, SHA-256, over the lines `<name>` NUL `<identity>` sorted by name). Compare the "
        "seal with the one that a paper or a page quotes: `--seal <64 digits>`. Status 0: all as recorded; 1: a "
        "difference; 2: something could not be decided; 3: the check itself failed.",
        "",
        "## What is here",
        "",
        *markdown_table(
            ("file", "bytes"),
            [
                (f"`results/shard/write_shards/`: {len(shards):,} files, tars and their indexes",
                 f"{sum(each.bytes for each in shards):,}"),
                *rows,
            ],
        ),
        "",
        f"`{CRATE}` describes the run (RO-Crate, Provenance Run Crate), `{CROISSANT}` the dataset (Croissant). "
        f"`records/` has the record of each of {jobs:,} jobs: settings, code, inputs and outputs by SHA-256. The code "
        "is in `Snakefile`, `rules/` and `scripts/`.",
        "",
        "Not here, but named by their SHA-256 in the records: images that were not kept, verdicts on them, pages for "
        "reviewers and contact sheets.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
