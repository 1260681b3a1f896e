"""Every spelling of a licence, and everything that is not one."""

from __future__ import annotations

import pytest

from scripts.curate.licences import LICENCES, licence_address, normalise_licence

BY = "http://creativecommons.org/licenses/by/2.0/"


@pytest.mark.parametrize(
    ("name", "path", "licence"),
    [
        ("Attribution License", "by", "CC-BY-2.0"),
        ("Attribution-ShareAlike License", "by-sa", "CC-BY-SA-2.0"),
        ("Attribution-NoDerivs License", "by-nd", "CC-BY-ND-2.0"),
        ("Attribution-NonCommercial License", "by-nc", "CC-BY-NC-2.0"),
        ("Attribution-NonCommercial-ShareAlike License", "by-nc-sa", "CC-BY-NC-SA-2.0"),
        ("Attribution-NonCommercial-NoDerivs License", "by-nc-nd", "CC-BY-NC-ND-2.0"),
    ],
)
def test_the_six_of_yfcc(name: str, path: str, licence: str):
    url = f"http://creativecommons.org/licenses/{path}/2.0/"
    assert normalise_licence(name, url) == licence
    assert normalise_licence(name, "") == licence
    assert normalise_licence("", url) == licence


@pytest.mark.parametrize(
    ("number", "licence"),
    [
        ("0", None),
        ("1", "CC-BY-NC-SA-2.0"),
        ("2", "CC-BY-NC-2.0"),
        ("3", "CC-BY-NC-ND-2.0"),
        ("4", "CC-BY-2.0"),
        ("5", "CC-BY-SA-2.0"),
        ("6", "CC-BY-ND-2.0"),
        ("7", None),
        ("8", None),
        ("9", "CC0-1.0"),
        ("10", "PDM-1.0"),
        ("11", "CC-BY-4.0"),
        ("12", "CC-BY-SA-4.0"),
        ("13", "CC-BY-ND-4.0"),
        ("14", "CC-BY-NC-4.0"),
        ("15", "CC-BY-NC-SA-4.0"),
        ("16", "CC-BY-NC-ND-4.0"),
        ("17", None),
    ],
)
def test_numbers_of_flickr(number: str, licence: str | None):
    assert normalise_licence(number, "") == licence


@pytest.mark.parametrize(
    "url",
    [
        BY,
        BY.rstrip("/"),
        BY.replace("http", "https"),
        BY.replace("//", "//www."),
        "//creativecommons.org/licenses/by/2.0",
        BY + "deed.de",
        BY + "deed.zh-Hant",
        BY + "deed.es_419",
        BY + "legalcode",
        BY + "legalcode.txt",
        BY + "rdf",
        BY + "?ref=openverse",
        BY.rstrip("/") + "?ref=ccsearch&atype=rich",
        BY.upper().replace("HTTP://CREATIVECOMMONS.ORG", "http://CreativeCommons.org"),
        f"  {BY} ",
    ],
)
def test_forms_of_an_address(url: str):
    assert normalise_licence("", url) == "CC-BY-2.0"


@pytest.mark.parametrize(
    "url",
    [
        BY + "uk/",  # ported: another text
        BY + "deed.de/uk/",
        BY + "deed/",
        BY + "?a b",
        BY.replace("2.0", "2.5"),
        BY.replace("creativecommons", "creativecommons.example"),
        BY.replace("creativecommons.org", "evil.org/creativecommons.org"),
        "javascript:" + BY,
        "by/2.0",
        BY + "\n" + BY,
    ],
)
def test_what_is_not_such_an_address(url: str):
    assert normalise_licence("", url) is None


@pytest.mark.parametrize("kind", ["by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"])
@pytest.mark.parametrize("version", ["2.0", "4.0"])
def test_all_six_in_both_versions_that_flickr_has(kind: str, version: str):
    licence = f"CC-{kind.upper()}-{version}"
    for scheme in ("http://", "https://", "//", "https://www."):
        for end in ("", "/", "/deed.en"):
            assert normalise_licence("", f"{scheme}creativecommons.org/licenses/{kind}/{version}{end}") == licence
    assert normalise_licence(f"CC {kind.upper()} {version}", "") == licence  # as Flickr's interface now spells them


@pytest.mark.parametrize(
    "name", ["All Rights Reserved", "No known copyright restrictions", "United States Government Work"]
)
def test_flickr_names_that_are_no_licence(name: str):
    assert normalise_licence(name, "") is None
    assert normalise_licence(name, "https://www.flickr.com/commons/usage/") is None


@pytest.mark.parametrize("licence", LICENCES)
def test_each_licence_has_an_address_and_its_own_name(licence: str):
    assert normalise_licence(licence, "") == licence
    assert normalise_licence(licence.lower().replace("-", " "), "") == licence
    assert normalise_licence("", licence_address(licence)) == licence
    assert normalise_licence(licence, licence_address(licence)) == licence


def test_short_names():
    assert normalise_licence("CC BY-NC 2.0", "") == "CC-BY-NC-2.0"
    assert normalise_licence("by-sa 4.0", "") == "CC-BY-SA-4.0"
    assert normalise_licence("attribution   LICENCE", "") == "CC-BY-2.0"
    assert normalise_licence("CC BY", "") is None  # which version?


def test_name_and_address_that_contradict_each_other_are_no_licence():
    assert normalise_licence("Attribution License", BY.replace("/by/", "/by-nc/")) is None
    assert normalise_licence("All Rights Reserved", BY) is None
    assert normalise_licence("Attribution License", "http://example.org/") is None
    assert normalise_licence("", " ") is None
