"""Images: every mode is kept as it came, checked once, and converted only in what is sent."""

import hashlib
import io
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL.Image import Exif
from PIL.Image import Image as PillowImage

from vlaa_thinking.cache import Cache
from vlaa_thinking.images import ImageStore, check, resize_policy, to_send
from vlaa_thinking.llm import Image
from vlaa_thinking.record import Fault, Picture


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with closing(Cache(tmp_path / "answers.sqlite")) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path, cache: Cache) -> ImageStore:
    return ImageStore(tmp_path / "images", cache)


def encoded(image: PillowImage, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def plain(mode: str, colour: float | tuple[int, ...]) -> PillowImage:
    return Pillow.new(mode, (8, 6), colour)


def palette(**options: object) -> bytes:
    """Draw with index 1 of three colours: red, green and blue."""
    image = Pillow.new("P", (8, 6), 1)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return encoded(image, "PNG", **options)


def ramp(mode: str) -> PillowImage:
    """Draw 8 columns from the darkest to the brightest."""
    image = Pillow.new(mode, (8, 6))
    for x in range(8):
        for y in range(6):
            image.putpixel((x, y), 1000 + 8000 * x)
    return image


WHITE, GREEN, RED = (255, 255, 255), (0, 255, 0), (255, 0, 0)

MODES: dict[str, tuple[bytes, str, tuple[int, ...]]] = {  # the file, its format, the colour that is sent
    "RGB": (encoded(plain("RGB", GREEN), "PNG"), "PNG", GREEN),
    "RGB with one transparent colour": (encoded(plain("RGB", RED), "PNG", transparency=RED), "PNG", WHITE),
    "RGBA, transparent": (encoded(plain("RGBA", (255, 0, 0, 0)), "PNG"), "PNG", WHITE),
    "RGBA, opaque": (encoded(plain("RGBA", (255, 0, 0, 255)), "PNG"), "PNG", RED),
    "LA": (encoded(plain("LA", (0, 0)), "PNG"), "PNG", WHITE),
    "L": (encoded(plain("L", 99), "PNG"), "PNG", (99, 99, 99)),
    "1": (encoded(plain("1", 1), "PNG"), "PNG", WHITE),
    "P": (palette(), "PNG", GREEN),
    "P with transparency": (palette(transparency=1), "PNG", WHITE),
    "P with another colour transparent": (palette(transparency=0), "PNG", GREEN),
    "CMYK JPEG": (encoded(plain("CMYK", (255, 0, 255, 0)), "JPEG", quality=100), "JPEG", GREEN),
    "CMYK TIFF": (encoded(plain("CMYK", (255, 0, 255, 0)), "TIFF"), "TIFF", GREEN),
    "YCbCr TIFF": (encoded(plain("RGB", WHITE).convert("YCbCr"), "TIFF"), "TIFF", WHITE),
    "GIF": (encoded(plain("RGB", GREEN), "GIF"), "GIF", GREEN),
    "WEBP": (encoded(plain("RGBA", (9, 9, 9, 0)), "WEBP"), "WEBP", WHITE),
    "BMP": (encoded(plain("RGB", RED), "BMP"), "BMP", RED),
    "MPO": (encoded(plain("L", 255), "MPO", save_all=True, append_images=[plain("L", 0)]), "MPO", WHITE),
    "PPM": (encoded(plain("RGB", GREEN), "PPM"), "PPM", GREEN),
    "16 bit, even": (encoded(plain("I;16", 700), "PNG"), "PNG", (0, 0, 0)),
}
DEEP = {
    "16 bit PNG": encoded(ramp("I;16"), "PNG"),
    "16 bit TIFF": encoded(ramp("I;16"), "TIFF"),
    "16 bit TIFF, big-endian": encoded(ramp("I;16B"), "TIFF"),
    "16 bit PGM": b"P5 8 6 65535\n" + struct.pack(">8H", *range(1000, 60_000, 8000)) * 6,
    "32 bit TIFF": encoded(ramp("I"), "TIFF"),
    "floating point TIFF": encoded(ramp("F"), "TIFF"),
}


def sent(picture: Picture, store: ImageStore, **policy: int | None) -> tuple[str, bytes, PillowImage]:
    """Bring a stored image into the form that is sent; returns its media type, bytes and pixels."""
    image = Image(
        sha256=picture.sha256,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        length=picture.bytes,
        path=store.path(picture.sha256),
        turned=picture.turned,
    )
    media_type, data = to_send(image, **({"max_side": None, "max_bytes": None} | policy))
    opened = Pillow.open(io.BytesIO(data))
    opened.load()
    assert Pillow.MIME[opened.format or ""] == media_type or opened.format == "MPO"
    return media_type, data, opened


def added(store: ImageStore, image: Path | bytes) -> Picture:
    picture = store.add(image)
    assert isinstance(picture, Picture), picture
    return picture


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODES, *DEEP])
def test_every_mode_is_kept_byte_for_byte(store: ImageStore, name: str) -> None:
    data, form, _ = MODES.get(name) or (
        DEEP[name],
        name.split()[2].strip(",") if "bit" in name else "TIFF",
        (),
    )
    digest = hashlib.sha256(data).hexdigest()
    picture = added(store, data)
    expected = Picture(
        sha256=digest, format="PPM" if form == "PGM" else form, width=8, height=6, bytes=len(data)
    )
    assert replace(picture, fingerprint="") == expected
    assert store.path(digest).read_bytes() == data
    assert [p.name for p in store.folder.rglob("*") if p.is_file()] == [digest]


