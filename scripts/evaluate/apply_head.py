"""Send the features of a labelled set through the projection head that its encoder was trained with.

The head was kept by `train` and works on what `embed` cached, so no image is looked at again; RankMe's paper measures
there, and so do the figures of some authors (MoCo's CIFAR notebook). The rows are not scaled to length 1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from scripts.evaluate.features import Array, Features, load_features, save_features
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from scripts.lib.flags import input_file, output_file
from scripts.lib.heads import load_head
from scripts.lib.step import run_step, step_parser

log = logging.getLogger(__name__)

BLOCK_ROWS = 4096  # images whose features go through at a time


@torch.inference_mode()
def project(head: nn.Module, features: Array) -> Array:
    """Return the head's outputs [n, p] float32 of features [n, d].

    Raises:
        UserError: an output is not finite.
    """
    blocks = [features[first : first + BLOCK_ROWS] for first in range(0, len(features), BLOCK_ROWS)]
    found = np.concatenate([head(torch.from_numpy(block.astype(np.float32))).numpy() for block in blocks])
    if not bool(np.isfinite(found).all()):
        raise UserError("the projection head gives numbers that are not finite: its weights diverged in training")
    return found


def project_features(head: nn.Module, features: Features, width: int, head_sha256: str) -> Features:
    """Return `features` after the head, labels as they were.

    Raises:
        UserError: the head takes features of another `width` than these have.
    """
    found = features.train_features.shape[1]
    if found != width:
        raise UserError(
            f"the projection head takes features of {width} dimensions and the cached ones have {found}: they are of "
            "another encoder; make both again with the rules `train` and `embed`"
        )
    description = {**features.description, "inputs": {**features.inputs, "head_sha256": head_sha256}}
    train, test = (project(head, each) for each in (features.train_features, features.test_features))
    return Features(train, features.train_labels, test, features.test_labels, description, features.extras)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--features", required=True, type=input_file, help="features of `embed`")
    parser.add_argument("--head", required=True, type=input_file, help="projection head (safetensors)")
    parser.add_argument("--out", required=True, type=output_file, help="features after the head (safetensors)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)  # the last bits of a product depend on their number
    head, description = load_head(options.head)
    features = load_features(options.features, ("train_accepted", "test_accepted", "test_ignored"))
    width = next((layer["inputs"] for layer in description["layers"] if "inputs" in layer), 0)
    projected = project_features(head, features, width, sha256_file(options.head))
    save_features(options.out, projected)
    log.info("wrote %s: %d dimensions became %d", options.out, width, projected.train_features.shape[1])


if __name__ == "__main__":
    run_step(main)
