"""Images: known by content, checked once, stored once, sent by a declared policy, published untouched."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.record import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image as PillowImage

    from vlaa_thinking.cache import Cache
    from vlaa_thinking.llm import Image, Json

MAX_PIXELS = 89_478_485
"""A larger image is taken for a decompression bomb (Pillow's own limit: a quarter of a GiB as RGB)."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is read; of JPEG's kind is also MPO, which some phones write in a .jpg."""

SENDABLE = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
"""What providers take as it is, with its media type."""

_opening = threading.Lock()
"""`warnings.catch_warnings` is not safe in threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an image cannot be used."""

    code: str
    """missing_image, not_an_image, broken_image or image_bomb."""
    reason: str


BOMB = Fault(
    code="image_bomb",
    reason=f"the image has more than {MAX_PIXELS:,} pixels, so it is taken for a decompression bomb",
)


class ImageStore:
    """A folder of images by hash, with what was found out about each in the answer cache."""

    def __init__(self, folder: Path, cache: Cache) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder
        self._cache = cache

    def path(self, sha256: str) -> Path:
        """Say where the image with this hash lies."""
        return self.folder / sha256[:2] / sha256

    def add(self, image: Path | bytes | None) -> Picture | Fault:
        """Check an image and store it, each only if that was not done before."""
        if image is None:
            return Fault(code="missing_image", reason="the source names no image")
        if isinstance(image, Path):
            try:
                data = image.read_bytes()
            except (OSError, ValueError):  # ValueError: a name that can be no file's
                return Fault(
                    code="missing_image", reason=f"there is no readable image file {image.name[:80]}"
                )
        else:
            data = image
        digest = hashlib.sha256(data)
        known = self._cache.image(digest.digest())
        if known is None:
            facts = check(data, digest.hexdigest())
            if isinstance(facts, Picture):
                self._store(facts.sha256, data)
            self._cache.put_image(digest.digest(), facts)
            return facts
        if "code" in known:
            return Fault(**known)
        facts = Picture(**known)
        if not self.path(facts.sha256).exists():
            self._store(facts.sha256, data)
        return facts

    def _store(self, sha256: str, data: bytes) -> None:
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        temporary.write_bytes(data)
        temporary.replace(path)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to ourselves what Pillow warns of: large images, which are counted here, and odd metadata."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check(data: bytes, sha256: str) -> Picture | Fault:
    """Decode an image wholly, so that what is broken is found here and not in a reader's hands."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - heavy

    try:
        with _quietly():
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return BOMB
            image.load()
            return Picture(
                sha256=sha256, format=image.format or "", width=width, height=height, bytes=len(data)
            )
    except Image.DecompressionBombError:
        return BOMB
    except UnidentifiedImageError:
        return Fault(
            code="not_an_image", reason="the file is no image of a known format, whatever its name says"
        )
    except Exception as exc:  # noqa: BLE001 - Pillow's decoders raise many kinds; each means a broken file
        return Fault(code="broken_image", reason=f"the image cannot be decoded: {exc}")


def to_send(image: Image, *, max_side: int | None, max_bytes: int | None) -> tuple[str, bytes]:
    """Bring an image into a form that a provider takes; returns (media type, bytes).

    The original bytes wherever they fit. Else it is decoded, turned upright, scaled down to `max_side` pixels,
    put on white where it is transparent, and encoded as PNG, or as JPEG where PNG exceeds `max_bytes`, and
    half as large where JPEG does, too.
    """
    data = image.read()
    fits = not (max_side and max(image.width, image.height) > max_side) and not (
        max_bytes and len(data) > max_bytes
    )
    if fits and image.format in SENDABLE:
        return SENDABLE[image.format], data
    from PIL import Image as Pillow  # noqa: PLC0415 - heavy
    from PIL import ImageOps  # noqa: PLC0415

    with _quietly():
        opened = Pillow.open(io.BytesIO(data))
    with opened:
        opened.load()
        with _quietly():
            upright = ImageOps.exif_transpose(opened)
        picture = _flat(upright)
    if max_side:
        picture.thumbnail((max_side, max_side), Pillow.Resampling.LANCZOS)
    encoded = _encode(picture, "PNG")
    quality = 95
    while max_bytes and len(encoded) > max_bytes and max(picture.size) > 1:
        if quality < 15:
            quality = 95
            half = max(picture.size) // 2
            picture.thumbnail((half, half), Pillow.Resampling.LANCZOS)
        encoded = _encode(picture, "JPEG", quality)
        quality -= 20
    return ("image/png" if encoded.startswith(b"\x89PNG") else "image/jpeg"), encoded


def resize_policy(max_side: int | None, max_bytes: int | None) -> Mapping[str, Json]:
    """Write the policy of `to_send` down for the cache's key."""
    return {"version": 1, "max_side": max_side, "max_bytes": max_bytes}


def _flat(image: PillowImage) -> PillowImage:
    from PIL import Image as Pillow  # noqa: PLC0415 - heavy

    if image.mode.startswith("I;16"):
        image = image.convert("I")
    if image.mode in ("I", "F"):
        low, high = image.getextrema()
        span = (float(high) - float(low)) or 1.0  # type: ignore[arg-type]  # one band: a pair of numbers
        image = image.point(lambda value: (value - float(low)) * (255.0 / span)).convert("L")  # type: ignore[arg-type]
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Pillow.new("RGBA", image.size, "white")
        image = Pillow.alpha_composite(white, image)
    return image.convert("RGB")


def _encode(image: PillowImage, form: str, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": quality} if form == "JPEG" else {}))
    return buffer.getvalue()
