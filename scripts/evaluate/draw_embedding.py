"""Draw test images where their features put them: thumbnails, and beside them points coloured by class.

Features of unit length, to 50 dimensions by principal components, to two by t-SNE (van der Maaten and Hinton 2008)
without approximation. It begins at the first two components, so nothing is drawn by lot but the images. Near
neighbours mean something on such a map; distances between groups and the sizes of groups do not.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from PIL import Image, ImageDraw
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from scripts.evaluate.features import Array, load_features
from scripts.evaluate.few_shot import unit_rows
from scripts.evaluate.items import TEST, Item, Reader
from scripts.evaluate.settings import DrawEmbeddingSettings
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, write_bytes
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.recipe import read_recipe
from scripts.lib.sheet import GAP, GROUND, HEAD_HEIGHT, HEAD_SIZE, INK, MUTED, encode_sheet, fit_text, load_font
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import TASK_ITEMS
from scripts.lib.thumbnails import make_thumbnail

log = logging.getLogger(__name__)

Places = npt.NDArray[np.float64]  # [n, 2], of 0-1
COMPONENTS = 50  # as the authors of t-SNE
SIDE = 640  # pixels of a panel
RADIUS = 5
LEGEND_SIZE, LEGEND_STEP, LEGEND_COLUMNS = 12, 20, 4
REST = (170, 176, 182)  # of classes that have no colour of their own
PALETTE = (  # Okabe and Ito
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (240, 228, 66),
    (27, 31, 36),
)
CORNERS = (0, 4, 3, 5)  # of the marks, in turn; 0 is a disc: colour is not the only difference


def map_places(features: Array, perplexity: float) -> Places:
    """Return where each image lies on the map, both axes scaled to 0-1.

    Args:
        features: [n, d]; all equal, as of a collapsed encoder, give one place.
        perplexity: of t-SNE, lowered where there are few images.

    Raises:
        UserError: there are fewer than four images.
    """
    if len(features) < 4:
        raise UserError(
            f"a map of {len(features)} images shows nothing; name tasks with at least four test images in "
            "evaluate.embedding_map.tasks"
        )
    rows = unit_rows(features).astype(np.float64)
    if float(np.ptp(rows, axis=0).max()) < 1e-9:
        return np.full((len(rows), 2), 0.5)
    parts = min(COMPONENTS, len(rows) - 1, rows.shape[1])
    rows = PCA(parts, svd_solver="full").fit_transform(rows)
    start = np.zeros((len(rows), 2))
    start[:, : min(2, parts)] = rows[:, :2]
    # The scale that scikit-learn gives its own start; only the first component is sure to differ.
    start = (start / start[:, 0].std() * 1e-4).astype(np.float32)
    few = min(perplexity, (len(rows) - 1) / 3)
    found = TSNE(perplexity=few, init=start, method="exact", random_state=0).fit_transform(rows).astype(np.float64)
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray((found - low) / np.maximum(high - low, 1e-12))


def shown_thumbnails(places: Places, side: int) -> list[int]:
    """Return the images that get a thumbnail: in their order, each that covers no earlier one."""
    corners = places * (SIDE - side)
    shown: list[int] = []
    for index, corner in enumerate(corners):
        if all(np.abs(corner - corners[other]).max() >= side + 2 for other in shown):
            shown.append(index)
    return shown


def class_marks(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return the classes that get a colour, the most frequent first, and how many images each has."""
    counts = Counter(names)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: len(PALETTE)]


def picture_of(reader: Reader, item: Item, side: int) -> Image.Image:
    """Return an image's thumbnail."""
    content = reader.read(item)
    if isinstance(content, bytes):
        return make_thumbnail(content, side)[0]
    image = Image.fromarray(content)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
    return image


def _mark(draw: ImageDraw.ImageDraw, centre: tuple[float, float], number: int | None) -> None:
    """Draw a point; `number` is the place of its class in the palette, None for a class without a colour."""
    x, y = centre
    if number is None:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=REST)
        return
    colour, corners = PALETTE[number], CORNERS[number % len(CORNERS)]
    if corners:
        draw.regular_polygon((x, y, RADIUS + 1), corners, fill=colour, outline=INK)
    else:
        draw.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=colour, outline=INK)


