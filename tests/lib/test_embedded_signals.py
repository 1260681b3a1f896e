"""What files give away besides their picture."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.embedded.exif import ExifFacts, read_exif
from scripts.lib.embedded.parts import MAX_INFLATED_BYTES, Parts
from scripts.lib.embedded.signals import Signals, read_signals
from scripts.lib.embedded.strip import take_apart
from scripts.lib.embedded.xmp import MAX_XMP_BYTES, count_people, has_position, xmp_text
from tests.lib.made_embedded import (
    encoded,
    exif_block,
    exif_segment,
    more_xmp_segments,
    mwg_regions,
    photo,
    photoshop_segment,
    png_chunk,
    resource,
    segment,
    webp_chunk,
    with_chunks,
    with_segments,
    with_webp_chunks,
    xmp_segment,
)

JPEG, PNG = encoded(photo()), encoded(photo(), "PNG")
WEBP = encoded(photo(), "WEBP", exif=exif_block(orientation=1))  # in the extended layout
THUMBNAIL = encoded(photo(size=(32, 24)))
NOTHING = Signals(position=False, face_regions=0, maker_notes=False, photoshop=False, trailing=0, previews=())


def signals(content: bytes) -> Signals:
    return read_signals(take_apart(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_plain_files_give_nothing_away(kind: str) -> None:
    assert signals(encoded(photo(), kind)) == NOTHING
    assert NOTHING.words() == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_both_byte_orders(order: str) -> None:
    full = exif_block(order, 6, gps=True, maker_note=b"secret of the maker", thumbnail=THUMBNAIL)
    assert read_exif(full) == ExifFacts(readable=True, position=True, maker_note=True, thumbnail=THUMBNAIL)
    assert read_exif(exif_block(order, 6)) == ExifFacts(readable=True)
    found = signals(with_segments(JPEG, exif_segment(full)))
    assert (found.position, found.maker_notes, found.previews) == (True, True, (THUMBNAIL,))
    assert found.words() == ["maker_notes", "position", "thumbnail"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tiff: with_segments(JPEG, exif_segment(tiff)),
        lambda tiff: with_segments(JPEG, exif_segment(exif_block(orientation=1)), exif_segment(tiff)),
        lambda tiff: with_segments(JPEG, exif_segment(tiff[:40]), exif_segment(tiff[40:])),  # Pillow joins these
        lambda tiff: with_segments(JPEG, photoshop_segment(resource(0x0422, tiff))),
        lambda tiff: with_chunks(PNG, png_chunk(b"eXIf", tiff)),
        lambda tiff: with_chunks(PNG, png_chunk(b"eXIf", tiff), late=True),
        lambda tiff: with_chunks(PNG, raw_profile(b"exif", b"Exif\x00\x00" + tiff)),
        lambda tiff: with_webp_chunks(WEBP, webp_chunk(b"EXIF", b"Exif\x00\x00" + tiff)),
    ],
)
def test_position_is_found_wherever_exif_may_be(wrap: Callable[[bytes], bytes]) -> None:
    assert signals(wrap(exif_block(gps=True))).position is True
    assert signals(wrap(exif_block(">", gps=True))).position is True
    assert signals(wrap(exif_block())).position is False


def raw_profile(name: bytes, data: bytes, kind: bytes = b"zTXt") -> bytes:
    text = b"\n%s\n%8d\n%s\n" % (name, len(data), data.hex().encode())
    keyword = b"Raw profile type " + name + b"\x00"
    return png_chunk(kind, keyword + (b"\x00" + zlib.compress(text) if kind == b"zTXt" else text))


def test_a_gps_directory_without_a_position_is_none() -> None:
    block = exif_block(gps=True)
    for tag in (b"\x02\x00\x05\x00", b"\x04\x00\x05\x00"):  # latitude, longitude: make them altitudes
        block = block.replace(tag, b"\x06\x00\x05\x00")
    assert read_exif(block) == ExifFacts(readable=True)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"II",
        b"XX\x2a\x00\x08\x00\x00\x00",
        b"II\x2b\x00\x08\x00\x00\x00",
        b"II\x2a\x00\xff\xff\x00\x00",
        exif_block(gps=True)[:60],  # the directory of the position is cut off
    ],
)
def test_unreadable_exif_leaves_the_position_open(damaged: bytes) -> None:
    found = signals(with_segments(JPEG, exif_segment(damaged)))
    assert found.position is None
    assert found.face_regions == 0
    named = with_segments(JPEG, exif_segment(damaged), xmp_segment('<a exif:GPSLatitude="51,45N"/>'))
    assert signals(named).position is True


def test_directories_that_point_at_themselves_end() -> None:
    block = bytearray(exif_block(gps=True, thumbnail=THUMBNAIL))
    for at in range(8, len(block) - 4):
        looped = bytes(block[:at]) + b"\x08\x00\x00\x00" + bytes(block[at + 4 :])
        read_exif(looped)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8), st.sampled_from(["<", ">"]))
def test_damaged_exif_never_raises(at: int, patch: bytes, order: str) -> None:
    block = exif_block(order, 6, gps=True, maker_note=b"note of the maker", thumbnail=THUMBNAIL)
    at %= len(block)
    for damaged in (block[:at] + patch + block[at + len(patch) :], block[:at]):
        facts = read_exif(damaged)
        assert facts.thumbnail == b"" or facts.thumbnail in damaged


MP = """<rdf:Description xmlns:MP="http://ns.microsoft.com/photo/1.2/"
 xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#">
