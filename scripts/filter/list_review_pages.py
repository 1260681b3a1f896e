"""Write the page that lists what reviewers and auditors have to look at, with links to their pages."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.filter.review_template import LIST
from scripts.lib.files import write_text
from scripts.lib.flags import input_file, output_file
from scripts.lib.html_page import page_environment, page_policy, source_hash
from scripts.lib.page_style import BASE_CSS
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)

CSS = (
    BASE_CSS
    + """
main { max-width: 54rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
a { color: var(--main); }
.muted { color: var(--muted); }
ul { list-style: none; padding: 0; display: grid; gap: .25rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
code { font: .875em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
"""
)


@dataclass(frozen=True)
class Pages:
    """The pages of one kind that hold images: (address, name, images)."""

    links: Sequence[tuple[str, str, int]]
    left: int  # images that fit on no page

    @property
    def images(self) -> int:
        """Return the images on all pages."""
        return sum(images for _, _, images in self.links)


def read_pages(accounts: Sequence[Path], base: Path) -> Pages:
    """Return the pages that hold images.

    Args:
        accounts: JSON files of `write_review_page` or `write_audit_page`, beside their pages.
        base: folder from which links start.
    """
    links, left = [], 0
    for path in accounts:
        content = json.loads(path.read_text(encoding="utf-8"))
        left += content.get("left", 0)
        folder = path.parent.relative_to(base).as_posix()
        links += [(f"{folder}/{name}", Path(name).stem, images) for name, images in content["pages"].items() if images]
    return Pages(sorted(links), left)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--title", required=True, help="of the dataset")
    parser.add_argument(
        "--reviews", nargs="*", default=[], type=input_file, help="JSON of write_review_page, all parts"
    )
    parser.add_argument("--audits", nargs="*", default=[], type=input_file, help="JSON of write_audit_page")
    parser.add_argument("--out", required=True, type=output_file, help="HTML to write")
    flags = parser.parse_args(argv)
    reviews, audits = (read_pages(paths, flags.out.parent) for paths in (flags.reviews, flags.audits))
    values = {
        "title": flags.title,
        "css": CSS,
        "policy": page_policy(source_hash(CSS)),
        "reviews": reviews,
        "audits": audits,
    }
    write_text(flags.out, page_environment().from_string(LIST).render(values))
    LOG.info(
        "%d images wait on %d pages, %d beyond them; %d to audit",
        reviews.images,
        len(reviews.links),
        reviews.left,
        audits.images,
    )


if __name__ == "__main__":
    run_step(main)
