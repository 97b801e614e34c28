"""Pictures that are no upright chest X-ray, and how many of them rontgen.serving.ood tells from X-rays."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from rontgen.evaluation.proportions import exact_interval
from rontgen.serving.ood import Reference

EACH = 60  # pictures of every kind
CANVAS = 256  # pixels they are drawn on


def measure(reference: Reference, xrays: np.ndarray, size: int) -> dict:
    """How often X-rays are taken for something else, and the pictures of draw() are told, ready for JSON.

    xrays: uint8 (N, H, W, 1), of patients that ood.fit has not seen. Returns false_alarm, no_xray (the kinds
    NO_XRAY together) and caught {kind: …}, each {value, low, high, images}, with the exact 95% interval, as if every
    picture were drawn on its own.
    """
    flagged = {kind: reference.flags(images) for kind, images in draw(size, xrays).items()}
    return {
        "false_alarm": proportion(reference.flags(xrays)),
        "no_xray": proportion(np.concatenate([flagged[kind] for kind in NO_XRAY])),
        "caught": {kind: proportion(pictures) for kind, pictures in flagged.items()},
    }


def proportion(flagged: np.ndarray) -> dict:
    """The proportion of True in bool (N,), with its exact 95% interval, as {value, low, high, images}."""
    low, high = exact_interval(int(np.count_nonzero(flagged)), len(flagged))
    share = {"value": float(flagged.mean()), "low": low, "high": high}
    return {name: round(value, 4) for name, value in share.items()} | {"images": len(flagged)}


def draw(size: int, xrays: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures that are no upright chest X-ray, by kind, the same every time: uint8 (M, H, W, 1).

    EACH of the kinds NO_XRAY, size × size pixels: crops of the two photographs of scikit-learn, pages of letters,
    charts and shapes, noise white and 1/f, gradients straight and round. And as many of the X-rays, uint8 (N, H, W, 1),
    evenly over the array: upside_down, turned by 90° to either side, negative, and shuffled, as
    4 × 4 tiles, the rows and the columns of them.
    """
    random = np.random.default_rng(0)
    kinds = {}
    for kind, make in NO_XRAY.items():
        made = [make(random, number % 2).resize((size, size), Image.Resampling.BILINEAR) for number in range(EACH)]
        kinds[kind] = np.stack([np.asarray(image) for image in made])[..., None]
    some = np.asarray(xrays[np.linspace(0, len(xrays) - 1, min(EACH, len(xrays))).astype(int)])
    return kinds | {
        "upside_down": some[:, ::-1],
        "turned": np.stack([np.rot90(image, 1 + 2 * (number % 2)) for number, image in enumerate(some)]),
        "negative": 255 - some,
        "shuffled": np.stack([_shuffled(image, random) for image in some]),
    }


@cache
def _photographs() -> list[Image.Image]:
    return [Image.fromarray(photograph).convert("L") for photograph in load_sample_images().images]


def _crop(random: np.random.Generator, number: int) -> Image.Image:
    photograph = _photographs()[number]
    width, height = random.integers(photograph.height // 3, photograph.height, 2, endpoint=True)
    left, top = random.integers((photograph.width - width, photograph.height - height), endpoint=True)
    return photograph.crop((left, top, left + width, top + height))


def _page(random: np.random.Generator, number: int) -> Image.Image:
    paper, ink = random.permutation((255, 0)).tolist()
    image = Image.new("L", (CANVAS, CANVAS), paper)
    lines = ["".join(line) for line in random.choice(list("abcdefghijklmnopqrstuvwxyz    "), (24, 45))]
    font = ImageFont.load_default(int(random.integers(8, 33)))
    ImageDraw.Draw(image).multiline_text(random.integers(25, size=2).tolist(), "\n".join(lines), ink, font)
    return image


def _drawing(random: np.random.Generator, is_chart: int) -> Image.Image:
    image = Image.new("L", (CANVAS, CANVAS), int(random.choice((0, 255))))
    draw, floor = ImageDraw.Draw(image), CANVAS - 20
    if is_chart:
        heights = random.integers(10, floor, random.integers(3, 12)).tolist()
        for left, height in zip(np.linspace(30, floor, len(heights), endpoint=False), heights, strict=True):
            draw.rectangle((left, floor - height, left + 140 / len(heights), floor), fill=128)
        draw.line((20, 10, 20, floor, CANVAS - 10, floor), fill=90, width=2)
    else:
        for _ in range(random.integers(1, 8)):
            (left, right), (top, bottom) = np.sort(random.integers(CANVAS, size=(2, 2)), axis=1).tolist()
            shape = (draw.ellipse, draw.rectangle, draw.line)[random.integers(3)]
            shape((left, top, right, bottom), fill=int(random.integers(256)), width=int(random.integers(1, 9)))
    return image


def _noise(random: np.random.Generator, is_smooth: int) -> Image.Image:
    noise = random.normal(size=(CANVAS, CANVAS))
    if is_smooth:
        frequency = np.hypot(np.fft.fftfreq(CANVAS)[:, None], np.fft.fftfreq(CANVAS))
        frequency[0, 0] = np.inf
        noise = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    return Image.fromarray(np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8))


def _gradient(random: np.random.Generator, is_round: int) -> Image.Image:
    x, y = np.linspace(-1, 1, CANVAS), np.linspace(-1, 1, CANVAS)[:, None]
    angle, (right, down) = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5, 2)
    ramp = random.choice((-1, 1)) * (
        np.hypot(x - right, y - down) if is_round else x * np.cos(angle) + y * np.sin(angle)
    )
    return Image.fromarray((255 * (ramp - ramp.min()) / np.ptp(ramp)).astype(np.uint8))


def _shuffled(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    for axis in (0, 1):
        parts = np.array_split(image, 4, axis)
        image = np.concatenate([parts[place] for place in random.permutation(4)], axis)
    return image


# {kind: what draws one, from a random generator and 0 or 1: which of two sorts}
NO_XRAY = {"photographs": _crop, "text": _page, "drawings": _drawing, "noise": _noise, "gradients": _gradient}
