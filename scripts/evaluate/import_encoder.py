"""Turn an encoder that was not trained here into a file of this project: weights, and what they are.

All that follows (`embed`, fine-tuning) then takes it as one of ours. Weights are checked against a SHA-256 where it is
given, read without running what is in the file, and must be the network's tensors: all, no other, each of its
shape. A random encoder is a fresh network.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.evaluate.checkpoint_keys import load_exactly, mapped, section_of
from scripts.evaluate.encoder_sources import source_of
from scripts.evaluate.settings_encoders import ImportEncoderSettings, RandomEncoder, Stranger
from scripts.lib.described_weights import read_description
from scripts.lib.encoders import build_encoder, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from scripts.lib.flags import output_file, outside_data
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.torch_files import load_torch_file

log = logging.getLogger(__name__)

SHOWN = ("mean", "std", "image_size", "resize", "interpolation")  # of a description: what a network is shown


def check_file(entry: Stranger, path: str) -> tuple[Path, str]:
    """Return the file of an entry and its SHA-256.

    Raises:
        UserError: it is not there, or it is another one than the config says.
    """
    file = Path(path)
    if not path or not file.is_file():
        raise UserError(
            f"the weights of the encoder {entry.name} are not here: expected a file at {path or 'no path'}. Put that "
            f"of {entry.source_text} there, or correct evaluate.encoders, {entry.name}, path"
        )
    found = sha256_file(file)
    if entry.sha256 is not None and not found.startswith(entry.sha256):
        raise UserError(
            f"the weights of the encoder {entry.name} at {path} are not the expected file: SHA-256 {entry.sha256} was "
            f"expected and {found} was found. Replace the file; only if you trust this one, write its SHA-256 into the "
            f"config (evaluate.encoders, {entry.name}, sha256)"
        )
    return file, found


def import_stranger(entry: Stranger, path: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network of an entry with its weights, and the description of its file.

    Raises:
        UserError: the file is not what the entry says (see `check_file`, `load_exactly`), or there is no such network.
    """
    source = source_of(entry)
    file, sha256 = check_file(entry, path)
    what = f"the encoder {entry.name} ({entry.source_text})"
    tensors = mapped(section_of(load_torch_file(file), source.mapping.section, what), source.mapping, what)
    network = fresh(entry.architecture_name, seed=0)
    load_exactly(network, tensors, f"{entry.architecture_name}, the network of {what}")
    return network, {
        "encoder": entry.architecture_name,
        "method": source.method,
        "source": entry.source_text,
        "source_sha256": sha256,
        "licence": source.licence,
        **source.facts,
        **source.preprocessing.model_dump(mode="json"),
    }


def fresh(architecture: str, seed: int) -> nn.Module:
    """Return a network as it is initialised.

    Raises:
        UserError: there is none of this name.
    """
    try:
        return build_encoder(architecture, seed)
    except ValueError as error:
        raise UserError(f"evaluate.encoders: there is no network {architecture} ({error})") from None


def random_encoder(settings: ImportEncoderSettings, like: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return a fresh network and its description: as the entry says, or like the encoder in the file `like`."""
    if isinstance(settings.encoder, RandomEncoder):
        name, shown = settings.encoder.architecture, settings.encoder.preprocessing.model_dump(mode="json")
    else:
        other = read_description(like)
        name, shown = other["encoder"], {key: other[key] for key in SHOWN}
    source = {"method": "random", "source": f"random initialisation, seed {settings.seed}", "seed": settings.seed}
    return fresh(name, settings.seed), {"encoder": name, **source, **shown}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ImportEncoderSettings")
    parser.add_argument(
        "--weights", default="", type=outside_data, help="file of the publisher; empty for a random encoder"
    )
    parser.add_argument("--like", default="", help="encoder whose network a random one without an entry has")
    parser.add_argument("--out", required=True, type=output_file, help="encoder (safetensors)")
    options = parser.parse_args(argv)
    settings = read_recipe(ImportEncoderSettings, options.recipe)
    torch.set_num_threads(1)
    if settings.encoder is None or isinstance(settings.encoder, RandomEncoder):
        network, description = random_encoder(settings, options.like)
    else:
        network, description = import_stranger(settings.encoder, options.weights)
    save_encoder(options.out, network, description)
    log.info(
        "%s: %d parameters; wrote %s",
        ", ".join(f"{key} {value}" for key, value in description.items() if value != ""),
        sum(each.numel() for each in network.parameters()),
        options.out,
    )


if __name__ == "__main__":
    run_step(main)
