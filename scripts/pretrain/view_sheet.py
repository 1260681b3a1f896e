"""views.png: what the network will see, before it sees it: the first images of the first batch in all their views.

The views come out of the data set that training reads, and the words under them from the draws that made them.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from scripts.lib.files import write_bytes
from scripts.lib.images import Pixels
from scripts.lib.sheet import Tile, draw_sheet, encode_sheet
from scripts.pretrain.augment import draw_parameters
from scripts.pretrain.backend import View, ViewParameters
from scripts.pretrain.contract import MakeViews, Method, ViewDraws
from scripts.pretrain.epoch_batches import epoch_order
from scripts.pretrain.multi_crop import MultiCrop, draw_crop_parameters
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.shard_images import ImageList, ShardImages
from scripts.pretrain.views import IndependentViews

ROWS = 8
SIDE = 96  # pixels of the largest views in the picture


def drawn_for(make_views: MakeViews, width: int, height: int, draws: ViewDraws) -> list[ViewParameters]:
    """Return what is drawn for each view of an image of that size; nothing for views that this module does not know."""
    if isinstance(make_views, IndependentViews):
        settings = make_views.settings
        return [draw_parameters(settings, width, height, draws(view)) for view in range(make_views.count)]
    if isinstance(make_views, MultiCrop):
        groups = enumerate(make_views.groups)
        return [draw_crop_parameters(group, width, height, draws(view)) for view, group in groups]
    return []


def in_words(drawn: ViewParameters, width: int, height: int) -> str:
    """Return what was done to a view: "34 % of it, flip, hue, grey, blur 1.2"."""
    words = [f"{100 * drawn.crop[2] * drawn.crop[3] / (width * height):.0f} % of it"]
    words += ["flip"] if drawn.flip else []
    words += ["jitter"] if drawn.jitter else []
    words += ["grey"] if drawn.grey else []
    words += [] if drawn.blur_sigma is None else [f"blur {drawn.blur_sigma:.1f}"]
    words += ["solarised"] if drawn.solarise else []
    return ", ".join(words)


def _picture(view: Tensor) -> Image.Image:
    return Image.fromarray(view.permute(1, 2, 0).numpy())


def _resized(picture: Image.Image, longest: int) -> Image.Image:
    """Return the picture with its long side so many pixels; what is enlarged shows its own pixels."""
    scale = longest / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize(size, method)


class _WithOriginal:
    """Views of an image, and the image and its draws as they were when the views were made."""

    def __init__(self, make_views: MakeViews) -> None:
        self._make_views = make_views
        self.image = Image.new("RGB", (1, 1))
        self.words: list[str] = []

    def __call__(self, image: Pixels, draws: ViewDraws) -> list[View]:
        self.image = Image.fromarray(image)
        size = self.image.size
        self.words = [in_words(drawn, *size) for drawn in drawn_for(self._make_views, *size, draws)]
        return self._make_views(image, draws)


def view_tiles(method: Method, images: ImageList, seed: int) -> list[list[Tile]]:
    """Return for each of the first images of the first batch a row of tiles: the original, then its views."""
    noted = _WithOriginal(method.make_views)
    data = ShardImages(images, noted, seed)
    rows = []
    for index in epoch_order(len(images), seed, 0)[:ROWS]:
        # As a batch of one, because the training device may have to finish the views.
        views = [view[0] for view in method.on_after_batch_transfer(default_collate([data[0, int(index)]]), 0)]
        largest = max(view.shape[-1] for view in views)
        words = noted.words or [""] * len(views)
        original = Tile(_resized(noted.image, SIDE), "", "original", f"{noted.image.width} x {noted.image.height} px")
        row = [original]
        for number, (view, done) in enumerate(zip(views, words, strict=True), start=1):
            side = view.shape[-1]
            shown = _resized(_picture(view), max(1, round(SIDE * side / largest)))
            row.append(Tile(shown, "", done, f"view {number}, {side} px"))
        rows.append(row)
    return rows


def write_views(path: Path, run: RunBase, method: Method, images: ImageList) -> None:
    """Write the picture."""
    rows = view_tiles(method, images, run.seed)[: run.batch_size]
    heading = f"What {run.name} will see: {len(rows)} images of its first batch, {len(rows[0]) - 1} views of each"
    sheet = draw_sheet(heading, [tile for row in rows for tile in row], len(rows[0]), SIDE)
    write_bytes(path, encode_sheet(sheet, f"{heading}. Smaller views are drawn smaller."))
