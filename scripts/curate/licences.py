"""Licences by every name and address under which YFCC100M and Flickr give them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import get_args

from scripts.curate.settings import Licence

LICENCES: tuple[Licence, ...] = get_args(Licence)

# YFCC100M spells these out in its column `licensename`; Flickr's own pages and interface use the same words.
_FLICKR_NAMES: dict[str, Licence] = {
    "attribution license": "CC-BY-2.0",
    "attribution-sharealike license": "CC-BY-SA-2.0",
    "attribution-noderivs license": "CC-BY-ND-2.0",
    "attribution-noncommercial license": "CC-BY-NC-2.0",
    "attribution-noncommercial-sharealike license": "CC-BY-NC-SA-2.0",
    "attribution-noncommercial-noderivs license": "CC-BY-NC-ND-2.0",
    "public domain dedication (cc0)": "CC0-1.0",
    "public domain mark": "PDM-1.0",
    "public domain mark 1.0": "PDM-1.0",
}

# flickr.photos.licenses.getInfo; 11 to 16 came with version 4.0 on Flickr in June 2025. 0 (all rights reserved),
# 7 (no known copyright restrictions) and 8 (United States government work) are not licences that can be shown to be in
# force, so they are unknown here on purpose.
_FLICKR_IDS: dict[str, Licence] = {
    "1": "CC-BY-NC-SA-2.0",
    "2": "CC-BY-NC-2.0",
    "3": "CC-BY-NC-ND-2.0",
    "4": "CC-BY-2.0",
    "5": "CC-BY-SA-2.0",
    "6": "CC-BY-ND-2.0",
    "9": "CC0-1.0",
    "10": "PDM-1.0",
    "11": "CC-BY-4.0",
    "12": "CC-BY-SA-4.0",
    "13": "CC-BY-ND-4.0",
    "14": "CC-BY-NC-4.0",
    "15": "CC-BY-NC-SA-4.0",
    "16": "CC-BY-NC-ND-4.0",
}

_PATHS: dict[str, Licence] = {
    "licenses/by/2.0": "CC-BY-2.0",
    "licenses/by-sa/2.0": "CC-BY-SA-2.0",
    "licenses/by-nd/2.0": "CC-BY-ND-2.0",
    "licenses/by-nc/2.0": "CC-BY-NC-2.0",
    "licenses/by-nc-sa/2.0": "CC-BY-NC-SA-2.0",
    "licenses/by-nc-nd/2.0": "CC-BY-NC-ND-2.0",
    "licenses/by/4.0": "CC-BY-4.0",
    "licenses/by-sa/4.0": "CC-BY-SA-4.0",
    "licenses/by-nd/4.0": "CC-BY-ND-4.0",
    "licenses/by-nc/4.0": "CC-BY-NC-4.0",
    "licenses/by-nc-sa/4.0": "CC-BY-NC-SA-4.0",
    "licenses/by-nc-nd/4.0": "CC-BY-NC-ND-4.0",
    "publicdomain/zero/1.0": "CC0-1.0",
    "publicdomain/mark/1.0": "PDM-1.0",
}
_ADDRESSES = {licence: f"https://creativecommons.org/{path}/" for path, licence in _PATHS.items()}
_ADDRESS = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?P<path>[a-z]+/[a-z-]+/[0-9.]+)"
    r"(?:/(?:(?:deed|legalcode)(?:\.[a-z0-9_-]+)?|rdf)?)?(?:\?[!-~]*)?",
    flags=re.IGNORECASE,
)
_SPDX: dict[str, Licence] = {licence.casefold(): licence for licence in LICENCES}


def licence_of_name(name: str) -> Licence | None:
    """Return the licence of a name: YFCC's or Flickr's words, Flickr's number, an SPDX id, or `CC BY-NC 2.0`."""
    text = " ".join(name.split()).casefold().replace("licence", "license")
    joined = text.replace(" ", "-")
    return _FLICKR_NAMES.get(text) or _FLICKR_IDS.get(text) or _SPDX.get(joined) or _SPDX.get("cc-" + joined)


def licence_of_address(url: str) -> Licence | None:
    """Return the licence of an address of creativecommons.org.

    Either scheme or none, with or without www. and a last slash; its deed and legal code in any language; what a
    referrer puts behind a question mark is passed over.

    Ported licences (`/by/2.0/uk/`) and versions that `Licence` does not list are other licences, hence None.
    """
    match = _ADDRESS.fullmatch(url.strip())
    return _PATHS.get(match["path"].lower()) if match else None


@lru_cache(maxsize=1024)
def normalise_licence(name: str, url: str) -> Licence | None:
    """Return the one licence that name and address agree on; either may be empty.

    None when neither says anything, when one of them says something that is not known, or when they contradict each
    other: a licence that has to be guessed is no licence.
    """
    found = []
    if name.strip():
        found.append(licence_of_name(name))
    if url.strip():
        found.append(licence_of_address(url))
    return found[0] if found and all(licence == found[0] for licence in found) else None


def licence_address(licence: Licence) -> str:
    """Return Creative Commons' own address of a licence, for rows that give only its name."""
    return _ADDRESSES[licence]
