"""The metadata that `plant_hazards` puts into JPEG files: a tagged face, a position, a thumbnail of another picture."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from scripts.lib.fractals import encode_jpeg
from scripts.lib.images import Pixels

THUMBNAIL_SIZE = (160, 120)  # pixels, as EXIF asks for
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_TAGGED_FACE = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#">
<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>
<rdf:li><rdf:Description mwg-rs:Name="Made Up" mwg-rs:Type="Face"><mwg-rs:Area stArea:unit="normalized"
 stArea:x="0.5" stArea:y="0.4" stArea:w="0.2" stArea:h="0.3"/></rdf:Description></rdf:li>
</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions></rdf:Description></rdf:RDF></x:xmpmeta>"""
_LONG, _RATIONAL, _TEXT = 4, 5, 2

Entry = tuple[int, int, int, bytes]  # tag, type, count, value


def with_tagged_face(jpeg: bytes) -> bytes:
    """Return the JPEG with an XMP packet that frames a face, as photo managers write it."""
    return _with_segment(jpeg, _XMP + _TAGGED_FACE)


def with_position(jpeg: bytes) -> bytes:
    """Return the JPEG with an EXIF position: 51° 45' 36" N, 1° 15' 0" W."""
    north, west = struct.pack("<6I", 51, 1, 45, 1, 36, 1), struct.pack("<6I", 1, 1, 15, 1, 0, 1)
    where = 8 + len(_directory([(0x8825, _LONG, 1, bytes(4))], 8, 0))
    place = [(1, _TEXT, 2, b"N"), (2, _RATIONAL, 3, north), (3, _TEXT, 2, b"W"), (4, _RATIONAL, 3, west)]
    first = _directory([(0x8825, _LONG, 1, struct.pack("<I", where))], 8, 0)
    return _with_exif(jpeg, first + _directory(place, where, 0))


def thumbnail_of(pixels: Pixels) -> bytes:
    """Return a small JPEG of a picture, [h, w, 3]."""
    small = Image.fromarray(pixels)
    small.thumbnail(THUMBNAIL_SIZE)
    return encode_jpeg(np.asarray(small), quality=75)


def with_thumbnail(jpeg: bytes, thumbnail: bytes) -> bytes:
    """Return the JPEG with an EXIF thumbnail."""
    where = 8 + len(_directory([], 8, 0))
    start, size = 0x0201, 0x0202
    there = where + len(_directory([(start, _LONG, 1, bytes(4)), (size, _LONG, 1, bytes(4))], where, 0))
    entries = [(start, _LONG, 1, struct.pack("<I", there)), (size, _LONG, 1, struct.pack("<I", len(thumbnail)))]
    return _with_exif(jpeg, _directory([], 8, where) + _directory(entries, where, 0) + thumbnail)


def _directory(entries: list[Entry], at: int, following: int) -> bytes:
    """Return a TIFF directory that will lie at `at`, its long values behind it."""
    body, values = struct.pack("<H", len(entries)), b""
    start = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        field = value.ljust(4, b"\x00") if len(value) <= 4 else struct.pack("<I", start + len(values))
        values += value if len(value) > 4 else b""
        body += struct.pack("<HHI", tag, kind, count) + field
    return body + struct.pack("<I", following) + values


def _with_exif(jpeg: bytes, directories: bytes) -> bytes:
    return _with_segment(jpeg, b"Exif\x00\x00II\x2a\x00\x08\x00\x00\x00" + directories)


def _with_segment(jpeg: bytes, body: bytes) -> bytes:
    """Return the JPEG with an APP1 segment behind its start marker."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