@pytest.mark.parametrize(("data", "colour"), [(d, c) for d, _, c in MODES.values()], ids=list(MODES))
def test_every_mode_can_be_sent_in_its_right_colours(
    store: ImageStore, data: bytes, colour: tuple[int, ...]
) -> None:
    media_type, _, image = sent(added(store, data), store, max_side=4)
    assert (media_type, image.mode, image.size) == ("image/png", "RGB", (4, 3))
    pixel = image.getpixel((1, 1))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 2


@pytest.mark.parametrize("data", DEEP.values(), ids=list(DEEP))
def test_deep_images_are_sent_with_their_whole_range(store: ImageStore, data: bytes) -> None:
    _, _, image = sent(added(store, data), store, max_side=7)
    greys = image.convert("L").tobytes()[:7]
    assert list(greys) == sorted(set(greys))  # each column brighter than the one before
    assert greys[0] < 20
    assert greys[-1] > 235


def test_the_type_is_told_by_content_and_never_by_the_name(store: ImageStore, tmp_path: Path) -> None:
    jpeg, png = encoded(plain("RGB", RED), "JPEG"), encoded(plain("RGB", RED), "PNG")
    for name, data, form in (
        ("a.png", jpeg, "JPEG"),
        ("a.jpg", png, "PNG"),
        ("a", png, "PNG"),
        ("a.txt", png, "PNG"),
    ):
        (tmp_path / name).write_bytes(data)
        assert added(store, tmp_path / name).format == form
    (tmp_path / "b.png").write_text("PNG, upon my word")
    assert store.add(tmp_path / "b.png") == Fault(
        code="not_an_image", reason="the file is no image of a known format, whatever its name says"
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%PDF-1.7\n", "not_an_image"),
        (MODES["RGB"][0][:20], "broken_image"),
        (MODES["RGB"][0][:50], "broken_image"),
        (MODES["RGB"][0][:45] + b"\xff" + MODES["RGB"][0][46:], "broken_image"),
        (MODES["CMYK JPEG"][0][:300], "broken_image"),
        (MODES["GIF"][0][:15], "not_an_image"),
        (MODES["GIF"][0][:-4], "broken_image"),
        (DEEP["16 bit PGM"][:-1], "broken_image"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:4].decode("latin-1"),
)
def test_what_is_no_sound_image_is_a_fault_and_is_not_stored(
    store: ImageStore, data: bytes, code: str
) -> None:
    fault = store.add(data)
    assert isinstance(fault, Fault)
    assert fault.code == code
    assert not store.folder.exists()
    assert store.add(data) == fault  # from the cache


@pytest.mark.parametrize("name", ["gone.png", "", "x" * 5000, "a\0b", "gone/../gone.png"])
def test_a_file_that_cannot_be_read_is_a_fault_of_its_row(
    store: ImageStore, tmp_path: Path, name: str
) -> None:
    fault = store.add(tmp_path / name)
    assert isinstance(fault, Fault)
    assert fault.code == "missing_image"
    assert len(fault.reason) < 130


def test_a_row_without_an_image_is_a_fault(store: ImageStore) -> None:
    assert store.add(None) == Fault(code="missing_image", reason="the source names no image")


def test_a_missing_image_is_found_once_it_is_there(store: ImageStore, tmp_path: Path) -> None:
    assert isinstance(store.add(tmp_path / "a.png"), Fault)
    (tmp_path / "a.png").write_bytes(MODES["RGB"][0])
    assert isinstance(store.add(tmp_path / "a.png"), Picture)


def test_odd_metadata_is_no_fault_and_no_warning() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0"  # promises more than it holds
    data = encoded(plain("RGB", RED), "JPEG", exif=exif)
    assert isinstance(check(data, "x"), Picture)


# --- once -----------------------------------------------------------------------------------------

WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None
from contextlib import closing
from pathlib import Path
from vlaa_thinking.cache import Cache
from vlaa_thinking.images import ImageStore
with closing(Cache(Path(sys.argv[1]))) as cache:
    for path in sys.argv[3:]:
        print(ImageStore(Path(sys.argv[2]), cache).add(Path(path)))
