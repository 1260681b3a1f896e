"""The closed list of reasons for which a row or an image is not kept, in the order in which they are tested.

Each stage has its own list, so that a new reason of one stage does not change the fingerprint of another.
"""

from __future__ import annotations

from enum import StrEnum


class MetadataReason(StrEnum):
    """Why `select_candidates` turns a metadata row away."""

    WRONG_FIELD_COUNT = "wrong_field_count"  # the line has not the layout's number of fields
    NOT_UTF8 = "not_utf8"
    NOT_A_PHOTO = "not_a_photo"  # a video
    UNKNOWN_LICENCE = "unknown_licence"
    LICENCE = "licence"  # known, and not among those asked for
    BAD_FIELD = "bad_field"  # a field that must be a number or an address is not
    MISSING_ATTRIBUTION = "missing_attribution"  # a field that attribution needs is empty


class DownloadReason(StrEnum):
    """Why a candidate has no bytes."""

    REPEATED_ID = "repeated_id"  # an earlier candidate row names the same image
    ADDRESS_REFUSED = "address_refused"  # scheme or network that the config does not allow
    ROBOTS_DISALLOWED = "robots_disallowed"  # the host's robots.txt forbids it
    OPTED_OUT_AI = "opted_out_ai"  # X-Robots-Tag: noai, noml, ...
    OPTED_OUT_TDM = "opted_out_tdm"  # text and data mining is reserved (TDMRep)
    NOT_FOUND = "not_found"  # the store answers that it has no such file
    PLACEHOLDER = "placeholder"  # the site's "photo unavailable" picture
    NOT_AN_IMAGE = "not_an_image"  # HTML, XML or other content under an image's address
    TOO_LARGE = "too_large"  # more bytes than the config allows
    INCOMPLETE = "incomplete"  # fewer bytes than announced
    DOWNLOAD_FAILED = "download_failed"  # time-out, server error, broken connection after all retries


class InspectionReason(StrEnum):
    """Why bytes are not a usable image."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    FILE_TOO_LARGE = "file_too_large"  # more bytes than the guarded decode takes
    TOO_MANY_PIXELS = "too_many_pixels"
    ANIMATED = "animated"
    UNDECODABLE = "undecodable"  # truncated, patched or damaged
    DECODER_CRASH = "decoder_crash"  # the decoding process died
    DECODER_TIMEOUT = "decoder_timeout"  # more processor or wall time than allowed
    DECODER_MEMORY = "decoder_memory"  # more memory than allowed


class FilterReason(StrEnum):
    """Why `judge` or `select` drops an image that decodes."""

    TOO_SMALL = "too_small"
    SINGLE_COLOUR = "single_colour"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    HUMAN_VERDICT = "human_verdict"  # a reviewer says drop
    TAGGED_PERSON = "tagged_person"  # the file's own metadata frame or name a person
    THUMBNAIL_DIFFERS = "thumbnail_differs"  # the file holds a thumbnail of another, or an earlier, picture
    DETECTOR_FAILED = "detector_failed"  # not measured, hence not kept
    FACE = "face"
    PERSON = "person"
    AWAITS_REVIEW = "awaits_review"  # between keep and drop: not kept until a reviewer says so
    PHOTOGRAPHER_CAP = "photographer_cap"
    NOT_SAMPLED = "not_sampled"  # beyond the target size


class ImageSetReason(StrEnum):
    """Why `index_images` leaves a file of an image set out, beside the reasons of `InspectionReason`.

    Not a part of the funnel: these images are no candidates.
    """

    NOT_A_FILE = "not_a_file"  # a link or device in a tar; a device, or a link that leads nowhere, in a folder
    UNSAFE_NAME = "unsafe_name"  # in a tar absolute or climbing out; anywhere not UTF-8
    REPEATED_NAME = "repeated_name"  # the tar holds an entry of that name before
    UNREADABLE = "unreadable"  # no permission, or gone since it was listed


class AnnotationReason(StrEnum):
    """Why `list_annotations` leaves out a picture, an annotation or a class; no part of the funnel."""

    MISSING_IMAGE = "missing_image"  # the annotations name it, the folder has it not
    UNREADABLE_IMAGE = "unreadable_image"  # its header is none of a JPEG, PNG or WebP
    SIZE_DIFFERS = "size_differs"  # the picture or its mask has another size than the annotations say
    MISSING_MASK = "missing_mask"
    REPEATED_IMAGE = "repeated_image"  # the same file was listed before
    BEYOND_MAX = "beyond_max"  # more pictures than asked for
    UNKNOWN_IMAGE = "unknown_image"  # the annotation is of a picture that is not listed
    IMAGE_LEFT_OUT = "image_left_out"
    UNKNOWN_CLASS = "unknown_class"
    BAD_NUMBERS = "bad_numbers"  # not numbers, not finite, or too few
    NO_AREA = "no_area"  # nothing of the box lies in the picture
    BAD_OUTLINE = "bad_outline"  # the segmentation is neither polygons nor run lengths of the picture's size
    CLASS_WITHOUT_INSTANCE = "class_without_instance"  # in the train split


REASON_LISTS: tuple[type[StrEnum], ...] = (MetadataReason, DownloadReason, InspectionReason, FilterReason)


def all_reasons() -> list[str]:
    """Return every reason in the order of the pipeline."""
    return [str(reason) for reasons in REASON_LISTS for reason in reasons]
