"""What an image file gives away besides its picture."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.lib.embedded import photoshop
from scripts.lib.embedded.exif import read_exif
from scripts.lib.embedded.parts import Parts
from scripts.lib.embedded.xmp import MAX_XMP_BYTES, count_people, has_position, xmp_text

MAX_EXIF_BLOCKS = 16


@dataclass(frozen=True)
class Signals:
    """What the blocks of one file say. None: a block is there that could say it and cannot be read."""

    position: bool | None
    face_regions: int | None  # persons who are framed or named
    maker_notes: bool
    photoshop: bool  # image resources, which hold IPTC
    trailing: int  # bytes after the end of the picture
    previews: tuple[bytes, ...]  # JPEG files: thumbnails of EXIF, Photoshop and JFIF

    def words(self) -> list[str]:
        """Return the names of what is there, sorted."""
        there = {
            "face_regions": bool(self.face_regions),
            "maker_notes": self.maker_notes,
            "photoshop": self.photoshop,
            "position": bool(self.position),
            "thumbnail": bool(self.previews),
            "trailing_bytes": self.trailing > 0,
        }
        return [name for name, is_there in there.items() if is_there]


def read_signals(parts: Parts) -> Signals:
    """Read the blocks that a walk found (`strip.take_apart`). Never raises."""
    exif, xmp, previews = list(parts.exif), list(parts.xmp), list(parts.previews)
    for block in parts.photoshop:
        for number, content in photoshop.image_resources(block):
            if number == photoshop.THUMBNAIL:
                previews.append(content)
            elif number == photoshop.EXIF:
                exif.append(content)
            elif number == photoshop.XMP:
                xmp.append(content)
    facts = [read_exif(block) for block in exif[:MAX_EXIF_BLOCKS]]
    text = xmp_text(xmp)
    people = count_people(text)
    position = has_position(text) or any(fact.position for fact in facts)
    # The first block is the one that readers use; further ones may be pieces of it.
    unread = parts.unread or len(exif) > MAX_EXIF_BLOCKS or not all(fact.readable for fact in facts[:1])
    cut = parts.unread or sum(map(len, xmp)) > MAX_XMP_BYTES
    return Signals(
        position=position or (None if unread else False),
        face_regions=people or (None if cut else 0),
        maker_notes=any(fact.maker_note for fact in facts),
        photoshop=bool(parts.photoshop),
        trailing=parts.trailing,
        previews=(*(fact.thumbnail for fact in facts if fact.thumbnail), *previews),
    )
