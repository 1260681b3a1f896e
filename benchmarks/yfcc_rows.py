"""Generated YFCC100M metadata for `scan_metadata`: the 25-column text with the variety of real rows.

Licences come in YFCC100M's own proportions: 17.2 M of its 99.2 M photos are CC BY. The other
shares are rough guesses from a few published rows: camera names as titles, URL-encoded text, 8 % of titles in other
scripts, half of the photos with a place, 3 % of dates `null`, tags and descriptions of very different length.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from urllib.parse import quote_plus

LICENCES = [  # name, path of the address, millions of photos
    ("Attribution License", "by", 17.21),
    ("Attribution-ShareAlike License", "by-sa", 9.41),
    ("Attribution-NoDerivs License", "by-nd", 4.91),
    ("Attribution-NonCommercial License", "by-nc", 12.67),
    ("Attribution-NonCommercial-ShareAlike License", "by-nc-sa", 28.78),
    ("Attribution-NonCommercial-NoDerivs License", "by-nc-nd", 26.23),
]
_WORDS = """the of and in at on my our old new city beach sunset park garden house river bridge street market museum
train station church flower tree dog cat bird lake mountain snow summer winter spring night morning light water sky road
trip festival concert birthday wedding family friends party lunch dinner coffee bike car boat airport hotel view"""
WORDS = _WORDS.split()
FOREIGN = ["東京タワーの夜景", "Церковь на реке", "Mañana en la playa", "Über den Dächern", "Café à Paris", "서울의 밤"]
CAMERAS = ["Canon EOS 5D", "Canon EOS 400D DIGITAL", "NIKON D80", "NIKON D300", "SONY DSC-W55", "Apple iPhone 4"]
CAMERAS += ["Panasonic DMC-FZ50", "OLYMPUS IMAGING CORP. E-510", "FUJIFILM FinePix S5600", "KODAK EASYSHARE C300"]
USERS = 60_000


def write_rows(path: Path, count: int, seed: int = 0) -> None:
    """Write `count` rows: the six licences in YFCC100M's proportions, one row in 125 a video, no damaged row."""
    draw = random.Random(seed)
    users = [_user(draw, index) for index in range(USERS)]
    licences = draw.choices(LICENCES, weights=[share for *_, share in LICENCES], k=count)
    with path.open("w", encoding="utf-8") as handle:
        for row, (name, kind, _) in enumerate(licences):
            photo = draw.randrange(10**6, 10**10)
            user, nick = users[int(USERS * draw.random() ** 3)]  # few users take many of the photos
            server, secret = draw.randrange(8000), f"{draw.getrandbits(40):010x}"
            url = f"http://farm{1 + server % 9}.staticflickr.com/{server}/{photo}_{secret}.jpg"
            key = "".join(f"{byte:x}" for byte in hashlib.md5(url.encode(), usedforsecurity=False).digest())
            place = (f"{draw.uniform(-180, 180):.6f}", f"{draw.uniform(-60, 70):.6f}", "16")
            fields = (
                f"{row}\t{photo}\t{key}\t{user}\t{nick}\t{_date(draw)}\t{1_075_000_000 + draw.randrange(320_000_000)}",
                quote_plus(draw.choice(CAMERAS)) if draw.random() < 0.8 else "",
                _title(draw),
                quote_plus(_words(draw, draw.choice((4, 8, 15, 30, 60)))) if draw.random() < 0.5 else "",
                ",".join(quote_plus(word) for word in draw.choices(WORDS, k=draw.randrange(12))),
                "",
                "\t".join(place if draw.random() < 0.5 else ("", "", "")),
                f"http://www.flickr.com/photos/{user}/{photo}/\t{url}\t{name}",
                f"http://creativecommons.org/licenses/{kind}/2.0/\t{server}\t{1 + server % 9}\t{secret}",
                f"{draw.getrandbits(40):010x}\tjpg\t{int(draw.random() < 1 / 125)}\n",
            )
            handle.write("\t".join(fields))


def _user(draw: random.Random, index: int) -> tuple[str, str]:
    nick = draw.choice(WORDS) + draw.choice(("", "+", "%2F", "_")) + str(index)
    return f"{draw.randrange(10**8):08d}@N0{draw.randrange(9)}", nick


def _words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count)) + draw.choice(("", ".", "!", " (2009)", ", at last"))


def _date(draw: random.Random) -> str:
    if draw.random() < 0.03:
        return "null"
    day = f"{draw.randrange(2003, 2014)}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}"
    return f"{day} {draw.randrange(24):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}.0"


def _title(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.35:
        return f"{draw.choice(('IMG', 'DSC', 'P', 'DSCN'))}_{draw.randrange(10**4):04d}"
    if kind < 0.43:
        return quote_plus(draw.choice(FOREIGN))
    return quote_plus(_words(draw, draw.randrange(1, 8)).capitalize())
