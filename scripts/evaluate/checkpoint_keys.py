"""From the tensors of someone's file to those of a network here: by name, all of them, no other, each of its shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from scripts.evaluate.settings_weights import KeyMapping
from scripts.lib.errors import UserError

Tensors = dict[str, torch.Tensor]

SHOWN = 3  # names in a message
# Counts how many batches BatchNorm has seen; files from before torch 0.4.1 lack it, and in evaluation it says nothing.
COUNTER = ".num_batches_tracked"


def section_of(content: Any, section: str | None, what: str) -> Tensors:
    """Return the tensors of a loaded file that lie under `section`.

    Raises:
        UserError: there is no such section, or it holds anything but tensors by name.
    """
    found = content
    if section is not None:
        if not isinstance(content, Mapping) or section not in content:
            keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
            raise UserError(f"{what} has no section {section!r}, where its weights are expected; it holds {keys}")
        found = content[section]
    if isinstance(found, Mapping) and found and all(isinstance(each, torch.Tensor) for each in found.values()):
        return {str(name): tensor for name, tensor in found.items()}
    where = "it" if section is None else f"its section {section!r}"
    others = (
        [str(name) for name, each in found.items() if not isinstance(each, torch.Tensor)]
        if isinstance(found, Mapping)
        else []
    )
    held = f"{_some(others)} that are no tensors" if others else f"{type(found).__name__} of no tensor"
    raise UserError(f"{what} is no state dict: {where} holds {held}, where tensors by name are expected")


def mapped(tensors: Tensors, mapping: KeyMapping, what: str) -> Tensors:
    """Return the tensors of the encoder under the names of the network.

    Raises:
        UserError: no name begins as the mapping says, or two names become one.
    """
    found: Tensors = {}
    for name, tensor in tensors.items():
        prefix = next((each for each in mapping.prefixes if name.startswith(each)), None)
        if prefix is None and mapping.prefixes:
            continue
        short = name.removeprefix(prefix or "")
        old = next((each for each in mapping.rename if short.startswith(each)), None)
        short = short if old is None else mapping.rename[old] + short.removeprefix(old)
        if short.startswith(mapping.drop):
            continue
        if short in found:
            raise UserError(f"{what}: two of its tensors become {short}, {name} is the second; make the mapping exact")
        found[short] = tensor
    if not found:
        raise UserError(
            f"{what}: none of its {len(tensors)} tensors is of the encoder: names that begin with "
            f"{' or '.join(mapping.prefixes) or 'anything'} are expected, and its first are {_some(tensors)}"
        )
    return found


def load_exactly(network: nn.Module, tensors: Tensors, what: str) -> None:
    """Load tensors into a network, every one and no other.

    Raises:
        UserError: tensors are missing, are no part of the network or have another shape; names the first of them.
    """
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors and not name.endswith(COUNTER)]
    extra = [name for name in tensors if name not in expected]
    shapes = [
        f"{name} is {list(tensors[name].shape)} where {list(expected[name].shape)} is expected"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    findings = [
        f"{len(missing)} tensors are missing ({_some(missing)})" if missing else "",
        f"{len(extra)} tensors are no part of it ({_some(extra)})" if extra else "",
        f"{len(shapes)} tensors have another shape ({_some(shapes)})" if shapes else "",
    ]
    if any(findings):
        raise UserError(
            f"the weights are not those of {what}: of {len(expected)} tensors of the network and {len(tensors)} of the "
            f"file, {'; '.join(filter(None, findings))}. Give the file that the entry names, or correct its "
            "network or mapping"
        )
    counters = {name: tensor for name, tensor in expected.items() if name not in tensors}
    network.load_state_dict({**tensors, **counters}, strict=True)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")
