"""Archives: what is in them is found, what would leave its folder is not, and what is broken is said."""

import io
import itertools
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import native
import pytest

import vlaa_thinking
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Fault
from vlaa_thinking.sources import archive
from vlaa_thinking.sources.archive import TOO_LARGE, Archive, Joined, archives, is_safe
from vlaa_thinking.sources.pictures import Image, Pictures
from vlaa_thinking.sources.place import Folder

A, B = native.drawn("a"), native.drawn("b")


def got(folder: Path, *names: str) -> list[Image]:
    with Pictures(Folder(folder), "mine") as pictures:
        return [pictures.get(name) for name in names]


def paired(folder: Path, *names: str | None) -> list[tuple[str | None, Image]]:
    with Pictures(Folder(folder), "mine") as pictures:
        rows = [{"n": number, "image": name} for number, name in enumerate(names)]
        found = {row["n"]: image for row, image in pictures.paired(rows, "image")}
        assert len(found) == len(names)
        return [(name, found[number]) for number, name in enumerate(names)]


# --- finding --------------------------------------------------------------------------------------


def test_archives_are_told_by_their_names_and_parts_belong_together(tmp_path: Path) -> None:
    names = (
        "b.tar.gz", "a.zip", "x/c.TGZ", "d.tar", "image.zip.part-ab", "image.zip.part-aa", "y.zip.002", "y.zip.001",
        "photo.zip.png", "notes.part-aa", "e.tar.bz2",
    )  # fmt: skip
    native.put(tmp_path, dict.fromkeys(names, b""))
    assert archives(Folder(tmp_path)) == [
        Archive("a.zip", ("a.zip",)),
        Archive("b.tar.gz", ("b.tar.gz",)),
        Archive("d.tar", ("d.tar",)),
        Archive("e.tar.bz2", ("e.tar.bz2",)),
        Archive("image.zip", ("image.zip.part-aa", "image.zip.part-ab")),
        Archive("x/c.TGZ", ("x/c.TGZ",)),
        Archive("y.zip", ("y.zip.001", "y.zip.002")),
    ]


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_zip_file_in_parts_is_read_as_one(tmp_path: Path, parts: int) -> None:
    files = {"image/coco/1.jpg": A, "image/vg/1.jpg": B}
    native.put(tmp_path, native.split("image.zip", native.zipped(files), parts))
    assert got(tmp_path, "coco/1.jpg", "vg/1.jpg", "image/vg/1.jpg", "gone.jpg") == [A, B, B, None]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file_is_gone_through_once(tmp_path: Path, mode: str) -> None:
    native.put(tmp_path, {"images.tar": native.tarred({"./images/b.png": B, "images/a.png": A}, mode)})
    names = ("images/a.png", "images/b.png", "images/a.png", "images/gone.png", None, "")
    assert [image for _, image in paired(tmp_path, *names)] == [A, B, A, None, None, None]


def test_a_tar_file_in_parts_is_read_as_one(tmp_path: Path) -> None:
    native.put(tmp_path, native.split("images.tar.gz", native.tarred({"a.png": A, "b.png": B}), 3))
    assert [image for _, image in paired(tmp_path, "x/b.png", "x/a.png")] == [B, A]


def test_a_file_on_disk_comes_before_an_archive_and_ends_of_names_are_enough(tmp_path: Path) -> None:
    native.put(
        tmp_path,
        {"images/a.png": A, "z.zip": native.zipped({"deep/images/a.png": B, "deep/images/b.png": B})},
    )
    path = tmp_path / "images/a.png"
    assert got(tmp_path, "images/a.png", "/images/a.png", "./images/a.png", "images/b.png", "b.png") == [
        path, path, path, B, B,
    ]  # fmt: skip
    assert got(tmp_path, "old/place/images/a.png") == [
        B
    ]  # the archive's name fits no better, and is looked at first


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_name_in_several_folders_is_asked_for_with_its_folder(tmp_path: Path, form: str) -> None:
    files = {"x/VG_100K/1.jpg": A, "x/VG_100K_2/1.jpg": B}
    native.put(tmp_path, {"i.zip": native.zipped(files)} if form == "zip" else files)
    found = got(tmp_path, "vg/VG_100K_2/1.jpg".removeprefix("vg/"), "VG_100K/1.jpg")
    assert [f.read_bytes() if isinstance(f, Path) else f for f in found] == [B, A]
    with pytest.raises(
        SetupError, match=r'source "mine": the image 1\.jpg lies in several folders \(x/VG_100K'
    ):
        got(tmp_path, "1.jpg")