def draw_map(heading: str, places: Places, names: Sequence[str], pictures: dict[int, Image.Image]) -> Image.Image:
    """Return the map: thumbnails on the left, points of all images on the right, classes below.

    Args:
        heading: above both.
        places: of `map_places`.
        names: class of each image.
        pictures: number of an image → its thumbnail; each lies where its point lies in the other panel.
    """
    marks = class_marks(names)
    number_of = {name: number for number, (name, _) in enumerate(marks)}
    rest = len(set(names)) - len(marks)
    lines = -(-(len(marks) + (rest > 0)) // LEGEND_COLUMNS)
    size = (2 * SIDE + 3 * GAP, HEAD_HEIGHT + SIDE + 2 * GAP + lines * LEGEND_STEP)
    canvas = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(canvas)
    font, small = load_font(HEAD_SIZE), load_font(LEGEND_SIZE)
    text = fit_text(heading, font, size[0] - 2 * GAP)
    draw.text((GAP, HEAD_HEIGHT // 2), text, font=font, fill=INK, anchor="lm")
    right = 2 * GAP + SIDE
    for left in (GAP, right):
        draw.rectangle((left, HEAD_HEIGHT, left + SIDE - 1, HEAD_HEIGHT + SIDE - 1), fill=(255, 255, 255))
    largest = max((max(picture.size) for picture in pictures.values()), default=0)
    for index, picture in pictures.items():
        corner = [round(float(value)) for value in places[index] * (SIDE - largest)]
        spare = ((largest - picture.width) // 2, (largest - picture.height) // 2)
        canvas.paste(picture, (GAP + corner[0] + spare[0], HEAD_HEIGHT + corner[1] + spare[1]))
    inside = SIDE - 4 * RADIUS
    # Classes without a colour first, so that they cover no other.
    for index in sorted(range(len(names)), key=lambda index: (names[index] in number_of, index)):
        x, y = (2 * RADIUS + float(value) * inside for value in places[index])
        _mark(draw, (right + x, HEAD_HEIGHT + y), number_of.get(names[index]))
    entries: list[tuple[str, int | None]] = [(f"{name} ({images})", number_of[name]) for name, images in marks]
    entries += [(f"{rest} other classes", None)] if rest else []
    width = size[0] // LEGEND_COLUMNS
    for place, (label, number) in enumerate(entries):
        across = GAP + RADIUS + (place % LEGEND_COLUMNS) * width
        down = HEAD_HEIGHT + SIDE + GAP + LEGEND_STEP // 2 + (place // LEGEND_COLUMNS) * LEGEND_STEP
        _mark(draw, (across, down), number)
        draw.text((across + 12, down), fit_text(label, small, width - 30), font=small, fill=MUTED, anchor="lm")
    return canvas


def read_items(path: Path, inputs: dict[str, object]) -> list[Item]:
    """Return the test images in the order of their features.

    Raises:
        UserError: the features were made from another list.
    """
    if inputs.get("items_sha256") != sha256_file(path):
        raise UserError(
            f"the features were not made from the images that {path} lists; make both again with the rules `list_task` "
            "and `embed`"
        )
    rows = [row for row in pq.read_table(path, schema=TASK_ITEMS).to_pylist() if row["split"] == TEST]
    return [Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"]) for row in rows]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of DrawEmbeddingSettings")
    parser.add_argument("--encoder", required=True, help="name of the encoder, for the heading")
    parser.add_argument("--features", required=True, type=input_file, help="features of `embed`")
    parser.add_argument("--items", type=input_file, required=True, help="table of `list_task`")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--out", required=True, type=output_file, help="PNG")
    options = parser.parse_args(argv)
    settings = read_recipe(DrawEmbeddingSettings, options.recipe)
    task, chosen = settings.task, settings.embedding_map
    features = load_features(options.features)
    items = read_items(options.items, features.inputs)
    order = sorted(range(len(items)), key=lambda index: rank(chosen.seed, "embedding map", items[index].name))
    order = order[: chosen.images]
    with threadpool_limits(limits=1):  # the last bits of a sum depend on their number
        places = map_places(features.test_features[order], chosen.perplexity)
    kind = importlib.import_module(f"scripts.evaluate.tasks.{task.kind}")
    reader: Reader = kind.open_reader(task, options.paths)
    numbers = shown_thumbnails(places, chosen.thumbnail)
    pictures = {number: picture_of(reader, items[order[number]], chosen.thumbnail) for number in numbers}
    names = [items[index].class_name for index in order]
    part = f"{len(order)} of {len(items)} test images" if len(order) < len(items) else f"all {len(items)} test images"
    text = f"{part} of {task.name}, {len(set(names))} classes; {len(pictures)} of them as thumbnails"
    canvas = draw_map(f"{options.encoder}: {part} of {task.name}", places, names, pictures)
    write_bytes(options.out, encode_sheet(canvas, text))
    log.info("wrote %s: %s", options.out, text)


if __name__ == "__main__":
    run_step(main)