<MP:RegionInfo><rdf:Description><MPRI:Regions><rdf:Bag>{}</rdf:Bag></MPRI:Regions></rdf:Description></MP:RegionInfo>
</rdf:Description>"""
IPTC = "<Iptc4xmpExt:PersonInImage><rdf:Bag>{}</rdf:Bag></Iptc4xmpExt:PersonInImage>"


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("", 0),
        (mwg_regions(), 0),
        (mwg_regions("Face"), 1),
        (mwg_regions("Face", "Pet", "Face", "BarCode", "Focus"), 2),
        ("<mwg-rs:Type>Face</mwg-rs:Type><mwg-rs:Type> Face </mwg-rs:Type><mwg-rs:Type>Pet</mwg-rs:Type>", 2),
        ("<a q:Type = 'Face'/>", 1),  # the prefix is the writer's choice
        ('<a dc:Type="Facet"/><a Type="Face"/>', 0),
        (MP.format('<rdf:li><a MPReg:PersonDisplayName="B" MPReg:Rectangle="0, 0, 1, 1"/></rdf:li>' * 3), 3),
        (MP.format('<rdf:li><a MPReg:Rectangle="0, 0, 1, 1"/></rdf:li>' * 2), 2),
        (MP.format("<rdf:li><MPReg:PersonDisplayName>B</MPReg:PersonDisplayName></rdf:li>"), 1),
        ('<a stEvt:Rectangle="0, 0, 1, 1"/>', 0),  # not Microsoft's
        (IPTC.format("<rdf:li>Ann</rdf:li><rdf:li>Bob</rdf:li>"), 2),
        (IPTC.format("") + "<dc:subject><rdf:Bag><rdf:li>tree</rdf:li></rdf:Bag></dc:subject>", 0),
        ("<i:PersonInImage/><s:Bag><rdf:li>tree</rdf:li></s:Bag>" + IPTC.format("<rdf:li>Ann</rdf:li>"), 1),
        ("<i:PersonInImage><rdf:Bag><rdf:li>the packet is cut he", 1),
        ("<i:PersonInImageWDetails><rdf:Bag><rdf:li rdf:parseType='Resource'/></rdf:Bag></i:PersonInImageWDetails>", 1),
        ('<a xmp:Identifier="http://cv.iptc.org/newscodes/imageregiontype/human"/>', 1),
        ('<a xmp:Identifier="http://cv.iptc.org/newscodes/imageregiontype/animal"/>', 0),
        (mwg_regions("Face", "Face") + IPTC.format("<rdf:li>Ann</rdf:li>"), 2),  # the same persons, in two ways
    ],
)
def test_people_are_counted_in_all_ways_of_tagging(text: str, people: int) -> None:
    assert count_people(xmp_text([text.encode()])) == people
    assert count_people(xmp_text([text.encode("utf-16")])) == people
    assert signals(with_segments(JPEG, xmp_segment(text))).face_regions == people


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: with_segments(JPEG, xmp_segment("<x/>"), *more_xmp_segments(text, 100)),
        lambda text: with_segments(JPEG, *more_xmp_segments(text, 7)),
        lambda text: with_segments(JPEG, photoshop_segment(resource(1000, b"x"), resource(0x0424, text.encode()))),
        lambda text: with_chunks(PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + text.encode())),
        lambda text: with_chunks(
            PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00en\x00\x00" + zlib.compress(text.encode()))
        ),
        lambda text: with_chunks(PNG, raw_profile(b"xmp", text.encode(), b"tEXt"), late=True),
        lambda text: with_chunks(PNG, raw_profile(b"APP1", b"http://ns.adobe.com/xap/1.0/\x00" + text.encode())),
        lambda text: with_webp_chunks(WEBP, webp_chunk(b"XMP ", text.encode())),
    ],
)
def test_regions_are_found_wherever_xmp_may_be(wrap: Callable[[str], bytes]) -> None:
    assert signals(wrap(mwg_regions("Face", "Pet", "Face"))).face_regions == 2
    assert signals(wrap(mwg_regions("Pet"))).face_regions == 0


def test_compressed_text_beyond_the_limit_leaves_the_count_open() -> None:
    bomb = zlib.compress(bytes(MAX_INFLATED_BYTES + 1))
    text = png_chunk(b"zTXt", b"XML:com.adobe.xmp\x00\x00" + bomb)
    found = signals(with_chunks(PNG, text))
    assert (found.face_regions, found.position) == (None, None)
    small = png_chunk(b"zTXt", b"XML:com.adobe.xmp\x00\x00" + zlib.compress(mwg_regions("Face").encode()))
    assert signals(with_chunks(PNG, small, text)).face_regions == 1  # what can be read counts
    assert signals(with_chunks(PNG, png_chunk(b"zTXt", b"Comment\x00\x00" + bomb))) == NOTHING  # never inflated


def test_text_beyond_the_limit_leaves_the_count_open() -> None:
    parts = Parts(xmp=[b" " * MAX_XMP_BYTES, mwg_regions("Face").encode()])
    assert read_signals(parts).face_regions is None
    assert read_signals(Parts(xmp=parts.xmp[::-1])).face_regions == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<a exif:GPSLatitude="51,45.36N"/>', True),
        ("<e:GPSLongitude>1,15W</e:GPSLongitude>", True),
        ('<a exif:GPSLatitude=""/>', False),
        ("<e:GPSLongitude></e:GPSLongitude>", False),
        ('<a exif:GPSAltitude="51"/>', False),
    ],
)
def test_position_in_xmp(text: str, found: bool) -> None:
    assert has_position(text.encode()) is found


def test_hostile_xmp_takes_linear_time() -> None:
    """Each of these made a careless pattern quadratic: a megabyte would then take hours."""
    for piece in (
        b"<i:PersonInImage ",
        b"<i:PersonInImage>",
        b" a:Type = ",
        b":Type" + b" " * 1000,
        b"<a:" + b"b" * 1000,
    ):
        count_people(piece * (1_000_000 // len(piece)))
        has_position(piece * (1_000_000 // len(piece)))


def test_thumbnails_of_photoshop_and_jfif_are_found() -> None:
    head = bytes(28)
    found = signals(with_segments(JPEG, photoshop_segment(resource(0x040C, head + THUMBNAIL, b"odd"))))
    assert (found.previews, found.photoshop, found.words()) == ((THUMBNAIL,), True, ["photoshop", "thumbnail"])
    assert signals(with_segments(JPEG, segment(0xE0, b"JFXX\x00\x10" + THUMBNAIL))).previews == (THUMBNAIL,)
    split = resource(0x040C, head + THUMBNAIL)
    pieces = [segment(0xED, b"Photoshop 3.0\x00" + split[:100]), segment(0xED, b"Photoshop 3.0\x00" + split[100:])]
    assert signals(with_segments(JPEG, *pieces)).previews == (THUMBNAIL,)
    assert signals(with_segments(JPEG, photoshop_segment(split[:100]))).previews == ()


@pytest.mark.parametrize("content", [JPEG, PNG, WEBP])
def test_bytes_after_the_end_are_counted(content: bytes) -> None:
    found = signals(content + b"PK\x03\x04 an archive")
    assert (found.trailing, found.words()) == (15, ["trailing_bytes"])


def test_second_picture_of_a_jpeg_is_a_tail() -> None:
    double = encoded(photo(), "MPO", save_all=True, append_images=[photo(1)])
    assert signals(double).trailing > 1000
