"""A thousand different images, many of them much alike, and twins of some: all drawn here."""

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = [
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "maple",
    "north",
    "ocean",
    "pearl",
    "quill",
    "ridge",
    "stone",
    "tidal",
    "upper",
    "vault",
    "wharf",
    "xenon",
    "yield",
    "zonal",
]
FIELDS = ("Name", "Street", "Town", "Invoice", "Date", "Amount", "Tax", "Total", "Paid by", "Note")


def form(number: int) -> Image.Image:
    """One layout, filled in with other words."""
    rng = random.Random(f"form{number}")
    image = Image.new("L", (480, 620), 255)
    draw = ImageDraw.Draw(image)
    draw.text((150, 24), "DELIVERY NOTE", fill=0, font=ImageFont.load_default(22))
    draw.rectangle((20, 70, 460, 600), outline=0, width=2)
    for row, name in enumerate(FIELDS):
        y = 84 + row * 51
        draw.line((20, y + 38, 460, y + 38), fill=90)
        draw.text((32, y), name, fill=60, font=ImageFont.load_default(14))
        said = " ".join(rng.choices(WORDS, k=2)) if row % 2 else str(rng.randrange(10**5, 10**6))
        draw.text((160, y), said, fill=10, font=ImageFont.load_default(16))
    return image


def near_form(number: int, word: str) -> Image.Image:
    """A form that differs from another in one word."""
    image = form(number)
    draw = ImageDraw.Draw(image)
    draw.rectangle((155, 186, 400, 210), fill=255)
    draw.text((160, 186), word, fill=10, font=ImageFont.load_default(16))
    return image


def plot(number: int) -> Image.Image:
    """One pair of axes, and other curves."""
    rng = random.Random(f"plot{number}")
    image = Image.new("RGB", (520, 390), "white")
    draw = ImageDraw.Draw(image)
    draw.line((50, 20, 50, 340, 500, 340), fill="black", width=2)
    for tick in range(10):
        draw.text((46 + tick * 45, 346), str(tick), fill="black")
        draw.text((30, 332 - tick * 32), str(tick), fill="black")
    for colour in ("#1f77b4", "#d62728")[: rng.randint(1, 2)]:
        a, b, c, d = (rng.uniform(-1, 1) for _ in range(4))
        xs = np.linspace(0, 1, 120)
        ys = a * np.sin(3 * xs + 4 * b) + c * np.cos(7 * xs * (1 + d)) * 0.5
        ys = 180 - ys * 90
        draw.line([(52 + 440 * x, y) for x, y in zip(xs, ys, strict=True)], fill=colour, width=2)
    return image


def scene(number: int) -> Image.Image:
    """Shapes on a background of one grey."""
    rng = random.Random(f"scene{number}")
    image = Image.new("RGB", (320, 240), (120, 120, 118))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(3, 8)):
        x, y, size = rng.randrange(20, 270), rng.randrange(20, 190), rng.randrange(14, 44)
        colour = tuple(rng.randrange(30, 256) for _ in range(3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + size, y + size), fill=colour)
    return image


def photo(number: int) -> Image.Image:
    """What has detail at every scale, as photographs have."""
    rng = np.random.default_rng(number + 10_000)
    total = np.zeros((300, 400, 3), np.float32)
    for octave in range(2, 7):
        cells = rng.normal(size=(2**octave, 2**octave, 3)).astype(np.float32)
        small = np.clip(cells * 40 + 128, 0, 255).astype(np.uint8)
        total += (
            np.asarray(Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC), np.float32) - 128
        ) * (1.6 / octave)
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def thousand() -> Iterator[tuple[str, Image.Image]]:
    """Give 1,000 different images: 300 forms of one layout, 300 plots on the same axes, 200 scenes, 200 photographs."""
    for name, draw, count in (
        ("form", form, 300),
        ("plot", plot, 300),
        ("scene", scene, 200),
        ("photo", photo, 200),
    ):
        for number in range(count):
            yield f"{name} {number}", draw(number)


def twins(image: Image.Image, number: int) -> Iterator[tuple[str, bytes]]:
    """Give an image resized, encoded anew, and cropped by 2 %: at each side, at one corner, at the other and encoded anew."""
    width, height = image.size
    x, y = width * 0.02, height * 0.02
    scale = (0.6, 0.75, 1.5)[number % 3]
    small = image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    yield "resized", encoded(small)
    yield "encoded anew", encoded(image, "JPEG", quality=(40, 60, 85)[number % 3])
    yield "cropped", encoded(image.crop((round(x), round(y), round(width - x), round(height - y))))
    yield "cropped at a corner", encoded(image.crop((0, round(y), round(width - x), height)))
    corner = image.crop((round(x), 0, width, round(height - y))).resize((width, height))
    yield "cropped, resized and encoded anew", encoded(corner, "JPEG", quality=70)


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    """Encode an image."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, form, **options)
    return buffer.getvalue()
