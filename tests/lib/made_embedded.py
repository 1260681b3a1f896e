"""Metadata blocks and image files that hold them, made byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

Entry = tuple[int, int, int, bytes]  # tag, type, count, value (four bytes, or more, which are then put elsewhere)
SHORT, LONG, RATIONAL, UNDEFINED = 3, 4, 5, 7


def photo(seed: int = 0, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Return a smooth coloured picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def directory(entries: list[Entry], at: int, order: str, following: int = 0) -> bytes:
    """Return an IFD that will lie at `at`, with its long values behind it."""
    values = b""
    body = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in sorted(entries):
        field = value.ljust(4, b"\x00")
        if len(value) > 4:
            field = struct.pack(order + "I", at + 2 + 12 * len(entries) + 4 + len(values))
            values += value
        body += struct.pack(order + "HHI", tag, kind, count) + field
    return body + struct.pack(order + "I", following) + values


def exif_block(
    order: str = "<",
    orientation: int | None = None,
    gps: bool = False,
    maker_note: bytes = b"",
    thumbnail: bytes = b"",
) -> bytes:
    """Return a TIFF structure as cameras write it; `order` is "<" (II) or ">" (MM)."""

    def number(value: int) -> bytes:
        return struct.pack(order + "I", value)

    def first(following: int, exif: int, place: int) -> bytes:
        entries: list[Entry] = [(0x010F, 2, 6, b"Maker\x00")]
        if orientation is not None:
            entries.append((0x0112, SHORT, 1, struct.pack(order + "H", orientation)))
        if maker_note:
            entries.append((0x8769, LONG, 1, number(exif)))
        if gps:
            entries.append((0x8825, LONG, 1, number(place)))
        return directory(entries, 8, order, following)

    blocks = b""
    start = 8 + len(first(0, 0, 0))
    exif = place = following = 0
    if maker_note:
        exif = start + len(blocks)
        blocks += directory([(0x927C, UNDEFINED, len(maker_note), maker_note)], exif, order)
    if gps:
        place = start + len(blocks)
        degrees = struct.pack(order + "6I", 51, 1, 45, 1, 36, 1)
        entries: list[Entry] = [(1, 2, 2, b"N\x00"), (2, RATIONAL, 3, degrees), (3, 2, 2, b"W\x00")]
        blocks += directory([*entries, (4, RATIONAL, 3, degrees)], place, order)
    if thumbnail:
        following = start + len(blocks)
        entries = [(0x0103, SHORT, 1, struct.pack(order + "H", 6)), (0x0202, LONG, 1, number(len(thumbnail)))]
        bare = len(directory([*entries, (0x0201, LONG, 1, b"")], 0, order))
        entries.append((0x0201, LONG, 1, number(following + bare)))
        blocks += directory(entries, following, order) + thumbnail
    head = (b"II\x2a\x00" if order == "<" else b"MM\x00\x2a") + number(8)
    return head + first(following, exif, place) + blocks


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif_segment(tiff: bytes) -> bytes:
    return segment(0xE1, b"Exif\x00\x00" + tiff)


def xmp_segment(text: str) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + text.encode())


def more_xmp_segments(text: str, piece: int, guid: bytes = b"0" * 32) -> list[bytes]:
    """Return extended XMP in pieces, the last one first."""
    data = text.encode()
    heads = (struct.pack(">II", len(data), start) for start in range(0, len(data), piece))
    pieces = (data[start : start + piece] for start in range(0, len(data), piece))
    name = b"http://ns.adobe.com/xmp/extension/\x00" + guid
    return [segment(0xE1, name + head + part) for head, part in zip(heads, pieces, strict=True)][::-1]


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    """Return one of Photoshop's image resources."""
    named = bytes((len(name),)) + name
    padded = content + b"\x00" * (len(content) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + named
        + b"\x00" * (len(named) % 2)
        + struct.pack(">I", len(content))
        + padded
    )


def photoshop_segment(*resources: bytes) -> bytes:
    return segment(0xED, b"Photoshop 3.0\x00" + b"".join(resources))


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(png: bytes, *chunks: bytes, late: bool = False) -> bytes:
    """Put chunks behind the header, or before the end."""
    at = len(png) - 12 if late else 33
    return png[:at] + b"".join(chunks) + png[at:]


def webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def with_webp_chunks(webp: bytes, *chunks: bytes, flags: int = 0) -> bytes:
    """Append chunks to a WebP in the extended layout and set flags of its VP8X."""
    body = webp[8:] + b"".join(chunks)
    assert body[4:8] == b"VP8X"
    body = body[:12] + bytes((body[12] | flags,)) + body[13:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


MWG = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"><mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList>
<rdf:Bag>{}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions></rdf:Description></rdf:RDF></x:xmpmeta>"""


def mwg_regions(*kinds: str) -> str:
    """Return a packet with a region of each of these kinds, as Lightroom writes them."""
    region = '<rdf:li><a mwg-rs:Name="A" mwg-rs:Type="{}"><mwg-rs:Area stArea:x=".5"/></a></rdf:li>'
    return MWG.format("".join(region.format(kind) for kind in kinds))
