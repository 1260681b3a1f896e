"""Images of iterated function systems: pictures without people, licences or downloads, in any number.

A system is a small set of contracting affine maps; its attractor is the fractal. Systems are drawn as in *Improving
Fractal Pre-training* (Anderson & Farrell, WACV 2022, arXiv 2110.03091, section 3): each map is a product of rotations,
a diagonal of signs and singular values, and the singular values are drawn under a condition on their weighted sum,
which makes most systems look like something. Each system is a class. Its images are views: the maps jittered, the
figure turned and stretched, in other colours on another ground, so that the shape alone tells the class.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from scripts.lib.draws import generator
from scripts.lib.images import Pixels

Floats = npt.NDArray[np.float64]

MAP_COUNTS = (2, 3, 4)  # N, drawn uniformly
TRIES = 60  # systems drawn before the fullest of them is taken
PROBE_POINTS, PROBE_CELLS = 6000, 24
MIN_FILL, MIN_EXTENT_RATIO = 0.22, 0.45  # of the probe grid; of the short to the long side
CHAINS, MIXING_STEPS = 1000, 15
MARGIN = 0.06  # of the image's side, left around the figure


@dataclass(frozen=True)
class System:
    """N affine maps v -> linear @ v + shift, chosen with `weights` in the chaos game."""

    linear: Floats  # [N, 2, 2]
    shift: Floats  # [N, 2]

    @property
    def weights(self) -> Floats:
        """Return the probability of each map, in proportion to |det| (paper, section 3.1); [N]."""
        areas: Floats = np.abs(np.linalg.det(self.linear)) + 1e-3  # a flat map must still be visited
        areas /= areas.sum()
        return areas


def sample_singular_values(random: np.random.Generator, count: int) -> Floats:
    """Return singular values [count, 2] with 1 >= s1 >= s2 >= 0 whose sigma-factor lies in ((5+N)/2, (6+N)/2).

    The sigma-factor of a system is the sum over its maps of s1 + 2 * s2 (paper, section 3.3). It is drawn first and
    then spent map by map: no map can take more than 3, so what the later maps cannot take bounds each draw from below.
    """
    left = random.uniform(0.5 * (5 + count), 0.5 * (6 + count))
    values = np.empty((count, 2))
    for index in range(count):
        least = left - 3.0 * (count - index - 1)
        first = random.uniform(max(0.0, least / 3.0), min(1.0, left))
        second = random.uniform(max(0.0, (least - first) / 2.0), min(first, (left - first) / 2.0))
        values[index] = first, second
        left -= first + 2.0 * second
    return values


def _rotations(angles: Floats) -> Floats:
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)


def sample_system(random: np.random.Generator) -> System:
    """Draw one system: linear parts R(a) @ diag(s1, s2) @ R(b) @ diag(+-1), shifts uniform in [-1, 1] (section 3.2)."""
    count = int(random.choice(MAP_COUNTS))
    values = sample_singular_values(random, count)
    left, right = _rotations(random.uniform(0.0, 2.0 * np.pi, (2, count)))
    signs = random.choice([-1.0, 1.0], (count, 1, 2))
    linear = (left * values[:, None, :]) @ (right * signs)
    return System(linear, random.uniform(-1.0, 1.0, (count, 2)))


def iterate(system: System, random: np.random.Generator, points: int) -> tuple[Floats, Floats]:
    """Play the chaos game; return positions [points, 2] on the attractor and their hues [points] in (0, 1).

    Many chains run side by side. All start at the fixed point of the first map, which lies on the attractor, so that no
    point is ever off it; the first steps only let the chains part. The hue is a running mean of the maps that a chain
    went through: near points of like history get like colours.
    """
    count = len(system.linear)
    chains = min(CHAINS, points)
    steps = -(-points // chains) + MIXING_STEPS
    # A map with s1 = 1 may have no fixed point; a hair of contraction gives it one and moves nothing that can be seen.
    start = np.linalg.solve(np.eye(2) - system.linear[0] * (1 - 1e-6), system.shift[0])
    coefficients = np.concatenate([system.linear.reshape(count, 4), system.shift], axis=1)  # [N, 6]
    chosen = np.searchsorted(np.cumsum(system.weights)[:-1], random.random((steps, chains)), side="right")
    x, y = (np.full(chains, value) for value in start)
    hue = np.full(chains, 0.5)
    places, hues = np.empty((steps, 2, chains)), np.empty((steps, chains))
    for step in range(steps):
        a, b, c, d, e, f = coefficients[chosen[step]].T
        x, y = a * x + b * y + e, c * x + d * y + f
        hue = 0.6 * hue + 0.4 * (chosen[step] + 0.5) / count
        places[step, 0], places[step, 1], hues[step] = x, y, hue
    kept = places[MIXING_STEPS:].transpose(0, 2, 1).reshape(-1, 2)[:points]
    return kept, hues[MIXING_STEPS:].reshape(-1)[:points]


def fill_of(places: Floats) -> float:
    """Return how much of its frame a figure covers: the share of probe cells that hold a point; 0 for a thin streak."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = high - low
    if not np.isfinite(extent).all() or extent.max() > 50 or extent.min() < MIN_EXTENT_RATIO * extent.max():
        return 0.0
    cells = np.minimum(((places - low) / extent.max() * PROBE_CELLS).astype(np.int64), PROBE_CELLS - 1)
    return len(np.unique(cells[:, 0] * PROBE_CELLS + cells[:, 1])) / PROBE_CELLS**2


