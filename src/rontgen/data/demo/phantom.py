"""Drawn chest X-ray phantoms with the radiographic signs of seven findings.

A square frame spans [-1, 1] across (x) and down (y), whatever its pixel size; image left is the patient's right. The
lungs come first, as a density from 0 (air) to 1 (water) that a finding changes; heart, bones and soft tissue are laid
over them, and the film is exposed.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image


class Radiograph(NamedTuple):
    """One image: `image` uint8, `lungs` and `sign` (what the finding changed) bool, each (height, width)."""

    image: np.ndarray
    lungs: np.ndarray
    sign: np.ndarray


def draw(finding: str, patient: Generator, exposure: Generator, height: int, width: int) -> Radiograph:
    """Draw one frontal chest radiograph.

    As under automatic exposure control, the mean brightness does not depend on the content, so it does not reveal the
    finding, a key of `FINDINGS`. patient: draws the anatomy; the same seed gives the same patient. exposure: draws the
    pose, the breath, the instance of the sign, the noise and the tone. height, width: pixels.
    """
    sign = FINDINGS[finding]
    body = SimpleNamespace(**{name: patient.uniform(*limits) for name, limits in _MEASURES.items()})
    chest = _pose(body, exposure, height, width)
    density = 0.12 + 0.03 * _clouds(exposure, 9, chest) + _vessels(chest)
    density, region = sign(density, chest, exposure)
    lungs = (chest.lungs > 0.5) & (chest.middle < 0.5)
    return Radiograph(_expose(_overlay(density, chest), exposure), lungs, lungs & region)


# The range of each of a patient's measures, drawn in this order; in frame units where nothing else is noted
_MEASURES = {
    "apex": (-0.86, -0.76), "base": (0.60, 0.72), "breadth": (0.76, 0.86), "dome": (0.20, 0.30),
    "heart": (0.88, 1.18),  # times the mean size
    "rib_spacing": (0.165, 0.195), "rib_phase": (0.0, 1.0),  # a share of the spacing
    "rib_fall": (0.45, 0.70), "clavicle": (-0.60, -0.52), "shoulder": (0.25, 0.45), "girth": (0.92, 1.12),
    "breast": (-0.10, 0.10), "breast_height": (0.27, 0.47),  # the former an attenuation; none below 0
    "gas": (-0.30, 0.30),  # attenuation missing in the stomach's bubble; none below 0
    "fan": (0.0, 6.28),  # radians: where the first vessel leaves the hilum
    "bend": (-0.8, 0.8),  # radians a frame unit: how vessels curve
}  # fmt: skip


class _Chest(NamedTuple):
    """One exposure of a body: grids (height, width), and the scalars that place a sign."""

    x: np.ndarray
    y: np.ndarray
    lungs: np.ndarray  # 1 inside, 0 outside, soft at the border
    middle: np.ndarray  # heart and mediastinum, likewise
    wall: np.ndarray  # distance to the chest wall, positive inside
    aspect: float  # pixels across over pixels down in a frame unit: what is round stays round
    base: float
    body: SimpleNamespace

    def place(self, side: int, across: float, down: float) -> np.ndarray:
        """Distance from a point of one lung (-1 image left, 1 right), in shares from mediastinum and apex."""
        inner, outer = _borders(down, self.body.breadth)
        x = float(side * (inner + across * (outer - inner)))
        return np.hypot((self.x - x) * self.aspect, self.y - down * self.base - (1 - down) * self.body.apex)


def _borders(down: Any, breadth: float) -> tuple[Any, Any]:
    """Medial and lateral lung border, distances from the midline, at a depth of 0 (apex) to 1 (base)."""
    up = 1 - np.clip(down, 0, 1)
    cube = up * up * up
    return 0.13 + 0.08 * cube, breadth * np.sqrt(1 - cube)


def _pose(body: SimpleNamespace, exposure: Generator, height: int, width: int) -> _Chest:
    """Place the body before the detector: a turn, a scale, a shift and a breath."""
    turn, scale = exposure.normal(0, 0.025), exposure.uniform(0.95, 1.05)
    shift_x, shift_y, breath = exposure.normal(0, 0.02), exposure.normal(0, 0.02), exposure.normal(0, 0.025)
    reach = (width / height) ** 0.3  # a wider film shows both a wider chest and more beside it
    x: np.ndarray = np.linspace(-reach, reach, width, dtype=np.float32)[None, :]
    y: np.ndarray = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x, y = (x - turn * y) / scale - shift_x, (y + turn * x) / scale - shift_y
    across, base = np.abs(x), body.base + breath
    inner, outer = _borders((y - body.apex) / (base - body.apex), body.breadth)
    dome = body.dome + np.where(x < 0, np.float32(0.05), np.float32(0))  # the liver lifts the right half
    floor = base - dome * (1 - ((across - 0.28) / 0.52) ** 2)
    roof = body.apex + 1.6 * (across - 0.32) ** 2
    inside = np.minimum(np.minimum(outer - across, across - inner), np.minimum(floor - y, y - roof))
    u, v = x - 0.11, y - 0.33
    u, v = (u + 0.2 * v) / (0.36 * body.heart), (v - 0.2 * u) / (0.34 * body.heart)
    heart = _step(1 - u * u - v * v, 0.25)
    aorta = _step(1 - ((x - 0.10) / 0.12) ** 2 - ((y + 0.36) / 0.12) ** 2, 0.5)
    mediastinum = _step(0.14 + 0.09 * _step(y + 0.1, 0.8) - across, 0.06)
    middle = np.maximum(np.maximum(heart, aorta), mediastinum)
    return _Chest(x, y, _step(inside, 0.05), middle, outer - across, width / height / reach, base, body)


def _vessels(chest: _Chest) -> np.ndarray:
    """Vessel markings: two fans from each hilum, the second with about twice the branches and further out."""
    body, side = chest.body, np.sign(chest.x)
    out, down = np.abs(chest.x) - 0.2, chest.y + 0.02 + 0.03 * side
    angle, far = _rounded(np.arctan2, down, out), np.hypot(out, down) + 1e-3
    markings = 0.5 * _rounded(np.exp, -((out / 0.10) ** 2) - (down / 0.20) ** 2)
    for branches, phase, reach in ((9, body.fan, 0.45), (17, body.fan + 1, 0.75)):
        width = 0.030 * np.maximum(1 - far / (1.2 * reach), 0.1)
        turns = (branches * (angle + body.bend * far * side) + phase * (2 + side)) / 6.2832
        off = (6.2832 * (turns - np.rint(turns)) * far / (branches * width)) ** 2  # from the nearest branch
        markings += 0.26 * np.maximum(1 - off, 0) * np.clip(1.3 - far / reach, 0, 1)
    return markings


def _overlay(density: np.ndarray, chest: _Chest) -> np.ndarray:
    """Lay soft tissue, heart and bones over the lungs; attenuation from 0 (air) to about 1 (bone)."""
    x, y, across, body = chest.x, chest.y, np.abs(chest.x), chest.body
    tissue = 0.60 + 0.10 * _step(y - chest.base, 0.4) - 0.10 * _step(across - 0.9, 0.3)
    film = tissue - chest.lungs * 0.50 * (1 - np.minimum(density, 0.9))
    fold = y - body.breast_height + 0.9 * (across - 0.45) ** 2
    film += max(body.breast, 0) * _step(0.25 - np.abs(fold), 0.2) * _step(0.85 - across, 0.1)
    film += chest.middle * np.maximum(0.70 - film, 0)
    film += 0.08 * _step(0.10 - across, 0.04) * (0.8 + 0.4 * _wave(y * 6.7))  # vertebrae
    film -= 0.12 * _step(0.045 - across, 0.03) * _step(-0.30 - y, 0.1)  # trachea
    bubble = 1 - ((x - 0.42) / 0.16) ** 2 - ((y - chest.base - 0.06) / 0.09) ** 2
    film -= max(body.gas, 0) * _step(bubble, 0.6)
    # The rear ribs fall gently outwards, the front ones steeply inwards.
    cage = np.minimum(chest.wall + 0.07, np.minimum(y - body.apex, (chest.base - y) * 0.4))
    cage = _step(cage, 0.08) * (0.4 + 0.6 * chest.lungs) * (1 - 0.5 * chest.middle)
    rear = _wave((y - body.rib_fall * (across - 0.25) ** 2) / body.rib_spacing + body.rib_phase)
    front = _wave((y + 0.5 * across) / (1.35 * body.rib_spacing) + body.rib_phase)
    film += cage * (0.10 * _step(rear - 0.25, 0.5) + 0.05 * _step(front - 0.5, 0.5) * (across > 0.35))
    clavicle = y - body.clavicle + 0.30 * (across - 0.1) + 0.04 * _wave(1.43 * across - 0.25)
    film += 0.13 * _step(0.035 - np.abs(clavicle), 0.03) * _step(across - 0.07, 0.03)
    shoulder = -1.08 + body.shoulder * (np.clip(across - 0.25, 0, 0.75) / 0.75) ** 2
    skin = np.minimum(y - shoulder, body.girth + 0.1 * np.maximum(y, -0.3) - across)
    return film * (0.1 + 0.9 * _step(skin, 0.05))


def _expose(film: np.ndarray, exposure: Generator) -> np.ndarray:
    """Add noise and set the tone: mean and contrast are drawn, whatever is in the frame. Returns uint8."""
    film = film + 0.018 * exposure.standard_normal(film.shape, dtype=np.float32)
    film += exposure.normal(0, 0.02) * np.linspace(-1, 1, film.shape[1], dtype=np.float32)  # an oblique beam
    mean, contrast = exposure.normal(0.48, 0.04), exposure.uniform(0.18, 0.24)
    film = _rounded(np.power, np.clip(film, 0.01, 1), exposure.uniform(0.85, 1.2))
    film = mean + contrast * (film - film.mean()) / film.std()
    image = (np.clip(film, 0, 1) * 255 + 0.5).astype(np.uint8)
    if exposure.random() < 0.5:  # the side marker
        rows, columns = film.shape[0] // 16 + 1, film.shape[1] // 24 + 1
        image[rows : 2 * rows, columns : 2 * columns] = 235
    return image


def _normal(density, chest, exposure):
    return density, np.zeros(density.shape, bool)


def _pneumonia(density, chest, exposure):
    """One to three patchy or lobar opacities, fading where bronchi keep their air."""
    opacity = np.zeros_like(density)
    side = exposure.choice((-1, 1))
    for _ in range(exposure.choice((1, 2, 3), p=(0.4, 0.35, 0.25))):
        far = chest.place(side, exposure.uniform(0.25, 0.75), exposure.uniform(0.35, 0.85))
        far = far / exposure.uniform(0.24, 0.50) + 0.22 * _clouds(exposure, 7, chest)
        opacity = np.maximum(opacity, exposure.uniform(0.45, 0.90) * _step(0.85 - far, 0.6))
        side = side if exposure.random() < 0.5 else -side
    opacity *= 1 - 0.35 * np.clip(_clouds(exposure, 17, chest) - 0.8, 0, 1)
    return density + opacity * (1 - 0.5 * density), opacity > 0.12


def _tuberculosis(density, chest, exposure):
    """An infiltrate of one or both upper zones, with nodules and mostly cavities: a bright wall about air."""
    opacity, hollow = np.zeros_like(density), np.ones_like(density)
    sides = [exposure.choice((-1, 1))] * 2 if exposure.random() < 0.6 else [-1, 1]
    for side in sides:
        far = chest.place(side, exposure.uniform(0.35, 0.65), exposure.uniform(0.16, 0.32))
        far += 0.05 * _clouds(exposure, 7, chest)
        opacity += exposure.uniform(0.12, 0.30) * _step(exposure.uniform(0.20, 0.34) - far, 0.2)
        for _ in range(exposure.integers(4, 9)):
            far = chest.place(side, exposure.uniform(0.15, 0.85), exposure.uniform(0.10, 0.48))
            opacity += exposure.uniform(0.3, 0.6) * _step(exposure.uniform(0.035, 0.075) - far, 0.04)
    for side in sides[: exposure.choice((0, 1, 2), p=(0.25, 0.5, 0.25))]:
        far = chest.place(side, exposure.uniform(0.35, 0.65), exposure.uniform(0.18, 0.34))
        far += 0.015 * _clouds(exposure, 9, chest) - exposure.uniform(0.11, 0.17)
        hollow *= 1 - 0.95 * _step(-far, 0.03)
        opacity = opacity * hollow + 0.65 * _step(0.03 - np.abs(far), 0.03)
    return density * hollow + np.minimum(opacity, 0.85), (opacity > 0.12) | (hollow < 0.5)


def _pneumothorax(density, chest, exposure):
    """A lung fallen from wall and apex: a thin bright pleural line, and beyond it air without markings."""
    side = exposure.choice((-1, 1))
    depth, top = exposure.uniform(0.10, 0.32), exposure.uniform(0.10, 0.38)
    lateral = chest.wall - depth * np.clip((chest.base - chest.y) / 0.5, 0.25, 1)
    apical = chest.y - chest.body.apex - top + 0.25 * np.abs(chest.x)
    gap = np.minimum(lateral, apical) + 0.02 * _clouds(exposure, 5, chest)
    # the distance from the pleural line, positive in the fallen lung and everywhere in the other
    gap = np.where(chest.x * side > 0, gap, np.float32(1))
    air = _step(-gap, 0.02)
    fallen = density + 0.16 * np.clip(1.2 - gap / 0.6, 0, 1) * (chest.x * side > 0)
    return fallen * (1 - air) - 0.06 * air + 0.40 * _step(0.016 - np.abs(gap), 0.02), gap < 0


def _covid(density, chest, exposure):
    """Patchy ground glass along the wall of both lungs, mostly in the middle and lower zones."""
    depth, top = exposure.uniform(0.22, 0.36), exposure.uniform(-0.45, -0.10)
    patches = np.clip(0.75 + 0.45 * _clouds(exposure, 6, chest), 0, 1.2)
    right, left = exposure.uniform(0.7, 1.2), exposure.uniform(0.7, 1.2)
    opacity = patches * _step(depth - chest.wall, 0.25) * _step(chest.y - top, 0.4)
    opacity *= exposure.uniform(0.25, 0.60) * np.where(chest.x < 0, np.float32(right), np.float32(left))
    return density + opacity, opacity > 0.1


def _lung_opacity(density, chest, exposure):
    """A diffuse haze over one lung, and more or less of it over the other."""
    more, less = exposure.uniform(0.32, 0.60), exposure.uniform(0.1, 1)
    haze = np.clip(0.9 + 0.3 * _clouds(exposure, 4, chest), 0.3, 1.3)
    side = exposure.choice((-1, 1))
    opacity = more * haze * np.where(chest.x * side > 0, np.float32(1), np.float32(less))
    return density + opacity, opacity > 0.1


def _viral_pneumonia(density, chest, exposure):
    """Interstitial streaks in both lungs, thickest about the hila."""
    mesh = sum(np.maximum(1 - 3 * np.abs(_clouds(exposure, cells, chest)), 0) for cells in (13, 21))
    near = np.clip(1.4 - np.hypot(np.abs(chest.x) - 0.2, chest.y - 0.05) / 0.6, 0.25, 1)
    opacity = exposure.uniform(0.35, 0.60) * near * (0.25 + 0.6 * mesh)
    return density + opacity, opacity > 0.15


# Each sign returns the density with its change, and where that is.
FINDINGS = {
    "normal": _normal, "pneumonia": _pneumonia, "tuberculosis": _tuberculosis, "pneumothorax": _pneumothorax,
    "covid": _covid, "lung_opacity": _lung_opacity, "viral_pneumonia": _viral_pneumonia,
}  # fmt: skip


def _step(value: np.ndarray, width: float) -> np.ndarray:
    """0 below zero, 1 above, smooth over `width` about it."""
    share = np.clip(value / width + 0.5, 0, 1)
    return share * share * (3 - 2 * share)


def _wave(turns: np.ndarray) -> np.ndarray:
    """About the cosine of that many turns."""
    share = 2 * np.abs(turns - np.rint(turns))
    return 1 - 2 * share * share * (3 - 2 * share)


def _rounded(function: Callable, *values: Any) -> np.ndarray:
    """A function of NumPy in float64, whose last digit depends on the processor, rounded to float32: so it does not."""
    return function(*(np.asarray(value, np.float64) for value in values)).astype(np.float32)


def _clouds(rng: Generator, cells: int, chest: _Chest) -> np.ndarray:
    """A smooth random field of about unit variance, `cells` cells across the frame."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize(chest.x.shape[::-1], Image.Resampling.BICUBIC))