def test_a_tar_file_with_a_name_twice_is_not_guessed_at(tmp_path: Path) -> None:
    native.put(tmp_path, {"i.tar": native.tarred({"p/1.png": A, "q/1.png": B, "r/2.png": B}, "w")})
    assert [image for _, image in paired(tmp_path, "q/1.png", "p/1.png")] == [B, A]
    with pytest.raises(
        SetupError, match=r"the image 1\.png lies in several folders of the archive \(p/1\.png, q/1"
    ):
        paired(tmp_path, "documents/1.png", "r/2.png")
    # Where rows themselves tell folders apart, the last component alone is no match.
    assert [image for _, image in paired(tmp_path, "x/1.png", "y/1.png")] == [None, None]


# --- what would leave its folder ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("images/a.png", True),
        ("./a.png", True),
        ("a..png", True),
        ("/etc/passwd", False),
        ("../a.png", False),
        ("images/../../a.png", False),
        ("images\\..\\..\\a.png", False),
        ("C:\\a.png", False),
        ("\\\\server\\a.png", False),
        ("a\0b.png", False),
    ],
)
def test_names_that_leave_their_folder_are_told(name: str, safe: bool) -> None:
    assert is_safe(name) == safe


def hostile_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name in ("../up.png", "/abs.png", "in/../../up2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(A)
            made.addfile(member, io.BytesIO(A))
        for kind, target in (
            (tarfile.SYMTYPE, "/etc/passwd"),
            (tarfile.LNKTYPE, "good.png"),
            (tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(f"link{kind.decode()}.png")
            member.type, member.linkname = kind, target
            made.addfile(member)
        member = tarfile.TarInfo("good.png")
        member.size = len(B)
        made.addfile(member, io.BytesIO(B))
    return buffer.getvalue()


def hostile_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in ("../up.png", "/abs.png", "in/../../up2.png"):
            made.writestr(zipfile.ZipInfo(name), A)
        link = zipfile.ZipInfo("link2.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
        made.writestr(zipfile.ZipInfo("good.png"), B)
    return buffer.getvalue()


def test_members_that_would_leave_their_folder_are_passed_over(tmp_path: Path) -> None:
    for form, data in (("tar", hostile_tar()), ("zip", hostile_zip())):
        folder = native.put(tmp_path / form, {f"i.{form}": data})
        names = (
            "up.png",
            "../up.png",
            "abs.png",
            "/abs.png",
            "up2.png",
            "link2.png",
            "link1.png",
            "link3.png",
        )
        assert [image for _, image in paired(folder, *names, "good.png")] == [None] * 8 + [B], form
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["i.tar", "i.zip"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    native.put(tmp_path, {"secret.png": A, "set/own.png": B})
    (tmp_path / "set/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set/inner.png").symlink_to(tmp_path / "set/own.png")
    found = got(tmp_path / "set", "link.png", "../secret.png", str(tmp_path / "secret.png"), "inner.png")
    assert found == [None, None, None, tmp_path / "set/own.png"]


# --- what is too large, or broken -----------------------------------------------------------------


def test_a_member_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_IMAGE_BYTES", 1000)
    files = {"long.png": bytes(1001), "ok.png": bytes(1000)}
    native.put(tmp_path / "t", {"i.tar.gz": native.tarred(files)})
    native.put(tmp_path / "z", {"i.zip": native.zipped(files)})
    for folder in ("t", "z"):
        assert [image for _, image in paired(tmp_path / folder, "long.png", "ok.png")] == [
            TOO_LARGE,
            bytes(1000),
        ]
    assert TOO_LARGE.code == "image_too_large"


def test_a_zip_file_that_lies_about_a_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    """A bomb's header says little, and its stream is long: what is read stops at the header's word, and is broken."""
    data = bytearray(native.zipped({"bomb.png": bytes(50_000_000)}))
    for size_at in (22, data.rfind(b"PK\x01\x02") + 24):
        data[size_at : size_at + 4] = (1000).to_bytes(4, "little")
    native.put(tmp_path, {"i.zip": bytes(data)})
    (found,) = got(tmp_path, "bomb.png")
    assert isinstance(found, Fault)
    assert found.code == "broken_image"


@pytest.mark.parametrize("form", ["tar.gz", "tar", "zip"])
def test_a_cut_archive_is_one_sentence(tmp_path: Path, form: str) -> None:
    files = {f"{n}.png": os.urandom(50_000) for n in range(5)}
    whole = (
        native.zipped(files) if form == "zip" else native.tarred(files, "w:gz" if form == "tar.gz" else "w")
    )
    native.put(tmp_path, {f"i.{form}": whole[: len(whole) // 2]})
    with pytest.raises(
        SetupError, match=rf'^source "mine": i\.{form} is cut or damaged: .*; fetch it again$'
    ):
        paired(tmp_path, "4.png")


def test_a_damaged_member_is_its_rows_fault_alone(tmp_path: Path) -> None:
    data = bytearray(native.zipped({"bad.png": os.urandom(5000), "good.png": B}))
    data[100:200] = bytes(100)
    native.put(tmp_path, {"i.zip": bytes(data)})
    bad, good = got(tmp_path, "bad.png", "good.png")
    assert isinstance(bad, Fault)
    assert bad.code == "broken_image"
    assert good == B


def test_joined_files_are_read_from_anywhere() -> None:
    data = bytes(range(256)) * 5
    cuts = [0, 7, 7, 300, 1279, len(data)]  # one part is empty
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    openers = [(len(p), lambda p=p: io.BytesIO(p)) for p in pieces]
    with io.BufferedReader(Joined(openers), 64) as joined:
        assert joined.read() == data
        for at, length in ((0, 10), (5, 10), (299, 2), (1278, 5), (500, 700)):
            joined.seek(at)
            assert joined.read(length) == data[at : at + length]
        assert joined.seek(-3, io.SEEK_END) == len(data) - 3
        assert joined.read() == data[-3:]


MEMORY = """\
import resource, sys
from pathlib import Path
from vlaa_thinking.sources.pictures import Pictures
from vlaa_thinking.sources.place import Folder
rows = ({"image": f"images/{n:06d}.jpg", "text": "x" * 500} for n in range(30_000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Pictures(Folder(Path(sys.argv[1])), "mine") as pictures:
    count = sum(1 for _, image in pictures.paired(rows, "image") if image == b"1")
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_many_members_cost_little_memory(tmp_path: Path, form: str) -> None:
    with (
        zipfile.ZipFile(tmp_path / "i.zip", "w")
        if form == "zip"
        else tarfile.open(tmp_path / "i.tar", "w") as made
    ):
        for n in reversed(range(30_000)):
            if isinstance(made, zipfile.ZipFile):
                made.writestr(zipfile.ZipInfo(f"images/{n:06d}.jpg"), b"1")
            else:
                member = tarfile.TarInfo(f"images/{n:06d}.jpg")
                member.size = 1
                made.addfile(member, io.BytesIO(b"1"))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    count, mebibytes = map(int, done.stdout.split())
    assert count == 30_000
    assert mebibytes < 60