"""


def test_what_was_found_out_is_kept_so_that_nothing_is_decoded_twice(
    store: ImageStore, cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(MODES["P with transparency"][0])
    (tmp_path / "b").write_text("no image")
    known = [store.add(tmp_path / "a"), store.add(tmp_path / "b")]
    store.settle()
    arguments = [str(cache.path), str(tmp_path / "anew"), str(tmp_path / "a"), str(tmp_path / "b")]
    command = [sys.executable, "-c", WITHOUT_PILLOW, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [repr(one) for one in known]
    stored = [p.read_bytes() for p in (tmp_path / "anew").rglob("*") if p.is_file()]
    assert stored == [MODES["P with transparency"][0]]  # it is stored where it lacked, without a look inside
    (tmp_path / "c").write_bytes(MODES["LA"][0])
    unknown = subprocess.run([*command, str(tmp_path / "c")], capture_output=True, text=True, check=False)
    assert unknown.returncode != 0  # an image that was never seen must be decoded


def test_questions_on_one_image_share_its_file(store: ImageStore, tmp_path: Path) -> None:
    first = added(store, MODES["RGB"][0])
    stamp = store.path(first.sha256).stat().st_mtime_ns
    (tmp_path / "copy.png").write_bytes(MODES["RGB"][0])
    assert added(store, tmp_path / "copy.png") == first
    assert store.path(first.sha256).stat().st_mtime_ns == stamp


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RGBA, transparent", "CMYK JPEG", "GIF", "WEBP", "MPO", "P"])
def test_what_fits_is_sent_as_it_is(store: ImageStore, name: str) -> None:
    data, form, _ = MODES[name]
    media_type, found, _ = sent(added(store, data), store, max_side=8, max_bytes=len(data))
    assert found == data
    assert media_type == ("image/jpeg" if form == "MPO" else f"image/{form.lower()}")


@pytest.mark.parametrize("name", ["BMP", "PPM", "CMYK TIFF"])
def test_what_no_provider_takes_is_sent_as_png(store: ImageStore, name: str) -> None:
    media_type, found, image = sent(added(store, MODES[name][0]), store)
    assert (media_type, image.size) == ("image/png", (8, 6))
    assert found != MODES[name][0]


def noise(width: int, height: int) -> bytes:
    return encoded(Pillow.effect_noise((width, height), 90).convert("RGB"), "PNG")


@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [((40, 20), 39, (39, 20)), ((40, 20), 10, (10, 5)), ((20, 40), 10, (5, 10)), ((400, 2), 10, (10, 1))],
)
def test_a_large_image_is_scaled_down_in_its_own_shape(
    store: ImageStore, size: tuple[int, int], side: int, wanted: tuple[int, int]
) -> None:
    assert sent(added(store, noise(*size)), store, max_side=side)[2].size == wanted


@pytest.mark.parametrize("most", [150_000, 60_000, 12_000, 1_000])
def test_a_heavy_image_is_made_to_fit(store: ImageStore, most: int) -> None:
    media_type, data, image = sent(added(store, noise(300, 300)), store, max_bytes=most)
    assert len(data) <= most
    assert media_type == "image/jpeg"
    assert (image.size == (300, 300)) == (most >= 60_000)


def test_both_limits_hold_together(store: ImageStore) -> None:
    _, data, image = sent(added(store, noise(300, 200)), store, max_side=150, max_bytes=3_000)
    assert len(data) <= 3_000
    assert max(image.size) <= 150


def test_an_image_that_lies_on_its_side_is_sent_upright(store: ImageStore) -> None:
    exif = Exif()
    exif[0x112] = 6  # to be turned by a quarter
    data = encoded(Pillow.new("RGB", (40, 20), RED), "JPEG", exif=exif)
    picture = added(store, data)
    assert (picture.width, picture.height) == (40, 20)
    assert sent(picture, store, max_side=10)[2].size == (5, 10)
    assert sent(picture, store)[2].size == (20, 40)
    assert store.path(picture.sha256).read_bytes() == data


@pytest.mark.parametrize(
    ("orientation", "as_it_is"), [(1, True), (2, False), (3, False), (8, False), (9, True)]
)
def test_only_an_image_that_is_upright_goes_as_it_is(
    store: ImageStore, orientation: int, as_it_is: bool
) -> None:
    exif = Exif()
    exif[0x112] = orientation
    data = encoded(Pillow.new("RGB", (40, 20), RED), "JPEG", exif=exif)
    picture = added(store, data)
    assert picture.turned != as_it_is
    assert (sent(picture, store)[1] == data) == as_it_is


def test_the_same_image_is_sent_in_the_same_bytes(store: ImageStore) -> None:
    picture = added(store, noise(90, 60))
    once, again = (sent(picture, store, max_side=50, max_bytes=2_000)[1] for _ in range(2))
    assert once == again


def test_the_policy_is_written_down_with_its_numbers() -> None:
    assert resize_policy(2048, None) == {"version": 2, "max_side": 2048, "max_bytes": None}


def test_nothing_is_written_where_an_image_is_sent(store: ImageStore, tmp_path: Path) -> None:
    listed: Callable[[], list[Path]] = lambda: sorted(tmp_path.rglob("*"))  # noqa: E731 - used twice
    picture = added(store, noise(90, 60))
    before = listed()
    sent(picture, store, max_side=10)
    assert listed() == before
