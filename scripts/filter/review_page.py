"""One HTML file for reviewers: pictures, script and style inside; it works from `file://` and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.filter.review_images import Shown
from scripts.filter.review_script import SCRIPT
from scripts.filter.review_style import CSS
from scripts.filter.review_template import BODY, EMPTY, HEAD, KEYS
from scripts.filter.settings import ReviewPageSettings
from scripts.lib.html_page import inline_json, page_environment, page_policy, source_hash
from scripts.lib.plain_text import printable

LONGEST_TEXT = 300  # characters of a title, a name or a piece of evidence
POLICY = page_policy(source_hash(CSS), source_hash(SCRIPT))


@dataclass(frozen=True)
class Detector:
    """A detector whose boxes can be shown."""

    name: str
    target: str  # face or person


@dataclass(frozen=True)
class Page:
    """What is the same for all images of a page."""

    name: str  # of the exported CSV, and of what the browser keeps
    title: str  # of the dataset
    heading: str
    words: tuple[str, str]  # what keep and drop are called
    drop: Sequence[str]  # what the second word stands for, the most important first
    nothing: str  # shown in place of images when there are none
    detectors: Sequence[Detector]
    settings: ReviewPageSettings

    @property
    def storage_key(self) -> str:
        """Return where the browser keeps the decisions: another title or definition of a person starts anew."""
        told = "\0".join((self.title, *self.drop, "", *self.settings.keep))
        return f"unpeopled-{self.name}-{hashlib.blake2b(told.encode('utf-8'), digest_size=6).hexdigest()}"


def page_html(page: Page, images: Sequence[Shown]) -> str:
    """Return the page of `images`, in their order."""
    keep, drop = page.words
    values = {
        "policy": POLICY,
        "css": CSS,
        "script": SCRIPT,
        "title": page.title,
        "heading": page.heading,
        "nothing": page.nothing,
        "drop": page.drop,
        "keep": page.settings.keep,
        "words": {"keep": keep, "drop": drop},
        "keys": [(key, meaning.format(keep=keep, drop=drop)) for key, meaning in KEYS if key != "B" or page.detectors],
        "data": inline_json(_data(page, images)),
    }
    environment = page_environment()
    sections = (HEAD, BODY) if images else (HEAD, EMPTY)
    return "".join(environment.from_string(section).render(values) for section in sections)


def _data(page: Page, images: Sequence[Shown]) -> dict[str, object]:
    keep, drop = page.words
    return {
        "key": page.storage_key,
        "name": page.name,
        "words": {"keep": keep.lower(), "drop": drop.lower()},
        "detectors": [{"name": detector.name, "target": detector.target} for detector in page.detectors],
        "images": [_image(image) for image in images],
    }


def _image(image: Shown) -> dict[str, object]:
    asked = image.asked
    return {
        "id": asked.image_id,
        "why": printable(asked.why, LONGEST_TEXT),
        "title": printable(asked.title, LONGEST_TEXT),
        "creator": printable(asked.creator, LONGEST_TEXT),
        "note": printable(image.note, LONGEST_TEXT),
        "width": image.width,
        "height": image.height,
        "boxes": image.boxes,
        "jpeg": base64.b64encode(image.jpeg).decode("ascii"),
    }
