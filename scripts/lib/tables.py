"""The columns of every table that one stage leaves and another reads (docs/tables.md says what each means)."""

from __future__ import annotations

import pyarrow as pa

_BOX = pa.struct([(name, pa.float32()) for name in ("x0", "y0", "x1", "y1", "score")])

# A candidate is known by `image_id`; (source, file, row) tells apart two rows that name the same image.
_ROW_KEY = [("image_id", pa.string()), ("source", pa.string()), ("file", pa.string()), ("row", pa.int64())]

_ATTRIBUTION = [
    ("photo_id", pa.string()),
    ("creator_id", pa.string()),
    ("creator", pa.string()),
    ("title", pa.string()),
    ("page_url", pa.string()),
    ("download_url", pa.string()),
    ("licence", pa.string()),  # SPDX id
    ("licence_name", pa.string()),  # as the source spells it
    ("licence_url", pa.string()),
    ("date_taken", pa.string()),
    ("latitude", pa.float64()),
    ("longitude", pa.float64()),
    ("capture_device", pa.string()),
]

# curate/select_candidates: sorted by (part, image_id, row)
CANDIDATES = pa.schema([*_ROW_KEY, ("part", pa.string()), ("locator", pa.string()), *_ATTRIBUTION])
REJECTED_ROWS = pa.schema(
    [("row", pa.int64()), ("reason", pa.string()), ("photo_id", pa.string()), ("detail", pa.string())]
)

# curate/download: one row for each candidate row of the part, in candidate order
DOWNLOADS = pa.schema(
    [
        *_ROW_KEY,
        ("reason", pa.string()),  # "" when the bytes are in the part's tar
        ("detail", pa.string()),
        ("address", pa.string()),  # where the bytes came from
        ("member", pa.string()),  # name in the tar
        ("offset", pa.int64()),  # of the member's bytes in the tar
        ("size", pa.int64()),
        ("sha256", pa.string()),
    ]
)

# curate/inspect_images: one row for each downloaded image of the part
INSPECTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("reason", pa.string()),  # "" when it decodes
        ("detail", pa.string()),
        ("format", pa.string()),  # JPEG, PNG, WEBP
        ("mode", pa.string()),  # as stored: RGB, L, CMYK, P, ...
        ("width", pa.int32()),  # after EXIF orientation
        ("height", pa.int32()),
        ("orientation", pa.int8()),  # EXIF, 1 when absent
        ("colour_std", pa.float32()),  # largest per-channel standard deviation, levels 0-255
        ("sha256", pa.string()),  # of the file's bytes
        ("phash", pa.uint64()),
        ("miniature", pa.string()),  # 16 x 16 grey levels, row by row, hexadecimal
        # what the file's metadata say; null: there and unreadable
        ("position", pa.bool_()),  # EXIF or XMP hold a latitude or longitude
        ("face_regions", pa.int32()),  # persons whom they frame or name
        ("thumbnail_distance", pa.int32()),  # perceptual-hash bits between thumbnail and picture; null without one
    ]
)

# curate/deduplicate: one row for each image that is in a cluster of two or more
DUPLICATES = pa.schema(
    [
        ("image_id", pa.string()),
        ("cluster", pa.string()),  # image id of the one that is kept
        ("members", pa.int32()),  # images of the cluster
        ("reason", pa.string()),  # "" for the kept one, else exact_duplicate or near_duplicate
        ("distance", pa.int32()),  # perceptual-hash bits to the kept one
        ("mirrored", pa.bool_()),  # it looks like the kept one mirrored left to right,
        ("turned", pa.int32()),  # and then turned clockwise by so many degrees
    ]
)

# filter/detect_faces, filter/detect_people: one row for each image that decodes
DETECTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("reason", pa.string()),  # "" or detector_failed
        ("detail", pa.string()),
        ("score", pa.float32()),  # highest score, 0 when there is no box
        ("count", pa.int32()),  # boxes at or above the detector's recording floor
        ("boxes", pa.list_(_BOX)),  # pixels of the decoded image, best first
    ]
)

# filter/judge: one row for each candidate row of the part
VERDICTS = pa.schema(
    [
        *_ROW_KEY,
        ("reason", pa.string()),  # "" when nothing speaks against it
        ("evidence", pa.string()),  # what the reason rests on, e.g. "retinaface 0.93 >= 0.5"
    ]
)

