"""The environment of a rule, as envs/<name>.yaml pins it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import yaml

from scripts.lib.fingerprint import ROOT
from scripts.lib.recipe import canonical_json


@cache
def pins_digest(environment: str, root: Path = ROOT) -> str:
    """Return a digest of what envs/<environment>.yaml asks for, blind to comments and layout: 16 hexadecimal digits."""
    pins = yaml.safe_load((root / "envs" / f"{environment}.yaml").read_text(encoding="utf-8"))
    return hashlib.sha256(canonical_json(pins).encode("utf-8")).hexdigest()[:16]
