"""The face stage as PASS's released script runs it, written from its description: the peer of `detect_faces`.

One image at a time, decoded by OpenCV, at native size through RetinaFace MobileNet-0.25 in torch on one CPU thread;
priors rebuilt for each image by the published code; suppression as a loop in Python; what is left above 0.5 is a face.
In its favour, landmarks are not computed.

    python -m benchmarks.pass_way --weights retinaface_mobilenet0.25.pth --out scores.json photos/*.jpg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from retinaface.box_utils import decode
from retinaface.prior_box import priorbox

from scripts.filter.retinaface_network import build_network
from scripts.filter.torch_weights import load_strictly

BGR_MEAN = (104, 117, 123)
RECORDED, OVERLAP = 0.02, 0.4


def suppress(boxes: npt.NDArray[np.float32], overlap: float) -> list[int]:
    """Return the rows of `boxes`, x0, y0, x1, y1, score, that greedy suppression keeps."""
    x0, y0, x1, y1, scores = boxes.T
    areas = (x1 - x0 + 1) * (y1 - y0 + 1)
    order, kept = scores.argsort()[::-1], []
    while order.size > 0:
        best, others = order[0], order[1:]
        kept.append(int(best))
        wide = np.maximum(0, np.minimum(x1[best], x1[others]) - np.maximum(x0[best], x0[others]) + 1)
        tall = np.maximum(0, np.minimum(y1[best], y1[others]) - np.maximum(y0[best], y0[others]) + 1)
        shared = wide * tall
        order = others[shared / (areas[best] + areas[others] - shared) <= overlap]
    return kept


def face_score(network: torch.nn.Module, path: str) -> float:
    """Return the highest score of a file, 0 where nothing is recorded."""
    image: Any = cv2.imread(path, cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    ready = image.astype(np.float32) - np.array(BGR_MEAN, np.float32)
    offsets, logits = network(torch.from_numpy(ready.transpose(2, 0, 1)).unsqueeze(0))
    priors = priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], clip=False, image_size=(height, width))
    corners = decode(offsets[0], priors, [0.1, 0.2]) * torch.tensor([width, height, width, height])
    scores = logits[0].softmax(dim=-1)[:, 1].numpy()
    found = np.where(scores > RECORDED)[0]
    boxes = np.hstack([corners.numpy()[found], scores[found, None]]).astype(np.float32)
    kept = boxes[suppress(boxes, OVERLAP)]
    return float(kept[:, 4].max(initial=0))


def main() -> None:
    """Write the score of each file as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = load_strictly(build_network("mobilenet0.25"), args.weights, "RetinaFace mobilenet0.25")
    with torch.no_grad():
        scores = {Path(path).name: face_score(network, path) for path in args.files}
    args.out.write_text(json.dumps(scores))


if __name__ == "__main__":
    main()
