"""Images: known by content, checked once, stored once, sent by a declared policy, published untouched."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlaa_thinking.likeness import fingerprint
from vlaa_thinking.record import Fault, Picture

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


BOMB = Fault(
    code="image_bomb",
    reason=f"the image has more than {MAX_PIXELS:,} pixels, so it is taken for a decompression bomb",
)


class Original(NamedTuple):
    """An image as its source has it, whatever it turns out to be."""

    data: bytes
    sha256: bytes


def original(image: Path | bytes | None) -> Original | Fault:
    """Read an image; nothing is known of it then but its hash."""
    if image is None:
        return Fault(code="missing_image", reason="the source names no image")
    try:
        data = image.read_bytes() if isinstance(image, Path) else image
    except (OSError, ValueError):  # ValueError: a name that can be no file's
        name = image.name if isinstance(image, Path) else ""
        return Fault(code="missing_image", reason=f"there is no readable image file {name[:80]}")
    return Original(data, hashlib.sha256(data).digest())


class ImageStore:
    """A folder of images by hash, with what was found out about each in the answer cache."""

    def __init__(self, folder: Path, cache: Cache) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder
        self._cache = cache
        self._new: dict[bytes, Picture | Fault] = {}
        """What was found out and is not in the cache yet."""

    def path(self, sha256: str) -> Path:
        """Say where the image with this hash lies."""
        return self.folder / sha256[:2] / sha256

    def add(self, image: Path | bytes | None) -> Picture | Fault:
        """Read an image, check it and store it, each only if that was not done before."""
        found = original(image)
        return found if isinstance(found, Fault) else self.keep(found)

    def keep(self, image: Original) -> Picture | Fault:
        """Check an image that was read, and store it, each only if that was not done before."""
        data, digest = image
        found = self._new.get(digest)
        if found is not None:
            return found
        known = self._cache.image(digest)
        if known is None or not known.keys() & {
            "code",
            "fingerprint",
        }:  # an earlier version took no fingerprint
            facts = check(data, digest.hex())
            if isinstance(facts, Picture):
                self._store(facts.sha256, data)
            self._new[digest] = facts
            return facts
        if "code" in known:
            return Fault(**known)
        facts = Picture(**known)
        if not self.path(facts.sha256).exists():
            self._store(facts.sha256, data)
        return facts

    def settle(self) -> None:
        """Record what was found out since the last time; a kill before it costs no more than finding it out again."""
        new, self._new = self._new, {}
        self._cache.put_images({sha256: asdict(facts) for sha256, facts in list(new.items())})

    def _store(self, sha256: str, data: bytes) -> None:
        path = self.path(sha256)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            _write(temporary, data)
            temporary.replace(path)
        except OSError:  # a full disk: what is left of it would take room for ever
            temporary.unlink(missing_ok=True)
            raise


def _write(path: Path, data: bytes) -> None:
    """Write a file, and make its folder where there is none."""
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


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
            orientation = _orientation(image)
            return Picture(
                sha256=sha256,
                format=image.format or "",
                width=width,
                height=height,
                bytes=len(data),
                turned=orientation != 1,
                fingerprint=fingerprint(_plain(image), orientation),
            )
    except Image.DecompressionBombError:
        return BOMB
    except UnidentifiedImageError:
        return Fault(
            code="not_an_image", reason="the file is no image of a known format, whatever its name says"
        )
    except Exception as exc:  # noqa: BLE001 - Pillow's decoders raise many kinds; each means a broken file
        return Fault(code="broken_image", reason=f"the image cannot be decoded: {exc}")


def _orientation(image: PillowImage) -> int:
    """Return an image's EXIF orientation, 1 if it is upright; what cannot be read asks for nothing."""
    try:
        said: object = image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001 - damaged metadata of a sound image
        return 1
    return said if isinstance(said, int) and 2 <= said <= 8 else 1


def goes_as_it_is(image: Image, *, max_side: int | None, max_bytes: int | None) -> bool:
    """Say whether an image is sent in its original bytes."""
    too_large = max_side and max(image.width, image.height) > max_side
    too_long = max_bytes and image.length > max_bytes
    return image.format in SENDABLE and not image.turned and not too_large and not too_long


def to_send(image: Image, *, max_side: int | None, max_bytes: int | None) -> tuple[str, bytes]:
    """Bring an image into a form that a provider takes; returns (media type, bytes).

    The original bytes wherever they fit and are upright. Else it is decoded, turned upright, scaled down to `max_side` pixels,
    put on white where it is transparent, and encoded as PNG, or as JPEG where PNG exceeds `max_bytes`, and
    half as large where JPEG does, too.
    """
    data = image.read()
    if goes_as_it_is(image, max_side=max_side, max_bytes=max_bytes):
        return SENDABLE[image.format], data
    from PIL import Image as Pillow  # noqa: PLC0415 - heavy

    picture = upright(data, max_side)
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


def upright(data: bytes, max_side: int | None = None) -> PillowImage:
    """Decode an image and return it as a person sees it: upright, on white, no side over `max_side` pixels."""
    from PIL import Image as Pillow  # noqa: PLC0415 - heavy
    from PIL import ImageOps  # noqa: PLC0415

    with _quietly():
        opened = Pillow.open(io.BytesIO(data))
    with opened:
        opened.load()
        with _quietly():
            turned = ImageOps.exif_transpose(opened)
        picture = _flat(turned)
    if max_side:
        picture.thumbnail((max_side, max_side), Pillow.Resampling.LANCZOS)
    return picture


def resize_policy(max_side: int | None, max_bytes: int | None) -> Mapping[str, Json]:
    """Write the policy of `to_send` down for the cache's key."""
    return {"version": 2, "max_side": max_side, "max_bytes": max_bytes}


def _plain(image: PillowImage) -> PillowImage:
    """Return an image that can be shrunk as it is: its colours are no numbers of a palette, nothing shines through."""
    return image if image.mode in ("L", "RGB") and not image.has_transparency_data else _flat(image)


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
