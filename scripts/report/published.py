"""What the PASS dataset and its authors say of themselves: facts and figures to lay beside ours, each with its source.

Only what was found in a source that could be read is here; the paper's own tables could not, and are not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

README = "PASS README (github.com/yukimasano/PASS)"
DATASHEET = "the paper's datasheet, as quoted by the Hugging Face card"

# Topic of the comparison → what PASS says, and where.
PASS_FACTS: dict[str, tuple[str, str]] = {
    "Images": ("1,440,191 in version 1, 1,439,588 in version 3, after takedowns", README),
    "Licences": ("CC BY 2.0 only (“Attribution License” in YFCC100M)", DATASHEET),
    "Photographers": ("at most 80 images of each", DATASHEET),
    "Years": ("taken 2000–2015, most of them 2010–2014", DATASHEET),
    "Sizes": ("long side at most 500 pixels", "20 of 20 images of version 3 that a third party measured"),
    "Cameras": ("mostly DSLR-class", DATASHEET),
    "Places": ("mostly the United States and Europe", DATASHEET),
    "Human review": ("every selected image, three weeks, flagged images removed", DATASHEET),
}


@dataclass(frozen=True)
class Figure:
    """A row of the README's table: linear probe, top-1 in per cent."""

    data: str
    method: str  # as the README writes it
    encoder: str
    epochs: str
    imagenet: float
    places: float
    ours: tuple[str, str, int] | None  # method, encoder and epochs of a run of ours that is the same experiment
    note: str
    checkpoint: str  # of the README, as `evaluate.encoders` names it; "" for weights of other authors


PUBLISHED: tuple[Figure, ...] = (
    Figure("ImageNet-1k", "MoCo-v2", "ResNet-50", "200", 60.6, 50.1, None, "official weights; see the note", ""),
    Figure("PASS", "MoCo-v2", "ResNet-50", "180 of 200", 59.1, 52.8, None, "", "moco_v2_180ep_of200ep"),
    Figure("PASS", "MoCo-v2", "ResNet-50", "200", 59.5, 52.8, ("moco_v2", "resnet50", 200), "", "moco_v2_200ep"),
    Figure("PASS", "MoCo-v2", "ResNet-50", "800", 61.2, 54.0, ("moco_v2", "resnet50", 800), "", "moco_v2_800ep"),
    Figure("PASS", "MoCo-v2", "ResNet-18", "800", 45.3, 44.4, ("moco_v2", "resnet18", 800), "", "moco_v2_r18_800ep"),
    Figure(
        "PASS", "MoCo-v2-CLD", "ResNet-50", "200", 60.2, 53.1, ("moco_v2_cld", "resnet50", 200), "", "moco_v2_CLD_200ep"
    ),
    Figure("PASS", "SwAV", "ResNet-50", "200", 60.8, 55.5, ("swav", "resnet50", 200), "", "swav_200ep"),
    Figure("PASS", "DINO", "ViT-S/16", "100", 61.3, 54.6, ("dino", "vit_small_16", 100), "", "dino_deit_100ep"),
    Figure(
        "PASS",
        "DINO",
        "ViT-S/16",
        "300",
        65.0,
        55.7,
        ("dino", "vit_small_16", 300),
        "",
        "dino_deit_300ep_ttemp0o07_warumup30ep_normlayerF",
    ),
)
COMPARED_TASKS = ("imagenet1k", "places205")
COMPARED_PROTOCOL, COMPARED_METRIC = "linear_lbfgs", "top1"

PROTOCOL_NOTE = (
    "The README does not say how its linear probe was trained. Ours is a logistic regression on frozen features of the "
    "centre crop, fitted by L-BFGS. Differences of a few points between the two can come from the protocol alone."
)
IMAGENET_NOTE = (
    "The ImageNet-1k row is the README's own. It lies 7 points under the official figure of the same weights under the "
    "official protocol (67.5), so either its probe is weaker or the cell is a slip. It is no reference to calibrate on."
)
