"""The sections of the model card as lines of Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripts.lib.human_figures import LeakRate, leak_sentence
from scripts.lib.markdown import markdown_table, markdown_text
from scripts.pretrain.deviations import deviations_of
from scripts.pretrain.run_cost import RunCost
from scripts.pretrain.settings_card import WriteModelCardSettings

METHODS = {  # run.method → name, paper, official code
    "moco_v2": (
        "MoCo-v2",
        "Chen, Fan, Girshick, He: Improved Baselines with Momentum Contrastive Learning (2020)",
        "facebookresearch/moco",
    ),
    "moco_v2_cld": (
        "MoCo-v2-CLD",
        "Wang, Liu, Yu: Unsupervised Feature Learning by Cross-Level Instance-Group Discrimination (2021)",
        "frank-xwang/CLD-UnsupervisedLearning",
    ),
    "simclr": (
        "SimCLR",
        "Chen et al.: A Simple Framework for Contrastive Learning of Visual Representations (2020)",
        "google-research/simclr",
    ),
    "swav": (
        "SwAV",
        "Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (2020)",
        "facebookresearch/swav",
    ),
    "dino": (
        "DINO",
        "Caron et al.: Emerging Properties in Self-Supervised Vision Transformers (2021)",
        "facebookresearch/dino",
    ),
}

_TORCHVISION = ["model = torchvision.models.{name}(weights=None)", "model.fc = torch.nn.Identity()"]
_SMALL_STEM = [
    "model.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)",
    "model.maxpool = torch.nn.Identity()",
]
LOADERS = {  # encoder → lines that make `model`, ready for the weights; docs/encoders.md says more
    "resnet18": ["import torch, torchvision", *(line.format(name="resnet18") for line in _TORCHVISION)],
    "resnet50": ["import torch, torchvision", *(line.format(name="resnet50") for line in _TORCHVISION)],
    "resnet18_cifar": [
        "import torch, torchvision",
        *(line.format(name="resnet18") for line in _TORCHVISION),
        *_SMALL_STEM,
    ],
    "vit_small_16": ["import timm", 'model = timm.create_model("vit_small_patch16_224", num_classes=0)'],
    "resnet_tiny_test": [  # for tests: nobody else's layout
        "from scripts.lib.architectures.resnet import build",
        'model = build("resnet_tiny_test")',
    ],
    "vit_tiny_test": [
        "from timm.models.vision_transformer import VisionTransformer",
        "model = VisionTransformer(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4, num_classes=0)",
    ],
}
NOT_VALUES = ("name", "cost", "expected", "devices", "nodes", "threads")  # of a run: notes, and what cost.json measured


def head(card: WriteModelCardSettings) -> list[str]:
    """Return the YAML head that Hugging Face reads. The weights' licence is for whoever publishes them to choose."""
    library = "timm" if card.run.encoder.startswith("vit_") else "torchvision"
    tags = ["self-supervised", card.run.method, card.run.encoder]
    return [
        "---",
        f"library_name: {library}",
        "pipeline_tag: image-feature-extraction",
        f"tags: {json.dumps(tags)}",
        f"datasets: [{json.dumps(card.data_title)}]",
        "---",
    ]


def title_section(card: WriteModelCardSettings, about: dict[str, Any]) -> list[str]:
    """Return the first lines that a reader sees."""
    name = METHODS[card.run.method][0]
    return [
        f"# {markdown_text(card.run.name)}",
        "",
        f"An image encoder, {markdown_text(card.run.encoder)}, trained by {name} without labels for "
        f"{card.run.epochs:,} epochs on {about['images']:,} images of {markdown_text(card.data_title)}. "
        "`encoder.safetensors` has no classifier; `head.safetensors` is the projection head that it was trained with.",
    ]


