"""What each reason means to a reader, and the stages of the funnel that the reasons belong to."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.lib.accounting import Account
from scripts.lib.reasons import DownloadReason, FilterReason, InspectionReason, MetadataReason

REASON_TEXTS: dict[str, str] = {
    MetadataReason.WRONG_FIELD_COUNT: "The metadata line has not the number of fields of its layout.",
    MetadataReason.NOT_UTF8: "The metadata line is not valid UTF-8 text.",
    MetadataReason.BAD_FIELD: "A field that must be a number or an address is not.",
    MetadataReason.NOT_A_PHOTO: "The row describes a video.",
    MetadataReason.UNKNOWN_LICENCE: "The licence is missing, or none that this project knows.",
    MetadataReason.LICENCE: "The licence is known, and not among those asked for.",
    MetadataReason.MISSING_ATTRIBUTION: "A field that attribution needs is empty: the creator could not be credited.",
    DownloadReason.REPEATED_ID: "An earlier row names the same image.",
    DownloadReason.ADDRESS_REFUSED: "The address has a scheme or lies in a network that the configuration forbids.",
    DownloadReason.ROBOTS_DISALLOWED: "The server's robots.txt forbids robots to fetch the address.",
    DownloadReason.OPTED_OUT_AI: "The server marks the file as closed to machine learning or indexes (X-Robots-Tag).",
    DownloadReason.OPTED_OUT_TDM: "The server reserves text and data mining (TDM reservation protocol).",
    DownloadReason.NOT_FOUND: "The store answers that it has no such file.",
    DownloadReason.PLACEHOLDER: "The site's “photo unavailable” picture came instead of the photo.",
    DownloadReason.NOT_AN_IMAGE: "A web page or other content lies under the image's address.",
    DownloadReason.TOO_LARGE: "The file has more bytes than the configuration allows.",
    DownloadReason.INCOMPLETE: "Fewer bytes came than were announced.",
    DownloadReason.DOWNLOAD_FAILED: "Time-out, server error or broken connection, after all retries.",
    InspectionReason.UNSUPPORTED_FORMAT: "The bytes are not JPEG, PNG or WebP.",
    InspectionReason.FILE_TOO_LARGE: "The file has more bytes than the guarded decode takes.",
    InspectionReason.TOO_MANY_PIXELS: "The header announces more pixels than the configuration allows.",
    InspectionReason.ANIMATED: "The file holds several frames.",
    InspectionReason.UNDECODABLE: "The data are truncated, patched or damaged.",
    InspectionReason.DECODER_CRASH: "The decoding process died on this file.",
    InspectionReason.DECODER_TIMEOUT: "Decoding took longer than the configuration allows.",
    InspectionReason.DECODER_MEMORY: "Decoding needed more memory than the configuration allows.",
    FilterReason.TOO_SMALL: "The shorter side has fewer pixels than asked for.",
    FilterReason.SINGLE_COLOUR: "The image is of one colour.",
    FilterReason.EXACT_DUPLICATE: "Another image that stays has the same bytes.",
    FilterReason.NEAR_DUPLICATE: "Another image that stays looks the same, by perceptual hash.",
    FilterReason.HUMAN_VERDICT: "A reviewer decided to drop the image.",
    FilterReason.TAGGED_PERSON: "The file's own metadata frame a face or name a person shown.",
    FilterReason.THUMBNAIL_DIFFERS: "The thumbnail in the file shows another picture: it was changed afterwards.",
    FilterReason.DETECTOR_FAILED: "A detector failed on the image. What was not measured is not kept.",
    FilterReason.FACE: "A face detector found a face at or above its threshold.",
    FilterReason.PERSON: "A person detector found a person at or above its threshold.",
    FilterReason.AWAITS_REVIEW: "Between keep and drop: left out until a reviewer has looked at it.",
    FilterReason.PHOTOGRAPHER_CAP: "Nothing against the image: its photographer already has as many as are allowed.",
    FilterReason.NOT_SAMPLED: "Nothing against the image: the sample was full.",
}


@dataclass(frozen=True)
class Stage:
    """A stretch of the road: the reasons that can end it there, and what the rest is called."""

    name: str  # what this stretch asks, as a heading above its reasons
    survivors: str  # what the rows that pass are called, beside their number
    reasons: tuple[str, ...]


STAGES: tuple[Stage, ...] = (
    Stage("Metadata and licence", "licence and attribution in order", tuple(str(reason) for reason in MetadataReason)),
    Stage("Download", "downloaded", tuple(str(reason) for reason in DownloadReason)),
    Stage(
        "Usable picture",
        "decodes to a usable picture",
        (*(str(reason) for reason in InspectionReason), str(FilterReason.TOO_SMALL), str(FilterReason.SINGLE_COLOUR)),
    ),
    Stage("Duplicates", "distinct", (str(FilterReason.EXACT_DUPLICATE), str(FilterReason.NEAR_DUPLICATE))),
    Stage(
        "People",
        "nobody found in it",
        (
            str(FilterReason.HUMAN_VERDICT),
            str(FilterReason.TAGGED_PERSON),
            str(FilterReason.THUMBNAIL_DIFFERS),
            str(FilterReason.DETECTOR_FAILED),
            str(FilterReason.FACE),
            str(FilterReason.PERSON),
            str(FilterReason.AWAITS_REVIEW),
        ),
    ),
    Stage("Cap and sample", "kept", (str(FilterReason.PHOTOGRAPHER_CAP), str(FilterReason.NOT_SAMPLED))),
)


def stage_losses(account: Account) -> list[tuple[Stage, dict[str, int], int]]:
    """Return (stage, reason → rows lost in it, rows left after it) in order; reasons without rows are left out.

    Raises:
        AssertionError: a reason belongs to no stage, or the rows left after the last stage are not the kept ones.
    """
    left = account["read"]
    steps = []
    for stage in STAGES:
        lost = {reason: account["rejected"][reason] for reason in stage.reasons if account["rejected"].get(reason)}
        left -= sum(lost.values())
        steps.append((stage, lost, left))
    if left != account["kept"]:
        raise AssertionError(f"{left} rows are left after all stages, {account['kept']} were kept: {account}")
    return steps
