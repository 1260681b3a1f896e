"""RankMe (Garrido et al. 2023, section 3): in how many directions features vary, without labels.

exp of the entropy of the singular values, each divided by their sum: 1 where all features are one direction, at most
the number of dimensions or of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EPSILON = 1e-7  # PAPER (RankMe): added to each share
COLLAPSED = 1.0  # the figure of an encoder that gives one direction for all images
BLOCK_ROWS = 8192


def singular_values(rows: Array) -> npt.NDArray[Any]:
    """Return the singular values of rows [n, d], from their Gram matrix in 64 bits; none is negative."""
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    for first in range(0, len(rows), BLOCK_ROWS):
        wide = rows[first : first + BLOCK_ROWS].astype(np.float64)
        gram += wide.T @ wide
    values: npt.NDArray[Any] = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    return values


def effective_rank(rows: Array) -> float:
    """Return exp of the entropy of the singular values' shares of rows [n, d]; 1 for rows of zeros."""
    values = singular_values(rows)
    if values.sum() == 0:
        return COLLAPSED
    shares = values / values.sum() + EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))
