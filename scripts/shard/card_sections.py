"""The sections of the dataset card as lines of Markdown; every figure is counted from the tables."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from scripts.lib.accounting import Account
from scripts.lib.human_figures import LeakRate, leak_sentence
from scripts.lib.identity import content_digest
from scripts.lib.markdown import markdown_table, markdown_text
from scripts.shard.settings import DatasetCard, EmbeddedMetadata

HUB_LICENCES = {  # ours → the hub's identifiers; what is not here is "other"
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-NC-2.0": "cc-by-nc-2.0",
    "CC-BY-NC-SA-2.0": "cc-by-nc-sa-2.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
    "CC0-1.0": "cc0-1.0",
}
SIZE_STEPS = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10**7, "1M<n<10M"),
]
YEAR = re.compile(r"(1[89]|20)\d\d(?=-)")  # cameras date some photos 4501 or 0000: these count as unknown
NAMES_SHOWN = 10


def size_category(images: int) -> str:
    """Return the hub's name for a number of images."""
    return next((name for limit, name in SIZE_STEPS if images < limit), "10M<n<100M")


def head(card: DatasetCard, licences: Iterable[str], images: int) -> list[str]:
    """Return the YAML head. Texts are JSON strings, which YAML reads as they are."""
    known = sorted({HUB_LICENCES.get(licence, "other") for licence in licences})
    return [
        "---",
        f"pretty_name: {json.dumps(card.title)}",
        f"version: {json.dumps(card.version)}",
        f"license: {json.dumps(known)}",
        "task_categories: [image-feature-extraction]",
        f"size_categories: [{json.dumps(size_category(images))}]",
        "---",
    ]


def title_section(card: DatasetCard, images: int) -> list[str]:
    """Return the first lines that a reader sees."""
    return [
        f"# {markdown_text(card.title)}",
        "",
        f"Version {markdown_text(card.version)}. {images:,} images without labels.",
        "",
        "Images for self-supervised training, chosen so that no person is visible in them, each with a licence that "
        "allows reuse and with the data that credit needs.",
    ]


def counted(values: Iterable[str], total: int, name: str) -> list[str]:
    """Return a table of how often each value occurs, most frequent first, ties by value."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    rows = [(markdown_text(value) or "(empty)", f"{number:,}", f"{number / total:.1%}") for value, number in counts]
    return markdown_table((name, "images", "share"), rows)


def spread(values: Sequence[float], unit: str) -> str:
    """Return smallest, median and largest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"smallest {low:,.0f}, median {middle:,.0f}, largest {high:,.0f} {unit}"


def choice_section(account: Account) -> list[str]:
    """Return how many candidates there were and where they went."""
    rejected = sum(account["rejected"].values())
    return [
        "## How the images were chosen",
        "",
        f"Of {account['read']:,} candidates with an allowed licence and full attribution, {account['kept']:,} were "
        f"kept and {rejected:,} rejected. {account['read']:,} = {account['kept']:,} + {rejected:,}: each candidate "
        "has exactly one verdict, and the table of all verdicts is `results/filter/select.parquet`.",
        "",
        *markdown_table(
            ("first reason against", "candidates"),
            [(f"`{reason}`", f"{number:,}") for reason, number in account["rejected"].items()],
        ),
    ]


def photographer_section(metadata: pa.Table) -> list[str]:
    """Return how the images spread over photographers."""
    columns = (metadata[name].to_pylist() for name in ("source", "creator_id", "creator"))
    makers = [(source, number or name or "", name or "") for source, number, name in zip(*columns, strict=True)]
    images = Counter((source, number) for source, number, _ in makers)
    names = {(source, number): name for source, number, name in reversed(makers)}
    first = sorted(images.items(), key=lambda item: (-item[1], item[0]))[:NAMES_SHOWN]
    return [
        "## Photographers",
        "",
        f"{len(images):,} photographers. Images of one photographer: {spread(list(images.values()), 'images')}. "
        "Names are given for credit; do not use them to link images to people.",
        "",
        *markdown_table(
            ("photographer", "source", "images"),
            [
                (markdown_text(names[key], 60) or "(no name)", markdown_text(key[0]), f"{number:,}")
                for key, number in first
            ],
        ),
    ]


def year_section(metadata: pa.Table) -> list[str]:
    """Return the years in which the photos were taken."""
    found = (YEAR.match(date or "") for date in metadata["date_taken"].to_pylist())
    counts = sorted(Counter(match[0] if match else "unknown" for match in found).items())
    return ["## Years", "", *markdown_table(("taken in", "images"), [(year, f"{number:,}") for year, number in counts])]


