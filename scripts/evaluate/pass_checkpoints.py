"""The published checkpoints of PASS, as a table: what each file is and how its tensors are named.

Names and addresses are those of the PASS README and of its `hubconf.py`; the files are whole training states. SHA-256
are not published. Keys are those of the official codes: `moco/builder.py`, `swav/src/resnet50.py`, `dino/main_dino.py`,
CLD's `models/builder.py` and `models/ResNet.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scripts.evaluate.settings_weights import KeyMapping, Preprocessing

ADDRESS = "https://www.robots.ox.ac.uk/~vgg/research/pass/pretrained_models/{name}.pth.tar"
LICENCE = "not stated for the weights (the dataset: CC-BY-4.0)"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# Of the query encoder; the key encoder and the queue have other prefixes. `fc` is the projection head.
MOCO = KeyMapping(section="state_dict", prefixes=("module.encoder_q.",), rename={}, drop=("fc.",))
# Two branches after `fc`: instances and groups.
CLD = KeyMapping(
    section="state_dict", prefixes=("module.encoder_q.",), rename={}, drop=("fc.", "instDis.", "groupDis.")
)
SWAV = KeyMapping(section="state_dict", prefixes=("module.",), rename={}, drop=("projection_head.", "prototypes."))
# DINO evaluates its teacher. It is wrapped for several GPUs (`module.`) only where it has BatchNorm. The head lies
# beside the backbone.
DINO = KeyMapping(section="teacher", prefixes=("module.backbone.", "backbone."), rename={}, drop=())

BILINEAR = Preprocessing(mean=MEAN, std=STD, image_size=224, resize=256, interpolation="bilinear")
# OFFICIAL: 0.228 for red, in SwAV's training and in its `eval_linear.py`.
SWAV_BILINEAR = Preprocessing(
    mean=MEAN, std=(0.228, 0.224, 0.225), image_size=224, resize=256, interpolation="bilinear"
)
BICUBIC = Preprocessing(mean=MEAN, std=STD, image_size=224, resize=256, interpolation="bicubic")  # OFFICIAL (DINO)


@dataclass(frozen=True)
class PassCheckpoint:
    """One published file."""

    method: str
    architecture: str
    epochs: int  # that the weights have seen
    mapping: KeyMapping
    preprocessing: Preprocessing


CHECKPOINTS = {
    "moco_v2_180ep_of200ep": PassCheckpoint("moco_v2", "resnet50", 180, MOCO, BILINEAR),
    "moco_v2_200ep": PassCheckpoint("moco_v2", "resnet50", 200, MOCO, BILINEAR),
    "moco_v2_800ep": PassCheckpoint("moco_v2", "resnet50", 800, MOCO, BILINEAR),
    "moco_v2_r18_800ep": PassCheckpoint("moco_v2", "resnet18", 800, MOCO, BILINEAR),
    "moco_v2_CLD_200ep": PassCheckpoint("moco_v2_cld", "resnet50", 200, CLD, BILINEAR),
    "swav_200ep": PassCheckpoint("swav", "resnet50", 200, SWAV, SWAV_BILINEAR),
    "dino_deit_100ep": PassCheckpoint("dino", "vit_small_16", 100, DINO, BICUBIC),
    "dino_deit_300ep_ttemp0o07_warumup30ep_normlayerF": PassCheckpoint("dino", "vit_small_16", 300, DINO, BICUBIC),
}


def checkpoint_address(name: str) -> str:
    """Return where the authors publish a checkpoint."""
    return ADDRESS.format(name=name)
