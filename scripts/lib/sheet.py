"""A sheet of pictures: a heading and tiles, each a thumbnail with a caption under it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

GROUND = (246, 246, 244)
INK = (27, 31, 36)
MUTED = (91, 101, 112)
EMPTY = (228, 229, 228)
GAP = 10  # pixels between tiles
EVIDENCE_LINES = 2  # at most; the creator has a line of his own below
CAPTION_SIZE = 10  # pixels
CAPTION_STEP = 13
HEAD_SIZE = 15
HEAD_HEIGHT = 40
LEAST_WIDTH = 420  # so that a heading fits above a single column
# DejaVu comes inside matplotlib and covers Latin, Greek, Cyrillic, Hebrew and Arabic; the same on every machine.
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@dataclass(frozen=True)
class Tile:
    """A thumbnail or the reason why there is none, a caption of at most two lines, and a credit on its own line."""

    thumbnail: Image.Image | None
    note: str  # shown in place of the thumbnail
    caption: str
    credit: str
    joined: bool = False  # to the tile on its left, by a band


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Return the sheets' font. Basic layout, because the other one depends on a library that some machines lack."""
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)


def fit_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return `text`, cut with an ellipsis to `width` pixels."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return `text` in lines of at most `width` pixels, broken at blanks."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [fit_text(line, font, width) for line in lines]


def draw_sheet(heading: str, tiles: Sequence[Tile | None], columns: int, thumbnail: int) -> Image.Image:
    """Return the sheet; None leaves a place empty. Without tiles it is a small picture with the heading alone."""
    columns = max(1, min(columns, len(tiles)))
    small = load_font(CAPTION_SIZE)
    captions = [wrap_text(tile.caption, small, thumbnail)[:EVIDENCE_LINES] if tile else [] for tile in tiles]
    step = thumbnail + (1 + max(map(len, captions), default=0)) * CAPTION_STEP + 2 * GAP
    rows = -(-len(tiles) // columns)
    width = max(LEAST_WIDTH, columns * (thumbnail + GAP) + GAP)
    sheet = Image.new("RGB", (width, HEAD_HEIGHT + rows * step), GROUND)
    draw = ImageDraw.Draw(sheet)
    font = load_font(HEAD_SIZE)
    draw.text((GAP, HEAD_HEIGHT // 2), fit_text(heading, font, width - 2 * GAP), font=font, fill=INK, anchor="lm")
    for index, (tile, lines) in enumerate(zip(tiles, captions, strict=True)):
        left, top = GAP + (index % columns) * (thumbnail + GAP), HEAD_HEIGHT + (index // columns) * step
        if tile is None:
            continue
        if tile.joined:
            draw.rectangle((left - GAP, top + thumbnail // 2 - 2, left - 1, top + thumbnail // 2 + 1), fill=MUTED)
        if tile.thumbnail is None:
            _draw_note(draw, tile.note, (left, top), thumbnail)
        else:
            spare = (thumbnail - tile.thumbnail.width, thumbnail - tile.thumbnail.height)
            sheet.paste(tile.thumbnail, (left + spare[0] // 2, top + spare[1] // 2))
        written = [*((line, INK) for line in lines), (fit_text(tile.credit, small, thumbnail), MUTED)]
        for number, (text, colour) in enumerate(written):
            draw.text((left, top + thumbnail + 3 + number * CAPTION_STEP), text, font=small, fill=colour)
    return sheet


def _draw_note(draw: ImageDraw.ImageDraw, note: str, corner: tuple[int, int], thumbnail: int) -> None:
    left, top = corner
    small = load_font(CAPTION_SIZE)
    draw.rectangle((left, top, left + thumbnail - 1, top + thumbnail - 1), fill=EMPTY)
    lines = wrap_text(note, small, thumbnail - 2 * GAP)[: max(1, thumbnail // CAPTION_STEP - 1)]
    for number, line in enumerate(lines):
        draw.text((left + GAP, top + GAP + number * CAPTION_STEP), line, font=small, fill=INK)


def encode_sheet(sheet: Image.Image, description: str) -> bytes:
    """Return PNG bytes, without a time; the description is stored in the file, where `write_report` finds it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", description)
    target = io.BytesIO()
    sheet.save(target, format="PNG", pnginfo=text, compress_level=9)
    return target.getvalue()