@lru_cache(maxsize=4096)
def make_system(seed: int, system: int) -> System:
    """Return system `system` of the family `seed`: the first draw that is a figure rather than dust or a streak."""
    best, best_fill = None, -1.0
    for attempt in range(TRIES):
        random = generator(seed, "fractal system", system, attempt)
        drawn = sample_system(random)
        fill = fill_of(iterate(drawn, random, PROBE_POINTS)[0])
        if fill > best_fill:
            best, best_fill = drawn, fill
        if fill >= MIN_FILL:
            break
    assert best is not None
    return best


def _jittered(system: System, random: np.random.Generator) -> System:
    """Return the system of one view: a map shrunk, the shifts moved a little; contraction is never lost."""
    shrink = np.ones((len(system.linear), 1, 1))
    shrink[random.integers(len(shrink))] = random.uniform(0.92, 1.0)
    return System(system.linear * shrink, system.shift + random.normal(0.0, 0.03, system.shift.shape))


def _framed(places: Floats, random: np.random.Generator, size: int) -> npt.NDArray[np.int64]:
    """Turn, stretch, perhaps flip the figure and fit it into the image; return pixel columns and rows [points, 2]."""
    turn = _rotations(np.array(random.uniform(-0.6, 0.6)))
    stretch = np.diag([random.choice([-1.0, 1.0]) * random.uniform(0.8, 1.0), random.uniform(0.8, 1.0)])
    turned = places @ (turn @ stretch).T
    low, high = turned.min(axis=0), turned.max(axis=0)
    room = size * (1 - 2 * MARGIN)
    scale = room * random.uniform(0.8, 1.0) / max(float((high - low).max()), 1e-9)
    slack = room - (high - low) * scale
    corner = size * MARGIN + slack * random.random(2)
    pixels: npt.NDArray[np.int64] = np.clip((turned - low) * scale + corner, 0, size - 1).astype(np.int64)
    return pixels


def smooth_noise(random: np.random.Generator, size: int, octaves: int) -> Floats:
    """Return clouds in [0, 1], [size, size]: random grids of growing fineness and falling weight, interpolated."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        cells = 2 ** (octave + 1) + 1
        grid = random.random((cells, cells))
        at = np.linspace(0, cells - 1, size)
        low = np.minimum(at.astype(np.int64), cells - 2)
        part = at - low
        part = part * part * (3 - 2 * part)
        rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
        total += (rows[:, low] * (1 - part) + rows[:, low + 1] * part) * 0.6**octave
    total -= total.min()
    total /= total.max()
    return total


def hue_colours(hue: Floats, saturation: float, value: float) -> Floats:
    """Return RGB in [0, 1], [..., 3], of hues in turns."""
    phase = hue[..., None] + np.array([0.0, 1 / 3, 2 / 3])
    colours: Floats = value * (1 - saturation * (0.5 + 0.5 * np.cos(2 * np.pi * phase)))
    return colours


def make_ground(random: np.random.Generator, size: int, value: float) -> Floats:
    """Return a background in [0, 1], [size, size, 3]: clouds between two colours around brightness `value`."""
    hues = random.random() + np.array([0.0, random.uniform(0.1, 0.5)])
    first, second = hue_colours(hues, random.uniform(0.2, 0.7), 1.0)
    clouds = smooth_noise(random, size, octaves=4)[..., None]
    shade = value * (0.55 + 0.9 * smooth_noise(random, size, octaves=2)[..., None])
    ground: Floats = np.clip((first * clouds + second * (1 - clouds)) * shade, 0.0, 1.0)
    return ground


def render_fractal(seed: int, system: int, view: int, size: int, iterations: int) -> Pixels:
    """Return view `view` of system `system` as uint8 RGB, [size, size, 3]; a pure function of its arguments.

    Args:
        seed: the family of systems.
        system: number of the system in its family; the class of the image.
        view: number of the image in its class.
        size: pixels, square.
        iterations: points drawn.
    """
    random = generator(seed, "fractal view", system, view)
    places, hues = iterate(_jittered(make_system(seed, system), random), random, iterations)
    cells = _framed(places, random, size) @ np.array([1, size])
    counts = np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.float64)
    hue_sums = np.bincount(cells, weights=hues, minlength=size * size).reshape(size, size)
    density = np.log1p(counts) / np.log1p(np.quantile(counts[counts > 0], 0.95))
    cover = np.clip(density * 1.3, 0.0, 1.0)[..., None]
    bright = random.random() < 0.7  # a bright figure on a dark ground, or the reverse
    hue = random.random() + random.uniform(0.3, 0.9) * hue_sums / np.maximum(counts, 1)
    value = random.uniform(0.85, 1.0) if bright else random.uniform(0.2, 0.4)
    figure = hue_colours(hue, random.uniform(0.4, 0.9), value) * (0.55 + 0.45 * np.clip(density, 0, 1)[..., None])
    ground = make_ground(random, size, random.uniform(0.2, 0.4) if bright else random.uniform(0.75, 1.0))
    pixels: Pixels = (255 * (figure * cover + ground * (1 - cover)) + 0.5).astype(np.uint8)
    return pixels


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Return a baseline JPEG, 4:2:0; equal pixels give equal bytes (for one version of Pillow)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()
