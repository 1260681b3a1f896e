"""Find faces: boxes and scores for each image of a part, without a decision.

Reads the part's tar by offset, the images that `inspect_images` could decode, and writes DETECTIONS in id order.
"""

from __future__ import annotations

from collections.abc import Sequence

from scripts.filter.detection import run_detection
from scripts.lib.step import run_step


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_detection(__doc__, argv, "face")


if __name__ == "__main__":
    run_step(main)
