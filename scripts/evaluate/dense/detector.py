"""Faster, Mask and Keypoint R-CNN on one of our encoders, of torchvision's parts.

PAPER Ren et al. 2015, Lin et al. 2017 (feature pyramid), He et al. 2017. Thresholds that a recipe does not name are
torchvision's, which are detectron2's. DEVIATION 92: see docs/decisions.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, KeypointRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from scripts.evaluate.dense.backbone import frozen_norms, with_norm
from scripts.evaluate.settings_finetuned import DetectorRecipe
from scripts.lib.draws import derived_seed

STAGES = {"layer1": "0", "layer2": "1", "layer3": "2", "layer4": "3"}
RATIOS = (0.5, 1.0, 2.0)
BOX_CELLS = 7  # side of the grid that a box is pooled to, torchvision's own
MASK_DILATION = 1


class Unchanged(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalises and pads pictures and nothing else: sizes are drawn where the pictures are read."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Leave the picture as it is."""
        return image, target

    def postprocess(
        self, result: list[dict[str, Tensor]], image_shapes: Any, original_image_sizes: Any
    ) -> list[dict[str, Tensor]]:
        """Leave boxes in pixels of the network's input, and masks at the size of the head's output."""
        return result


def build_detector(
    encoder: tuple[nn.Module, dict[str, Any]],
    recipe: DetectorRecipe,
    counts: tuple[int, int],
    seed: int,
    world: int = 1,
) -> nn.Module:
    """Return a detector whose backbone is `encoder`, its other weights drawn by `seed`.

    Args:
        encoder: a ResNet and its description, which says how its pictures were normalised.
        recipe: sizes and heads.
        counts: classes, without the background, and keypoints of each thing.
        seed: of the new weights.
        world: processes that share a batch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "detector weights"))
        model = _build(*encoder, recipe, counts)
    return with_norm(model, recipe.norm, world)


def _backbone(encoder: nn.Module, recipe: DetectorRecipe) -> BackboneWithFPN:
    widths = [_width(getattr(encoder, stage)) for stage in STAGES]
    norm = nn.BatchNorm2d if recipe.fpn_norm else None
    body = frozen_norms(encoder) if recipe.norm == "frozen" else encoder
    return BackboneWithFPN(body, STAGES, widths, recipe.fpn_channels, norm_layer=norm)


def _width(stage: nn.Module) -> int:
    """Return the channels that a stage gives: those of its last block's last convolution."""
    last = [module for module in stage.modules() if isinstance(module, nn.Conv2d)][-1]
    return last.out_channels


def _build(encoder: nn.Module, description: dict[str, Any], recipe: DetectorRecipe, counts: tuple[int, int]) -> nn.Module:  # fmt: skip  # noqa: E501
    classes, keypoints = counts
    channels = recipe.fpn_channels
    options: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator(
            tuple((size,) for size in recipe.anchor_sizes), (RATIOS,) * len(recipe.anchor_sizes)
        ),
        "rpn_post_nms_top_n_train": recipe.proposals_train,
        "rpn_post_nms_top_n_test": recipe.proposals_test,
        "box_batch_size_per_image": recipe.rois_per_image,
        "box_head": TwoMLPHead(channels * BOX_CELLS**2, recipe.box_width),
        "box_predictor": FastRCNNPredictor(recipe.box_width, classes + 1),
    }
    backbone = _backbone(encoder, recipe)
    if recipe.head == "mask":
        options["mask_head"] = MaskRCNNHeads(channels, recipe.mask_layers, MASK_DILATION)
        options["mask_predictor"] = MaskRCNNPredictor(recipe.mask_layers[-1], recipe.mask_layers[-1], classes + 1)
        model: nn.Module = MaskRCNN(backbone, **options)
    elif recipe.head == "keypoint":
        options["keypoint_head"] = KeypointRCNNHeads(channels, recipe.keypoint_layers)
        options["keypoint_predictor"] = KeypointRCNNPredictor(recipe.keypoint_layers[-1], keypoints)
        model = KeypointRCNN(backbone, **options)
    else:
        model = FasterRCNN(backbone, **options)
    model.transform = Unchanged(
        recipe.test_short_side, recipe.max_side, list(description["mean"]), list(description["std"])
    )
    return model
