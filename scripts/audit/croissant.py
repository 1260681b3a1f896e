"""The dataset in the Croissant format 1.1 with the vocabulary for responsible AI: files, tables, and what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from scripts.audit.dataset_facts import DatasetFacts
from scripts.audit.publication import PublishedFile, media_type
from scripts.audit.run_crate import Facts, licence_address
from scripts.lib.human_figures import leak_sentence
from scripts.lib.tables import METADATA

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
COLUMNS = {  # of metadata.parquet
    "image_id": "Name of the image: half of a SHA-256 of source and number there.",
    "shard": "The tar that holds it.",
    "member": "Its name in that tar.",
    "source": "The collection that it comes from.",
    "photo_id": "Its number there.",
    "creator_id": "The author's number there.",
    "creator": "The author, for credit.",
    "title": "The title that the author gave.",
    "page_url": "The page of the photo, for credit.",
    "download_url": "Where the file came from.",
    "licence": "Licence, as SPDX names it.",
    "licence_name": "Licence, as the source spells it.",
    "licence_url": "The text of the licence, for credit.",
    "date_taken": "When it was taken, as the source says.",
    "latitude": "Where it was taken, degrees; mostly absent.",
    "longitude": "Where it was taken, degrees; mostly absent.",
    "capture_device": "The camera, as the source says.",
    "width": "Pixels.",
    "height": "Pixels.",
    "sha256": "SHA-256 of the file in the shard.",
    "source_sha256": "SHA-256 of the file as it was downloaded.",
}
_STEPS = ("shard.write_shards", "shard.write_metadata", "shard.write_card")
_METADATA = "results/shard/write_metadata/metadata.parquet"


def build_croissant(facts: Facts, dataset: DatasetFacts, files: Sequence[PublishedFile], url: str) -> dict[str, Any]:
    """Return the content of croissant.json. `url`: where the folder will lie; empty when nobody knows yet."""
    own = [each for each in files if each.step in _STEPS]
    shards = [each.path for each in own if each.flag == "tar"]
    maker = {"@type": "Organization", "name": facts.contact}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.title,
        "description": (
            f"{dataset.images} images for self-supervised training, chosen so that no person is visible in them, each "
            "with a licence that allows reuse and with the data that credit needs. No labels."
        ),
        "version": facts.version,
        "license": [licence_address(each) for each in facts.licences],
        "creator": maker,
        "publisher": maker,
        "dateCreated": facts.date,
        "datePublished": facts.date,
        "citeAs": f"{facts.title}, version {facts.version}, {facts.date[:4]}. Seal of the run: {facts.seal}",
        "identifier": facts.seal,
        "keywords": ["images", "self-supervised learning", "without people", "attribution"],
        "isLiveDataset": False,
        **({"url": url} if url else {}),
        "distribution": [*map(_file_object, own), _file_set(shards)],
        "recordSet": [_metadata(), _images()],
        **{f"rai:{name}": value for name, value in responsible(facts, dataset).items()},
    }


def _file_object(each: PublishedFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": each.path,
        "name": each.path,
        "contentUrl": each.path,
        "contentSize": f"{each.bytes} B",
        "encodingFormat": media_type(each.path),
        "sha256": each.sha256,
    }


def _file_set(shards: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "image-files",
        "name": "image-files",
        "description": "All images: the members of the shards.",
        "containedIn": [{"@id": path} for path in shards],
        "encodingFormat": ["image/jpeg", "image/png", "image/webp"],
        "includes": "*/*",
    }


def _metadata() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "metadata",
        "name": "metadata",
        "description": "One row for each image: what credit needs, and where its bytes lie.",
        "key": {"@id": "metadata/image_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"metadata/{column.name}",
                "name": column.name,
                "description": COLUMNS[column.name],
                "dataType": _data_type(column.type),
                "source": {"fileObject": {"@id": _METADATA}, "extract": {"column": column.name}},
            }
            for column in METADATA
        ],
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"


def _images() -> dict[str, Any]:
    files = {"@id": "image-files"}
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "The bytes of each image, under the name that `metadata/image_id` has.",
        "key": {"@id": "images/image_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": "images/image_id",
                "name": "image_id",
                "description": COLUMNS["image_id"],
                "dataType": "sc:Text",
                "source": {
                    "fileSet": files,
                    "extract": {"fileProperty": "filename"},
                    "transform": {"regex": "^([0-9a-f]+)"},
                },
                "references": {"field": {"@id": "metadata/image_id"}},
            },
            {
                "@type": "cr:Field",
                "@id": "images/content",
                "name": "content",
                "description": "The picture.",
                "dataType": "sc:ImageObject",
                "source": {"fileSet": files, "extract": {"fileProperty": "content"}},
            },
        ],
    }


def responsible(facts: Facts, dataset: DatasetFacts) -> Mapping[str, Any]:
    """Return what the vocabulary for responsible AI asks, as far as the records answer."""
    rejected = ", ".join(f"{reason} {count}" for reason, count in sorted(dataset.rejected.items()))
    leak = leak_sentence(dataset.leak)
    return {
        "dataCollection": (
            f"{dataset.read} candidates from {', '.join(dataset.sources)}, of which {dataset.images} were kept. Each "
            f"candidate that was not kept has one reason: {rejected}."
        ),
        "dataCollectionType": ["Secondary Data Analysis", "Web Scraping"],
        "dataCollectionTimeframe": list(dataset.collected),
        "dataPreprocessingProtocol": list(dataset.preprocessing),
        "machineAnnotationTools": list(dataset.detectors),
        "dataAnnotationProtocol": [dataset.review],
        "personalSensitiveInformation": [
            f"People in the images: {leak}",
            "Names of authors are given because their licences ask for credit; do not use them to link images to "
            "people. Where a source says so, the position and time of a photo are given.",
            f"Images are taken down without a reason being asked for: {facts.contact}",
        ],
        "dataLimitations": [
            f"Measured leak rate: {leak}",
            "The absence of people was judged by detectors, and by human reviewers only as far as stated. Detectors "
            "miss people: small, partly hidden, seen from behind, drawn or in unusual poses.",
            "Licences, names, dates and positions are what the sources say; nobody has verified them. A licence may "
            "have been changed at the source since.",
        ],
        "dataBiases": [
            "The images follow who takes photos, who publishes them and what the filters keep; they are not a fair "
            "sample of the world.",
        ],
        "dataUseCases": ["Self-supervised pretraining of image encoders.", "Not for any task about people."],
        "dataReleaseMaintenancePlan": (
            f"An image is taken down on request to {facts.contact}. Its shard depends on its id alone, so one shard "
            "changes; the version and the seal tell the sets apart."
        ),
    }
