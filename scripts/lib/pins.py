"""What the environment files of envs/ ask for."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import yaml

from scripts.lib.recipe import canonical_json


@cache
def pins_digest(environment: str) -> str:
    """Return a digest of what envs/<environment>.yaml asks for, blind to comments and layout: 16 hexadecimal digits."""
    path = Path(__file__).resolve().parents[2] / "envs" / f"{environment}.yaml"
    pins = yaml.safe_load(path.read_text(encoding="utf-8"))
    return hashlib.sha256(canonical_json(pins).encode("utf-8")).hexdigest()[:16]
