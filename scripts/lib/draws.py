"""Counter-based random draws: every number is a function of (seed, purpose, key), never of what was drawn before.

Worker count, batch order and interruptions therefore cannot change a result, and no generator state has to be saved.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _digest(seed: int, purpose: str, key: tuple[int | str, ...]) -> bytes:
    # Lengths are part of the text, so that ("a", "bc") and ("ab", "c") are different keys.
    text = "\0".join(f"{type(item).__name__}:{len(str(item))}:{item}" for item in (seed, purpose, *key))
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def generator(seed: int, purpose: str, *key: int | str) -> np.random.Generator:
    """Return a Philox generator keyed by (seed, purpose, key)."""
    words = np.frombuffer(_digest(seed, purpose, key), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=words))


def derived_seed(seed: int, purpose: str, *key: int | str) -> int:
    """Return a 63-bit integer keyed by (seed, purpose, key), for libraries that want a seed."""
    return int.from_bytes(_digest(seed, purpose, key)[:8], "little") >> 1


def rank(seed: int, purpose: str, image_id: str) -> str:
    """Return a sort key: taking the n smallest gives a uniform sample that does not depend on the other rows' order."""
    return _digest(seed, purpose, (image_id,)).hex()
