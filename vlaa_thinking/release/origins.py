"""Where the released rows come from: the folder of a row's image names its source, and the source its terms.

Folders, archives and downloads are those of the authors' repository; licences are those that the sets' own pages
state (the release as a whole is tagged Apache-2.0, which none of them grants for all of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlaa_thinking.record import AnswerType
    from vlaa_thinking.release.boxes import ReleasedFrame

RELEASE = "UCSC-VLAA/VLAA-Thinking"
"""The authors' dataset on the Hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One source of the release."""

    name: str
    """Its folder below images/."""
    license: str = "unknown"
    passed_on: bool = False
    """Whether its terms let others pass its images on."""
    answer_type: AnswerType | None = None
    """The reward that the paper names for it (figure 4); None where its rows differ."""
    declared: bool = True
    """Whether the paper names it (table 1)."""
    archive: str | None = None
    """The release's own file with its images; None: they are fetched from elsewhere."""
    site: str = ""
    """From where, for people."""
    url: str | None = None
    """Where one image is, the last part of whose path takes the place of {name}, that above it of {folder}."""
    box_frame: ReleasedFrame = "unit"
    """The frame of its boxes where too few rows show it: see `boxes`."""


def _archived(name: str, license_: str, kind: AnswerType | None, *, passed_on: bool) -> Origin:
    archive = f"images/{name}.tar.gz"
    return Origin(name=name, license=license_, passed_on=passed_on, answer_type=kind, archive=archive)


ORIGINS = {
    origin.name: origin
    for origin in (
        _archived(
            "allava_laion", "Apache-2.0", "open", passed_on=False
        ),  # the text; its images are web images
        _archived("arxivqa", "CC-BY-SA-4.0", "choice", passed_on=True),
        _archived("clevr_math", "CC-BY-4.0", "digit", passed_on=True),
        _archived("docvqa", "unknown", "open", passed_on=False),  # the challenge's terms
        _archived("geoqa170k", "unknown", "choice", passed_on=False),
        _archived("synthesis", "GPL-3.0", "math", passed_on=True),
        _archived("vizwiz", "CC-BY-4.0", "open", passed_on=True),
        Origin(
            name="chartqa",
            license="GPL-3.0",
            passed_on=True,
            declared=False,
            archive="images/chartqa.tar.gz",
        ),
        Origin(
            name="coco",
            license="CC-BY-4.0",  # the annotations; its images keep their owners' terms
            site="images.cocodataset.org (train2017.zip)",
            url="http://images.cocodataset.org/{folder}/{name}",
        ),
        Origin(
            name="vg",
            license="CC-BY-4.0",
            passed_on=True,
            site="the Visual Genome site (images.zip, images2.zip)",
            url="https://cs.stanford.edu/people/rak248/{folder}/{name}",
            box_frame="square",
        ),
    )
}
"""By folder."""

UNKNOWN = Origin(name="unknown", declared=False)
"""What a row is taken for whose image lies in none of these folders."""


def image_path(text: str) -> str | None:
    """Return a row's image as a path below images/, with no slash before it; None for one that leaves the folder."""
    parts = [part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if parts[:1] == ["images"]:
        parts = parts[1:]
    return None if not parts or ".." in parts or "\0" in text else "/".join(parts)


def origin_of(path: str | None) -> Origin:
    """Tell the source of a row by its image's path below images/."""
    return ORIGINS.get((path or "").partition("/")[0], UNKNOWN)


def place_of(origin: Origin, path: str, url: str | None) -> dict[str, str]:
    """Say where an image can be had: its address, or the release's archive that holds it."""
    if origin.url:
        *_, folder, name = ("", *path.split("/"))
        return {"url": origin.url.format(folder=folder, name=name)}
    if url:
        return {"url": url}
    if origin.archive:
        return {"dataset": RELEASE, "file": origin.archive}
    return {}