def size_section(metadata: pa.Table, index: pa.Table) -> list[str]:
    """Return the sizes of images, files and shards."""
    sides = [max(pair) for pair in zip(metadata["width"].to_pylist(), metadata["height"].to_pylist(), strict=True)]
    sizes = index["size"].to_pylist()
    shards = Counter(index["shard"].to_pylist())
    content = content_digest(index["image_id"].to_pylist(), index["sha256"].to_pylist())
    return [
        "## Sizes and files",
        "",
        f"- long side: {spread(sides, 'pixels')}",
        f"- file: {spread(sizes, 'bytes')}; all together {sum(sizes):,} bytes",
        f"- shards that hold images: {len(shards):,}; images in one shard: {spread(list(shards.values()), 'images')}",
        f"- content: SHA-256 `{content}` over the sorted lines `<image id> <SHA-256 of the file>`",
        "",
        "A shard is a plain tar with members `<shard>/<image id>.<ext>` that `webdataset` reads as it is and "
        "`torchvision.datasets.ImageFolder` after extraction (its folder names carry no meaning). The `.parquet` "
        "beside each shard gives the offset, size and SHA-256 of every image.",
    ]


def leak_section(leak: LeakRate | None) -> list[str]:
    """Return how many people are left, as far as an audit says."""
    return ["## People who are left", "", markdown_text(leak_sentence(leak), 1000)]


CARRIED = {  # words of SHARD_INDEX.source_metadata
    "position": "a position (EXIF or XMP)",
    "thumbnail": "a thumbnail or preview",
    "face_regions": "tags of faces or persons (XMP)",
    "maker_notes": "notes of the camera's maker",
    "photoshop": "Photoshop or IPTC blocks",
    "trailing_bytes": "bytes after the end of the picture",
    "unreadable": "metadata that could not be read",
}


def embedded_section(mode: EmbeddedMetadata, carried: Sequence[str]) -> list[str]:
    """Return what became of the metadata inside the files; `carried` are the words of each image."""
    counts = Counter(word for words in carried for word in words.split(",") if word)
    if mode == "strip":
        text = (
            "EXIF, XMP, IPTC, comments, thumbnails and further pictures inside the files, and all bytes after their "
            "end were removed when the shards were written. The picture's own bytes were copied, not encoded again, so "
            "the pixels are those of the source. Colour profiles stay, and of EXIF the orientation where the picture "
            "is to be turned. `sha256` in the tables is that of the file in the shard, `source_sha256` that of the "
            "file as it was downloaded. Before, the files carried:"
        )
    else:
        text = (
            "The files are as they were downloaded, byte for byte: `sha256` and `source_sha256` in the tables are "
            "equal. So they may say where a photo was taken and who is in it, and a thumbnail may show what was "
            "cropped away. The files carry:"
        )
    shares = ((what, counts[word]) for word, what in CARRIED.items())
    rows = [(what, f"{number:,}", f"{number / len(carried):.1%}") for what, number in shares]
    return ["## Metadata inside the files", "", text, "", *markdown_table(("carried", "images", "share"), rows)]


def fixed_sections(card: DatasetCard) -> list[str]:
    """Return what does not depend on the data but on who publishes it."""
    return [
        "## How to give credit",
        "",
        "Each image keeps its own licence. `metadata.parquet` has, for each image, `creator`, `title`, `page_url`, "
        "`licence_name` and `licence_url`. A line that satisfies Creative Commons licences is: "
        '*"title" by creator (page), licence (its address)*; say so when you change the image. '
        "`pass_metadata.csv` is the same set in the layout of the PASS release, with user names in Flickr's URL "
        "encoding.",
        "",
        "## How to have an image taken down",
        "",
        f"Write to {markdown_text(card.contact)} and name the image id, its page or its address. No reason is "
        "needed. An image's shard depends on its id alone, so the bytes of one shard change; its row stays in the "
        "selection with the reason, its bytes do not stay. Where the cap for each photographer or the size of the set "
        "is reached, another image takes the free place, and that image's shard changes too.",
        "",
        "## Known limits",
        "",
        "- The absence of people was judged by detectors, and by human reviewers only where their verdicts were given. "
        "Detectors miss people: small, partly hidden, seen from behind, drawn or in unusual poses.",
        "- Licences, names, dates and positions are what the sources say; nobody has verified them. A licence may "
        "have been changed at the source since.",
        "- The images are not a fair sample of the world: they follow who takes photos, who publishes them and what "
        "the filters keep.",
        "- No labels come with the images.",
    ]