# filter/select: one row for each candidate row, sorted by (part, image_id, source, file, row)
SELECTION = pa.schema(
    [
        *_ROW_KEY,
        ("part", pa.string()),
        ("keep", pa.bool_()),
        ("reason", pa.string()),
        ("evidence", pa.string()),
        *_ATTRIBUTION,
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)

# filter/draw_audit_sample: one row for each image of the sample, in the order of the draw
AUDIT_SAMPLE = pa.schema(
    [
        ("position", pa.int32()),  # 0, 1, ...: any first n of the sample are a random sample too
        ("image_id", pa.string()),
        ("part", pa.string()),
        ("keep", pa.bool_()),  # false: dropped since, because an auditor found a person
        ("creator", pa.string()),
        ("title", pa.string()),
    ]
)

# shard/write_shards: one row for each image of the shard, in member order
SHARD_INDEX = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("sha256", pa.string()),  # of the member
        ("source_sha256", pa.string()),  # of the file as it was downloaded and inspected
        ("source_metadata", pa.string()),  # what that file carried besides the picture, e.g. "position,thumbnail"
    ]
)

# shard/write_metadata: one row for each kept image, sorted by image_id
METADATA = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("source", pa.string()),
        *_ATTRIBUTION,
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),  # of the file in the shard
        ("source_sha256", pa.string()),  # of the file as it was downloaded
    ]
)

# pretrain/index_images: one row for each file of an image set, in the order of the set
IMAGE_INDEX = pa.schema(
    [
        ("image_id", pa.string()),  # from container and member
        ("container", pa.string()),  # the tar or the picture itself, relative to the set's folder
        ("member", pa.string()),  # name in the tar; "" in a folder
        ("offset", pa.int64()),  # of the picture's bytes in the container
        ("size", pa.int64()),
        ("sha256", pa.string()),  # "" where not all bytes were read
        ("reason", pa.string()),  # "" when training can use it
        ("detail", pa.string()),
    ]
)

# evaluate/list_task: one row for each labelled image of a task
TASK_ITEMS = pa.schema(
    [
        ("split", pa.string()),  # train or test
        ("name", pa.string()),  # member, path relative to the task's data, or "class/index" of a generated set
        ("label", pa.int32()),
        ("class_name", pa.string()),
        ("offset", pa.int64()),  # in the tar; -1 for files and generated images
        ("size", pa.int64()),
        ("accepted", pa.list_(pa.int32())),  # all labels that the image has; mostly the one
        ("ignored", pa.list_(pa.int32())),  # labels of which it cannot be said, left out of their average precision
    ]
)

# evaluate/<protocol>: one row for each run, task, protocol, metric and seed; "" where a column says nothing
# evaluate/list_annotations: one row for each picture of a set with boxes, masks or keypoints
PICTURES = pa.schema(
    [
        ("split", pa.string()),  # train or test
        ("name", pa.string()),  # relative to the folder of its split's images
        ("mask", pa.string()),  # relative to the folder of masks; "" where there is none
        ("size", pa.int64()),  # bytes of the file
        ("width", pa.int32()),  # pixels, as it is meant to be seen
        ("height", pa.int32()),
        ("objects", pa.string()),  # JSON, see scripts/evaluate/annotations/pictures.py
    ]
)
LEFT_OUT_COLUMNS = ("split", "image", "annotation", "reason", "detail")

RESULT_COLUMNS = (
    "run",
    "task",
    "protocol",
    "metric",
    "value",
    "n",  # test images, or what else the value is a mean over
    "seed",  # of this fit or draw
    "chance",
    "low",  # 95 % interval of the value
    "high",
    "sd",  # over repeats within this row, such as episodes
    "repeats",
    "selected_on",  # what a choice rested on; never the test split
    "settings",  # JSON: what the protocol was run with, choices included
    "inputs",  # JSON: SHA-256 of weights and labelled set, view of the images
)

# evaluate/<protocol>: one row for each protocol and seed that answers for each test image
PREDICTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("task", pa.string()),
        ("protocol", pa.string()),
        ("seed", pa.string()),
        ("inputs", pa.string()),  # JSON, as in the results
        ("predicted", pa.list_(pa.int32())),  # labels, in the order of the test split
        ("right", pa.list_(pa.bool_())),
    ]
)

# evaluate/compare_encoders: one row for each task, protocol and pair of encoders
COMPARISON_COLUMNS = (
    "task",
    "protocol",
    "metric",
    "run",
    "other",
    "difference",  # points, run minus other
    "low",  # 95 % interval
    "high",
    "n",  # test images, the same for both
    "seeds",  # fits averaged for each image
    "draws",
    "seed",
)