def data_section(
    card: WriteModelCardSettings, about: dict[str, Any], licences: list[str] | None, leak: LeakRate | None
) -> list[str]:
    """Return what it was trained on; `licences` is a table, None for images that were not curated here."""
    version = f", version {markdown_text(card.data_version)}" if card.data_version else ""
    lines = [
        "## Data",
        "",
        f"- {markdown_text(card.data_title)}{version}: {about['images']:,} images",
        f"- content: SHA-256 `{about['images_digest']}` over the sorted lines `<image id> <SHA-256 of the file>`",
        "",
    ]
    if licences is None:
        return [
            *lines,
            "These images were not curated by this project: their licences, their attribution and whether people are "
            "visible in them are what their publisher says, and nothing of it was checked here.",
        ]
    return [
        *lines,
        *licences,
        "",
        "Each image keeps its own licence; author, page and licence of each are in "
        "`results/shard/write_metadata/metadata.parquet`, and the dataset card is `results/shard/write_card.md`. The "
        f"images were chosen so that no person is visible. {markdown_text(leak_sentence(leak), 1000)}",
    ]


def method_section(card: WriteModelCardSettings) -> list[str]:
    """Return the method with every value that the result depends on."""
    name, paper, code = METHODS[card.run.method]
    values = {key: value for key, value in card.run.model_dump(mode="json").items() if key not in NOT_VALUES}
    rows = [(f"`{key}`", f"`{json.dumps(value)}`") for key, value in flat(values)]
    return [
        "## Method",
        "",
        f"{name}. {paper}. Re-implemented after the paper and the official code ({code}); the numerics are the "
        "official ones but for what the next section lists. Random choices are functions of `seed`.",
        "",
        *markdown_table(("setting", "value"), rows),
    ]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of nested mappings and lists of mappings; other lists are values."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}.{number}")
    else:
        yield path, value


def deviation_section(card: WriteModelCardSettings) -> list[str]:
    """Return where the run differs from the official code."""
    rows = [(f"{each.title}: {each.means}", str(each.number)) for each in deviations_of(card.run)]
    table = markdown_table(("what", "entry of docs/decisions.md"), rows) if rows else ["None is known."]
    return ["## Differences from the official code", "", *table]


def hours(value: float) -> str:
    """Return hours with two digits after the point, small ones with two digits."""
    return f"{value:,.2f}" if value >= 1 else f"{value:.2g}"


def cost_section(cost: RunCost) -> list[str]:
    """Return software, hardware and time, as measured."""
    devices = [
        (markdown_text(each.device), f"{each.processes:,}", hours(each.wall_seconds / 3600)) for each in cost.devices
    ]
    software = ", ".join(f"{markdown_text(name)} {markdown_text(version)}" for name, version in cost.software.items())
    sessions = "one session" if cost.sessions == 1 else f"{cost.sessions:,} sessions"
    return [
        "## Software, hardware and cost",
        "",
        f"{software}. {cost.images_seen:,} images seen in {sessions}, {hours(cost.device_hours)} device-hours in all, "
        "measured; work that a kill undid is not counted. These figures are the one thing that differs when the run is "
        "repeated.",
        "",
        *markdown_table(("device", "processes", "hours by the clock"), devices),
    ]


def loading_section(card: WriteModelCardSettings, about: dict[str, Any]) -> list[str]:
    """Return how to load the weights."""
    imports, *lines = LOADERS[card.run.encoder]
    return [
        "## How to load it",
        "",
        "```python",
        imports,
        "from safetensors.torch import load_file",
        *lines,
        'model.load_state_dict(load_file("encoder.safetensors"))',
        "model.eval()",
        "```",
        "",
        f"Images: RGB from 0 to 1, mean {about['mean']}, standard deviation {about['std']}, trained on views of "
        f"{about['image_size']} pixels. `docs/encoders.md` says more.",
    ]


def fixed_sections(card: WriteModelCardSettings, untold: str) -> list[str]:
    """Return intended use and limits, results and contact; `untold` is what is not known of the data."""
    expected = f" To compare with: {markdown_text(card.expected, 500)}." if card.expected else ""
    return [
        "## Intended use and limits",
        "",
        "Features for research on images and for training further models. It has no classes and recognises nothing by "
        "itself. It is not meant for identifying or tracking people or for decisions about them. What it takes for "
        f"similar follows who takes photographs and of what: images are no fair sample of the world. {untold}",
        "",
        "## Results",
        "",
        f"`results/evaluate/collect_results.csv`, rows with the run `{card.run.name}`; with `-untrained` before the "
        f"first step, with `-head` after the projection head.{expected}",
        "",
        "## Contact",
        "",
        markdown_text(card.contact),
    ]
